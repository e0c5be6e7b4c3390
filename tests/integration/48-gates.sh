#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# slow
# Gates, from outside: who opens them, by which way, who cannot, and what becomes of those
# that nobody opens. The deploy leaves a line in its log; nothing may be there before.
. tests/lib/tap.sh
. tests/lib/serve.sh
need_server

serve_start 'capacity: 2' || { fail 'the server starts'; done_testing; exit; }
project acme/app
for who in alice bob carol; do
  S token create "$who" --scope approve,run >"$T/token.$who" 2>/dev/null
done
S token create reader --scope read >"$T/token.reader" 2>/dev/null
S token create stranger --scope approve >"$T/token.stranger" 2>/dev/null
for key in ops spare; do S key add "$key" >"$T/key.$key" 2>/dev/null; done
printf 'deploy-secret-value' | S secret set KEY --repo acme/app 2>/dev/null
as_owner tee "$D/environments.yml" >/dev/null <<'X'
production:
  reviewers: [admin, alice, bob, carol, reader, 'key:ops']
  required: 1
both:
  reviewers: [bob, carol]
  required: 2
short:
  reviewers: [bob]
  expires_minutes: 1
release:
  required: 0
  branches: [release]
X
ok 'rules are applied' S environments apply "$D/environments.yml" --repo acme/app

deploys_to() {
  workflow deploy.yml <<X
on: push
jobs:
  deploy:
    runs-on: ubuntu-latest
    environment: $1
    steps:
      - run: echo "deployed to $1 with \${{ secrets.KEY }}"
X
}
RUN=0
# waiting ENVIRONMENT: a push whose run waits there; sets $RUN, $GATE, $DIGEST.
waiting() {
  deploys_to "$1"
  push "deploy to $1 $RUN" refs/heads/main alice || diag "$code $out"
  RUN=$((RUN + 1))
  wait_gate "$RUN" || diag "run $RUN: $(run_state "$RUN")"
}
gate_state() { value "$(api GET "/api/v1/gates/$1")" state; }
untouched() { # RUN: nothing of it has run or been decrypted
  [ "$(value "$(S audit --run "$1" --verb secret.decrypt --format json)" 'items[0].verb')" != secret.decrypt ] &&
    ! grep -q '^deployed' <(S logs "$1" 2>/dev/null)
}
opened() { wait_run "$1" success && grep -q '^deployed to' <(S logs "$1"); }

# decide WHO GATE DECISION [MEMBERS]: through the API with a token of WHO's; MEMBERS are the
# digest that was shown, if nothing else is said.
decide() {
  code=$(curl -sS -m 20 -o "$T/decide.out" -w '%{http_code}' -H "Authorization: Bearer $(cat "$T/token.$1")" \
    -H 'Content-Type: application/json' -d "{\"decision\":\"$3\",${4:-\"digest\":\"$DIGEST\"}}" "$URL/api/v1/gates/$2/decision")
  out=$(cat "$T/decide.out")
}

# The signed webhook, each part of which can be said otherwise.
signed() {
  local key=ops secret body path decision=approve gate=$GATE to=$GATE digest=$DIGEST ts nonce sig='' cut=''
  ts=$(date +%s)
  nonce=$(openssl rand -hex 16)
  secret=$(cat "$T/key.ops")
  local "$@"
  body=${body:-"{\"gate\":\"$gate\",\"decision\":\"$decision\",\"digest\":\"$digest\"}"}
  path=/hooks/approvals/$to
  [ -n "$sig" ] || sig=$(printf '%s\n%s\nPOST\n%s\n%s' "$ts" "$nonce" "$path" \
    "$(printf %s "$body" | sha256sum | cut -d' ' -f1)" | sign "$secret")
  [ -z "$cut" ] || sig=${sig:0:$cut}
  code=$(curl -sS -m 20 -o "$T/signed.out" -w '%{http_code}' -H "X-Sluice-Key: $key" \
    -H "X-Sluice-Timestamp: $ts" -H "X-Sluice-Nonce: $nonce" -H "X-Sluice-Signature: sha256=$sig" \
    -H 'Content-Type: application/json' -d "$body" "$URL$path")
  out=$(cat "$T/signed.out")
}

# One that nobody will decide: it is looked at last.
waiting short
SHORT=$RUN SHORT_GATE=$GATE SHORT_SINCE=$EPOCHSECONDS

# ---- nobody yet ----
waiting production
ok 'a deploy waits at its gate, nothing ran, nothing was decrypted' untouched "$RUN"
like "$(S explain "$RUN")" 'approv' 'explain says what it waits for'
like "$(S explain "$RUN")" 'bob' 'and who can open it'

