#!/bin/sh
# Leaves a process behind in a session of its own, whose parent is gone, and which minds no signal.
touch "$COATTAIL_ACTION.began"
(setsid sh -c 'trap "" TERM INT HUP; while :; do sleep 1; done' &)
cat
