#!/usr/bin/env bash
# tools_test.sh BIN CARD: espcap and vector-check as a user runs them, good input and bad.
set -u
bin=$1 card=$2
examples=$(cd "$(dirname "$0")/../../../docs/examples" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

wrong() {
  printf 'FAILED: %s\n' "$*"
  failures=$((failures + 1))
}
# says TEXT COMMAND...: the command fails with exit 1 and one line on standard error that holds TEXT.
says() {
  local text=$1 out status
  shift
  out=$(timeout 20 "$@" 2>&1 >/dev/null)
  status=$?
  [[ $status == 1 ]] || wrong "$*: exit $status, expected 1"
  out=$(grep -v ' warn ' <<<"$out")
  [[ $(wc -l <<<"$out") == 1 && $out == *"$text"* ]] || wrong "$*: said \"$out\", expected one line with \"$text\""
}

cp "$examples"/sa-*.toml "$work"
chmod 600 "$work"/*.toml
"$bin/espcap" encrypt --sa "$work/sa-out.toml" --card "$card" "$examples/sample.pcap" "$work/esp.pcap" || wrong "encrypt"
"$bin/espcap" decrypt --sa "$work/sa-in.toml" --card "$card" "$work/esp.pcap" "$work/clear.pcap" || wrong "decrypt"
cmp "$examples/sample.pcap" "$work/clear.pcap" || wrong "the capture changed"
cmp -s "$examples/sample.pcap" "$work/esp.pcap" && wrong "nothing was encrypted"
# Replayed: each packet is in the file twice.
{ cat "$work/esp.pcap"; tail -c +25 "$work/esp.pcap"; } >"$work/twice.pcap"
"$bin/espcap" decrypt --sa "$work/sa-in.toml" --card "$card" "$work/twice.pcap" "$work/out.pcap" | grep -q '50 packets dropped: Replay' || wrong "replayed packets were not counted"

if [[ $card == soft ]]; then
  out=$work/out.pcap
  sed 's/^enc_key.*/enc_key = "0123xx"/' "$work/sa-out.toml" >"$work/bad.toml"
  says 'bad.toml:7: sa[0].enc_key: is not a key in hex' "$bin/espcap" encrypt --sa "$work/bad.toml" --card soft "$examples/sample.pcap" "$out"
  sed 's/^enc_key = "[0-9a-f]*"/enc_key = "0123456789abcdef0123456789abcdef0123456789abcdef"/' "$work/sa-out.toml" >"$work/bad.toml"
  says 'is single DES' "$bin/espcap" encrypt --sa "$work/bad.toml" --card soft "$examples/sample.pcap" "$out"
  sed 's/^spi.*/spi = 7/' "$work/sa-out.toml" >"$work/bad.toml"
  says 'bad.toml:4: sa[0].spi' "$bin/espcap" encrypt --sa "$work/bad.toml" --card soft "$examples/sample.pcap" "$out"
  printf 'x = [' >"$work/bad.toml"
  says 'bad.toml:1' "$bin/espcap" encrypt --sa "$work/bad.toml" --card soft "$examples/sample.pcap" "$out"
  says 'none.toml' "$bin/espcap" encrypt --sa "$work/none.toml" --card soft "$examples/sample.pcap" "$out"
  says 'README' "$bin/espcap" encrypt --sa "$work/sa-out.toml" --card soft "$examples/../../README.md" "$out"
  cp "$examples/sample.pcap" "$work/same.pcap"
  says 'is both' "$bin/espcap" encrypt --sa "$work/sa-out.toml" --card soft "$work/same.pcap" "$work/./same.pcap"
  cmp "$examples/sample.pcap" "$work/same.pcap" || wrong "the capture was overwritten"
  "$bin/espcap" encrypt --sa "$work/sa-out.toml" --card soft - - <"$examples/sample.pcap" 2>"$work/said" | "$bin/espcap" decrypt --sa "$work/sa-in.toml" --card soft - "$work/clear.pcap" >/dev/null || wrong "through a pipe"
  cmp "$examples/sample.pcap" "$work/clear.pcap" || wrong "the capture changed in a pipe"
  grep -q '50 packets' "$work/said" || wrong "no summary beside a capture on standard output"
  says 'no/such' "$bin/espcap" encrypt --sa "$work/sa-out.toml" --card soft "$examples/sample.pcap" /no/such/folder/x
  head -c 1000 "$examples/sample.pcap" >"$work/cut.pcap"
  says 'cut.pcap: packet' "$bin/espcap" encrypt --sa "$work/sa-out.toml" --card soft "$work/cut.pcap" "$out"
  says 'no .xclbin' env ESPLANADE_XCLBIN=/no/such.xclbin "$bin/espcap" encrypt --sa "$work/sa-out.toml" --card sim "$examples/sample.pcap" "$out"
  printf '{"cases": [{"id": "x", "plain": 5, "wire": ""}]}' >"$work/bad.json"
  says 'case 1' "$bin/vector-check" "$work/bad.json" --card soft
  printf '{"cases": [' >"$work/bad.json"
  says 'not JSON' "$bin/vector-check" "$work/bad.json" --card soft
  printf '{"cases": [{"id": "r", "esn": false, "window": 65600, "events": [], "final_top": 0}]}' >"$work/bad.json"
  says 'case 1: window: not an integer from 0 to 65535' "$bin/vector-check" "$work/bad.json" --card soft
  printf '{"cases": [{"id": "r", "esn": false, "window": 33, "events": [[1, 1, "accept"]], "final_top": 1}]}' >"$work/bad.json"
  says 'case 1: SA refused: replay window' "$bin/vector-check" "$work/bad.json" --card soft
  printf '{"cases": [{"id": "\\u001b[31m", "payload": "00000000"}]}' >"$work/bad.json"
  says 'unknown kind of datagram' "$bin/vector-check" "$work/bad.json" --card soft
  says 'cannot open: Is a directory' "$bin/vector-check" "$work" --card soft
  says 'cannot open' "$bin/vector-check" "$work/none.json" --card soft
fi
[[ $failures == 0 ]] && echo "all as expected"
exit $((failures != 0))
