# shellcheck shell=bash
# Debian's packages without installing them: nothing is started, enabled or changed outside the cache
# folder, and no rights are needed. To be sourced after `fail` is defined.

# Unpacks packages into a folder, which then holds their usr/ and so on.
unpack_debian() { # folder package ...
  local folder=$1 work apt=()
  shift
  command -v apt-get >/dev/null || fail "there is no apt-get here: install $*"
  mkdir -p "$folder"
  work=$(mktemp -d "$folder/fetch.XXXXXX")
  # apt checks each package's sum.
  if ! (cd "$work" && apt-get -qq download "$@") >/dev/null 2>&1; then
    # A new machine has no lists of packages: they come into a folder of our own.
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    apt=(-o "Dir::State::lists=$work/lists" -o "Dir::Cache=$work/cache")
    apt-get -qq "${apt[@]}" update >&2 || true
    (cd "$work" && apt-get -qq "${apt[@]}" download "$@" >&2) || {
      rm -rf "$work"
      fail "packages cannot be fetched (Debian: apt install $*)"
    }
  fi
  local package
  for package in "$work"/*.deb; do
    dpkg-deb -x "$package" "$folder"
  done
  rm -rf "$work"
}
