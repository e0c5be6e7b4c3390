#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a signed delivery to finished runs: duplicates, needs, matrix, gates, cancel, re-run.
. tests/lib/tap.sh
. tests/lib/server.sh
server_begin
need_jobs

# ---- deliveries ----
is "$code" 202 'a signed delivery is accepted'
deliver "$T/body.json"
like "$code $answer" '^200 .*(duplicate|already)' 'the same body again is a duplicate'
cp "$T/body.json" "$T/other.json"
SECRET=wrong deliver "$T/other.json"
is "$code" 401 'a wrong signature is refused'
push refs/heads/main 1111111111111111111111111111111111111111
is "$code" 202 'a commit that is nowhere is accepted as a delivery'
gone=$event
event_failed() { ask deliveries --format json 2>/dev/null | grep -q failed; }
failed_words() { sqlite3 "$DATA/db/sluice.db" "SELECT reason FROM events WHERE id = $1" 2>/dev/null; }
has_failed_words() { [ -n "$(failed_words "$gone")" ]; }
if command -v sqlite3 >/dev/null; then
  wait_for 10 has_failed_words
  like "$(failed_words "$gone")" 'commit 111111111111.*is not in|not in' 'and its event fails with that reason'
else
  skip 'sqlite3 is not installed'
fi

# ---- a workflow that cannot be read shows as a failed run ----
workflow ci.yml 'broken' <<'YML'
on: push
jobs:
  one:
    runs_on: here
    steps: []
YML
push
ok 'a broken workflow is a failed run' wait_for 10 run_is 2 failure
like "$(ask explain 2/workflow 2>&1; ask runs 2>&1)" 'ci.yml|failure' 'which names the file'

# ---- needs, matrix, outputs, conditions ----
workflow ci.yml 'graph' <<'YML'
on: push
jobs:
  make:
    runs-on: here
    outputs: {rows: '${{ steps.s.outputs.rows }}'}
    steps:
      - id: s
        run: echo 'rows=["a","b"]' >>$GITHUB_OUTPUT
  each:
    needs: make
    runs-on: here
    strategy: {matrix: {v: '${{ fromJSON(needs.make.outputs.rows) }}'}}
    steps:
      - uses: actions/checkout@v4
      - run: echo "row ${{ matrix.v }} at $(git rev-parse HEAD)"; test -f .github/workflows/ci.yml
  broken:
    needs: each
    runs-on: here
    steps: [{run: exit 3}]
  skipped:
    needs: broken
    runs-on: here
    steps: [{run: echo never}]
  always:
    needs: [broken, skipped]
    if: always()
    runs-on: here
    steps: [{run: 'echo broken was ${{ needs.broken.result }}, skipped was ${{ needs.skipped.result }}'}]
YML
push
ok 'a run with a failing job fails' wait_for 20 run_is 3 failure
like "$(ask logs 3/each:a 2>&1)" "row a at $(as_account git -C "$REPO" rev-parse main)" \
  'a matrix from an output runs, on exactly the commit that was pushed'
like "$(ask logs 3/always 2>&1)" 'broken was failure, skipped was skipped' \
  'always() sees the results of what it needs'
nok 'a job whose need failed never runs' bash -c "'$SLUICE' logs 3/skipped --data '$DATA' | grep -q '^never'"

ok 'the failed jobs can be run again' ask rerun 3 --failed
ok 'and fail again' wait_for 20 run_is 3 failure

# ---- a gate ----
workflow ci.yml 'gate' <<'YML'
on: push
jobs:
  deploy:
    runs-on: here
    environment: production
    steps: [{run: 'echo deployed $GITHUB_SHA'}]
YML
push
ok 'a job with an environment waits at its gate' wait_for 10 run_is 4 waiting
nok 'nothing of it ran' grep -rqs deployed "$DATA/jobs"
ok 'it is opened' ask approve 4 production
ok 'and then deploys' wait_for 20 run_is 4 success
like "$(ask logs 4/deploy 2>&1)" "deployed $(as_account git -C "$REPO" rev-parse main)" 'what was shown'
nok 'a gate is decided once' ask approve 4 production
push
ok 'another run waits' wait_for 10 run_is 5 waiting
ok 'it is refused' ask reject 5 production
ok 'and fails' wait_for 10 run_is 5 failure
nok 'without having run' bash -c "'$SLUICE' logs 5/deploy --data '$DATA' | grep -q deployed"

# ---- cancel, pause ----
workflow ci.yml 'slow' <<'YML'
on: push
jobs:
  slow:
    runs-on: here
    steps: [{run: 'echo began; sleep 60'}, {if: always(), run: echo cleaned up}]
YML
push
log_says() { ask logs "$1" 2>/dev/null | grep -q "$2"; }
ok 'a long job begins' wait_for 15 log_says 6/slow began
ok 'it can be cancelled' ask cancel 6
ok 'and ends as cancelled' wait_for 15 run_is 6 cancelled
ok 'its always() steps ran' log_says 6/slow 'cleaned up'

workflow ci.yml 'quick' <<'YML'
on: push
jobs:
  quick:
    runs-on: here
    steps: [{run: echo quick}]
YML
ok 'the server can be paused' ask pause --why 'disk swap'
like "$(ask status)" '; PAUSED by [^:]*: disk swap; undo: sluice resume' 'and status says so, by whom and why'
push
wait_for 2 run_is 7 queued
sleep 0.3
ok 'then nothing starts' run_is 7 queued
ok 'and resumed' ask resume
ok 'then it goes on' wait_for 15 run_is 7 success

ok 'the invariants hold' ask check
exits 3 'a second server on the same data is refused' timeout -k 1 20 "$SLUICE" serve --data "$DATA" --listen 127.0.0.1:0
like "$err" 'another' 'and says why'
done_testing
