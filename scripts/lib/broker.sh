# shellcheck shell=bash
# A RabbitMQ for the time of a run; to be sourced after replica-set.sh.
#
#   start_broker     starts it and exports BODEGA_TEST_AMQP_URI
#   end_broker       ends it and removes its folder; called at the script's end by the trap set here

broker_folder=
broker_pid=
end_broker() {
  if [[ -n $broker_pid ]]; then
    kill "$broker_pid" 2>/dev/null || true
    wait "$broker_pid" 2>/dev/null || true
  fi
  if [[ -n $broker_folder ]]; then
    rm -rf "$broker_folder"
  fi
}
trap 'end_broker; end_mongod' EXIT

start_broker() {
  broker_folder=$(mktemp -d "${TMPDIR:-/tmp}/bodega-broker.XXXXXX")
  local port waited=0
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  scripts/lib/rabbitmq "$broker_folder" "$port" >"$broker_folder/out" 2>&1 &
  broker_pid=$!
  until grep -q '^listening on' "$broker_folder/out"; do
    if ! kill -0 "$broker_pid" 2>/dev/null || ((++waited > 600)); then
      tail -n 20 "$broker_folder/out" >&2
      fail 'no RabbitMQ for the tests'
    fi
    sleep 0.1
  done
  BODEGA_TEST_AMQP_URI=$(sed -n 's/^listening on //p' "$broker_folder/out")
  export BODEGA_TEST_AMQP_URI
  say "== RabbitMQ for the tests: $BODEGA_TEST_AMQP_URI in $broker_folder"
}
