#!/bin/sh
# quiet.sh LOG COMMAND...: runs the command with its output in LOG, and shows the log only when it fails.
log=$1
shift
"$@" > "$log" 2>&1 || { cat "$log"; exit 1; }
