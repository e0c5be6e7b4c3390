#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `sluice run`: words, exit status, selections, gates, secrets, what it leaves behind.
. tests/lib/tap.sh
need git

W=$T/tree
export XDG_STATE_HOME=$T/state
mkdir -p "$W/.github/workflows" && cd "$W" || exit 1
git init -q -b main . && git config user.name Mira && git config user.email mira@example.com
cat >.github/workflows/ci.yml <<'YML'
name: CI
on: [push, workflow_dispatch]
jobs:
  lint:
    runs-on: ubuntu-latest
    steps:
      - name: Say
        run: echo lint says hello; echo "::warning file=a.c,line=3::careful"
  test:
    needs: lint
    runs-on: [self-hosted, anything]
    strategy: {matrix: {v: [one, two]}}
    steps:
      - uses: actions/checkout@v4
      - run: echo "row ${{ matrix.v }} of $(cat kept.txt) and $(cat new.txt)"; touch made-by-the-job
  fails:
    needs: lint
    if: vars.FAIL == 'yes'
    runs-on: x
    steps: [{run: 'echo about to fail; exit 3'}]
  after:
    needs: fails
    if: vars.FAIL == 'yes'
    runs-on: x
    steps: [{run: echo never}]
YML
echo kept >kept.txt
git add -A && git commit -qm 'Begin' && echo new >new.txt

capture timeout 60 "$SLUICE" run
[[ $out$err == *'sandbox'* ]] && [ "$status" -ne 0 ] && skip_all "no job can run here: $(grep -m 1 sandbox <<<"$out$err")"

# ---- the words ----
is "$status" 0 'a run that succeeds exits 0'
like "$out" '^sluice += run: ci.yml on push, main [0-9a-f]{7} \+ 1 changed file, [0-9]+ jobs, profile ' 'the first line says what runs'
like "$out" $'\nlint +\\| lint says hello\n' 'a line of a step has a bar in a fixed column'
like "$out" $'\nlint += step 1/1 Say +ci.yml:7\n' 'a step is announced with its place'
like "$out" $'\nlint +=.*careful' 'a warning is the word of sluice'
like "$out" $'\ntest \\(one\\) +\\| row one of kept and new\n' 'the tree is that of now, uncommitted files too'
like "$out" $'\nfails +=? ?=? ?skipped' 'a job that is not wanted is skipped'
like "$out" $'\nsluice +   = |sluice += success ' 'the last word is the verdict'
nok 'the tree is left alone' test -e made-by-the-job
is "$(git status --porcelain)" '?? new.txt' 'git sees nothing new'

exits 1 'a failing step makes it exit 1' timeout 60 "$SLUICE" run --var FAIL=yes
like "$out" 'fails +\| about to fail' 'what it printed is there'
like "$out" 'fails +   = |fails += step 1/1 failure .*exit 3' 'and its exit code'
like "$out" 'after +=? ?=? ?skipped: needs fails: failure' 'what needs it says why it is skipped'
like "$out" 'whole log: ' 'and where the whole log is'
ok 'the whole log is kept' test -s "$(sed -n 's/.*whole log: //p' <<<"$out")"

# ---- on a terminal: the block goes, what stays ends with this ----
if command -v script >/dev/null; then
  TERM=xterm LANG=C.UTF-8 timeout 60 script -qec "stty cols 100; $SLUICE run -W .github/workflows/ci.yml --var FAIL=yes" \
    /dev/null </dev/null >"$T/terminal" 2>&1
  # Every cursor movement ends a line here: the last words are those that stand.
  last=$(tr -d '\r' <"$T/terminal" | sed 's/\x1b\[[0-9;]*m//g; s/\x1b\[[0-9;?]*[A-Za-z]/\n/g' | sed '1,/^failure  ci.yml on push/d')
  like "$last" '✓ lint +success +[0-9]' 'on a terminal the summary has a line for each job'
  like "$last" '✗ fails +failure +[0-9.ms]+ +step 1: exit 3|✗ fails +failure .*exit 3' 'with the step that failed'
  like "$last" '- after +skipped +needs fails: failure' 'or why it was skipped'
  like "$last" 'whole log  .*/log +again: sluice run -W .github/workflows/ci.yml -j fails'$'\n*$' \
    'and the command that runs what failed once more'
  like "$(cat "$T/terminal")" $'\x1b\\[31m' 'in colours'
  NO_COLOR=1 TERM=xterm timeout 60 script -qec "$SLUICE run -j lint" /dev/null </dev/null >"$T/terminal" 2>&1
  unlike "$(cat "$T/terminal")" $'\x1b\\[[0-9;]*m' 'which NO_COLOR leaves out'
else
  skip 'script is not installed' 6
fi

# ---- usage ----
exits 2 'an unknown flag is a usage error' "$SLUICE" run --nonsense
exits 2 'so is a pair without a value' "$SLUICE" run --var X
exits 1 'a missing event names those there are' "$SLUICE" run --event release
like "$err" "no workflow here has 'on: release'; these have: push \(ci.yml\)" 'in these words'
exits 1 'a missing file is named' "$SLUICE" run -W nowhere.yml
like "$err" "nowhere.yml" 'by its name'

