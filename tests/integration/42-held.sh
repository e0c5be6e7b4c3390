#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Failed jobs put aside: entered by sluice shell, never with a secret in them, never of
# untrusted work, gone when their time is over, whole after a kill at any moment.
. tests/lib/tap.sh
. tests/lib/serve.sh
need_server

serve_start 'capacity: 2' 'keep:' '  held: 1h' '  held_jobs: 3' || { fail 'the server starts'; done_testing; exit; }
project acme/app
DATA=$D/data
OWNER=$(stat -c %U "$DATA/held")
CANARY=canary$(openssl rand -hex 12)
printf %s "$CANARY" | S secret set TOKEN --repo acme/app 2>"$T/secret.err"
printf %s "$CANARY-two" | S secret set OTHER --repo acme/app 2>>"$T/secret.err"

job_id() { value "$(run_json "$1")" "jobs[${2:-0}].id"; }
held_of() { value "$(api GET "/api/v1/jobs/$1")" "held.${2:-bytes}"; }
is_gone() { ! is_held "$1"; }
is_held() { [[ $(held_of "$1") =~ ^[0-9]+$ ]]; }
# enter RUN/JOB < COMMANDS: what the shell printed, without the terminal's returns.
enter() { S shell "$1" 2>"$T/shell.err" | tr -d '\r' >"$T/shell.out"; return "${PIPESTATUS[0]}"; }
strangers() { find "$DATA/held/$1" ! -user "$OWNER" -printf '%p '; }

# ---- a job that fails, with secrets in many places ----
workflow fail.yml <<'X'
on: push
jobs:
  test-api:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: prepare
        run: |
          echo kept > plain.txt; mkdir -p deep/er; echo below > deep/er/file
          ln -s /etc/passwd passwd-link; ln -s ../../../../../.. up
          mkdir shut; echo inside > shut/file; chmod 000 shut
          mkfifo pipe; echo home > ~/at-home; echo temp > /tmp/at-tmp
      - name: leaks
        env:
          TOKEN: ${{ secrets.TOKEN }}
        run: |
          echo "password=$TOKEN" > leak.txt
          printf %s "$TOKEN" | base64 -w0 > ~/leak.b64
          mkdir -p "named-$TOKEN"; echo x > "named-$TOKEN/x"
          ln -s "$TOKEN" leak-link
          head -c 300000 /dev/zero | tr '\0' 'a' > /tmp/long; printf %s "$TOKEN" >> /tmp/long
      - name: fails
        working-directory: deep
        env:
          TOKEN: ${{ secrets.TOKEN }}
          HEADER: Bearer ${{ secrets.OTHER }}
          PLAIN: seen
        run: |
          echo "the step runs in $(pwd) with PLAIN=$PLAIN token ${#TOKEN}"
          echo out=1 >> "$GITHUB_OUTPUT"
          test -n "$PASS" || exit 7
X
push 'fails'
ok 'a job fails' wait_run 1 failure
JOB=$(job_id 1)
ok 'a failed job of trusted work is held' wait_for 20 is_held "$JOB"
nok 'its folder is no longer among the jobs' test -e "$DATA/jobs/$JOB/1/work"
ok 'but among the held ones' test -d "$DATA/held/$JOB-1/work"
is "$(held_of "$JOB" step)" 4 'the step that failed is known'
is "$(strangers "$JOB-1")" '' 'all of it is the service account alone'
nok 'it ties up no job id' test -e "$DATA/held/$JOB-1/slot"

# ---- no secret in it: the same search finds one that is put there ----
leaks() {
  grep -rqaF "$CANARY" "$DATA/held" || grep -rqaF "$(printf %s "$CANARY" | base64 -w0)" "$DATA/held" ||
    find "$DATA/held" \( -lname "*$CANARY*" -o -name "*$CANARY*" \) -print | grep -q .
}
nok 'no file, name or link in it holds a secret' leaks
as_owner sh -c "printf %s '$CANARY' > '$DATA/held/$JOB-1/control'"
ok '(the search finds one that is put there)' leaks
as_owner rm "$DATA/held/$JOB-1/control"
like "$(api GET "/api/v1/jobs/$JOB")" 'work/app/app/leak.txt' 'what was left out is named'

