#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# An executor's life: GO, cancel, timeouts, what steps leave behind, kill -9, reconnects.
. tests/lib/tap.sh
. tests/lib/execjob.sh
need_sandbox

# ---- nothing before GO ----
steps '{"run":"echo it ran"}'
job --no-go --end-after 1500
ok 'without GO the job is ready' has '"frame":"ready"'
nok 'and stays so' has '"frame":"go"'
nok 'nothing of the user has run' in_log 'it ran'
job
ok 'positive control: with GO it runs' in_log 'it ran'
ok 'GO is in the journal before the first step' \
  awk '/"frame":"go"/ {go=NR} /"n":1,.*"state":"running"/ {step=NR} END {exit !(go && go < step)}' <<<"$frames"
nok 'no secret is in the journal' grep -q '"secrets"' <<<"$frames"
job --epoch 4
ok 'another epoch: the executor leaves' has '"wait":3'
nok 'and nothing has run' in_log 'it ran'
job --abort
ok 'abort: it leaves, nothing has run' has '"wait":3'

# ---- cancel ----
steps '{"run":"trap \"echo got INT; exit 9\" INT; w=be; echo ${w}gun; while :; do sleep 0.1; done"}' \
  '{"run":"echo not after"}' '{"if":"always()","run":"echo always"}' \
  '{"if":"cancelled()","run":"echo cancelled is ${{ job.status }}"}' '{"if":"failure()","run":"echo not failure"}'
job --cancel-on begun
ok 'a cancelled step gets SIGINT' grep -qx 'got INT' <<<"$log"
ok 'the job is cancelled' ended cancelled
nok 'later steps are skipped' grep -qx 'not after' <<<"$log"
ok 'always() runs' grep -qx 'always' <<<"$log"
ok 'cancelled() runs' grep -qx 'cancelled is cancelled' <<<"$log"
nok 'failure() does not' grep -qx 'not failure' <<<"$log"

steps '{"run":"echo early; sleep 60"}'
began=$SECONDS
job --cancel-on early
ok 'a cancel that comes before the process is not lost' [ $((SECONDS - began)) -lt 30 ]
ok 'the job is cancelled then too' ended cancelled

steps '{"if":"always()","run":"echo begun; sleep 1; echo went on"}'
job --cancel-on begun
ok 'a step whose condition still holds goes on' grep -qx 'went on' <<<"$log"
ok 'and the job is cancelled all the same' ended cancelled

steps '{"run":"trap \"\" INT TERM; w=be; echo ${w}gun; while :; do sleep 0.1; done"}' \
  '{"if":"always()","run":"echo never"}'
began=$SECONDS
job --cancel-on begun --force
ok 'force: the tree is killed at once [RS08]' [ $((SECONDS - began)) -lt 7 ]
ok 'the job is cancelled' ended cancelled
nok 'nothing runs after force' grep -qx never <<<"$log"

steps '{"run":"trap \"\" INT TERM; w=be; echo ${w}gun; while :; do sleep 0.1; done"}' \
  '{"if":"always()","run":"echo after the kill"}'
began=$SECONDS
job --cancel-on begun
took=$((SECONDS - began))
ok 'who ignores the signals is killed after ten seconds [RS08]' [ "$took" -ge 9 -a "$took" -le 16 ]

# ---- timeouts ----
steps '{"run":"echo begun; sleep 60","timeout-minutes":"${{ 0.02 }}","name":"slow"}' \
  '{"if":"failure()","run":"echo failed by time"}'
job
ok 'the timeout of a step is a failure' has '"n":1,' '"conclusion":"failure"' 'has timed out after 0.02 minutes'
ok 'failure() sees it' grep -qx 'failed by time' <<<"$log"
ok 'the job fails' ended failure
JOB_EXTRA='"timeout_minutes":0.02'
steps '{"run":"sleep 60"}' '{"if":"always()","run":"echo last words"}'
job
JOB_EXTRA=
ok 'the timeout of the job cancels it' ended cancelled
ok 'in the words of the runner' in_log 'has exceeded the maximum execution time of 0.02 minutes'
ok 'always() still runs' grep -qx 'last words' <<<"$log"

# ---- what steps leave behind ----
mark=$((RANDOM + 40000)).$$
steps "{\"run\":\"setsid sh -c 'trap \\\"\\\" TERM HUP INT; exec >/dev/null 2>&1; exec sleep $mark' & disown; sleep 0.2; echo left one\"}" \
  '{"run":"pgrep -f '"$mark"' >/dev/null && echo still there || echo \"pgrep says $?\""}'
