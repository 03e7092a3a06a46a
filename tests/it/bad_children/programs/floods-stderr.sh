#!/bin/sh
# Complains for 1 GiB, and does as it should.
touch "$COATTAIL_ACTION.began"
head -c 1073741824 /dev/zero >&2
cat
