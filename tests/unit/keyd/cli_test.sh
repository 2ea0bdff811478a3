#!/bin/sh
# keyd's command line: exit codes and messages. Usage: cli_test.sh KEYD EXAMPLE.toml
set -u
keyd=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

# expect CODE TEXT ARGUMENTS...: the exit code is CODE and the output has TEXT.
expect() {
  code=$1 text=$2
  shift 2
  out=$("$keyd" "$@" 2>&1)
  got=$?
  if [ "$got" != "$code" ] || ! printf '%s' "$out" | grep -qF -- "$text"; then
    echo "FAILED: keyd $*: exit $got instead of $code, or no '$text' in: $out"
    failed=1
  fi
}

install -m 644 "$2" "$dir/good.toml"
install -m 666 "$2" "$dir/open.toml"
secrets=$(dirname "$2")/keyd-secrets.toml
install -m 600 "$secrets" "$dir/keyd-secrets.toml"
install -m 644 "$secrets" "$dir/open-secrets.toml"
sed "s|keyd-secrets.toml|open-secrets.toml|" "$2" >"$dir/leaky.toml"
sed "s|192.0.2.2|192.0.2.3|; s|branch.example|other.example|" "$secrets" >"$dir/foreign-secrets.toml"
sed "s|keyd-secrets.toml|foreign-secrets.toml|" "$2" >"$dir/foreign.toml"
sed "s|change me|0xabc|" "$secrets" >"$dir/bad-secrets.toml"
sed "s|keyd-secrets.toml|bad-secrets.toml|" "$2" >"$dir/badsecret.toml"
chmod 600 "$dir"/foreign* "$dir"/bad* "$dir/leaky.toml"
printf 'x = 1\n' >"$dir/bad.toml"
chmod 600 "$dir/bad.toml"
sed "s|/run/esplanade|$dir/none|; s|192.0.2.1\"|127.0.0.1\"|; s|^port = 500|port = 50217|; s|^user = \"keyd\"|user = \"nobody\"|" "$2" >"$dir/lonely.toml"
sed "s|user = \"nobody\"|user = \"no-such-user\"|" "$dir/lonely.toml" >"$dir/userless.toml"
chmod 600 "$dir/lonely.toml"

expect 0 "ok, 1 connections" --config "$dir/good.toml" --check
expect 1 "chmod go-w $dir/open.toml" --config "$dir/open.toml" --check
expect 1 "chmod 600 $dir/open-secrets.toml" --config "$dir/leaky.toml" --check
expect 2 "has no secret" --config "$dir/foreign.toml" --check
expect 2 "ike.branch.secret: hex has a wrong length" --config "$dir/badsecret.toml" --check
expect 2 "is missing" --config "$dir/bad.toml" --check
expect 1 "cannot open" --config "$dir/none.toml"
expect 2 "--nonsense" --nonsense
expect 0 "IKEv1" --help
[ "$(id -u)" = 0 ] && expect 2 "no user no-such-user" --config "$dir/userless.toml"
expect 1 "is espd running?" --config "$dir/lonely.toml"
[ $failed = 0 ] && echo "all passed"
exit $failed
