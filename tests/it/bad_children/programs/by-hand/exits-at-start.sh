#!/bin/sh
# Ends before it has said that it is ready.
. ./by-hand.sh
echo 'the reason' >&2
exit 3
