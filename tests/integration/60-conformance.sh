#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The public suites beside the project, where they are there: expressions, patterns and the
# reader whole, lint and runs by their floors. Disagreements: docs/conformance.md.
# slow
# timeout: 900
. tests/lib/tap.sh

suites=$SOURCE/../shared/conformance/run
[ -x "$suites" ] || skip_all "the conformance suites are not beside this checkout"
command -v python3 >/dev/null || skip_all "python3 is not installed"

# SUITE FLOOR
floors='expressions 100
patterns 100
reader 100
actionlint 95
act 97'

plan 5
while read -r suite floor; do
  if SLUICE=$SLUICE "$suites" "$suite" --min "$suite=$floor" >"$T/$suite" 2>&1; then
    pass "$suite: $(grep "^$suite " "$T/$suite" | tail -n 1)"
  else
    fail "$suite reaches $floor %" "$(tail -n 20 "$T/$suite")"
  fi
done <<EOF
$floors
EOF
