#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The command line as a whole: help, errors, exit codes; documents that the tables write.
. tests/lib/tap.sh

exits 2 'sluice alone is a usage error with an overview' "$SLUICE"
like "$err$out" 'Usage: sluice VERB' 'the overview says how'
exits 0 'version' "$SLUICE" version
like "$out" 'sluice [0-9]' 'it names a version'
exits 2 'an unknown verb' "$SLUICE" statsu
like "$err" "did you mean 'status'" 'the nearest verb is named'
exits 2 'an unknown flag' "$SLUICE" runs --repoo x
like "$err" "did you mean '--repo'" 'the nearest flag is named'
exits 2 'a flag without its value' "$SLUICE" runs --repo
like "$err" 'needs a value' 'it says so'
exits 2 'a missing argument' "$SLUICE" cancel
like "$err" 'an argument is missing' 'it says so'
exits 3 'no server' "$SLUICE" runs --data "$T/none"
like "$err" 'cannot reach a server at .*/run/api.sock' 'it says where it looked and what to do'
exits 1 'a broken configuration' "$SLUICE" config check --config <(printf 'externel_url: x\n')

while read -r verb; do
  exits 0 "sluice $verb --help" "$SLUICE" "$verb" --help
  if [ "$(printf '%s\n' "$out" | wc -l)" -le 40 ] && [ "$(printf '%s\n' "$out" | wc -L)" -le 80 ]; then
    pass "help of $verb fits a screen"
  else
    fail "help of $verb fits a screen" "$out"
  fi
done <<<"$("$SLUICE" help --verbs)"

is "$("$SLUICE" help --markdown | cksum)" "$(cksum <docs/cli.md)" 'docs/cli.md is what the tables say (make docs)'
is "$("$SLUICE" config markdown | cksum)" "$(cksum <docs/configuration.md)" \
  'docs/configuration.md is what the table says (make docs)'
"$SLUICE" completion bash >"$T/completion"
ok 'the completion is shell' bash -n "$T/completion"
done_testing
