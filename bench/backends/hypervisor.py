"""libvirt, as little of it as is needed. The only module that imports it.

Three ways to a hypervisor, in this order: the address a subject names; the daemon that answers; none of them and
no daemon at all, libvirt's QEMU driver inside this process (libvirt.org/drvqemu.html, "Embedded driver").
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any

from bench.backends.base import Session
from bench.backends.domain import EMULATOR
from bench.errors import BackendUnavailable, InstanceError

_NO_DOMAIN = 42
_OPERATION_INVALID = 55

_EMBEDDED = """\
stdio_handler = "file"
security_driver = "none"
security_default_confined = 0
dynamic_ownership = 0
remember_owner = 0
namespaces = []
cgroup_controllers = []
"""
"""No virtlogd, and nothing of the suite's files changes its owner or its extended attributes."""

_AS_ROOT = 'user = "root"\ngroup = "root"\n'

_embedded_root: Path | None = None
_looping = False


def daemon_address() -> str | None:
    """Return the address of a libvirt daemon that answers now, or None. Starts none, unlike libvirt itself."""
    home = "/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "")
    for name in ("virtqemud-sock", "libvirt-sock"):
        path = Path(home, "libvirt", name)
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
            probe.connect(str(path))
            return "qemu:///system" if os.geteuid() == 0 else "qemu:///session"
    return None


