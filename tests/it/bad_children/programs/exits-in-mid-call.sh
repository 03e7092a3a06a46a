#!/bin/sh
# Ends with half of its work done.
touch "$COATTAIL_ACTION.began"
read -r input
echo 'the reason' >&2
exit 7
