#!/bin/sh
# Answers, and answers again.
touch "$COATTAIL_ACTION.began"
cat
cat <<END
"again"
END
