#!/bin/sh
# Appends what was published to `log.txt` in the folder of the instance, one line a publication.
set -eu
log=$COATTAIL_INSTANCE/log.txt

# A publication comes at least once. Its id is the same at every attempt, and stands at the head of its line.
if grep -q "^$COATTAIL_PUBLICATION " "$log" 2>/dev/null; then
    echo "$COATTAIL_PUBLICATION is in the log already" >&2
    exit 0
fi

# JSON may have line breaks between its parts, but never inside of a text, so they can go.
data=$(tr -d '\r\n')
# One printf is one write: several of these scripts at once do not mix their lines.
printf '%s %s %s\n' "$COATTAIL_PUBLICATION" "$COATTAIL_PUBLICATION_ACTION" "$data" >>"$log"
