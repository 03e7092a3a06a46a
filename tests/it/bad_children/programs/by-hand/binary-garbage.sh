#!/bin/sh
# Says what is no text, and then answers.
. ./by-hand.sh
while await_call; do
  head -c 100000 /dev/urandom
  printf '\n\377\376\n\n{\n[]\n7\n'
  answer "$id" '{"output":1}'
done
