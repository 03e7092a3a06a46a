#!/bin/sh
# Keeps a processor busy.
touch "$COATTAIL_ACTION.began"
while :; do :; done
