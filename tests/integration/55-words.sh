#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# slow
# What a person reads: each command against its golden file in tests/data/words, with times,
# commits, ports and folders replaced. GOLDEN=write makes them anew; then read the difference.
. tests/lib/tap.sh
. tests/lib/serve.sh
need_server
need script
export LANG=C.UTF-8 LC_ALL=C.UTF-8 TZ=UTC
LABELS="[ubuntu-latest, self-hosted]"
serve_start 'capacity: 1' || { fail 'the server starts'; done_testing; exit; }

plain() {
  tr -d '\r' | sed -E -e 's/\x1b\[([0-9;]*)m/<\1>/g' -e "s#$D#DIR#g; s#$URL#URL#g" \
    -e 's/[0-9a-f]{64}/DIGEST/g; s/[0-9a-f]{40}/COMMIT/g; s/\b[0-9a-f]{7}\b/COMMIT/g' \
    -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+Z| [0-9]{2}:[0-9]{2})/WHEN/g' \
    -e 's/\b[0-9]+(\.[0-9])?(ms|s)\b/TIME/g; s/\b[0-9]+(m|h)[0-9]+(s|m)\b/TIME/g' \
    -e 's/\b[0-9]+[mhd]\b/TIME/g; s/TIME +/TIME  /g; s/after TIME//' \
    -e 's/disk [0-9]+ of [0-9]+ GB/disk N of N GB/; s/sluice [0-9]+\.[0-9]+\.[0-9]+/sluice VERSION/' \
    -e 's/(profile [a-z]+), .*;/\1, CONFINEMENT;/; s/(\| profile [a-z]+), .*/\1, CONFINEMENT/' \
    -e 's/ +$//'
}
golden() { # FILE NAME: what stands in $T/seen against the file
  local want=tests/data/words/$1.txt
  plain <"$T/seen" >"$T/plain"
  if [ "${GOLDEN:-}" = write ]; then cp "$T/plain" "$want"; fi
  if diff -u "$want" "$T/plain" >"$T/differs" 2>&1; then pass "$2"; else fail "$2" "$(cat "$T/differs")"; fi
}
# says FILE COMMAND...: in a pipe, both streams, and its exit status. shows: on a terminal.
says() {
  local file=$1
  shift
  { S "$@"; echo "exit $?"; } >"$T/seen" 2>&1
  golden "$file" "sluice $* ($file)"
}
shows() {
  local file=$1 command
  shift
  command=$(printf '%q ' "$SLUICE" "$@" --data "$D/data")
  as_owner env TERM=xterm script -qec "stty cols 100; $command" /dev/null </dev/null >"$T/seen"
  golden "$file" "sluice $* on a terminal ($file)"
}

idle() { [ "$(value "$(S status --format json)" slots_used)" = 0 ]; }

# ---- nothing yet ----
for verb in runs environments deployments 'secret list' 'token list' status check; do
  # shellcheck disable=SC2086 # words on purpose
  says "empty-${verb// /-}" $verb
done

# ---- a deploy ----
project acme/app
APP_SECRET=$HOOK_SECRET
as_owner tee "$D/rules.yml" >/dev/null <<'X'
production:
  reviewers: [admin, bob]
  required: 1
X
says apply environments apply "$D/rules.yml" --repo acme/app
printf 'a-value' | S secret set KEY --repo acme/app >"$T/seen" 2>&1
golden secret 'sluice secret set'
deploy() { # STEP
  workflow deploy.yml <<X
name: Deploy
on: push
jobs:
  lint:
    runs-on: ubuntu-latest
    steps:
      - run: $1
  deploy:
    needs: lint
    runs-on: ubuntu-latest
    environment: production
    steps:
      - run: echo deployed
X
}
deploy 'echo lint'
push first
wait_gate 1
says gate-runs runs 1
ok 'no job holds a slot' wait_for 10 idle
says gate-status status
says gate-explain explain 1/deploy
says gate-unnamed approve 1
says gate-approve approve 1 production
ok 'the deploy runs' wait_run 1 success
says gate-again approve 1 production
deploy 'echo lint differently'
push second
wait_gate 2
shows gate-terminal approve 2
deploy 'echo lint as a third'
push third
wait_gate 3
says gate-superseded approve 2 production
says gate-reject reject 3 production --comment 'not on a Friday'
ok 'the deploy fails' wait_run 3 failure
shows terminal-runs runs
shows terminal-environments environments
shows terminal-deployments deployments
shows terminal-run runs 3
says pipe-runs runs
says pipe-environments environments
says pipe-deployments deployments
S audit --verb gate. | cut -f 2- >"$T/seen"
golden pipe-audit 'sluice audit --verb gate.'
says logs logs 1
says explain-success explain 1/lint
exits 1 'followed to its end, a failed run is a 1' S runs -f 3

# A name that forges columns is shown, not obeyed.
workflow deploy.yml <<'X'
name: "one\tline\nand another"
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - run: "true"
X
push forged
ok 'a run with such a name' wait_run 4 success
is "$(S runs | wc -l)" 4 'a line of a name is no line of the table'
is "$(S runs | sed -n 1p | tr '\t' '\n' | wc -l)" 9 'and a tab of it no column'

