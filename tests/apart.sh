#!/bin/sh
# Runs a command that sees copies of the cache and of the programs that start instances: tests/apart.sh PLACE COMMAND...
#
# A start from a cold cache needs its files out of the memory, and what a running program maps stays there: what runs
# beside such starts must run from other files. Call it in a mount namespace of its own; PLACE is for the copies.
set -eu
place=$1
shift
PATH=$PATH:/usr/sbin:/sbin
for name in "${BENCH_CACHE:-/var/cache/ms-vs-minutes}" qemu-system-x86_64 runc crun bwrap; do
    path=$(command -v "$name") || path=$name
    [ -e "$path" ] || continue
    path=$(readlink -f "$path")
    cp -a "$path" "$place"
    mount --bind "$place/${path##*/}" "$path"
done
exec "$@"
