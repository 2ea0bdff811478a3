#!/bin/sh
# Builds the fuzz targets with clang and runs each for FUZZ_SECONDS (default 20). Usage: run.sh SOURCE BUILD
# Ends with 77 where there is no clang.
set -eu
source=$1
build=$2
targets="fuzz_wire fuzz_engine fuzz_config fuzz_pfkey fuzz_record fuzz_replay"
command -v clang++ >/dev/null || { echo "no clang++: nothing fuzzed"; exit 77; }
cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang \
  -DCMAKE_CXX_COMPILER=clang++ -DESPLANADE_FUZZ=ON -DESPLANADE_SANITIZE=address,undefined >"$build.log" 2>&1 ||
  { cat "$build.log"; exit 1; }
ninja -C "$build" $targets
for target in $targets; do
  found=$build/found/$target
  mkdir -p "$found"
  "$build/bin/$target" -max_total_time="${FUZZ_SECONDS:-20}" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
    -artifact_prefix="$found/" "$found" "$source/tests/fuzz/corpus/$target" 2>&1 |
    grep -E "^(stat::|#[0-9]+.*(DONE|INITED)|SUMMARY|==)|ERROR|does not hold|artifact" || true
  if ls "$found"/crash-* "$found"/timeout-* "$found"/oom-* >/dev/null 2>&1; then
    echo "$target: inputs that fail are in $found"
    exit 1
  fi
done
