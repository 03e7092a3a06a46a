#!/bin/sh
# Answers, and answers again: the first answer counts.
. ./by-hand.sh
while await_call; do
  answer "$id" '{"output":1}'
  answer "$id" '{"output":"again"}'
done
