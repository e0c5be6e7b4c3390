#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 of web, core, planner, git worker, checkpointer, spawner and executors, singly and
# in pairs, at random moments. Afterwards: the invariants hold, every accepted delivery has
# become a run, a stated failure or a stated ignore, no deploy step has run twice, and every
# run has ended (or needs a person, which only a deploy may).
#
# SEED=N repeats a history, ROUNDS=N its length; a round is a burst of deliveries and a kill.
# timeout: 900
. tests/lib/tap.sh
. tests/lib/server.sh

ROUNDS=${ROUNDS:-$([ "$TORTURE" = 1 ] && echo 500 || echo 20)}
SEED=${SEED:-$(($(date +%s%N) % 1000000))}
RANDOM=$SEED
diag "seed $SEED, $ROUNDS rounds (SEED=$SEED ROUNDS=$ROUNDS repeats this)"

need sqlite3 pgrep
server_begin
need_jobs
db() { sqlite3 -readonly -cmd '.timeout 5000' "$DATA/db/sluice.db" "$1" 2>/dev/null; }

# What a step did is on disk before it goes on: in its log, or, when nobody was left to write
# that, in its workspace.
workflow ci.yml 'crash' <<'YML'
on: push
jobs:
  test:
    runs-on: here
    steps:
      - run: echo EFFECT-test; echo EFFECT-test >effect; sync effect
      - run: sleep 0.2
  deploy:
    runs-on: here
    environment: production
    steps:
      - run: echo EFFECT-deploy; echo EFFECT-deploy >effect; sync effect
      - run: sleep 0.1
YML
cat >"$T/env.yml" <<'YML'
production:
  reviewers: []
  required: 0
YML
ok 'an environment that opens by its rules' ask environments apply "$T/env.yml" --repo demo/app

# ---- victims --------------------------------------------------------------------------
children_named() { # NAME of a process: those of core that have it
  local pid
  for pid in $(pgrep -P "$pid_of_core" 2>/dev/null); do
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$1" ] && echo "$pid"
  done
}
executors() {
  local spawner
  spawner=$(server_spawner)
  [ -z "$spawner" ] || pgrep -P "$spawner" -x sluice-executor 2>/dev/null
}
victim() {
  case $1 in
  core) echo "$pid_of_core" ;;
  web) web_of "$pid_of_core" "$DATA" ;;
  planner) children_named sluice-planner ;;
  checkpointer) children_named sluice-ckpt ;;
  git) children_named sluice-helper ;;
  spawner) server_spawner ;;
  executor) executors | shuf -n 1 --random-source=<(yes "$RANDOM") ;;
  esac
}
kinds=(core web planner checkpointer git spawner executor core executor spawner)
pick() { echo "${kinds[RANDOM % ${#kinds[@]}]}"; }

accepted=0
strike() {
  local kind pid
  for kind; do
    pid=$(victim "$kind" | head -n 1)
    [ -n "$pid" ] || continue
    kill -KILL "$pid" 2>/dev/null && history="$history $kind"
    [ "$kind" != core ] || is_down=1
  done
}

is_down=0
up_again() {
  [ "$is_down" = 1 ] || return 0
  is_down=0
  wait "$pid_of_core" 2>/dev/null
  unset 'tap_pids[core]'
  server_up
}

history=''
for ((round = 1; round <= ROUNDS; round++)); do
  history="$history; $round:"
  for ((i = RANDOM % 3; i >= 0; i--)); do
    push
    if [ "$code" = 202 ]; then accepted=$((accepted + 1)); fi
  done
  # Anywhere in the life of a burst, most often early.
  sleep "0.$(printf %03d $(((RANDOM % 30) * (RANDOM % 30))))"
  if [ $((RANDOM % 3)) -eq 0 ]; then strike "$(pick)" "$(pick)"; else strike "$(pick)"; fi
  [ $((RANDOM % 4)) -ne 0 ] || sleep 0.05
  up_again || break
done
up_again

