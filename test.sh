#!/bin/sh
# Runs every check of this project. With arguments: only pytest, with these arguments (./test.sh tests/unit -k plan).
set -eu
ROOT=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd -P)
. "$ROOT/.setup.sh"
make_ready test
cd "$ROOT"
if [ $# -gt 0 ]; then exec "$VENV/bin/python" -m pytest "$@"; fi

# All four speak, even when the first has found something: one round of mending, not four.
failed=
check() {
    say "$1"
    shift
    "$VENV/bin/python" -m "$@" || failed=1
}
check "ruff: the rules" ruff check
check "ruff: the form" ruff format --check
check "mypy: the types" mypy
check "pytest: the behaviour" pytest
[ -z "$failed" ] || { say "something failed above" && exit 1; }
say "all is well"
