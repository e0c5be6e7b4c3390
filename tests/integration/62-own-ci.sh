#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The project's own workflow, run by the project: it builds itself inside its own sandbox.
# slow
# timeout: 600
. tests/lib/tap.sh
need git

"$SLUICE" doctor >"$T/doctor" 2>&1 || skip_all "no job can run here: $(tail -n 1 "$T/doctor")"
git -c safe.directory="$SOURCE" -C "$SOURCE" ls-files -z >"$T/files" 2>/dev/null ||
  skip_all 'this is no git checkout'
# Its tracked files as they are now, away from what a build left behind.
mkdir "$T/tree"
(cd "$SOURCE" && tar --null --files-from="$T/files" --ignore-failed-read -cf - 2>/dev/null) | tar -C "$T/tree" -xf -
cd "$T/tree" || exit 1
git init -q . && git add -A && git -c user.name=t -c user.email=t@example.invalid commit -q -m tree

capture "$SLUICE" plan .github/workflows/ci.yml
is "$status" 0 'its workflow can be planned'
like "$out" 'check' 'the job is there'
capture "$SLUICE" lint --rules default .github/workflows/ci.yml
is "$status" 0 'lint finds nothing in it'
capture "$SLUICE" run -j check --network none
is "$status" 0 'the job check succeeds, confined, without network' || diag "$(printf '%s\n' "$out" | tail -n 30)"
like "$out" 'check success' 'and says so'
done_testing
