#!/usr/bin/env bash
# A session in a real Secret Service: an unlocked gnome-keyring on a D-Bus of its own, then a locked one, then none.
set -euo pipefail

fail() { echo "$*" >&2; exit 1; }

if [ "${1:-}" != inside ]; then
  for program in dbus-run-session gnome-keyring-daemon secret-tool; do
    command -v "$program" >/dev/null ||
      fail "no $program: apt-get install dbus gnome-keyring libsecret-tools"
  done
  dir=$(mktemp -d)
  cleanup() { rm -rf "$dir"; }
  trap cleanup EXIT
  mkdir -m 700 "$dir/home" "$dir/session"
  # No display: nobody can be asked for a password, so nothing may wait for one.
  unset DISPLAY WAYLAND_DISPLAY
  export HOME=$dir/home XDG_DATA_HOME=$dir/home/share XDG_RUNTIME_DIR=$dir/session
  export BSQL_CONFIG=$dir/config.toml BSQL_STATE_DIR=$dir/state BSQL_CACHE_DIR=$dir/cache BSQL_RUNTIME_DIR=$dir/run
  # A bus on which no service can be started.
  cat >"$dir/empty-bus.conf" <<'XML'
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
XML
  dbus-run-session -- bash "$0" inside "$dir"
  exit
fi

dir=$2
tokens=$BSQL_STATE_DIR/tokens
cleanup() { "$BSQL" sandbox down 2>/dev/null || true; }
trap cleanup EXIT
login() { "$BSQL" login --flow device "$@"; }
entries() { secret-tool search --all service bsql 2>&1 | grep -c '^secret = ' || true; }
# What must be in a file with tokens in the clear, and in no other.
in_the_clear() { grep -rlE 'eyJ|sbx-secret-' "$tokens" || true; }
empty() { [ -z "$(find "$tokens" -type f ! -name '*.lock')" ]; }
store() { "$BSQL" whoami -o json | python3 -c 'import json, sys; print(json.load(sys.stdin)["token_store"])'; }
step() { echo "== $* (${SECONDS}s)"; }

# Tokens that live this short a time are old in the last quarter of it: these are fresh for 15 seconds.
"$BSQL" sandbox up --detach --auto-approve --token-life 20
# The sandbox's own profile says `file`.
export BSQL_IDENTITY_TOKEN_STORE=auto
# Each `ls` is to need a token.
export BSQL_CATALOG_CACHE_TTL=0s

step "an unlocked keyring"
printf '\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
[ "$(entries)" = 0 ]
login >"$dir/said" 2>&1
cat "$dir/said"
! grep -q warning: "$dir/said" || fail "warned of a keyring that works"
[ "$(entries)" = 1 ] || fail "not in the Secret Service: $(secret-tool search --all service bsql 2>&1)"
[ -z "$(in_the_clear)" ] || fail "tokens in the clear: $(in_the_clear)"
[ "$(store)" = "the keyring (Secret Service)" ] || fail "whoami says: $(store)"
"$BSQL" ls >/dev/null

step "twelve at once, with a token that has to be refreshed"
sleep 16 # until the tokens are no longer fresh
for each in $(seq 12); do
  "$BSQL" ls --log-file "$dir/log.$each" >"$dir/ls.$each" 2>&1 &
  running[each]=$!
done
for each in $(seq 12); do wait "${running[each]}" || fail "number $each: $(cat "$dir/ls.$each")"; done
refreshes=$(cat "$dir"/log.* | grep -c '"refreshed the session"')
[ "$refreshes" = 1 ] || fail "$refreshes refreshes"
[ -z "$(in_the_clear)" ] || fail "tokens in the clear: $(in_the_clear)"
[ "$(entries)" = 1 ]

step "signing out"
"$BSQL" logout
[ "$(entries)" = 0 ] || fail "the entry is still there"
empty || fail "left behind: $(ls "$tokens")"

step "a file copy goes when the keyring takes over, and the other way round"
login --store file
[ -n "$(in_the_clear)" ] || fail "no file"
[ "$(entries)" = 0 ]
login --force
[ -z "$(in_the_clear)" ] || fail "the file is still there"
[ "$(entries)" = 1 ]
login --force --store file
[ -n "$(in_the_clear)" ] && [ "$(entries)" = 0 ] || fail "the keyring still has the session"
"$BSQL" logout

step "a keyring that does not answer"
daemon=$(dbus-send --session --print-reply=literal --dest=org.freedesktop.DBus / \
  org.freedesktop.DBus.GetConnectionUnixProcessID string:org.freedesktop.secrets | grep -o '[0-9]*$')
kill -STOP "$daemon"
before=$SECONDS
login 2>"$dir/said"
kill -CONT "$daemon"
[ $((SECONDS - before)) -lt 8 ] || fail "waited for $((SECONDS - before)) s"
grep -q 'warning: .* because the keyring did not answer within 3 s' "$dir/said" || fail "$(cat "$dir/said")"
"$BSQL" logout

step "a keyring that locks itself"
login
dbus-send --session --print-reply --dest=org.freedesktop.secrets /org/freedesktop/secrets \
  org.freedesktop.Secret.Service.Lock array:objpath:/org/freedesktop/secrets/collection/login >/dev/null
status=0; "$BSQL" ls 2>"$dir/said" || status=$?
cat "$dir/said"
[ $status = 69 ] || fail "status $status"
grep -q 'keyring is locked' "$dir/said"
status=0; login --force --store keyring 2>"$dir/said" || status=$?
[ $status = 69 ] || fail "status $status"
grep -q 'keyring is locked' "$dir/said"
login --force 2>"$dir/said"
cat "$dir/said"
grep -q 'warning: the session will be in files in .*, because the keyring is locked' "$dir/said"
[ -n "$(in_the_clear)" ] || fail "no file"
[ "$(find "$tokens" -name '*.sealed')" = "" ] || fail "two copies"
"$BSQL" ls 2>"$dir/said" >/dev/null
! grep -q warning: "$dir/said" || fail "warned again: $(cat "$dir/said")"
"$BSQL" logout

no_keyring() {
  step "$1"
  status=0; login --store keyring 2>"$dir/said" || status=$?
  cat "$dir/said"
  [ $status = 69 ] || fail "status $status"
  grep -q 'no keyring can be reached' "$dir/said"
  login 2>"$dir/said"
  grep -q 'warning: the session will be in files in .*, because no keyring can be reached: ' "$dir/said" || fail "$(cat "$dir/said")"
  "$BSQL" ls 2>"$dir/said" >/dev/null
  ! grep -q warning: "$dir/said" || fail "warned again: $(cat "$dir/said")"
  "$BSQL" logout
  empty || fail "left behind: $(ls "$tokens")"
}
export -f no_keyring step fail login empty
export dir tokens
DBUS_SESSION_BUS_ADDRESS=unix:path=$dir/nothing no_keyring "no D-Bus"
dbus-run-session --config-file="$dir/empty-bus.conf" -- bash -euo pipefail -c 'no_keyring "no service on D-Bus"'

step "memory"
status=0; login --store memory 2>"$dir/said" || status=$?
[ $status = 64 ] || fail "status $status: $(cat "$dir/said")"
empty || fail "left behind: $(ls "$tokens")"
