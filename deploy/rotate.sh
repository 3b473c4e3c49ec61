#!/usr/bin/env bash
# Takes a replica out of nginx's rotation before it is stopped, and puts it back when it is ready:
# `rotate.sh out|in shipmate-1:3978`. Open-source nginx does not look whether a replica is about to stop: without this a
# request that arrives at that very moment can be lost. NGINX_CONF and NGINX_RELOAD name another file and command.
set -euo pipefail

usage="usage: $0 out|in HOST:PORT"
action=${1:?$usage} replica=${2:?$usage}
cd "$(dirname "$0")"
conf=${NGINX_CONF:-nginx.conf}
reload=${NGINX_RELOAD:-docker compose exec -T nginx nginx -s reload}

grep -qF "server $replica " "$conf" || { echo "$conf has no \"server $replica\"" >&2; exit 1; }
text=$(cat "$conf")
text=${text//"server $replica down "/"server $replica "}
case $action in
  out) text=${text//"server $replica "/"server $replica down "} ;;
  in) ;;
  *) echo "$usage" >&2; exit 1 ;;
esac
if ! grep -E '^ +server +[^ ;]+:[0-9]+ ' <<<"$text" | grep -qv ' down '; then
  echo "$replica is the last one in rotation: it stays" >&2
  exit 1
fi
# Written into the same file: a container that has it mounted would not see a new one.
printf '%s\n' "$text" >"$conf"
sh -c "$reload"
# The requests that nginx had already given to it come to their end.
sleep 1
