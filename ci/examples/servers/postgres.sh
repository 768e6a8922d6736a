#!/bin/sh
# A PostgreSQL server in the foreground at $HARNESS_PORT, which lets everybody in. Its files go with the run.
# Its checkpoints, which come with time alone, are not logged: what it prints is about connections.
# usage: postgres.sh [OPTION OF postgres]...        where the harness runs it
#        postgres.sh                                elsewhere: make an empty cluster beside this script, once, which saves
#                                                   each run the 10 s or so that initdb takes in a guest
set -eu
made=$(cd "$(dirname "$0")" && pwd)/cluster
PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
as_nobody=
# PostgreSQL refuses to run as root. In a user namespace root has another number, and its files stay its own.
[ "$(id -u)" != 0 ] || as_nobody='unshare --user --map-user=65534 --map-group=65534'

new_cluster() {
    $as_nobody initdb --pgdata="$1" --auth=trust --username=postgres --no-sync --no-locale >/dev/null
    echo 'host all all all trust' >>"$1/pg_hba.conf"
}

if [ -z "${HARNESS_PORT:-}" ]; then
    new_cluster "$made"
    exit
fi
cluster=$HARNESS_SCRATCH/cluster
if [ -d "$made" ]; then
    cp -r "$made" "$cluster"
    chmod 700 "$cluster"
else
    new_cluster "$cluster"
fi
exec $as_nobody postgres -D "$cluster" -p "$HARNESS_PORT" -c listen_addresses='*' -c unix_socket_directories= \
    -c log_checkpoints=off "$@"
