#!/usr/bin/env bash
# Every check that needs neither root nor the lab: what `make test` and .ci/run run.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}

echo "== format"
unformatted=$(gofmt -l $(git ls-files '*.go' 2>/dev/null || find . -name '*.go'))
[ -z "$unformatted" ] || { echo "gofmt would change: $unformatted" >&2; exit 1; }

echo "== agents"
CGO_ENABLED=0 $go run ./engine/agent/binaries/build

echo "== vet"
$go vet ./...

echo "== tests, with the race detector"
CGO_ENABLED=1 test/gotest.sh -race ./...
