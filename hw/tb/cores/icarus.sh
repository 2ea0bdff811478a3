#!/usr/bin/env bash
# icarus.sh KIND TOP FOLDER IVERILOG-ARGUMENTS...: makes vectors, compiles and runs a bench of Icarus. Passes only
# when the bench says PASS with its number of checks and nothing says FAIL.
set -euo pipefail
kind=$1 top=$2 folder=$3
shift 3
here=$(dirname "$(readlink -f "$0")")
python3 "$here/icarus_vectors.py" "$kind" "$folder"
iverilog -g2012 -s "$top" -o "$folder/$top.vvp" "$@"
cd "$folder"
vvp -n "./$top.vvp" | tee "$top.log"
grep -Eq '^PASS: [1-9][0-9]* checks$' "$top.log" && ! grep -q FAIL "$top.log"
