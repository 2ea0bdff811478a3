#!/bin/sh
# api_test.sh BUILD EXAMPLES [FLAGS]: installs the library and its headers elsewhere, moves them, builds the examples against them as anybody would, through
# pkg-config and through CMake, and runs them on the simulated card. FLAGS: what the library was compiled with that its users need, too.
set -eu
build=$1 examples=$2 flags=${3:-}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $1"; exit 1; }
for component in library development simulator; do
  cmake --install "$build" --component "$component" --prefix "$work/first" >"$work/log" || { cat "$work/log"; exit 1; }
done
mv "$work/first" "$work/prefix"
cp -r "$examples" "$work/examples"
unset ESPLANADE_XCLBIN ESPLANADE_SIM
export ESPLANADE_SIM_MODEL=functional LD_LIBRARY_PATH="$work/prefix/lib" PKG_CONFIG_PATH="$work/prefix/lib/pkgconfig"
export ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}"  # LeakSanitizer ends with a fault of its own in a process with XRT's threads

# Nothing but the C API is exported, and all of it. (A sanitizer exports what it likes.)
if [ -z "$flags" ]; then
  nm -D --defined-only "$work/prefix/lib/libesplanade.so.1" | awk '$3 == "ESPLANADE_1" { next } { print sub(/@@ESPLANADE_1$/, "", $3) ? $3 : "unversioned " $3 }' | sort >"$work/exported"
  grep -o 'esplanade_[a-z_]*(' "$work/prefix/include/esplanade/esplanade.h" | tr -d '(' | sort -u >"$work/declared"
  diff "$work/exported" "$work/declared" || fail "exported is not what is declared"
fi

# Through pkg-config.
strict="-Wall -Wextra -Wconversion -Wshadow -Werror"
${CC:-cc} -std=c11 -pedantic $strict $flags "$work/examples/protect.c" -o "$work/pc_c" $(pkg-config --cflags --libs esplanade)
${CXX:-c++} -std=c++20 $flags "$work/examples/protect.cpp" -o "$work/pc_cpp" $(pkg-config --cflags --libs esplanade-cpp)
# Through CMake.
cmake -S "$work/examples" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_C_FLAGS="$flags" -DCMAKE_CXX_FLAGS="$flags" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
cmake --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

xclbin=$work/prefix/share/esplanade/esp_card.hw_emu.xclbin
run() {
  echo "$*"
  "$@" >"$work/out" 2>"$work/err" || { cat "$work/out" "$work/err"; fail "$*"; }
  grep -q "^the packet came back as it was" "$work/out" || { cat "$work/out"; fail "$*"; }
  grep -A1 "^protected, [0-9]* octets:" "$work/out" | grep -q "^  4500" || fail "no outer packet was shown"
}
run "$work/pc_c"                        # the .xclbin is found beside the library
run "$work/build/protect_c" sim
run "$work/pc_cpp" sim "$xclbin"
run "$work/build/protect_cpp" sim "$xclbin"
# XRT's emulated device 0, prepared from outside as for any XRT program. (By a preloaded library, which a sanitizer does not suffer.)
[ -n "$flags" ] || ESPLANADE_SIM=$work/prefix/bin/esp-card-sim run "$build/bin/esp-xrt-run" "$work/pc_c" 0 "$xclbin"
cat "$work/out"
# A card that is not there is an error with a reason.
! "$work/pc_c" 0000:ff:1f.7 "$xclbin" >"$work/out" 2>&1 || fail "a card that is not there was opened"
grep -q "^open: no such card" "$work/out" || { cat "$work/out"; fail "no reason was given"; }
! "$work/pc_c" sim /nowhere.xclbin >"$work/out" 2>&1 || fail "an .xclbin that is not there was loaded"
grep -q "no .xclbin at /nowhere.xclbin" "$work/out" || { cat "$work/out"; fail "no reason was given"; }
# From another language, by the soname alone.
[ -n "$flags" ] || python3 - "$work/prefix/lib" <<'END'
import ctypes, sys
library = ctypes.CDLL(sys.argv[1] + "/libesplanade.so.1")
library.esplanade_strerror.restype = library.esplanade_version.restype = ctypes.c_char_p
assert library.esplanade_card_open(None, None, None) == 128, "NULL is refused"
assert library.esplanade_strerror(128) == b"bad argument"
print("version", library.esplanade_version().decode())
END
echo "all passed"
