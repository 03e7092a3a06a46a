#!/bin/sh
# Says more than anybody wants to hear: a line of 100 MiB.
touch "$COATTAIL_ACTION.began"
exec head -c 104857600 /dev/zero
