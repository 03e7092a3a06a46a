#!/bin/sh
# Answers what is nested deeper than what will carry it can be.
touch "$COATTAIL_ACTION.began"
printf '%125s%125s' '' '' | sed 's/ /[/g; s/\[/]/126g'
