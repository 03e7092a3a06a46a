#!/bin/sh
# Has nothing more to say, and goes on.
touch "$COATTAIL_ACTION.began"
exec >&-
sleep 1000