# ---- entering it ----
enter 1/test-api <<'C'
echo "cwd $(pwd)"; echo "who $(id -un) $(hostname)"
cat ../plain.txt er/file ~/at-home /tmp/at-tmp
echo "token=[$TOKEN] header=[$HEADER] plain=[$PLAIN]"
test -t 0 && echo "a terminal $(stty size)"
mount -t tmpfs x /mnt 2>/dev/null || echo "no way up"
run-step; echo "run-step gave $?"
PASS=1 run-step; echo "run-step gave $?"
echo new > from-shell
exit
C
like "$(cat "$T/shell.err")" "^step 4 fails of run 1, held until [0-9: -]+; confinement built anew: profile standard, network proxy" 'sluice shell says where one is'
like "$(cat "$T/shell.err")" 'secrets are off: 2 variables are empty .*HEADER' 'and that secrets are off'
out=$(cat "$T/shell.out")
like "$out" 'cwd /home/runner/work/app/app/deep' 'it is the folder of the step'
like "$out" 'who runner sluice-job' 'the same user inside'
like "$out" $'kept\nbelow\nhome\ntemp' 'its files are there'
like "$out" 'token=\[\] header=\[Bearer \] plain=\[seen\]' 'its variables too, secrets as nothing'
like "$out" 'a terminal 24 80' 'on a terminal of its own'
like "$out" 'no way up' 'with no more rights than a step'
like "$out" 'the step runs in /home/runner/work/app/app/deep with PLAIN=seen token 0' 'run-step runs the step again'
like "$out" 'run-step gave 7' 'with its end'
like "$out" 'run-step gave 0' 'and with a variable changed another one'
is "$(as_owner cat "$DATA/held/$JOB-1/work/app/app/deep/from-shell")" new 'what was done in it stays'
is "$(strangers "$JOB-1")" '' 'and is the service account alone again'
nok 'no job id is tied up' test -e "$DATA/held/$JOB-1/slot"
like "$(S audit --format json)" 'job.shell' 'that somebody entered is in the audit log'

enter 1/test-api/2 <<<'echo "plain=[$PLAIN]"; exit'
like "$(cat "$T/shell.out")" 'plain=\[\]' 'another step has its own variables'
nok 'a step that ran no program is refused' enter 1/test-api/0
like "$(cat "$T/shell.err")" 'step 0 cannot be entered' 'with the reason'
nok 'a job that is not there is refused' enter 1/nothing
nok 'over a URL it is refused' S shell 1/test-api --server http://127.0.0.1:1
READER=$(S token create reader --scope run 2>/dev/null)
code=$(curl -s -o "$T/denied" -w '%{http_code}' -H "Authorization: Bearer $READER" -d '{"run":"1","job":"test-api"}' \
  -H 'Content-Type: application/json' "$URL/api/v1/verbs/shell.open")
is "$code" 403 'who is no administrator may not'

# ---- its page, and what it used ----
page=$(api GET "/jobs/$JOB")
like "$page" 'Held until .*sluice shell 1/test-api' 'the page says how to enter it'
like "$page" 'work/app/app/leak.txt' 'and what was left out'
[ "$(value "$(api GET "/api/v1/jobs/$JOB")" memory_peak)" = null ] &&
  skip 'no peaks: jobs have no cgroup here' ||
  like "$page" '<span>memory [0-9.]+ .*<span>processor .*<span>processes [0-9]' 'and what it used at most'

# ---- a job while it runs ----
as_owner rm "$WORK/.github/workflows/fail.yml"
workflow long.yml <<'X'
on: push
jobs:
  long:
    runs-on: ubuntu-latest
    steps:
      - run: perl -e 'my $x = "a" x 40000000; $0 = "busy-name"; sleep 60'
X
push long
usage_of() { api GET "/api/v1/jobs/$(job_id 2)/usage"; }
sees_process() { [[ $(usage_of) == *'"name":"busy-name"'* || $(usage_of) == *'"name":"perl"'* ]]; }
over() { [ "$(value "$(usage_of)" "$1")" -gt 30000000 ] 2>/dev/null; }
if wait_for 20 sees_process; then
  pass 'its processes are listed while it runs'
  ok 'with their memory' wait_for 10 over 'processes[0].rss'
  ok 'and that of all' wait_for 10 over memory
  like "$(api GET "/jobs/$(job_id 2)")" 'id="job-usage".*(busy-name|perl)' 'also on its page, without a script'
else
  skip "no cgroup to list: $(usage_of)"
fi
LONG=$(job_id 2)
S cancel 2 >"$T/cancel.out" 2>&1
ok 'it is cancelled' wait_run 2 cancelled
nok 'a cancelled job is not held' is_held "$LONG"
is "$(value "$(api GET "/api/v1/jobs/$LONG/usage")" error.code)" conflict 'one that does not run uses nothing'

