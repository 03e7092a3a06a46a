#!/bin/sh
# Does nothing, for ever.
touch "$COATTAIL_ACTION.began"
sleep 1000