# ---- selections ----
exits 0 '--list lists' "$SLUICE" run --list
like "$out" $'2\ttest\t2\tlint' 'stages, rows and needs'
exits 0 '--dry-run runs nothing' "$SLUICE" run --dry-run
like "$out" 'lint +runs +1 step' 'and says what would'
exits 0 'one job and what it needs' timeout 60 "$SLUICE" run --format json -j test --matrix v:two
is "$(grep -c '"type":"job"' <<<"$out")" 2 'a row that was chosen, and its need'
like "$out" '"name":"test \(two\)","conclusion":"success"' 'is the right one'
ok 'stdout is JSON alone' perl -MJSON::PP -ne 'decode_json($_)' "$T/.out"
exits 1 'an unknown job is refused' timeout 60 "$SLUICE" run -j nothing

# ---- secrets, env, inputs ----
cat >more.yml <<'YML'
on:
  workflow_dispatch:
    inputs: {loud: {type: boolean, default: false}, who: {type: string, required: true}}
env: {LEVEL: workflow}
jobs:
  s:
    runs-on: x
    env: {KEY: '${{ secrets.KEY }}'}
    steps:
      - run: echo "key is $KEY, $(echo -n "$KEY" | base64), loud ${{ inputs.loud == true }} ${{ inputs.who }}"
      - run: echo "${{ env.LEVEL }} ${{ env.EXTRA }} ${{ vars.REGION }}"
YML
exits 0 'inputs, secrets, variables and environment' timeout 60 env KEY=correct-horse "$SLUICE" run -W more.yml \
  --event workflow_dispatch --input loud=true --input who=mira --secret KEY --env EXTRA=extra --env LEVEL=mine --var REGION=eu
like "$out" 'key is \*\*\*, \*\*\*, loud true mira' 'arrive, typed, and the secret masked in both forms'
like "$out" 'workflow extra eu' '--env stands below the workflow'
nok 'the secret is in no file that is kept' grep -rq correct-horse "$XDG_STATE_HOME"
exits 1 'a required input that is missing is refused' timeout 60 "$SLUICE" run -W more.yml --event workflow_dispatch
exits 2 'a secret without value and without terminal is a usage error' "$SLUICE" run --secret NOT_THERE

# ---- gates ----
cat >gate.yml <<'YML'
on: push
jobs:
  deploy:
    runs-on: x
    environment: production
    steps: [{run: echo deployed}]
YML
exits 1 'a gate without an answer fails closed' timeout 60 "$SLUICE" run -W gate.yml
like "$out" 'no terminal and no --approve production' 'and says which flag opens it'
unlike "$out" '\| deployed' 'nothing ran'
exits 0 '--approve opens it' timeout 60 "$SLUICE" run -W gate.yml --approve Production
like "$out" '\| deployed' 'then it runs'

# ---- files that are wrong ----
printf 'on: push\njobs:\n  a:\n    runs_on: x\n' >broken.yml
exits 1 'a broken file runs nothing' timeout 60 "$SLUICE" run -W broken.yml
like "$err" "broken.yml:4:5: unknown key 'runs_on'" 'and says where and what'

# ---- in place, interrupts ----
if [ "$(id -u)" -eq 0 ]; then
  exits 1 'as root nothing can be run in place' "$SLUICE" run --in-place -j test
  like "$err" 'never run as root' 'and that is said at once'
else
  exits 0 '--in-place writes into the tree' timeout 60 "$SLUICE" run --in-place -j test --matrix v:one
  ok 'as asked' test -e made-by-the-job
fi
cat >slow.yml <<'YML'
on: push
jobs:
  slow:
    runs-on: x
    steps: [{run: 'echo began; sleep 100'}, {if: always(), run: echo tidied up}]
YML
spawn slow "$SLUICE" run -W slow.yml
wait_for_text 20 "$T/slow.out" 'began'
# bash gives children in the background an ignored SIGINT; sluice handles it all the same.
# shellcheck disable=SC2154 # spawn sets it
slow=${tap_pids[slow]}
kill -INT "$slow"
wait_for 20 tap_is_gone "$slow"
wait "$slow"
is "$?" 130 'an interrupted run dies of the signal'
like "$(cat "$T/slow.out")" 'tidied up' 'after its always() steps'
like "$(cat "$T/slow.out")" 'sluice.*cancelled' 'with a verdict'
is "$(find "$XDG_STATE_HOME/sluice/runs" -mindepth 1 -maxdepth 1 | wc -l)" "$(find "$XDG_STATE_HOME/sluice/runs" -name log | wc -l)" 'each run leaves its log'
is "$(find "$XDG_STATE_HOME/sluice/runs" -mindepth 2 ! -name log ! -name lock | head -n 3)" '' 'and nothing else'
nok 'no process stays' pgrep -f "$XDG_STATE_HOME"
cd "$SOURCE" || exit 1
done_testing
