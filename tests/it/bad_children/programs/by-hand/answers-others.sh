#!/bin/sh
# Answers calls that nobody has made, and then its own.
. ./by-hand.sh
while await_call; do
  answer $((id + 1000)) '{"output":"forged"}'
  answer '"x"' '{"output":"forged"}'
  answer null '{"output":"forged"}'
  answer "$id" '{"output":1}'
done
