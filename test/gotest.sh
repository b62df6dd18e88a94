#!/usr/bin/env bash
# Runs `go test` with the arguments given. Shows what it shows; then each test that was skipped, with the reason, and each that
# failed, with all of its output; and closes with a line that holds nothing else:
#
#   N passed, N failed, N skipped
#
# Counted are tests and subtests as `go test -json` reports them. A package that fails without a failing test (it does not build,
# it was ended by a timeout) counts as one that failed. The exit code is that of `go test`. With -v the output is that of `go test -v`.
set -euo pipefail
go=${GO:-go}
format=standard-quiet
[[ " $* " != *' -v '* ]] || format=standard-verbose
json=$(mktemp)
trap 'rm -f "$json"' EXIT

rc=0
$go tool -modfile="$(dirname "$0")/tools/go.mod" gotestsum --format $format --jsonfile "$json" --raw-command -- \
  $go test -json "$@" || rc=$?

# Within a string quotes are escaped, so these patterns match fields alone.
awk -F '"Package":"' '
  {package = $2; sub(/".*/, "", package); test = /"Test":"/}
  test && /"Action":"pass"/ {passed++}
  test && /"Action":"skip"/ {skipped++}
  test && /"Action":"fail"/ {failed++; blamed[package] = 1}
  !test && /"Action":"fail"/ {broken[package] = 1}
  END {
    for (p in broken) failed += !(p in blamed)
    printf "\n%d passed, %d failed, %d skipped\n", passed, failed, skipped
  }' "$json"
exit $rc