# ---- what is masked and no secret's whole ----
as_owner rm "$WORK/.github/workflows/long.yml"
workflow mask.yml <<'X'
on: push
jobs:
  masks:
    runs-on: ubuntu-latest
    steps:
      - run: |
          v=made-$(date +%s%N)-up; echo "::add-mask::$v"; echo "MADE=$v" >> "$GITHUB_ENV"; echo "$v" > made.txt
      - run: exit 3
X
push mask
ok 'a job with a value of its own to hide fails' wait_run 3 failure
MASKED=$(job_id 3)
ok 'and is held' wait_for 20 is_held "$MASKED"
nok 'without the file that has it' test -e "$DATA/held/$MASKED-1/work/app/app/made.txt"
nok 'the value is nowhere in it' grep -rq 'made-[0-9]' "$DATA/held/$MASKED-1"
enter 3/masks <<<'type run-step; echo "in $(pwd)"; exit'
like "$(cat "$T/shell.err")" 'The step cannot be run again: a variable holds a masked value' 'its step cannot be resumed, and one is told why'
like "$(cat "$T/shell.out")" 'in /home/runner/work/app/app' 'but the job can be looked at'

# ---- killed while somebody is in ----
mkfifo "$T/hold-open"
S shell 1/test-api <"$T/hold-open" >"$T/open.out" 2>"$T/open.err" &
tap_pids['shell']=$!
exec 9>"$T/hold-open"
echo 'echo inside-$((40+2))' >&9
ok 'a shell is open' wait_for_text 20 "$T/open.out" 'inside-42'
nok 'a second one is refused' enter 1/test-api
like "$(cat "$T/shell.err")" 'one at a time' 'with the reason'
ok 'its files belong to a job id now, which is noted' test -e "$DATA/held/$JOB-1/slot"
SHELL_PID=$(sed -n 's/.*"pid":\([0-9]*\).*/\1/p' "$DATA/held/$JOB-1/lock" 2>/dev/null)
[ -n "$SHELL_PID" ] || SHELL_PID=$(grep -o '[0-9]*' "$DATA/held/$JOB-1/lock" | awk 'length > 1' | tail -n 2 | head -n 1)
kill -KILL "$SHELL_PID" 2>/dev/null || diag "the lock says: $(cat "$DATA/held/$JOB-1/lock")"
ok 'its executor is killed: the command line ends' wait_for 10 tap_is_gone "${tap_pids['shell']}"
exec 9>&-
ok 'the job id stays with the files' test -e "$DATA/held/$JOB-1/slot"
ok 'and the next one who enters has it' wait_for 5 enter 1/test-api <<<'cat ../plain.txt; exit'
is "$(strangers "$JOB-1")" '' 'after whom all is the service account again'
nok 'and no job id is tied up' test -e "$DATA/held/$JOB-1/slot"

# ---- killed between the move and its name; a core that never heard of it ----
serve_stop
as_owner mkdir -p "$DATA/held/$MASKED-9.new/work" "$DATA/held/99999-1/work"
as_owner touch "$DATA/held/99999-1/held.json"
as_owner rm -rf "$DATA/held/$MASKED-1"
serve_start 'capacity: 2' 'keep:' '  held: 1h' '  held_jobs: 3' || fail 'the server starts again'
ok 'half a move is thrown away' wait_for 10 test ! -e "$DATA/held/$MASKED-9.new"
ok 'and what no job of ours is' wait_for 10 test ! -e "$DATA/held/99999-1"
ok 'a row without its folder is given up' wait_for 10 is_gone "$MASKED"
ok 'what is held stays held over a restart' is_held "$JOB"
ok 'and can be entered' enter 1/test-api <<<'cat ../plain.txt; exit'
like "$(cat "$T/shell.out")" kept 'as before'

# ---- never of untrusted work ----
as_owner rm "$WORK/.github/workflows/mask.yml"
workflow pull.yml <<'X'
on: pull_request
jobs:
  theirs:
    runs-on: ubuntu-latest
    steps:
      - run: exit 1
X
git_as_owner -C "$WORK" add -A && git_as_owner -C "$WORK" commit -q -m pull
git_as_owner -C "$WORK" push -q -f "$BARE" HEAD:refs/heads/main HEAD:refs/pull/9/head HEAD:refs/pull/9/merge
S repo add acme/hub --url "$BARE" --forge github --format json >"$T/hub.json" 2>"$T/hub.err"
git_sha=$(git_as_owner -C "$WORK" rev-parse HEAD)
cat >"$T/pull.json" <<X
{"action":"opened","number":9,"repository":{"id":1,"full_name":"acme/hub","name":"hub","default_branch":"main","owner":{"login":"acme"}},
 "sender":{"login":"stranger","id":7},"pull_request":{"number":9,"title":"t","draft":false,"merged":false,"author_association":"NONE",
 "user":{"login":"stranger","id":7},"head":{"ref":"x","sha":"$git_sha","label":"stranger:x","repo":{"id":2,"full_name":"stranger/hub","fork":true,"owner":{"login":"stranger"}},"user":{"login":"stranger"}},
 "base":{"ref":"main","sha":"$git_sha","label":"acme:main","repo":{"id":1,"full_name":"acme/hub","owner":{"login":"acme"}},"user":{"login":"acme"}}}}
