#!/usr/bin/env bash
# Installs what is missing, builds, and runs the demo or the tests. See --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

usage() {
  cat <<'TEXT'
Usage: ./bootstrap.sh demo | test | --help

  demo    two hosts in network namespaces, strongSwan on one, keyd + espd + the simulated card on the
          other: negotiation, ping, a 1 MB file; then espcap on a capture file. The first part needs
          root; without it, only the second part runs.
  test    every test: unit, rtl, sim, interop (interop needs root)

Both first install the Debian packages of debian-packages.txt that are missing (as root or through sudo), configure
with the CMake preset `dev` and build into build/dev. Set ESPLANADE_PRESET to use another preset, ESPLANADE_JOBS for
the number of parallel jobs (default: all processors).
TEXT
}

say() { printf '==> %s\n' "$*"; }
die() {
  printf 'bootstrap: %s\n' "$*" >&2
  exit 1
}

install_packages() {
  command -v dpkg-query >/dev/null || die "this is not Debian: install the counterparts of debian-packages.txt by hand, then run cmake --preset dev"
  local missing=() name rest
  while read -r name rest; do
    [[ -z $name || $name == \#* ]] && continue
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || missing+=("$name")
  done <debian-packages.txt
  if ((${#missing[@]} == 0)); then
    say "packages: all there"
    return
  fi
  local root=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "missing packages, and neither root nor sudo here. As root: apt-get install ${missing[*]}"
    root=(sudo)
  fi
  say "packages: installing ${missing[*]}"
  local log
  log=$(mktemp /tmp/esplanade-apt.XXXXXX)
  if ! { "${root[@]}" apt-get update &&
    "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } 2>&1 |
    tee "$log" | { grep --line-buffered -E '^(Get:|Unpacking|Setting up|E:|Err)' || true; } | cut -c1-100; then
    tail -n 20 "$log" >&2
    die "the packages did not install (whole log: $log). Mend apt's trouble above and run this again."
  fi
  rm -f "$log"
}

build() {
  local preset=${ESPLANADE_PRESET:-dev}
  say "configure (preset $preset)"
  cmake --preset "$preset" >"/tmp/esplanade-configure.$$" 2>&1 || {
    cat "/tmp/esplanade-configure.$$" >&2
    die "configuring failed; the message above names what is missing"
  }
  rm -f "/tmp/esplanade-configure.$$"
  say "build (the Verilated card takes the longest; ccache makes the next time short)"
  cmake --build --preset "$preset" --parallel "${ESPLANADE_JOBS:-$(nproc)}" ||
    die "the build failed; the first error above tells where"
}

[[ $# == 1 ]] || {
  usage >&2
  exit 2
}
case $1 in
  -h | --help | help) usage ;;
  demo)
    install_packages
    build
    say "demo"
    exec python3 demo/demo.py --build "build/${ESPLANADE_PRESET:-dev}"
    ;;
  test)
    install_packages
    build
    say "tests"
    # No parallel tests: the simulated card and the namespaces want the processors for themselves.
    exec ctest --preset "${ESPLANADE_PRESET:-dev}" --output-junit junit.xml
    ;;
  *)
    printf 'bootstrap: unknown command "%s"\n' "$1" >&2
    usage >&2
    exit 2
    ;;
esac
