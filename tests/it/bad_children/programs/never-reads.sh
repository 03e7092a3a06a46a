#!/bin/sh
# Does not look at its input.
touch "$COATTAIL_ACTION.began"
exec <&-
echo 1
