#!/bin/sh
# package_test.sh BUILD EXAMPLE: installs the component `emulation` elsewhere, moves it, builds the example project against it
# as anybody would, and runs its programs.
set -eu
build=$1 example=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --component emulation --prefix "$work/first" >"$work/log"
mv "$work/first" "$work/prefix"
cp -r "$example" "$work/example"
cmake -S "$work/example" -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$work/prefix" -DCCACHE="$(command -v ccache || true)" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cmake --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
for program in vadd_native vadd_c; do
  "$work/prefix/bin/esp-xrt-run" "$work/build/bin/$program" "$work/build/vadd/vadd.hw_emu.xclbin" 777 | tee "$work/out"
  grep -q "vadd: 777 words.* 0 wrong" "$work/out"
done
