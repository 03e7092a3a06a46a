#!/bin/sh
# How full a disk is. Takes {"path": "/srv"}, or nothing for the disk of the instance.
set -eu
# Numbers are written with a dot, whatever the language of this account.
export LC_ALL=C

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}
command -v jq >/dev/null || fail "jq is missing: install the package jq"

path=$(jq -r '.path? // empty') || fail "the input is no JSON"

# -P: one line for each file system; -k: sizes in KiB. Names may contain blanks, so numbers are found by the percent sign.
df -P -k -- "${path:-$COATTAIL_INSTANCE}" | awk '
    NR == 2 {
        for (i = 5; i <= NF; i++) if ($i ~ /^[0-9]+%$/) { print $(i - 3), $(i - 2), $(i - 1); exit }
    }' | jq -ncR --arg host "$(uname -n)" '
    input | split(" ") | map(tonumber * 1024) as [$total, $used, $free]
    # As df does: what is reserved for root counts neither as used nor as free.
    | {$host, time: (now | todate), $total, $used, used_percent: (1000 * $used / ($used + $free) | round / 10)}
' || fail "df does not tell how full it is"
