#!/bin/sh
# Answers, and ends at once.
. ./by-hand.sh
await_call
answer "$id" '{"output":1}'
