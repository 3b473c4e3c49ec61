#!/usr/bin/env bash
# The shipped deploy/nginx.conf as a process on loopback, for tests:
# `nginx.sh start|stop PORT DIR UPSTREAM_PORT_1 UPSTREAM_PORT_2`. The same file with addresses and folders replaced, and
# nothing else: plain HTTP on PORT, TLS with a throw-away certificate on the socket DIR/tls.sock. The last line that
# `start` prints is its URL. Only the process whose id is in DIR is ended.
set -euo pipefail

usage="usage: $0 start|stop PORT DIR UPSTREAM_PORT_1 UPSTREAM_PORT_2"
action=${1:?$usage} port=${2:?$usage} dir=${3:?$usage}
nginx=${SHIPMATE_NGINX_BIN:-/usr/sbin/nginx}
shipped=$(cd "$(dirname "$0")/../.." && pwd)/deploy/nginx.conf

number() {
  case $1 in *[!0-9]* | '') echo "a port must be a number, not \"$1\"" >&2; exit 1 ;; esac
}

# Replaces a line that has to be there: a shipped file that changed must not be tested in part without anybody noticing.
replace() {
  grep -qF -- "$1" "$dir/nginx.conf" || { echo "deploy/nginx.conf has no \"$1\" any more" >&2; exit 1; }
  local text
  text=$(cat "$dir/nginx.conf")
  printf '%s\n' "${text//"$1"/"$2"}" >"$dir/nginx.conf"
}

start() {
  local first=${1:?$usage} second=${2:?$usage}
  number "$port"; number "$first"; number "$second"
  [ -x "$nginx" ] || { echo "no nginx at $nginx: apt-get install nginx-light" >&2; exit 1; }
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=shipmate.example \
    -keyout "$dir/privkey.pem" -out "$dir/fullchain.pem" 2>/dev/null
  cp "$shipped" "$dir/nginx.conf"
  # The folder first: what is put in later may itself be below /tmp.
  replace '/tmp/' "$dir/"
  replace 'server shipmate-1:3978' "server 127.0.0.1:$first"
  replace 'server shipmate-2:3978' "server 127.0.0.1:$second"
  replace 'listen 8443 ssl;' "listen 127.0.0.1:$port; listen unix:$dir/tls.sock ssl;"
  replace '/etc/nginx/tls/' "$dir/"
  replace '/dev/stdout' "$dir/access.log"
  replace '/dev/stderr' "$dir/error.log"
  rm -f "$dir/tls.sock"
  "$nginx" -e "$dir/error.log" -p "$dir" -c "$dir/nginx.conf" -t -q
  "$nginx" -e "$dir/error.log" -p "$dir" -c "$dir/nginx.conf"
  for _ in $(seq 100); do
    [ -s "$dir/nginx.pid" ] && break
    sleep 0.05
  done
  echo "http://127.0.0.1:$port"
}

stop() {
  [ -s "$dir/nginx.pid" ] || return 0
  local pid
  pid=$(cat "$dir/nginx.pid")
  # An id may have been given to somebody else since.
  grep -qz -- nginx "/proc/$pid/cmdline" 2>/dev/null || return 0
  kill -TERM "$pid"
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.05
  done
  echo "nginx $pid does not stop" >&2
  exit 1
}

case $action in
  start) start "${4:-}" "${5:-}" ;;
  stop) stop ;;
  *) echo "$usage" >&2; exit 1 ;;
esac
