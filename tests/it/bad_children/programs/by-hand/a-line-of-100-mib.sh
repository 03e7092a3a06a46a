#!/bin/sh
# Answers with 100 MiB that begin like an answer.
. ./by-hand.sh
await_call
printf '{"jsonrpc":"2.0","id":%s,"result":"' "$id"
head -c 104857600 /dev/zero | tr '\0' 'x'
printf '"}\n'
sleep 1000
