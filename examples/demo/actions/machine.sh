#!/bin/sh
# Reads how full the disk of the instance is and how busy the machine is, and prints both as JSON.
# It takes no input. What is wrong goes to stderr, which is the log, and a failure is an exit code.
set -eu
# Numbers are written with a dot, whatever the language of this account.
export LC_ALL=C

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

# What is not plain in a host's name could end a JSON string.
host=$(uname -n | tr -cd 'A-Za-z0-9._-')

# -P: one line for each file system, its sizes in units of 1024 bytes with -k. The mount point comes last
# and the name of the device first; either may contain blanks, so the numbers are found by the percent sign.
disk=$(df -P -k "${COATTAIL_INSTANCE:-.}" | awk '
    NR == 2 {
        for (i = 5; i <= NF; i++) if ($i ~ /^[0-9]+%$/) break
        if (i > NF) exit
        total = $(i - 3); used = $(i - 2); free = $(i - 1)
        # As df does: what is reserved for root counts neither as used nor as free.
        percent = used + free > 0 ? 100 * used / (used + free) : 0
        printf "{\"used_percent\":%.1f,\"used_bytes\":%.0f,\"total_bytes\":%.0f}", percent, used * 1024, total * 1024
    }')
[ -n "$disk" ] || fail "df does not tell how full the disk is"

# Linux has a file for it; elsewhere `uptime` ends with the three figures, with or without commas.
load=$({ cat /proc/loadavg 2>/dev/null || uptime | sed 's/.*load average[s]*: *//; s/,/ /g'; } | awk '
    NR == 1 && NF >= 3 { printf "{\"one\":%.2f,\"five\":%.2f,\"fifteen\":%.2f}", $1, $2, $3 }')
[ -n "$load" ] || fail "neither /proc/loadavg nor uptime tells the load"

# What a load means depends on how many share it.
cpus=$(getconf _NPROCESSORS_ONLN 2>/dev/null) || cpus=1
case $cpus in '' | *[!0-9]*) cpus=1 ;; esac

time=$(date -u +%Y-%m-%dT%H:%M:%SZ)
printf '{"host":"%s","time":"%s","disk":%s,"load":%s,"cpus":%d}\n' "$host" "$time" "$disk" "$load" "$cpus"
