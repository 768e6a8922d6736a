#!/bin/sh
# An OpenSSH server in the foreground at $HARNESS_PORT, with a host key of its own. It lets its own user in with whatever
# key: nobody but the client is in its network.
# usage: sshd.sh [OPTION OF sshd]...                 where the harness runs it
set -eu
key=$HARNESS_SCRATCH/host_key
ssh-keygen -q -t ed25519 -N '' -f "$key"
[ "$(id -u)" != 0 ] || mkdir -p /run/sshd
exec /usr/sbin/sshd -D -e -p "$HARNESS_PORT" -h "$key" -o PidFile=none -o UsePAM=no -o PermitRootLogin=yes \
    -o AuthorizedKeysFile=none -o AuthorizedKeysCommand='/bin/echo %t %k' -o AuthorizedKeysCommandUser="$(id -un)" "$@"
