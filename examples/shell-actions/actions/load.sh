#!/bin/sh
# How busy the machine is. Takes nothing.
set -eu
export LC_ALL=C

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}
command -v jq >/dev/null || fail "jq is missing: install the package jq"

# What a load means depends on how many processors share it.
cpus=$(getconf _NPROCESSORS_ONLN) || cpus=null

# Linux has a file for it; elsewhere `uptime` ends with the three figures, with or without commas.
{ cat /proc/loadavg 2>/dev/null || uptime | sed 's/.*load average[s]*: *//; s/,/ /g'; } |
    jq -nceR --arg host "$(uname -n)" --argjson cpus "$cpus" '
    input | [splits(" +") | tonumber?] as [$one, $five, $fifteen]
    | select($fifteen) | {$host, time: (now | todate), $one, $five, $fifteen, $cpus}
' || fail "neither /proc/loadavg nor uptime tells the load"
