#!/bin/sh
# Ends, and leaves a process behind that holds the pipes of the protocol.
. ./by-hand.sh
await_call
sleep 1000 &
answer "$id" '{"output":1}'
