#!/bin/sh
# Ends before it has read anything.
touch "$COATTAIL_ACTION.began"
echo 'the reason' >&2
exit 3
