#!/bin/sh
# Fails, and does not say why.
touch "$COATTAIL_ACTION.began"
exit 1
