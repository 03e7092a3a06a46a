#!/bin/sh
# Packs a folder into backups/NAME-TIME.tar.gz of the instance. Takes {"folder": "/srv/photos"}.
set -eu
umask 077

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}
command -v jq >/dev/null || fail "jq is missing: install the package jq"

# What was sent is a value and stays one: always in quotes, never part of a command. A path that begins with / is
# no option either. `cd -P` follows links before the path is compared, so that none leads out of the root.
asked=$(jq -ner 'input | .folder | strings') || fail 'expected {"folder": "/an/absolute/path"}'
case $asked in /*) ;; *) fail "the path has to be absolute: $asked" ;; esac
folder=$(CDPATH='' cd -P "$asked" && pwd -P) || fail "it cannot be entered: $asked"
root=$(cd -P "$BACKUP_ROOT" && pwd -P) || fail "BACKUP_ROOT in backup.yml is no folder: $BACKUP_ROOT"
case $folder/ in "${root%/}"/*) ;; *) fail "only what is in $root is packed, and $asked is not" ;; esac
backups=$(cd -P "$COATTAIL_INSTANCE" && pwd -P)/backups
case $backups in "${folder%/}"/*) fail "the backups would contain themselves: they are in $asked" ;; esac
mkdir -p "$backups"

# Under its own name an archive is whole. `backup.yml` lets one be packed at a time, so that this one is ours, also
# if another was killed and has left it.
partial=$backups/.partial
trap 'rm -f "$partial"' EXIT
# When nobody waits any more, TERM comes, to tar as well; after five seconds KILL.
trap 'exit 143' TERM INT

# Reads the names that tar tells, and says how far it is: a hundred times at the most.
report() {
    count=0 told=0
    while IFS= read -r path; do
        # Every name begins with ./, so this is none.
        [ "$path" != complete ] || return 0
        count=$((count + 1))
        percent=$((count < total ? 100 * count / total : 100))
        if [ "$percent" -gt "$told" ]; then
            told=$percent
            # That nobody can be told is no reason to stop.
            coattail progress "$percent" "copying ${path#./}" || :
        fi
    done
    return 1
}
total=$(find "$folder" | wc -l)
coattail log "packing $folder" || :
name=$(basename "$folder")
{ tar -czvf "$partial" -C "$folder/.." "./$name" && echo complete; } | report || fail "tar has failed"

# Whoever hears of it finds it, also if the power fails now.
sync "$partial"
archive=$backups/$name-$(date -u +%Y%m%dT%H%M%SZ).tar.gz
mv "$partial" "$archive"
jq -n --arg archive "$archive" --argjson bytes "$(wc -c <"$archive")" --argjson entries "$total" \
    '{$archive, $bytes, $entries}'
