#!/bin/sh
# Runs every check of this project. With arguments: only pytest, with these arguments (./test.sh tests/unit -k plan).
set -eu
ROOT=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd -P)
. "$ROOT/.setup.sh"
make_ready test
cd "$ROOT"
if [ $# -gt 0 ]; then exec "$VENV/bin/python" -m pytest "$@"; fi

# What measures needs the machine to itself; what looks from inside needs a port that the long run needs too.
quiet=tests/benchmarks
for name in cgroup idle isolation memory overhead stopwatch; do quiet="$quiet tests/engines/test_$name.py"; done
long=tests/e2e/test_run_all.py

# All of them speak, even when the first has found something: one round of mending, not five.
failed=
check() {
    say "$1"
    shift
    "$VENV/bin/python" -m "$@" || failed=1
}

# Start something beside the checks; `join` waits for it, and only then lets it speak.
# A shell lets what it starts with & ignore Ctrl-C: tests must not, or their engines would stay.
words=$(mktemp)
copies=$(mktemp -d -p /var/tmp)
beside=
begin() {
    env --default-signal=INT,QUIT "$@" >"$words" 2>&1 &
    beside=$!
}
join() {
    wait "$beside" || failed=1
    beside=
    cat "$words"
}
end() {
    if [ -n "$beside" ]; then
        kill -INT "$beside" 2>/dev/null || :
        wait "$beside" || :
    fi
    rm -rf "$words" "$copies"
}
trap end EXIT
trap 'wait; beside=; exit 130' INT # it reached what runs beside, too: a second one would disturb its tidying up
trap 'exit 143' TERM

say "userlands, kernel and disks are built beside the first three"
begin "$VENV/bin/python" -m tests.userlands
check "ruff: the rules" ruff check
check "ruff: the form" ruff format --check
check "mypy: the types" mypy
join
# shellcheck disable=SC2086  # a list of files
check "pytest: what measures, alone on the machine" pytest --durations=25 $quiet

# All other tests measure nothing: politely, they run beside the long run, with files of their own.
apart=
if [ "$(id -u)" = 0 ]; then apart="unshare --mount --propagation private tests/apart.sh $copies"; fi
# shellcheck disable=SC2046,SC2086  # lists of words
begin nice -n 10 $apart "$VENV/bin/python" -m pytest --durations=25 tests \
    $(printf -- '--ignore=%s ' $quiet $long)
check "pytest: a whole run, and beside it all that needs no quiet" \
    pytest -o faulthandler_timeout=2100 --durations=25 $long # it takes more than the ten minutes of all others
join
[ -z "$failed" ] || { say "something failed above" && exit 1; }
say "all is well"
