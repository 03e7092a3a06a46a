#!/bin/sh
# The input arrives on stdin and the result leaves on stdout, both as JSON; stderr is the log.
exec cat