# ---- what goes wrong says what, where, why, and what next ----
broken() { # FILE; its text on standard input
  as_owner find "$WORK/.github/workflows" -name '*.yml' -delete
  workflow "$1"
  push "$1"
}
broken yaml.yml <<'X'
on: push
jobs:
  lint:
    runs-on: ubuntu-latest
    steps:
      - run: "never closed
X
ok 'bad YAML is a failed run' wait_run 5 failure
says broken-yaml explain 5
broken keys.yml <<'X'
on: push
jobs:
  lint:
    runs-on: ubuntu-latest
    timeout_minutes: 10
    steps:
      - run: echo hi
  test:
    needs: lnt
    runs-on: ubuntu-latest
    steps:
      - run: echo hi
X
ok 'so are unknown keys and needs' wait_run 6 failure
says broken-keys-runs runs 6
says broken-keys-logs logs 6
page=$(api GET /runs/6)
like "$page" 'The workflow cannot be read.*keys.yml:5:5.*did you mean &#39;timeout-minutes&#39;.*keys.yml:9:12' \
  'the page of the run has each finding, where, and the remedy'
broken action.yml <<'X'
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: nobody/nothing@v1
X
ok 'an action nobody has' wait_run 7 failure
says broken-action explain 7/build
broken label.yml <<'X'
on: push
jobs:
  build:
    runs-on: [self-hosted, gpu]
    steps:
      - run: echo hi
X
wait_for 10 is_run 8 queued
says label explain 8/build
like "$(api GET /queue)" 'label <code>gpu</code>: <b class="fail">nobody offers it</b>.*fails at .* with that reason' \
  'the queue says so as well'
S cancel 8 2>/dev/null

push_body 1111111111111111111111111111111111111111 >"$T/push.json"
hook "$T/push.json"
failed() { [ "$(value "$(S status --format json)" events.failed)" = "$1" ]; }
ok 'a commit that is gone is no run' wait_for 20 failed 1
ok 'no job holds a slot' wait_for 10 idle
says gone status
project acme/away https://127.0.0.1:9/away.git
push_body 1111111111111111111111111111111111111111 >"$T/push.json"
hook "$T/push.json"
ok 'nor is a repository that is not there' wait_for 20 failed 2
says away status
says away-check repo check acme/away

# ---- Ctrl-C ends the following, not the run ----
if command -v python3 >/dev/null; then
  PROJECT=acme/app BARE=$D/acme-app.git WORK=$D/acme-app HOOK_SECRET=$APP_SECRET
  broken long.yml <<'X'
on: push
jobs:
  long:
    runs-on: ubuntu-latest
    steps:
      - run: echo began; sleep 60
X
  ok 'a job runs' wait_for 20 is_run 9 running
  cat >"$T/interrupt.py" <<'X'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
out, sent = b'', False
while True:
    try:
        got = os.read(fd, 4096)
    except OSError:
        break
    out += got
    if not sent and b'\nbegan' in out:
        sent = os.write(fd, b'\x03') == 1
print(out.decode())
print('signal', os.WTERMSIG(os.waitpid(pid, 0)[1]))
X
  chmod 644 "$T/interrupt.py"
  out=$(as_owner timeout 60 python3 "$T/interrupt.py" "$SLUICE" logs -f 9/long --data "$D/data" | tr -d '\r')
  like "$out" 'stopped following; run 9 goes on: sluice logs -f 9/long' 'Ctrl-C says that the run goes on'
  like "$out" 'signal 2' 'and ends the command as a signal does'
  ok 'it does' is_run 9 running
  S cancel 9 --force 2>/dev/null
else
  skip 'python3 is not installed' 4
fi

# ---- those that have a name nearby, and no server ----
for words in 'runs 99' 'runs --repo acme/none' 'runs --state failing' 'runs --branch none' 'logs 1/lnit' 'explain 1/none' 'approve 1 staging' 'cancel 99' 'rerun 99' 'repo check acme/none' \
  'repo add acme/app --url /srv/x' 'audit --vreb x' 'secret sett X'; do
  # shellcheck disable=SC2086 # words on purpose
  { S $words; echo "exit $?"; } 2>&1 </dev/null | sed "s|^|sluice $words: |"
done >"$T/seen"
golden mistakes 'mistakes are answered'
started=$(value "$(S status --format json)" up_ms)
push again >/dev/null
sleep 0.3
ok 'the server counts from its start, not from its last change' \
  [ "$(value "$(S status --format json)" up_ms)" -gt "$started" ]

# ---- and nothing of it stays, by any name ----
echo "$D/data" >"$T/data-folder" # in a file, so that grep does not find itself
named() { grep -lFf "$T/data-folder" /proc/[0-9]*/cmdline 2>/dev/null; }
isnt "$(named)" '' 'control: a server that runs is found by its folder'
serve_stop
is "$(named)" '' 'no process of a stopped server is left'
done_testing
