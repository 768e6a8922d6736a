#!/bin/sh
# A PostgreSQL server in the foreground, at a port of all addresses, on a copy of the empty cluster of `ci/libraries`.
# Nothing is synced to disk, and of its helpers that wake up by themselves only those run that cannot be left out.
# usage: postgres.sh LIBRARIES SCRATCH PORT
#
# It refuses to run as root. In a user namespace of its own it is nobody, and its files are still the caller's; as
# nothing but that changes, it stays on its host, the network namespace.
set -eu
cp -r "$1/postgresql/data" "$2/data"
[ "$(id -u)" != 0 ] || set -- "$@" unshare --user --map-user=65534 --map-group=65534
libraries=$1 scratch=$2 port=$3
shift 3
exec "$@" "$libraries/postgresql/bin/postgres" -D "$scratch/data" -p "$port" \
    -c listen_addresses='*' -c unix_socket_directories= \
    -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c autovacuum=off -c max_wal_senders=0 \
    -c wal_level=minimal -c max_logical_replication_workers=0 -c jit=off -c shared_buffers=16MB -c max_connections=10 \
    -c dynamic_shared_memory_type=mmap
