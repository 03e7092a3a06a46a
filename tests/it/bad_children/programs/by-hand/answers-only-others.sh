#!/bin/sh
# Answers calls that nobody has made, and its own never.
. ./by-hand.sh
await_call
answer $((id + 1000)) '{"output":"forged"}'
sleep 1000
