#!/bin/sh
# Complains for 1 GiB, and answers.
. ./by-hand.sh
while await_call; do
  head -c 1073741824 /dev/zero >&2
  answer "$id" '{"output":1}'
done