X
code=$(curl -sS -o "$T/hub.out" -w '%{http_code}' -H 'Content-Type: application/json' -H 'X-GitHub-Event: pull_request' \
  -H 'X-GitHub-Delivery: 11111111-2222-3333-4444-555555555555' \
  -H "X-Hub-Signature-256: sha256=$(sign "$(value "$(cat "$T/hub.json")" hook_secret)" <"$T/pull.json")" \
  --data-binary "@$T/pull.json" "$URL/hooks/github")
is "$code" 202 'a pull request from a fork arrives'
ok 'and waits for a maintainer' wait_gate 4
api POST "/api/v1/gates/$GATE/decision" -d "{\"decision\":\"approve\",\"digest\":\"$DIGEST\"}" >"$T/approve.out"
ok 'who lets it run' wait_run 4 failure
is "$(value "$(run_json 4)" trust)" untrusted 'it stays untrusted'
sleep 0.5
nok 'its failed job is not held' test -e "$DATA/held/$(job_id 4)-1"
nok 'and nobody enters it' enter 4/theirs
like "$(cat "$T/shell.err")" 'run 4 is untrusted \(pull request from a fork\): such jobs are never held; reproduce it with: sluice run' 'with the reason'
# Also where its folder stands, whoever put it there: what decides is the run.
as_owner mkdir -p "$DATA/held/$(job_id 4)-1/work"
as_owner sh -c "echo '{\"files\":1}' >'$DATA/held/$(job_id 4)-1/held.json'"
S gc >"$T/gc.out" 2>&1
ok 'a folder that says otherwise is thrown away' wait_for 10 test ! -e "$DATA/held/$(job_id 4)-1"
as_owner rm "$WORK/.github/workflows/pull.yml"

# ---- time and number ----
workflow quick.yml <<'X'
on: push
jobs:
  quick:
    runs-on: ubuntu-latest
    steps:
      - run: exit 1
X
for n in 5 6 7; do
  push "quick $n"
  wait_run "$n" failure || fail "run $n fails"
done
ok 'the latest is held' wait_for 20 is_held "$(job_id 7)"
ok 'and the fourth to come makes the first go' wait_for 20 is_gone "$JOB"
ok 'with its files' wait_for 10 test ! -e "$DATA/held/$JOB-1"
nothing_in_quarantine() { [ -z "$(ls "$DATA/quarantine")" ]; }
ok 'out of quarantine too' wait_for 10 nothing_in_quarantine
like "$(S gc --dry-run)" '^gc: would free .*: 0 logs older than 90d, 0 artifacts, 0 held workspaces' 'gc has nothing to do'
S repo set acme/app keep.held=1s >"$T/set.out" 2>&1
push 'quick 8'
ok 'a repository may have its own time' wait_run 8 failure
LAST=$(job_id 8)
ok 'which passes' wait_for 20 is_gone "$LAST"
ok 'and takes the files along' wait_for 20 test ! -e "$DATA/held/$LAST-1"
S repo set acme/app keep.held=0 >"$T/set.out" 2>&1
push 'quick 9'
ok 'or none' wait_run 9 failure
sleep 0.5
nok 'then nothing is held' test -e "$DATA/held/$(job_id 9)-1"

# ---- logs past their time ----
serve_stop
serve_start 'capacity: 2' 'keep:' '  logs: 1s' '  held: 0' || fail 'the server starts again'
sleep 1.2
GONE=$(job_id 7)
ok 'a log is there' test -s "$DATA/jobs/$GONE/1/log"
like "$(S gc --dry-run)" '^gc: would free .*: [1-9][0-9]* logs' 'gc --dry-run counts it'
ok 'and leaves it' test -s "$DATA/jobs/$GONE/1/log"
like "$(S gc)" '^gc: freed .*: [1-9][0-9]* logs' 'gc removes it'
nok 'with its folder' test -e "$DATA/jobs/$GONE"
like "$(api GET "/jobs/$GONE")" 'This log was kept until' 'its page says so'
like "$(S gc)" ': 0 logs' 'and there is nothing more'
like "$(S check 2>&1)" 'clean' 'the store is whole'
done_testing
