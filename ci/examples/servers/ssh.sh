#!/bin/sh
# An OpenSSH client that logs in at $HARNESS_SERVER with a key of its own, and stays connected.
# usage: ssh.sh [OPTION OF ssh]...                   where the harness runs it
set -eu
key=$HARNESS_SCRATCH/key
ssh-keygen -q -t ed25519 -N '' -f "$key"
exec ssh -N -F none -i "$key" -p "$HARNESS_PORT" -o BatchMode=yes -o StrictHostKeyChecking=no \
    -o UserKnownHostsFile=/dev/null "$@" "$HARNESS_SERVER"
