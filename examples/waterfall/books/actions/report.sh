#!/bin/sh
# What the books say: how much of what is held, what was paid for it, and what it has cost.
set -eu
command -v jq >/dev/null || {
    echo "jq is missing: install the package jq" >&2
    exit 1
}

touch "$COATTAIL_INSTANCE/books.jsonl"
# Cents are whole numbers, so that the sums are exact.
jq -s '
    def money: (if . < 0 then "-" else "" end) + (fabs | "\(. / 100 | floor).\("0\(. % 100)"[-2:])");
    def sum(amount): map(amount) | add // 0;
    def sign: if .side == "buy" then 1 else -1 end;
    {
        orders: length,
        spent: sum(sign * .amount_cents + .fee_cents) | money,
        fees: sum(.fee_cents) | money,
        positions: (group_by(.symbol) | map({
            symbol: .[0].symbol,
            quantity: sum(sign * .quantity),
            invested: sum(sign * .amount_cents) | money
        }) | map(select(.quantity != 0)))
    }' "$COATTAIL_INSTANCE/books.jsonl"