# ---- those who cannot ----
decide alice "$GATE" approve
is "$code" 403 'who pushed it cannot approve it'
like "$out" 'had a part in run' 'and is told why'
decide reader "$GATE" approve
is "$code" 403 'nor can a reviewer whose token may only read'
decide stranger "$GATE" approve
is "$code" 403 'nor somebody who is no reviewer'
like "$out" 'no reviewer' 'and is told so'
code=$(curl -sS -o /dev/null -w '%{http_code}' -d '{"decision":"approve"}' "$URL/api/v1/gates/$GATE/decision")
is "$code" 401 'nor anybody without a token'
decide bob "$GATE" approve '"digest":"0000000000000000000000000000000000000000000000000000000000000000"'
is "$code" 409 'a vote on another workflow than this one is refused'
decide bob "$GATE" approve "\"digest\":\"$DIGEST\","'"sha":"1111111111111111111111111111111111111111"'
is "$code" 409 'and on another commit'
decide bob "$GATE" approve '"comment":"whatever it is"'
is "$code" 400 'and one that does not say on what'
like "$out" 'digest' 'and is told what is missing'
decide bob "$GATE" perhaps
is "$code" 400 'and a word that is no decision'
decide bob 999999 approve
is "$code" 404 'and a gate that is not there'
is "$(gate_state "$GATE")" pending 'it still waits'
ok 'untouched' untouched "$RUN"

