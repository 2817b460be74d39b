#!/bin/sh
# Runs `bench`; makes this checkout ready first if it is not. Every argument goes to bench: ./bench.sh run all
set -eu
ROOT=$(CDPATH='' cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd -P)
. "$ROOT/.setup.sh"
make_ready bench
exec "$VENV/bin/bench" "$@"