# ---- and then it comes to rest ------------------------------------------------------------
at_rest() {
  [ "$(db "SELECT count(*) FROM events WHERE state = 'pending'")" = 0 ] &&
    [ "$(db "SELECT count(*) FROM jobs j JOIN runs r ON r.id = j.run_id AND r.attempt = j.attempt
            WHERE j.state NOT IN ('completed', 'lost', 'waiting')")" = 0 ] &&
    [ "$(db "SELECT count(*) FROM runs r WHERE state <> 'completed' AND NOT EXISTS (SELECT 1
            FROM jobs j WHERE j.run_id = r.id AND j.attempt = r.attempt AND j.state = 'lost')")" = 0 ]
}
ok 'the server serves' curl -fsS -m 5 -o /dev/null "$URL/health/live"
if wait_for "$((60 + ROUNDS))" at_rest; then
  pass 'everything comes to rest'
else
  fail 'everything comes to rest'
  db "SELECT id, run_id, node, state, tries, epoch, reason FROM jobs WHERE state NOT IN ('completed')" | sed 's/^/# job /'
  db "SELECT id, state, tries, reason FROM events WHERE state = 'pending'" | sed 's/^/# event /'
  tail -n 15 "$T/srv.err" | sed 's/^/# /'
  tail -n 5 "$DATA/run/spawner.log" | sed 's/^/# spawner: /'
fi
exits 0 'the invariants hold' "$SLUICE" check --data "$DATA"
diag "$out"

stored=$(db "SELECT count(*) FROM deliveries WHERE state = 'accepted'")
events=$(db "SELECT count(*) FROM events WHERE state IN ('planned', 'ignored', 'failed')")
diag "$accepted deliveries answered 202, $stored stored, $events events decided"
# One more than was answered may be stored: the answer was lost with its process.
ok 'no accepted delivery is lost' test "$stored" -ge "$accepted"
is "$events" "$stored" 'each has become a run, a stated failure or a stated ignore'
is "$(db "SELECT count(*) FROM events WHERE state <> 'planned' AND reason = ''")" 0 \
  'what became no run says why'
is "$(db "SELECT count(*) FROM events e WHERE state = 'planned' AND
          (SELECT count(*) FROM runs r WHERE r.event_id = e.id) <> 1")" 0 \
  'no event has made two runs of one workflow'

# ---- effects ------------------------------------------------------------------------------
effects_of() { # JOB: in how many tries did its step do something?
  local try n=0
  for try in "$DATA"/jobs/"$1"/*/; do
    if grep -qs 'EFFECT-' "$try/log" || grep -rqs 'EFFECT-' "$try/work"; then n=$((n + 1)); fi
  done
  echo "$n"
}
twice='' silent=''
for job in $(db "SELECT id FROM jobs WHERE node = 'deploy'"); do
  [ "$(effects_of "$job")" -le 1 ] || twice="$twice $job"
done
is "$twice" '' 'no deploy step has run twice'
for job in $(db "SELECT id FROM jobs WHERE node = 'test' AND conclusion = 'success'"); do
  [ "$(effects_of "$job")" -ge 1 ] || silent="$silent $job"
done
is "$silent" '' 'a test that succeeded has run'
is "$(db "SELECT count(*) FROM jobs WHERE state = 'lost' AND node <> 'deploy'")" 0 \
  'only a deploy is ever lost'
diag "$(db "SELECT count(*) || ' ' || node || ' ' || state || ' ' || conclusion FROM jobs GROUP BY node, state, conclusion" | paste -sd, -)"

# ---- it still works, and leaves nothing ------------------------------------------------------
push
last=$(db 'SELECT max(id) FROM runs')
is "$code" 202 'a delivery afterwards is accepted'
newest_done() { [ "$(db "SELECT state FROM runs WHERE event_id = $event")" = completed ]; }
ok 'and its run ends' wait_for 30 newest_done || diag "last run $last"
diag "killed$history"
done_testing
