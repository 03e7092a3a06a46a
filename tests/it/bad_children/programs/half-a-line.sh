#!/bin/sh
# Never ends what it has begun to say.
touch "$COATTAIL_ACTION.began"
printf '{"a":'
sleep 1000
