#!/bin/sh
# The same in plain shell: what was published is on stdin, and goes to the action as it is. `--notify`
# publishes the result; if either of the two fails, so does this script, and it is called again.
exec coattail action perform --action 'Health Score' --data - --notify >/dev/null
