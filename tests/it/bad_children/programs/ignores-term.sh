#!/bin/sh
# Cannot be asked to end.
touch "$COATTAIL_ACTION.began"
trap '' TERM INT HUP
while :; do sleep 1; done
