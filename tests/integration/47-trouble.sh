#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# slow
# What goes wrong from outside: each trouble has a clear error in the right place, and the
# server goes on (a good push after it succeeds).
. tests/lib/tap.sh
. tests/lib/serve.sh
need_server

serve_start 'capacity: 2' || { fail 'the server starts'; done_testing; exit; }

good_workflow() {
  workflow good.yml <<'X'
on: push
jobs:
  good:
    runs-on: ubuntu-latest
    steps:
      - run: echo good
X
}
last_run() { value "$(S runs --format json)" 'items[0].id'; }
runs_count() { S runs --format json | perl -0ne 'print scalar(() = /"number":/g)'; }
# goes_on WHAT: a good push of the first project still becomes a run that succeeds.
goes_on() {
  local before after
  before=$(last_run)
  in_project acme/app
  good_workflow
  push "good after $1"
  wait_for 20 newer_than "$before"
  after=$(last_run)
  ok "after $1 a good push succeeds" wait_run "$after" success
}
newer_than() { [ "$(last_run)" != "$1" ]; }
declare -A hook_secrets=()
in_project() {
  PROJECT=$1 BARE=$D/${1//\//-}.git WORK=$D/${1//\//-} HOOK_SECRET=${hook_secrets[$1]}
}
new_project() {
  project "$@"
  hook_secrets[$1]=$HOOK_SECRET
}
# What the page of the repository says about its last deliveries.
repo_page() { api GET "/repos/$1/hook"; }
# event_fails REGEX NAME: the last event of $PROJECT fails, and page and API say why.
event_fails() {
  wait_for 30 event_has "$1"
  like "$(api GET "/api/v1/deliveries?repo=$PROJECT&limit=1")" "$1" "$2: the API says why"
  like "$(repo_page "$PROJECT")" "$1" "$2: the page of its webhook says why"
  like "$(S audit --verb event.)" "$1" "$2: the command line says why"
}
event_has() { [[ $(api GET "/api/v1/deliveries?repo=$PROJECT&limit=1") =~ $1 ]]; }
# fails_as_run REGEX NAME: a push becomes a run that failed before any step, and says why.
fails_as_run() {
  local before
  before=$(last_run)
  push "$2"
  is "$code" 202 "$2: the push is accepted"
  wait_for 20 newer_than "$before"
  FAILED=$(last_run)
  ok "$2: its run fails" wait_run "$FAILED" failure
  like "$(S explain "$FAILED" 2>&1; S runs "$FAILED")" "$1" "$2: the command line says why"
  like "$(api GET "/runs/$FAILED")" "$1" "$2: the page of the run says why"
}

new_project acme/other
good_workflow
push other
new_project acme/app
good_workflow

# ---- a client that never ends its request (looked at below) ----
cat >"$T/slow.pl" <<'X'
use Socket; use Time::HiRes qw(time sleep);
socket(my $s, PF_INET, SOCK_STREAM, 0); connect($s, sockaddr_in($ARGV[0], INADDR_LOOPBACK)) or die;
$SIG{PIPE} = 'IGNORE'; $| = 1; my $began = time;
syswrite($s, "POST /hooks/generic HTTP/1.1\r\nHost: x\r\n");
while (time - $began < 25) {
  my $r = ''; vec($r, fileno($s), 1) = 1;
  if (select($r, undef, undef, 0.4)) { my $n = sysread($s, my $b, 4096); last if !$n; next }
  syswrite($s, "X-$i: y\r\n") or last; $i++;
}
printf "closed after %.0f\n", time - $began;
X
SLOW=$((EPOCHSECONDS + 12))
for i in 1 2 3 4 5; do spawn "slow$i" perl "$T/slow.pl" "${URL##*:}"; done

# ---- signatures ----
push_body 1111111111111111111111111111111111111111 >"$T/body.json"
good=$(sign "$HOOK_SECRET" <"$T/body.json")
other=$(sign "${hook_secrets[acme/other]}" <"$T/body.json")
PUSH=(-H 'Content-Type: application/json' -H 'X-Sluice-Event: push')
stripped() { sed 's/"request":"[^"]*"//' "$T/hook.out"; }
signed_with() { # HEADER...: without the good one
  code=$(curl -sS -o "$T/hook.out" -w '%{http_code}' "${PUSH[@]}" "$@" \
    --data-binary "@$T/body.json" "$URL/hooks/generic?repo=${repo_named:-acme/app}")
}
signed_with
first=$(stripped)
is "$code" 401 'a push without a signature is refused'
like "$first" 'no hook here has this signature' 'and told so'
same=0 n=0
flip=$(tr 0123456789abcdef 123456789abcdef0 <<<"${good:0:1}")${good:1}
for h in "sha256=$flip" "sha256=${good:0:63}" "sha256=${good}0" "sha256=${good^^}" "$good" "sha1=${good:0:40}" "sha256=" \
  "sha256= $good" "sha512=$good" "sha256=$other"; do
  signed_with -H "X-Sluice-Signature: $h"
  n=$((n + 1))
  if [ "$code" = 401 ] && [ "$(stripped)" = "$first" ]; then same=$((same + 1)); else diag "$h: $code $(stripped)"; fi
done
is "$same" "$n" 'each wrong signature has the same answer, to the byte'
repo_named=acme/nothing signed_with -H "X-Sluice-Signature: sha256=$good"
is "$code $(stripped)" "401 $first" 'so has a repository that is not there'
signed_with -H "X-Hub-Signature-256: sha256=$good"
is "$code $(stripped)" "401 $first" 'and a signature in the header of another forge'

# ---- the wrong repository ----
code=$(curl -sS -o "$T/hook.out" -w '%{http_code}' "${PUSH[@]}" \
  -H "X-Sluice-Signature: sha256=$other" --data-binary "@$T/body.json" "$URL/hooks/generic")
is "$code" 403 'a hook that names another repository is refused'
like "$(stripped)" "this hook is for 'acme/other', the body names 'acme/app'" 'with both names'
like "$(S audit --verb hook. --format json)" 'hook.wrong_repo' 'and audited'

# ---- shapes ----
bad_body() { # TEXT
  printf %s "$1" >"$T/bad.json"
  hook "$T/bad.json"
}
bad_body 'no JSON at all'
is "$code" 400 'a signed body that is no JSON is refused'
like "$out" 'message' 'with a reason'
bad_body "$(printf '[%.0s' {1..2000})"
is "$code" 400 'a body nested 2000 deep is refused'
bad_body '{"event":"push","event":"ping"}'
is "$code" 400 'a body with a key twice is refused'
push_body 1111111111111111111111111111111111111111 | sed 's/"time":[0-9]*/"time":1000000000/' >"$T/old.json"
hook "$T/old.json"
is "$code" 400 'a body from long ago is refused'
like "$out" 'time' 'and says so'
goes_on 'refused hooks'

# ---- replays ----
in_project acme/app
before=$(runs_count)
push_body "$SHA" '' refs/heads/replay >"$T/replay.json"
git_as_owner -C "$WORK" push -q -f "$BARE" HEAD:refs/heads/replay
hook "$T/replay.json" -H 'X-Sluice-Delivery: delivery-1'
is "$code" 202 'a delivery is accepted'
hook "$T/replay.json" -H 'X-Sluice-Delivery: delivery-1'
is "$code" 200 'again, it is a duplicate'
like "$out" duplicate 'and called one'
hook "$T/replay.json" -H 'X-Sluice-Delivery: delivery-2'
is "$code" 200 'its body under a new delivery id too'
push_body "$SHA" '' refs/heads/replay >"$T/replay2.json"
hook "$T/replay2.json" -H 'X-Sluice-Delivery: delivery-1'
is "$code" 200 'and another body under its id'
push_body "$SHA" '' refs/heads/replay >"$T/many.json"
curl -sS -Z --parallel-max 100 --parallel-immediate -o /dev/null -w '%{http_code}\n' "${PUSH[@]}" \
  -H "X-Sluice-Signature: sha256=$(sign "$HOOK_SECRET" <"$T/many.json")" --data-binary "@$T/many.json" \
  "$URL/hooks/generic?repo=acme/app&n=[1-100]" >"$T/codes" 2>"$T/many.err"
is "$(sort "$T/codes" | uniq -c | tr -s ' \n' ' ')" ' 99 200 1 202 ' 'of 100 at the same time one is accepted'
has_runs() { [ "$(runs_count)" -ge "$1" ]; }
wait_for 20 has_runs $((before + 2))
is "$(runs_count)" $((before + 2)) 'what was accepted twice is two runs, not a hundred'
ok 'which succeed' wait_run "$(last_run)" success

# ---- too much ----
head -c $((30 * 1024 * 1024)) /dev/zero >"$T/huge"
rss() { sed -n 's/^VmHWM:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$1/status"; }
WEB=$(web_of "$CORE" "$D/data")
hook "$T/huge"
is "$code" 413 'a body of 30 MiB is refused'
hook "$T/huge" -H 'Transfer-Encoding: chunked'
is "$code" 413 'in chunks too'
ok 'and was never held in memory' test "$(rss "$WEB")" -lt 60000
code=$(curl -sS -m 20 -o /dev/null -w '%{http_code}' -H "X-Large: $(head -c 60000 /dev/zero | tr '\0' a)" "$URL/health/live")
like "$code" '^(400|431|000)$' 'a header of 60 kB is refused'

# ---- slow clients ----
served=0
for i in 1 2 3 4 5; do curl -fsS -m 1 "$URL/health/ready" >/dev/null && served=$((served + 1)); done
is "$served" 5 'while clients dawdle others are served at once'
[ "$EPOCHSECONDS" -ge "$SLOW" ] || sleep $((SLOW - EPOCHSECONDS))
for i in 1 2 3 4 5; do wait_for_text 12 "$T/slow$i.out" 'closed after' || true; done
like "$(cat "$T"/slow?.out)" '^(closed after (9|10|11|12).?){5}$' 'a header that takes longer than 10 s is cut off'
goes_on 'slow clients'

# ---- workflows that cannot be planned ----
printf 'on: push\njobs:\n  a: [unclosed\n  b: {\n' | workflow good.yml
fails_as_run 'good.yml:[0-9]+:[0-9]+' 'malformed YAML'
{
  printf 'on: push\nenv:\n  a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n'
  for i in 1 2 3 4 5 6 7 8 9; do
    printf '  a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n' $i $i $((i - 1)) $((i - 1)) $((i - 1)) \
      $((i - 1)) $((i - 1)) $((i - 1)) $((i - 1)) $((i - 1)) $((i - 1))
  done
  printf 'jobs:\n  a:\n    runs-on: x\n    steps: [{run: "true"}]\n'
} | workflow good.yml
fails_as_run '(good.yml.*(nodes|too|large|limit|more than)|more than.*good.yml)' 'a YAML bomb'
{
  printf 'on: push\njobs:\n  a:\n    runs-on: x\n    steps: [{run: "true"}]\n'
  head -c $((1536 * 1024)) /dev/zero | tr '\0' '#'
} | workflow good.yml
fails_as_run '(1048576|1 MiB|MiB|larger|too large)' 'a workflow of 1.5 MiB'
workflow good.yml <<'X'
on: push
jobs:
  a:
    runs-on: ubuntu-latest
    steps:
      - run: echo before
      - uses: acme/there-is-none@v1
X
fails_as_run 'acme/there-is-none' 'an unknown action'
like "$(S logs "$FAILED")" 'acme/there-is-none' 'an unknown action: the log says so'
goes_on 'broken workflows'

# ---- repositories that cannot be read ----
PORT=$(free_port)
new_project acme/away "http://127.0.0.1:$PORT/away.git"
push_body 2222222222222222222222222222222222222222 >"$T/away.json"
hook "$T/away.json"
is "$code" 202 'a push to a repository that cannot be reached is accepted'
event_fails "cannot fetch from 127.0.0.1" 'an unreachable clone URL'
capture S repo check acme/away
is "$status" 1 'repo check finds the same: the answer is no, the server is there'
like "$err" "^repo: cannot reach 'acme/away'.*$PORT.*; " 'and says where, and what to do'
capture S repo check acme/away --format json
is "$status $(value "$out" reachable)" '1 false' 'so it does as JSON'
capture S dispatch ci.yml --repo acme/away
is "$status" 1 'nor can a workflow there be started by hand'
new_project acme/gone
rm -rf "$BARE"
push_body 3333333333333333333333333333333333333333 >"$T/gone.json"
hook "$T/gone.json"
event_fails "cannot (fetch|open|read)" 'a repository that was removed'

# A commit that was forced away before it could be planned.
in_project acme/app
good_workflow
git_as_owner -C "$WORK" commit -q --allow-empty -m away
AWAY=$(git_as_owner -C "$WORK" rev-parse HEAD)
git_as_owner -C "$WORK" reset -q --hard HEAD~1
push_body "$AWAY" >"$T/away.json"
hook "$T/away.json"
is "$code" 202 'a push of a commit that is gone is accepted'
event_fails "${AWAY:0:7}" 'a commit that is gone'
goes_on 'all of it'
ok 'the invariants hold' S check
serve_stop

# ---- a full disk ----
full() { # a server whose data directory is on a small file system
  D=$T/small
  serve_root=
  mkdir -p "$D"
  mount -t tmpfs -o size=24m,mode=755 tmpfs "$D" 2>/dev/null
}
if [ "$(id -u)" -ne 0 ] || ! full; then
  skip 'a full disk takes root and a file system of its own' 18
  done_testing
  exit
fi
at_end "umount $T/small"
chown "$SERVICE:" "$D"
serve_start 'capacity: 1' || fail 'a server on 24 MB starts'
project acme/app
good_workflow
push first
ok 'a push on a small file system succeeds' wait_run 1 success
git_as_owner -C "$WORK" commit -q --allow-empty -m second
SHA=$(git_as_owner -C "$WORK" rev-parse HEAD)
git_as_owner -C "$WORK" push -q "$BARE" HEAD:refs/heads/main
push_body "$SHA" >"$T/full.json"
dd if=/dev/zero of="$D/fill" bs=64k 2>/dev/null
hook "$T/full.json"
is "$code" 503 'a webhook on a full disk is not accepted [RS04]'
like "$out" 'disk.*send it again' 'and the sender is told why, and to send it again'
ok 'the server still answers [RS04]' curl -fsS "$URL/health/ready"
ok 'and shows its runs' is_run 1 success
rm -f "$D/fill" # and now what is kept back is left
head -c "$(($(df --output=avail -k "$D" | tail -n 1) - 600))k" /dev/zero >"$D/fill"
capture S status
like "$out" 'attention +the disk of the data directory is nearly full \(' 'status says it'
capture S rerun 1
is "$status" 0 'what a person asks for is taken, from the space that is kept back'
is_held() { [ "$(value "$(api GET /api/v1/queue)" 'ready[0].state')" = queued ]; }
ok 'but waits' wait_for 5 is_held
like "$(api GET /queue)" 'id="disk">Stopped: the disk of the data directory is nearly full' 'each page says so'
like "$(api GET /queue)" '<td>the disk of the data directory is nearly full' 'and the queue why the job waits'
rm -f "$D/fill"
ok 'it starts by itself when there is space' wait_run 1 success
is_mended() { [[ $(api GET /queue) != *'nearly full'* ]]; }
ok 'and the pages say no more of it' wait_for 5 is_mended
unlike "$(S status)" 'attention' 'nor does status'
hook "$T/full.json"
is "$code" 202 'when there is space again the same delivery is accepted [RS04]'
last_succeeds() { is_run "$(last_run)" success && [ "$(last_run)" -gt 1 ]; }
ok 'and its run succeeds [RS04]' wait_for 20 last_succeeds
ok 'the invariants hold' S check
serve_stop
done_testing
