#!/bin/sh
# What was published arrives on stdin as JSON; stderr is the log.
# Exit 0: handled. 65: never send it again. 75: send it again later.
input=$(cat)
printf 'received %s\n' "$input" >&2
