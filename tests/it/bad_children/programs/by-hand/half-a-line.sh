#!/bin/sh
# Never ends the answer that it has begun.
. ./by-hand.sh
await_call
printf '{"jsonrpc":"2.0","id":%s,' "$id"
sleep 1000
