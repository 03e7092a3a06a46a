#!/bin/sh
# Ends instead of answering.
. ./by-hand.sh
await_call
echo 'the reason' >&2
exit 7
