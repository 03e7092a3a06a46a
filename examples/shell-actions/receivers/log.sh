#!/bin/sh
# Keeps what others publish in log.jsonl of the instance, a line each. The exit code says what becomes of it:
#   0   it is handled
#   65  it will never be taken: to the dead letters
#   75  later, on the usual schedule; or when `coattail retry-after` says
# Any other code is a fault, and it is tried again as well.
set -eu

log=$COATTAIL_INSTANCE/log.jsonl
paused=$COATTAIL_INSTANCE/log.paused

command -v jq >/dev/null || {
    echo "jq is missing: install the package jq" >&2
    exit 75
}

# While this file is there nothing is kept. What it says, such as 5m, is how long to wait.
if [ -e "$paused" ]; then
    exec coattail retry-after "$(cat "$paused")"
fi

# A publication comes at least once. Its id is the same at every attempt, and begins its line.
if grep -qs "^{\"id\":\"$COATTAIL_PUBLICATION\"," "$log"; then
    exit 0
fi

# -e: an exit code other than 0 if it is no JSON, or if nothing is selected.
line=$(jq -nce --arg id "$COATTAIL_PUBLICATION" --arg action "$COATTAIL_PUBLICATION_ACTION" '
    input | select(type == "object" and (.host | type) == "string") | {$id, $action, data: .}') || {
    echo "it is no object with a host" >&2
    exit 65
}

# The disk is full, for instance: it was not kept, and comes again.
printf '%s\n' "$line" >>"$log" || exit 75
