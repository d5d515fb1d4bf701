# shellcheck shell=bash
# What the scripts share; to be sourced. Sets `cache` and CARGO_TARGET_DIR.

cache=${BODEGA_CACHE:-${HOME:?set HOME or BODEGA_CACHE}/.cache/bodega}
# Outside the clone, so that a fresh clone builds on what an earlier one has built.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
# A shell that is no login shell may not have it.
if [[ -d $HOME/.cargo/bin ]]; then
  PATH=$PATH:$HOME/.cargo/bin
fi
PATH=$cache/tools/bin:$PATH

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

say() {
  printf '%s\n' "$*"
}

need_rust() {
  command -v cargo >/dev/null || fail 'cargo is missing: install Rust 1.95 or later (https://rustup.rs)'
  command -v cc >/dev/null || fail 'a C compiler is missing (Debian: apt install build-essential)'
  command -v make >/dev/null || fail 'make is missing (Debian: apt install build-essential)'
}

need_python() {
  command -v python3 >/dev/null || fail 'python3 is missing (Debian: apt install python3 python3-venv)'
}
