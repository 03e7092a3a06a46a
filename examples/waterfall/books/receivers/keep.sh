#!/bin/sh
# Keeps each executed order once, in books.jsonl of the instance.
set -eu
books=$COATTAIL_INSTANCE/books.jsonl

command -v jq >/dev/null || {
    echo "jq is missing: install the package jq" >&2
    exit 75
}

# The id begins the line, and has nothing in it that means something to grep.
order=$(jq -nre 'input
    | select(.status == "filled" and (.side == "buy" or .side == "sell"))
    | select((.id | test("\\A[A-Za-z0-9-]+\\z")) and ([.quantity, .amount_cents, .fee_cents] | all(. == floor)))
    | {id, time, side, symbol, quantity, price, amount_cents, fee_cents}
    | "\(.id) \(tojson)"') || {
    echo "it is no order that was filled" >&2
    exit 65
}
id=${order%% *} line=${order#* }

# It comes twice if copier was killed at the wrong moment: as two publications, but as one order.
if grep -qs "^{\"id\":\"$id\"," "$books"; then
    echo "$id is in the books already" >&2
    exit 0
fi
printf '%s\n' "$line" >>"$books" || exit 75
