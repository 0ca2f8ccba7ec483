# Installs Backstage into $BACKSTAGE, once for all tests that need it. For bash, to be sourced.
#
# The first time, these are some 850 npm packages, which takes minutes; Node 20 or newer is needed.
export BACKSTAGE=$root/target/e2e/backstage
install_backstage() (
  from=$root/tests/e2e/backstage
  mkdir -p "$BACKSTAGE"
  cmp -s "$from/package-lock.json" "$BACKSTAGE/installed.json" && exit
  cp "$from/package.json" "$from/package-lock.json" "$BACKSTAGE"
  cd "$BACKSTAGE"
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json installed.json
)
install_backstage