class Hypervisor:
    """One connection.

    Attributes:
        uri: the address it was opened with.
        why: why that one.
        embedded: the root directory of the embedded driver, or None when a daemon does the work.
        confining: the host's security models ("dac", "apparmor") that a domain has to be exempted from.
    """

    def __init__(self, session: Session, uri: str = "") -> None:
        """Connect.

        Raises:
            BackendUnavailable: libvirt is not installed or refuses.
        """
        self.uri, self.why, self.embedded = _choose(uri, session)
        self._libvirt = _import_libvirt()
        _start_event_loop(self._libvirt)
        try:
            self._connection: Any = self._libvirt.open(self.uri)
            capabilities = str(self._connection.getCapabilities())
            self._probe()
        except self._libvirt.libvirtError as error:
            raise BackendUnavailable(f"{self.uri} does not open: {error}", _remedy(str(error))) from error
        models = re.findall(r"<secmodel>\s*<model>(\w+)</model>", capabilities)
        exempt = self.embedded is None and os.geteuid() == 0
        self.confining: tuple[str, ...] = tuple(m for m in models if m != "none") if exempt else ()
        # The embedded driver refuses it ("autodestroy not supported for embedded drivers yet").
        self._start_flags = 0 if self.embedded else self._libvirt.VIR_DOMAIN_START_AUTODESTROY

    def _probe(self) -> None:
        """Let libvirt find out what this QEMU can do, once: else the first domain pays for it, seconds."""
        for kind in ("qemu", "kvm"):
            with contextlib.suppress(self._libvirt.libvirtError):
                self._connection.getDomainCapabilities(EMULATOR, "x86_64", None, kind)

    def versions(self) -> dict[str, str]:
        """Return what runs: libvirt, QEMU, address.

        Raises:
            InstanceError: libvirt finds no QEMU.
        """
        return {
            "libvirt": _dotted(self._asked(self._connection.getLibVersion)),
            "qemu": _dotted(self._asked(self._connection.getVersion)),
            "uri": self.uri if self.embedded is None else "qemu:///embed",
            "chosen because": self.why,
        }

    def define(self, xml: str) -> Any:
        """Define a domain and return its handle.

        Raises:
            InstanceError: libvirt refused it.
        """
        return self._asked(self._connection.defineXML, xml)

    def start(self, domain: Any) -> None:
        """Start a defined domain; return when libvirt says that it runs. With a daemon it dies with the connection."""
        self._asked(domain.createWithFlags, self._start_flags)

    def forget(self, domain: Any) -> None:
        """Remove the definition: a running domain becomes transient and leaves nothing when it ends."""
        with contextlib.suppress(self._libvirt.libvirtError):
            domain.undefine()

    def destroy(self, domain: Any) -> None:
        """End a domain. Returns when libvirt has seen its QEMU gone, which it looks for every 200 ms.

        Raises:
            InstanceError: libvirt could not.
        """
        try:
            domain.destroy()
        except self._libvirt.libvirtError as error:
            if error.get_error_code() not in (_NO_DOMAIN, _OPERATION_INVALID):
                raise InstanceError(f"libvirt could not destroy it: {error}") from error

    def active(self, domain: Any) -> bool:
        """Say whether the domain runs."""
        try:
            return bool(domain.isActive())
        except self._libvirt.libvirtError:
            return False

    def suspend(self, domain: Any) -> None:
        """Stop the domain's virtual CPUs; its memory stays where it is."""
        self._asked(domain.suspend)

    def resume(self, domain: Any) -> None:
        """Let them run on."""
        self._asked(domain.resume)

    def domains(self) -> tuple[str, ...]:
        """Return the names of all domains that this connection knows, running or only defined: virsh list --all."""
        return tuple(str(domain.name()) for domain in self._asked(self._connection.listAllDomains))

    def set_memory(self, domain: Any, size: int) -> None:
        """Ask the guest's balloon to leave it so many bytes: virsh setmem --live. Returns before the guest obeyed."""
        self._asked(domain.setMemoryFlags, size // 1024, self._libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def memory_figures(self, domain: Any) -> dict[str, int]:
        """Return what libvirt tells of a domain's memory (virsh dommemstat), bytes: "actual", "rss" and more."""
        return {str(k): int(v) * 1024 for k, v in self._asked(domain.memoryStats).items()}

    def save(self, domain: Any, path: Path) -> None:
        """Write the domain's memory and state to a file and end it."""
        self._asked(domain.save, str(path))

    def restore(self, path: Path, name: str, xml: str) -> Any:
        """Let a saved domain run on, with this XML instead of the saved; return its handle."""
        flags = self._libvirt.VIR_DOMAIN_SAVE_RUNNING
        self._asked(self._connection.restoreFlags, str(path), xml, flags)
        return self._asked(self._connection.lookupByName, name)

    def _asked(self, call: Any, *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except self._libvirt.libvirtError as error:
            raise InstanceError(f"libvirt refused: {error}") from error

    def _log(self, name: str) -> Path:
        home = Path.home() / ".cache/libvirt/qemu/log" if "session" in self.uri else Path("/var/log/libvirt/qemu")
        return (self.embedded / "log/qemu" if self.embedded else home) / f"{name}.log"

    def log_tail(self, name: str) -> str:
        """Return the last line QEMU wrote for this domain, or ""."""
        with contextlib.suppress(OSError):
            lines = self._log(name).read_text("utf-8", "replace").splitlines()
            return next((line for line in reversed(lines) if line.strip()), "")[-300:]
        return ""

    def remove_log(self, name: str) -> None:
        """Remove the log that libvirt keeps of every domain that ever was."""
        with contextlib.suppress(OSError):
            self._log(name).unlink()

    def close(self) -> None:
        """Let go of the connection. Safe to repeat."""
        with contextlib.suppress(self._libvirt.libvirtError):
            self._connection.close()


def _choose(uri: str, session: Session) -> tuple[str, str, Path | None]:
    """Return the address to open, why that one, and the embedded driver's directory if it is to be used."""
    if uri and "/embed" not in uri:
        return uri, "the subject names it", None
    running = None if uri else daemon_address()
    if running:
        return running, "its daemon answers", None
    root = _prepare_embedded_root(session)
    return f"qemu:///embed?root={root}", "no daemon answers: libvirt's driver inside this process", root


def _remedy(error: str) -> str:
    """Return what to do about a connection that does not open."""
    if "parse user" in error or "parse group" in error:
        # Looked up before the configuration says otherwise (virQEMUDriverConfigNew).
        return "apt install libvirt-daemon-system: it makes the account that libvirt's QEMU driver looks for"
    return "bench doctor says what is missing"


def _dotted(number: int) -> str:
    """Return libvirt's 9000000 as "9.0.0"."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def _import_libvirt() -> Any:
    try:
        import libvirt
    except ImportError as error:
        raise BackendUnavailable("libvirt-python is not installed", "pip install libvirt-python") from error
    # Errors arrive as exceptions; without a handler libvirt prints each of them too.
    libvirt.registerErrorHandler(lambda *_: None, None)
    return libvirt


def _start_event_loop(libvirt: Any) -> None:
    """Run libvirt's event loop for the rest of this process: the embedded driver wants it before it is opened."""
    global _looping  # noqa: PLW0603  # libvirt has one event loop per process
    if _looping:
        return
    _looping = True
    libvirt.virEventRegisterDefaultImpl()

    def loop() -> None:
        while True:
            with contextlib.suppress(libvirt.libvirtError):
                libvirt.virEventRunDefaultImpl()

    threading.Thread(target=loop, name="libvirt events", daemon=True).start()


def _prepare_embedded_root(session: Session) -> Path:
    """Return the embedded driver's directory: one per process, for a second one in the same process is refused.

    Its sockets' paths have to stay below 108 bytes, hence a place of its own.
    """
    global _embedded_root  # noqa: PLW0603  # libvirt allows one embedded root per process
    if _embedded_root is None:
        base = "/run" if os.access("/run", os.W_OK) else os.environ.get("XDG_RUNTIME_DIR")
        _embedded_root = Path(tempfile.mkdtemp(prefix="bench-", dir=base))
        _embedded_root.chmod(0o711)
        (_embedded_root / "etc").mkdir()
        own = _AS_ROOT if os.geteuid() == 0 else ""
        (_embedded_root / "etc" / "qemu.conf").write_text(own + _EMBEDDED)
        # Read when the library is loaded: else the driver writes its warnings to standard error.
        os.environ["LIBVIRT_LOG_OUTPUTS"] = f"3:file:{_embedded_root}/libvirt.log"
        atexit.register(shutil.rmtree, _embedded_root, ignore_errors=True)
    session.guard.watch("directory", str(_embedded_root))
    return _embedded_root
