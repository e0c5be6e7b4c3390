#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Everything install.sh --test promises once its packages are there: make check, then the
# scripts that need real components. The last line is the sum: `N passed, N failed, N skipped`.
set -u
cd "$(dirname "$0")/.." || exit 1

sums=$(mktemp) || exit 1
trap 'rm -f "$sums"' EXIT
status=0
for target in check components; do
  lines=$(wc -l <"$sums")
  SLUICE_TEST_SUM=$sums make --no-print-directory "$target" || status=1
  # A build that broke before any test ran is a failure that must be counted.
  [ "$(wc -l <"$sums")" -gt "$lines" ] || { echo '0 1 0' >>"$sums"; status=1; }
done
awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s }' "$sums"
exit $status
