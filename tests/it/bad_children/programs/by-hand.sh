# The protocol of a worker, by hand: each program in `by-hand/` begins with this.

# Answers a call: its number, its result.
answer() {
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$1" "$2"
}

# Answers what is asked before a call, and returns with the number of the call in `id`.
await_call() {
  while read -r line; do
    id=${line#*\"id\":}
    id=${id%%,*}
    case $line in
      *'"method":"initialize"'*) answer "$id" '{"protocol":1}' ;;
      *'"method":"shutdown"'*) answer "$id" '{}' && exit ;;
      *'"method":"perform"'*) touch "$COATTAIL_ACTION.began" && return ;;
    esac
  done
  exit
}
