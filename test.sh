#!/bin/sh
# Runs every check of this project. With arguments: only pytest, with these arguments (./test.sh tests/unit -k plan).
set -eu
ROOT=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd -P)
. "$ROOT/.setup.sh"
make_ready test
cd "$ROOT"
if [ $# -gt 0 ]; then exec "$VENV/bin/python" -m pytest "$@"; fi

# All of them speak, even when the first has found something: one round of mending, not five.
failed=
check() {
    say "$1"
    shift
    "$VENV/bin/python" -m "$@" || failed=1
}
check "ruff: the rules" ruff check
check "ruff: the form" ruff format --check
check "mypy: the types" mypy
check "pytest: what measures, alone on the machine" pytest tests/benchmarks tests/contract tests/engines

# All other tests measure nothing: politely, they run beside the long run, and speak when it has spoken.
words=$(mktemp)
beside=
trap '[ -z "$beside" ] || kill "$beside" 2>/dev/null || :; rm -f "$words"' EXIT
trap 'exit 130' INT TERM
# A shell lets what it starts with & ignore Ctrl-C: some tests must not.
nice -n 10 env --default-signal=INT,QUIT "$VENV/bin/python" -m pytest tests \
    --ignore=tests/benchmarks --ignore=tests/contract --ignore=tests/engines --ignore=tests/e2e >"$words" 2>&1 &
beside=$!
check "pytest: whole runs, and beside them all that needs no quiet" pytest tests/e2e
wait "$beside" || failed=1
beside=
cat "$words"
[ -z "$failed" ] || { say "something failed above" && exit 1; }
say "all is well"
