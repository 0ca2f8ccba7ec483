#!/usr/bin/env bash
# A real OpenID provider and a real browser: every way to sign in, step-up, rotation, and the end of a session.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$here/../../../target/e2e/oidc
missing=
[ -x /usr/bin/chromium ] || missing=chromium
command -v npm >/dev/null || missing="$missing nodejs npm"
if [ -n "$missing" ] && [ "$(id -u)" = 0 ]; then
  # shellcheck disable=SC2086 # several packages
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends $missing >/dev/null
fi
mkdir -p "$work"
work=$(cd "$work" && pwd)
if ! cmp -s "$here/package-lock.json" "$work/installed.json"; then
  cp "$here/package.json" "$here/package-lock.json" "$work/"
  (cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --silent)
  cp "$here/package-lock.json" "$work/installed.json"
fi
# Beside their packages, where node looks for them.
cp "$here"/*.mjs "$work/"
chmod +x "$work/person.mjs"
BSQL=$(readlink -f "$BSQL") exec node "$work/cases.mjs" "$@"
