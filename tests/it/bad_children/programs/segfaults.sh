#!/bin/sh
# Touches memory that is not its own.
touch "$COATTAIL_ACTION.began"
kill -SEGV $$
