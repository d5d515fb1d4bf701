# shellcheck shell=bash
# shellcheck disable=SC2154 # `data` is whoever sources this' own
# What scripts/start and scripts/cluster share: programs built once, secrets made once, processes that run
# and end in order, a demo shop. To be sourced after common.sh, with `data` (a folder) set.

# This clone's own copies: the target folder is shared with other clones.
programs=${BODEGA_PROGRAMS:-target/start}

# --- what must hold before anything starts -------------------------------------------------------

# Takes the folder for this run alone.
take_folder() { # script
  mkdir -p "$data/logs" "$data/simulator" 2>/dev/null || fail "$data cannot be written"
  chmod 700 "$data"
  exec 9>"$data/start.lock"
  flock -n 9 || fail "the shop of $data runs already; end that $1 first"
}

listens() { # port
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

port_is_free() { # port, variable, script
  if listens "$1"; then
    fail "port $1 is in use by another program; choose another: $2=$(($1 + 1)) $3"
  fi
}

# --- the programs --------------------------------------------------------------------------------

is_built() {
  [[ -x $programs/bodega && -x $programs/paypal-simulator ]] || return 1
  # Somebody else looks after these.
  [[ -z ${BODEGA_PROGRAMS:-} ]] || return 0
  # Folders count as well: theirs is the time at which a file was added or removed.
  [[ -z $(find src config Cargo.toml Cargo.lock -newer "$programs/bodega" -print -quit) ]]
}

build() {
  need_rust
  say 'building the release (some minutes at the first time) ...'
  # Of before the build: what is edited meanwhile is built the next time.
  mkdir -p "$programs"
  touch "$programs/begun"
  cargo build --release --locked --bins
  local program
  for program in paypal-simulator bodega; do
    cp "$CARGO_TARGET_DIR/release/$program" "$programs/$program.new"
    touch -r "$programs/begun" "$programs/$program.new"
    mv -f "$programs/$program.new" "$programs/$program"
  done
}

# --- secrets, made once --------------------------------------------------------------------------

random() { # bytes, as hex
  od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'
}

make_secrets() {
  (
    umask 077
    cat >"$data/secrets.env.new" <<SECRETS
JWT_SECRET=$(random 32)
PAYPAL_CLIENT_ID=simulated-$(random 8)
PAYPAL_CLIENT_SECRET=$(random 24)
PAYPAL_WEBHOOK_ID=WH-$(random 8)
ADMIN_EMAIL=admin@example.com
ADMIN_PASSWORD=admin-$(random 8)
CUSTOMER_EMAIL=customer@example.com
CUSTOMER_PASSWORD=customer-$(random 8)
SECRETS
  )
  mv "$data/secrets.env.new" "$data/secrets.env"
}

# Sets up the shop at a URL, with PayPal's stand-in at another.
configure() { # shop, simulator
  [[ -f $data/secrets.env ]] || make_secrets
  # shellcheck source=/dev/null
  source "$data/secrets.env"
  export BODEGA__SERVER__PUBLIC_URL=${BODEGA__SERVER__PUBLIC_URL:-$1}
  # The same machine by its other name, which is another origin.
  export BODEGA__SERVER__ALLOWED_ORIGINS=${BODEGA__SERVER__ALLOWED_ORIGINS:-${1/127.0.0.1/localhost}}
  export BODEGA__AUTH__JWT_SECRET=$JWT_SECRET
  export BODEGA__PAYPAL__BASE_URL=$2
  export BODEGA__PAYPAL__CLIENT_ID=$PAYPAL_CLIENT_ID
  export BODEGA__PAYPAL__CLIENT_SECRET=$PAYPAL_CLIENT_SECRET
  export BODEGA__PAYPAL__WEBHOOK_ID=$PAYPAL_WEBHOOK_ID
  export BODEGA__PAYPAL__CERT_HOSTS=127.0.0.1
  export BODEGA__PAYPAL__CERT_ROOTS_FILE=$data/simulator/ca-bundle.pem
  export BODEGA__PAYPAL__IPN_VERIFY_URL=$2/cgi-bin/webscr
  export PAYPAL_SIMULATOR_CLIENT_SECRET=$PAYPAL_CLIENT_SECRET
}

# --- running and ending --------------------------------------------------------------------------

# Ends a program and waits for it; a second Ctrl-C does not cut that short.
# shellcheck disable=SC2317,SC2329 # called by traps
end_program() { # pid, name
  if kill -TERM "$1" 2>/dev/null; then
    say "stopping $2 ..."
    while kill -0 "$1" 2>/dev/null; do
      wait "$1" 2>/dev/null || true
    done
  fi
}

# Starts a program in a process group of its own, so that Ctrl-C reaches this script alone, which then
# ends them in order. Sets `launched`.
launch() { # log, command ...
  local log=$1
  shift
  set -m
  "$@" </dev/null >>"$log" 2>&1 9>&- &
  launched=$!
  set +m
}

# Waits until a command succeeds while a program runs; says so after a second.
wait_until() { # pid, name, log, command ...
  local pid=$1 name=$2 log=$3 began=${EPOCHREALTIME/./} told=''
  shift 3
  until "$@" >/dev/null 2>&1; do
    kill -0 "$pid" 2>/dev/null || {
      tail -n 5 "$log" >&2
      fail "$name ended at its start; its log: $log"
    }
    local waited=$((${EPOCHREALTIME/./} - began))
    if [[ -z $told ]] && ((waited > 1000000)); then
      say "waiting for $name ..."
      told=yes
    fi
    if ((waited > 120000000)); then
      fail "$name is not ready after 120 s; its log: $log"
    fi
    sleep 0.02
  done
}

# Looks at the port first: that costs less than a process every 20 ms.
# shellcheck disable=SC2317,SC2329 # called by wait_until
is_ready() { # port
  listens "$1" && BODEGA__SERVER__BIND=127.0.0.1:$1 "$programs/bodega" health --ready
}

# Starts PayPal's stand-in, which sends its messages to the shop. Sets `simulator_pid`.
launch_simulator() { # port, shop
  launch "$data/logs/paypal-simulator.log" "$programs/paypal-simulator" \
    --bind "127.0.0.1:$1" --public-url "http://127.0.0.1:$1" --client-id "$PAYPAL_CLIENT_ID" \
    --webhook-url "$2/api/payment/webhook" --webhook-id "$PAYPAL_WEBHOOK_ID" \
    --certs-dir "$data/simulator" --journal "$data/simulator/journal.jsonl"
  simulator_pid=$launched
  wait_until "$simulator_pid" paypal-simulator "$data/logs/paypal-simulator.log" listens "$1"
}

# --- the demo shop, made once --------------------------------------------------------------------

make_user() { # email, role, password
  "$programs/bodega" user create --email "$1" --role "$2" --if-absent --password-stdin <<<"$3"
}

load_demo() {
  if [[ ! -e $data/demo-is-loaded ]]; then
    say 'loading the demo catalogue and making two accounts ...'
    "$programs/bodega" import --types config/demo/product-types.json config/demo/products.jsonl
    make_user "$ADMIN_EMAIL" admin "$ADMIN_PASSWORD"
    make_user "$CUSTOMER_EMAIL" customer "$CUSTOMER_PASSWORD"
    touch "$data/demo-is-loaded"
  fi
}

# Says how long it took, and what comes in as text; then the journey, ready to be pasted.
say_ready() { # microseconds of the start, shop, simulator
  local took=$(((${EPOCHREALTIME/./} - $1) / 100000))
  say "ready in $((took / 10)).$((took % 10)) s"
  say ''
  cat
  cat <<JOURNEY

From register to delivered, in another terminal (or all at once: paste the first line, then
\`bash scripts/journey\`):

export SHOP=$2 SIM=$3 ADMIN_EMAIL=$ADMIN_EMAIL ADMIN_PASSWORD=$ADMIN_PASSWORD

$(sed -n '/^# 1/,$p' scripts/journey)

Ctrl-C ends everything.
JOURNEY
}
