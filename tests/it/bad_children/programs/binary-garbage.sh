#!/bin/sh
# Says what is no text.
touch "$COATTAIL_ACTION.began"
head -c 100000 /dev/urandom
