"""pgbench against PostgreSQL: its TPC-B-like transactions by two clients over a UNIX socket, every commit on disk."""

from __future__ import annotations

from bench.probes.tools import ParseError, number_after, served

NO_OTHER_USER = 77
"""The command's exit code where the instance cannot become another user than root."""

_PROGRAMS = "/usr/lib/postgresql/15/bin"
_DATA = "/bench-pg"
_AS = "setpriv --reuid=postgres --regid=postgres --clear-groups"
_OPTIONS = (
    "-c config_file=/etc/postgresql/15/main/postgresql.conf -c listen_addresses= -c unix_socket_directories=/tmp "
    "-c external_pid_file= -c dynamic_shared_memory_type=mmap -c ssl=off -c jit=off"
)


def command(seconds: int) -> str:
    """Return the command. It works on a copy of the database that the package made, and throws it away."""
    server = f"exec {_AS} {_PROGRAMS}/postgres -D {_DATA} -c data_directory={_DATA} {_OPTIONS}"
    bench = f"{_AS} {_PROGRAMS}/pgbench -h /tmp"
    client = f"{bench} -q -i postgres && {bench} -n -c 2 -T {seconds} postgres"
    return (
        f"{_AS} true 2>/dev/null || exit {NO_OTHER_USER}; "
        f"rm -rf {_DATA}; cp -a /var/lib/postgresql/15/main {_DATA}; {served(server, client, 'QUIT')}"
    )


def parse(text: str) -> float:
    """Return the transactions a second, connecting not counted.

    Raises:
        ParseError: there is no such line, or transactions failed.
    """
    if "number of failed transactions: 0 " not in text:
        raise ParseError("pgbench does not say that no transaction failed")
    return number_after(r"tps = ([\d.]+)", text, "pgbench's rate")
