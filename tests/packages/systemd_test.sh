#!/bin/sh
# systemd_test.sh FOLDER: the service files are understood but for the programs, which are not installed here, and none is exposed more than its limit.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for entry in espd:3.0 espweb:2.0 keyd:3.0; do
  unit=${entry%:*} limit=${entry#*:}
  systemd-analyze verify --man=no "$1/$unit.service" >"$work/said" 2>&1 || true
  if grep -v "is not executable: No such file" "$work/said" | grep "^$unit\|$1"; then
    echo "$unit.service is not well formed"
    exit 1
  fi
  exposure=$(systemd-analyze security --offline=true "$1/$unit.service" 2>/dev/null | sed -n 's/.*Overall exposure level for .*: \([0-9.]*\).*/\1/p')
  echo "$unit: exposure $exposure, at most $limit"
  awk -v e="$exposure" -v l="$limit" 'BEGIN { exit !(e != "" && e <= l) }'
done
