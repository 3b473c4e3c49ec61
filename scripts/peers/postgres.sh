#!/usr/bin/env bash
# A throw-away PostgreSQL for tests: `postgres.sh start|stop PORT DIR`. Loopback only, no password, no syncs; never for
# data that matters. The last line that `start` prints is its URL.
set -euo pipefail

usage="usage: $0 start|stop PORT DIR"
action=${1:?$usage} port=${2:?$usage} dir=${3:?$usage}
bin=${SHIPMATE_PG_BIN:-/usr/lib/postgresql/15/bin}
cluster=$dir/cluster

[ -x "$bin/initdb" ] || { echo "no PostgreSQL in $bin: apt-get install postgresql" >&2; exit 1; }
case $port in *[!0-9]* | '') echo "PORT must be a number, not \"$port\"" >&2; exit 1 ;; esac

# PostgreSQL refuses to run as root.
as_owner() {
  if [ "$(id -u)" -eq 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

start() {
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  cluster=$dir/cluster
  if [ "$(id -u)" -eq 0 ]; then chown postgres "$dir"; fi
  if [ ! -f "$cluster/PG_VERSION" ]; then
    as_owner "$bin/initdb" --pgdata="$cluster" --username=postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 \
      --no-sync >/dev/null
  fi
  as_owner "$bin/pg_ctl" start --pgdata="$cluster" --log="$dir/postgres.log" --wait --timeout=60 --silent \
    --options="-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200" ||
    { tail -n 20 "$dir/postgres.log" >&2; exit 1; }
  echo "postgres://postgres@127.0.0.1:$port/postgres"
}

stop() {
  [ -f "$cluster/postmaster.pid" ] || return 0
  as_owner "$bin/pg_ctl" stop --pgdata="$cluster" --mode=immediate --wait --silent
}

case $action in
  start) start ;;
  stop) stop ;;
  *) echo "$usage" >&2; exit 1 ;;
esac
