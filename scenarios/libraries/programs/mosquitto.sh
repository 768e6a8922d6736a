#!/bin/sh
# A mosquitto broker in the foreground, at a port of all addresses, for anybody, which keeps nothing.
# usage: mosquitto.sh SCRATCH PORT
set -eu
PATH=$PATH:/usr/sbin
printf '%s\n' "listener $2" 'allow_anonymous true' 'persistence false' 'user root' 'log_dest stderr' 'log_type error' \
    >"$1/mosquitto.conf"
exec mosquitto -c "$1/mosquitto.conf"