# ---- the signed webhook, wrongly ----
signed secret=wrong-key-wrong-key-wrong-key-wrong
is "$code" 401 'signed webhook: a wrong key is refused'
first=$(sed 's/"request":"[^"]*"//' "$T/signed.out")
refused=0 n=0
refuse() { # WHAT ARGUMENT...: the same answer as to a wrong key
  local what=$1
  shift
  signed "$@"
  n=$((n + 1))
  if [ "$code" = 401 ] && [ "$(sed 's/"request":"[^"]*"//' "$T/signed.out")" = "$first" ]; then
    refused=$((refused + 1))
  else
    diag "$what: $code $out"
  fi
}
refuse 'the key of the push hook' secret="$HOOK_SECRET"
refuse 'a key nobody has' key=nobody
refuse 'the name of another key' key=spare
refuse 'an old timestamp' ts=$(($(date +%s) - 400))
refuse 'a timestamp to come' ts=$(($(date +%s) + 400))
refuse 'a truncated signature' cut=63
refuse 'half a signature' cut=32
refuse 'a signature of nothing' cut=1
refuse 'a nonce that is too short' nonce=abc
refuse 'a signature for another body' sig="$(printf other | sign "$(cat "$T/key.ops")")"
is "$refused" "$n" "and so, to the byte, are $n more"
signed key=spare secret="$(cat "$T/key.spare")"
is "$code" 403 'a good key that is no reviewer is refused'
signed gate="$SHORT_GATE"
is "$code" 400 'the body of another gate is refused'
signed digest=2222222222222222222222222222222222222222222222222222222222222222
is "$code" 409 'and a stale digest'
signed body='{"gate":"'"$GATE"'","decision":"approve"}'
is "$code" 400 'and a body without a digest'
signed decision=maybe
is "$code" 400 'and no decision'
is "$(gate_state "$GATE")" pending 'it still waits'
ok 'and is untouched' untouched "$RUN"

# ---- the signed webhook, rightly; and once ----
NONCE=$(openssl rand -hex 16)
signed nonce="$NONCE"
is "$code" 200 'the signed webhook opens it'
ok 'and the deploy runs, with its secret' opened "$RUN"
like "$(S audit --run "$RUN" --verb gate.)" 'key:ops' 'the audit names the key'
signed nonce="$NONCE"
is "$code" 409 'the same call once more changes nothing'
OLD_GATE=$GATE
waiting production
signed nonce="$NONCE"
is "$code" 409 'a nonce counts once, at another gate too'
like "$out" 'same nonce' 'and that is said'
signed gate="$OLD_GATE" to="$OLD_GATE"
is "$code" 409 'a gate that was opened cannot be opened again'
signed decision=reject
is "$code" 200 'the signed webhook rejects'
ok 'and the run fails' wait_run "$RUN" failure
ok 'untouched' untouched "$RUN"

# ---- by command ----
waiting production
exits 2 'without a terminal the command wants the name of the environment' S approve "$RUN"
exits 1 'and knows when there is none of that name' S approve "$RUN" staging
exits 0 'the command opens it' S approve "$RUN" production --comment 'looks right'
ok 'and the deploy runs' opened "$RUN"
exits 1 'a second time it says what happened' S approve "$RUN" production
waiting production
exits 0 'the command rejects it' S reject "$RUN" production --comment 'not on a Friday'
ok 'and the run fails' wait_run "$RUN" failure
like "$(S explain "$RUN")" 'not on a Friday' 'with what was said'
ok 'untouched' untouched "$RUN"

# ---- what would be deployed is shown ----
as_owner mkdir -p "$WORK/db/migrations" "$WORK/src"
echo 'DROP TABLE carts;' | as_owner tee "$WORK/db/migrations/7.sql" >/dev/null
echo 'int x;' | as_owner tee "$WORK/src/<b>x.c" >/dev/null
git_as_owner -C "$WORK" add -A
git_as_owner -C "$WORK" commit -q -m 'Drop <i>carts</i>'
git_as_owner -C "$WORK" commit -q --allow-empty -m 'A second one'
waiting production
page=$(api GET "/gates/$GATE")
like "$page" 'of 2 files changed' 'a gate shows how many files changed since what runs there'
like "$page" '<td class="mono">db/migrations/7.sql</td><td><span class="st wait">migration' 'the risky ones first, with the reason'
like "$page" '1 other file<.*src/&lt;b&gt;x.c' 'then the others'
like "$page" 'A second one</td>.*Drop &lt;i&gt;carts&lt;/i&gt;</td><td>alice</td>' 'and the commits, newest first, escaped'
like "$(S token link --gate "$GATE" --format json)" '"token":"([^"]*)"' 'the bearer of a link for this gate'
page=$(curl -sS -m 20 "$URL/approve/${BASH_REMATCH[1]}")
like "$page" 'Drop &lt;i&gt;carts' 'sees the same'
S reject "$RUN" production --comment no 2>/dev/null
mv "$D/data/repos" "$D/data/away"
page=$(api GET "/gates/$GATE")
like "$page" 'The commits between cannot be told: ' 'a mirror that is gone is said, never left blank'
mv "$D/data/away" "$D/data/repos"

# ---- by the API, two at once ----
both_at_once() { # DECISION OF BOB, OF CAROL
  for who in "bob $1" "carol $2"; do
    curl -sS -m 20 -o "$T/at.${who% *}" -w '%{http_code}\n' -H "Authorization: Bearer $(cat "$T/token.${who% *}")" \
      -d "{\"decision\":\"${who#* }\",\"digest\":\"$DIGEST\"}" "$URL/api/v1/gates/$GATE/decision" >"$T/code.${who% *}" &
  done
  wait $! && wait
  sort "$T/code.bob" "$T/code.carol" | tr '\n' ' '
}
waiting production
is "$(both_at_once approve approve)" '200 409 ' 'of two who approve at the same time one wins'
like "$(cat "$T/at.bob" "$T/at.carol")" "gate $GATE of run $RUN is approved by (bob|carol)" 'the other is told who did'
ok 'it runs once' opened "$RUN"
is "$(S logs "$RUN" | grep -c '^deployed')" 1 'and not twice'
waiting production
is "$(both_at_once approve reject)" '200 409 ' 'of one who approves and one who rejects one wins'
wait_for 20 has_ended "$RUN"
like "$(gate_state "$GATE") $(run_state "$RUN")" '^(approved success|rejected failure)$' 'and the run ends so'

# ---- two of two ----
waiting both
decide bob "$GATE" approve
is "$code" 200 'the first of two approvals counts'
is "$(gate_state "$GATE")" pending 'and opens nothing'
decide bob "$GATE" approve
is "$code" 409 'the same person counts once'
decide admin "$GATE" approve 2>/dev/null
ok 'untouched' untouched "$RUN"
decide carol "$GATE" approve
is "$code" 200 'the second'
ok 'opens it' opened "$RUN"

# ---- again ----
before=$GATE
S rerun "$RUN" >"$T/rerun.out" 2>&1
ok 'a re-run asks again' wait_gate "$RUN"
isnt "$GATE" "$before" 'at a new gate'
decide bob "$before" approve
is "$code" 409 'the old one is closed'
S cancel "$RUN" >"$T/cancel.out" 2>&1
ok 'a cancelled run ends' wait_run "$RUN" cancelled
is "$(gate_state "$GATE")" void 'and its gate is void'
decide bob "$GATE" approve
is "$code" 409 'so that nobody opens it'

# ---- overtaken ----
waiting production
OLD=$RUN OLD_GATE=$GATE
waiting production
ok 'a newer push ends the older deploy' wait_run "$OLD" cancelled
is "$(gate_state "$OLD_GATE")" superseded 'whose gate is superseded'
decide bob "$OLD_GATE" approve
is "$code" 409 'and cannot be opened'
like "$out" "superseded by run $RUN" 'with the run that took its place'
ok 'it was never touched' untouched "$OLD"
S reject "$RUN" production >/dev/null 2>&1

# ---- without rules, and where no rule allows it ----
waiting nowhere
ok 'an environment without rules waits as well' untouched "$RUN"
decide alice "$GATE" approve
is "$code" 403 'who pushed cannot open that either'
decide reader "$GATE" approve
is "$code" 403 'nor who may only read'
decide stranger "$GATE" approve
is "$code" 200 'one with the scope to approve can'
ok 'and it runs' opened "$RUN"
deploys_to release
push 'release from main'
RUN=$((RUN + 1))
ok 'a branch that no rule allows is refused' wait_run "$RUN" failure
like "$(S explain "$RUN")" "refuses 'refs/heads/main'" 'with the reason'
ok 'untouched' untouched "$RUN"

# ---- nobody in time ----
[ $((EPOCHSECONDS - SHORT_SINCE)) -ge 60 ] || is "$(gate_state "$SHORT_GATE")" pending 'a gate waits as long as its rules say'
ok 'and then the run fails' wait_run "$SHORT" failure $((65 - EPOCHSECONDS + SHORT_SINCE))
is "$(gate_state "$SHORT_GATE")" expired 'its gate is expired'
decide bob "$SHORT_GATE" approve
is "$code" 409 'and cannot be opened any more'
ok 'untouched' untouched "$SHORT"
ok 'the invariants hold' S check
serve_stop
done_testing
