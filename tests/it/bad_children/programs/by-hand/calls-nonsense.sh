#!/bin/sh
# Asks the service for what there is not, and then answers.
. ./by-hand.sh
while await_call; do
  printf '{"jsonrpc":"2.0","id":1,"method":"../x"}\n{"jsonrpc":"2.0","id":"\\u0000","method":"","params":7}\n'
  answer "$id" '{"output":1}'
done
