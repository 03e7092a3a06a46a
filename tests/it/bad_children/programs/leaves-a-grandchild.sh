#!/bin/sh
# Leaves a process behind that holds its pipes.
touch "$COATTAIL_ACTION.began"
sleep 1000 &
cat
