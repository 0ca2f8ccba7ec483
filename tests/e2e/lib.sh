# What the tests' scripts share. For bash, to be sourced.

fail() { echo "$*" >&2; exit 1; }
# expect WHAT EXPECTED ACTUAL
expect() { [ "$2" = "$3" ] || fail "$1: expected (<) and found (>)"$'\n'"$(diff <(echo "$2") <(echo "$3") | head -n 20)"; }
# refused STATUS COMMAND...: the command must end with this status; what it says on stderr is in $said.
refused() {
  local expected=$1 status=0
  shift
  said=$("$@" 2>&1 >/dev/null) || status=$?
  [ $status = "$expected" ] || fail "\`$*\` ended with $status instead of $expected: $said"
}
# Reads one value of the JSON on stdin: `value .databases[0].name`.
value() { node -e 'const v = JSON.parse(require("fs").readFileSync(0, "utf8")); console.log(eval("v" + process.argv[1]))' "$1"; }
says() { case "$said" in *"$1"*) ;; *) fail "not said: $1"$'\n'"but: $said" ;; esac; }
free_port() { node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })'; }

# Backstage runs as $backstage, and its log is $log; $dir is the test's own directory.
died() { tail -n 40 "$log" >&2; fail "$*"; }
# Runs a command, here and not in a shell of its own, until it succeeds; 120 s are for machines that are busy.
eventually() {
  local what=$1 end=$((SECONDS + 120))
  shift
  until "$@" >"$dir/last" 2>&1; do
    kill -0 "$backstage" 2>/dev/null || died "Backstage ended before $what"
    [ $SECONDS -lt $end ] || { cat "$dir/last" >&2; died "120 s without $what"; }
    sleep 0.2
  done
}
