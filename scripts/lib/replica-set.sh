# shellcheck shell=bash
# A replica set of one member for the time of a run; to be sourced after common.sh.
#
#   start_mongod     starts it and exports BODEGA_TEST_MONGODB_URI
#   end_mongod       ends it and removes its folder; called at the script's end by the traps set here

ROOMY_KIB=$((2 * 1024 * 1024))
folder=
mongod_pid=
end_mongod() {
  if [[ -n $mongod_pid ]]; then
    kill "$mongod_pid" 2>/dev/null || true
    wait "$mongod_pid" 2>/dev/null || true
  fi
  if [[ -n $folder ]]; then
    rm -rf "$folder"
  fi
}
trap end_mongod EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A query without an index is an error there (notablescan): in a shop it would be an outage that grows.
# In memory where there is room: the tests make and drop hundreds of collections.
start_mongod() {
  local mongod parent=${TMPDIR:-/tmp} free
  mongod=$(scripts/fetch-mongod)
  free=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1) || free=0
  if [[ -w /dev/shm ]] && ((free >= ROOMY_KIB)); then
    parent=/dev/shm
  fi
  folder=$(mktemp -d "$parent/bodega-test.XXXXXX")
  mkdir "$folder/db"
  local port attempt
  for attempt in 1 2 3; do
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$mongod" --replSet rs0 --bind_ip 127.0.0.1 --port "$port" --dbpath "$folder/db" --nounixsocket \
      --wiredTigerCacheSizeGB 0.5 --oplogSize 256 --networkMessageCompressors snappy,zstd \
      --wiredTigerEngineConfigString 'log=(prealloc=false,file_max=16MB)' --quiet \
      --setParameter diagnosticDataCollectionEnabled=false --setParameter enableTestCommands=1 \
      --setParameter notablescan=1 --setParameter transactionLifetimeLimitSeconds=5 \
      --logpath "$folder/mongod.log" >"$folder/mongod.out" 2>&1 &
    mongod_pid=$!
    if python3 scripts/lib/initiate-replica-set "$port" "$mongod_pid" && kill -0 "$mongod_pid" 2>/dev/null; then
      export BODEGA_TEST_MONGODB_URI="mongodb://127.0.0.1:$port/?replicaSet=rs0"
      say "== mongod for the tests: $BODEGA_TEST_MONGODB_URI in $folder"
      return
    fi
    say "mongod did not start (attempt $attempt):" >&2
    tail -n 3 "$folder/mongod.out" "$folder/mongod.log" >&2 || true
    kill "$mongod_pid" 2>/dev/null || true
    wait "$mongod_pid" 2>/dev/null || true
    mongod_pid=
  done
  fail 'no mongod for the tests'
}