job
ok 'positive control: a daemon outlives its step [RS06]' in_log 'still there'
ok 'the job ends all the same' ended success
nok 'and the daemon is dead [RS06]' pgrep -f "sleep $mark"
if has '"frame":"ready"' '"cgroup":true'; then
  ok 'it is told that something was left [RS06]' in_log 'steps had left running'
else
  skip 'without a cgroup nobody counts processes'
fi
steps '{"run":"sleep 45 & echo held"}' '{"run":"echo next"}'
began=$SECONDS
job
ok 'a pipe held open ends its step after five seconds [RS07]' [ $((SECONDS - began)) -lt 20 ]
ok 'and the next step runs [RS07]' grep -qx next <<<"$log"

# ---- much output ----
steps '{"run":"head -c 3000000 /dev/zero | tr \"\\0\" a; echo; yes | head -n 200000; seq 3000"}'
job
ok 'long lines and many lines pass [RS10 RS11]' ended success
ok 'a long line is split with a mark [RS10]' in_log '[sluice: long line, continued]'
is "$(grep -c '^y$' "$D/jobs/1/1/log")" 200000 'no line is lost [RS11]'
is "$(od -An -t d8 -w8 "$D/jobs/1/1/log.idx" | awk '{print $1}' | tail -n 1)" \
  "$(awk -v n=$(($(wc -l <"$D/jobs/1/1/log") / 1024 * 1024)) 'NR <= n {b += length($0) + 1} END {print b}' \
    <(LC_ALL=C tr '\200-\377' x <"$D/jobs/1/1/log"))" \
  'the index names the last 1024th line'
is "$(sha256sum <"$D/jobs/1/1/log" | cut -d' ' -f1)" \
  "$(sed -n 's/.*"digest":"\([0-9a-f]*\)".*"frame":"exit".*/\1/p' <<<"$frames")" 'the exit record has the digest'
SPEC_EXTRA='"limits":{"log":20000}'
steps '{"run":"yes | head -n 100000; true"}'
job
SPEC_EXTRA=
ok 'over its size the log is cut with a mark [RS11]' in_log 'reached its size limit'
ok 'and the step is not affected' ended success

# ---- memory and processes ----
SPEC_EXTRA='"limits":{"memory":104857600,"pids":40}'
steps '{"shell":"sh","run":"for i in $(seq 100); do sleep 2 >/dev/null 2>&1 & done; echo no limit","continue-on-error":true}' \
  '{"run":"x=$(head -c 500000000 /dev/zero | tr \"\\0\" a); echo ${#x}"}' '{"if":"always()","run":"echo not reached"}'
job
if has '"frame":"ready"' '"cgroup":true'; then
  nok 'the number of processes is bounded [RS01]' grep -qx 'no limit' <<<"$log"
  ok 'over its memory the job is killed and says so [RS02]' has '"frame":"exit"' 'ran out of memory'
  ok 'its folders are removed all the same' [ ! -e "$D/jobs/1/1/work" ]
else
  skip 'there is no cgroup with limits here' 3
fi
SPEC_EXTRA=

# ---- kill -9 ----
mark=$((RANDOM + 40000)).$$
steps "{\"run\":\"echo begun; sleep $mark\"}"
job --kill-on begun
ok 'the executor was killed' has '"wait":"signal 9"'
nok 'no exit record' has '"frame":"exit"'
ok 'its journal is whole as far as it goes' has '"frame":"go"'
for _ in 1 2 3 4 5 6 7 8 9 10; do
  pgrep -f "sleep $mark" >/dev/null || break
  sleep 0.2
done
nok 'nothing of the job outlives it [RS06]' pgrep -f "sleep $mark"
nok 'and its lock is free' flock -n "$D/jobs/1/1/lock" false
printf 'SLJ1torn' >>"$D/jobs/1/1/journal"
kept=$frames
frames=$(timeout 60 "$EXECJOB" "${USER_OPTS[@]}" "$D" "$T/spec.json" 2>/dev/null)
ok 'the same try is never run again' has '"frame":"exit"' 'this try was run before'
like "$kept" '"frame":"start"' 'the torn end is cut, the frames before it stand'
ok 'they do' has '"frame":"start"'

# ---- core comes and goes ----
steps '{"run":"echo begun; sleep 1; echo end"}'
job --drop-on begun
ok 'a job goes on without core and is taken up again' ended success
ok 'nothing of it is lost' grep -qx end <<<"$log"
job --drop-on begun --cancel-on-eof
ok 'a job of sluice run is cancelled with it' ended cancelled
done_testing
