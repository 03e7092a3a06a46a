#!/bin/sh
# Judges how full a disk is: the shell's stand-in for `Health Score.js` of ../node-ported.
set -eu
input=$(tr -d '\r\n')

# Good enough for what `machine.sh` writes; a script that takes JSON from anybody should use a JSON parser.
used=$(printf '%s' "$input" | sed -n 's/.*"used_percent" *: *\([0-9][0-9]*\).*/\1/p')
host=$(printf '%s' "$input" | sed -n 's/.*"host" *: *"\([A-Za-z0-9._-]*\)".*/\1/p')
if [ -z "$used" ]; then
    echo 'nothing to judge: expected {"disk":{"used_percent":NUMBER}}' >&2
    exit 1
fi

status=ok
[ "$used" -lt 80 ] || status=warn
[ "$used" -lt 95 ] || status=critical
printf '{"host":"%s","status":"%s","score":%d}\n' "$host" "$status" "$((100 - used))"
