#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Actions: composite and JavaScript ones, pre and post, from a folder of work trees and from
# the workspace; artifacts.
. tests/lib/tap.sh
. tests/lib/execjob.sh
need git
need_sandbox

# write_step PATH <<EOF: a step that makes a file of the workspace.
write_step() {
  local text
  text=$(base64 -w0)
  printf '{"run":"mkdir -p $(dirname %s); echo %s | base64 -d >%s"}' "$1" "$text" "$1"
}

# ---- composite, in the workspace ----
composite=$(write_step act/action.yml <<'EOF'
name: c
inputs:
  who: { required: true }
  flag: { default: true }
  from: { default: "${{ github.repository }}" }
outputs:
  out: { value: "${{ steps.inner.outputs.k }}" }
  env: { value: "${{ steps.inner.outputs.e }}" }
runs:
  using: composite
  steps:
    - id: inner
      shell: bash
      run: |
        echo "in ${{ inputs.who }} ${{ inputs.flag == 'true' }} ${{ inputs.from }} $OUTER $GLOBAL"
        echo "input env is ${INPUT_WHO-unset}"
        echo "k=${{ inputs.who }}!" >>$GITHUB_OUTPUT
        echo "e=$OUTER" >>$GITHUB_OUTPUT
        echo "FROM_INSIDE=yes" >>$GITHUB_ENV
        echo "OUTER=changed" >>$GITHUB_ENV
        echo "path ${{ github.action_path }}"
    - shell: bash
      run: echo "then $OUTER ${{ steps.caller.outputs.k || 'no outer steps' }}"
    - shell: bash
      if: inputs.who == 'fail'
      run: exit 5
    - shell: bash
      run: echo "after ${{ github.action_status }}"
    - shell: bash
      if: failure()
      run: echo "inner failure ${{ github.action_status }}"
    - shell: bash
      if: always()
      run: echo "inner always"
EOF
)
JOB_EXTRA='"env":{"GLOBAL":"g"}'
steps "$composite" '{"id":"caller","run":"echo k=v >>$GITHUB_OUTPUT"}' \
  '{"id":"c","uses":"./act","with":{"WHO":"you"},"env":{"OUTER":"o"}}' \
  '{"run":"echo out ${{ steps.c.outputs.out }} ${{ steps.c.outputs.env }} $FROM_INSIDE; echo OUTER=$OUTER; echo inner ${{ steps.inner.outputs.k }}."}' \
  '{"id":"f","uses":"./act","with":{"who":"fail"},"continue-on-error":true}' \
  '{"run":"echo failed gives ${{ steps.f.outputs.out }} ${{ steps.f.outcome }}"}' \
  '{"uses":"./act","with":{"who":"x","unknown":"y"}}' '{"uses":"./nothing","continue-on-error":true}'
job
JOB_EXTRA=
ok 'inputs, defaults and the caller'"'"'s env reach inside' grep -qx 'in you true acme/app o g' <<<"$log"
ok 'run steps of a composite get no INPUT_' grep -qx 'input env is unset' <<<"$log"
ok 'github.action_path is its folder' grep -qx 'path /home/runner/work/app/app/act' <<<"$log"
ok 'the caller'"'"'s env beats GITHUB_ENV inside; its steps are not seen' grep -qx 'then o no outer steps' <<<"$log"
ok 'outputs are mapped, GITHUB_ENV reaches later steps' grep -qx 'out you! o yes' <<<"$log"
ok 'GITHUB_ENV counts outside' grep -qx 'OUTER=changed' <<<"$log"
ok 'inner steps are not seen outside' grep -qx 'inner .' <<<"$log"
ok 'a failing inner step fails the action' has '"n":5,' '"outcome":"failure"' '"exit_code":5'
ok 'outputs are there all the same' grep -qx 'failed gives fail! failure' <<<"$log"
ok 'failure() is that of the action' grep -qx 'inner failure failure' <<<"$log"
is "$(grep -cx 'inner always' <<<"$log")" 3 'always() runs each time'
ok 'an unknown input is warned of' in_log "Unexpected input(s) 'unknown'"
ok 'a missing local action says what was probably forgotten' in_log 'Did you forget to run actions/checkout'

steps "$(write_step act/action.yml <<'EOF'
name: bad
runs: { using: composite, steps: [ { name: Foo }, { uses: Foo/Bar } ] }
EOF
)" '{"uses":"./act"}'
job
ok 'a composite of a wrong shape fails its step' step_is 2 failure
steps "$(write_step act/action.yml <<'EOF'
name: odd
runs:
  using: composite
  steps:
    - { run: 'echo before', shell: bash }
    - { run: 'echo odd', shell: bash, if: "fromJSON('{')" }
    - { run: 'echo not after', shell: bash, if: 'always()' }
EOF
)" '{"uses":"./act"}'
job
ok 'a condition that cannot be told ends the composite' in_log 'cannot be evaluated'
nok 'also for always()' grep -qx 'not after' <<<"$log"
steps "$(write_step act/action.yml <<'EOF'
name: self
runs: { using: composite, steps: [ { uses: ./act } ] }
EOF
)" '{"uses":"./act"}'
job
ok 'a composite that uses itself ends' ended failure
ok 'and says why' in_log 'nested more than'
steps "$(write_step act/action.yml <<'EOF'
name: d
runs: { using: docker, image: Dockerfile }
EOF
)" '{"uses":"./act"}'
job
ok 'a container action is refused with the reason' in_log 'runs in a container'

# ---- JavaScript ----
if command -v node >/dev/null && [ -x /usr/bin/node ] || [ -x /usr/local/bin/node ]; then
  js() { # NAME: an action in the workspace with main and post
    write_step "$1/action.yml" <<EOF
name: $1
inputs: { who-to-greet: { default: world }, x y: {} }
runs: { using: node20, main: main.js, post: post.js, post-if: "success() || failure()" }
EOF
    printf ','
    write_step "$1/main.js" <<EOF
const fs = require('fs');
console.log('$1 main ' + process.env['INPUT_WHO-TO-GREET'] + ' ' + process.env.INPUT_X_Y + ' ' + process.env.MINE);
fs.appendFileSync(process.env.GITHUB_STATE, 'note=from $1\n');
if (process.env['INPUT_WHO-TO-GREET'] === 'fail') process.exit(4);
EOF
    printf ','
    write_step "$1/post.js" <<EOF
console.log('$1 post ' + process.env.STATE_note + ' ' + process.env['INPUT_WHO-TO-GREET'] + ' ' + process.env.MINE);
if (process.env.STATE_fail) process.exit(1);
EOF
  }
  both=$(write_step both/action.yml <<'EOF'
name: both
runs: { using: composite, steps: [ { uses: ./one, with: { who-to-greet: nested } }, { uses: ./two } ] }
EOF
)
  steps "$(js one)" "$(js two)" "$both" '{"uses":"./one","with":{"who-to-greet":"you","x y":"z"},"env":{"MINE":"m"}}' \
    '{"uses":"./two","if":"false"}' '{"uses":"./both"}' '{"name":"Two","uses":"./two","with":{"who-to-greet":"fail"},"continue-on-error":true}' \
    '{"run":"echo the last step"}'
  job
  ok 'inputs are INPUT_ with dashes kept' grep -qx 'one main you z m' <<<"$log"
  posts=$(grep -E '^(one|two) post' <<<"$log" | tr '\n' '|')
  is "$posts" 'two post from two fail undefined|two post from two world undefined|one post from one nested undefined|one post from one you m|' \
    'post steps run last in, first out, with state, inputs and env of their step'
  ok 'they run after all steps' awk '/the last step/ {l=NR} / post from/ && !l {exit 1}' <<<"$log"
  ok 'a post step is a step of its own' has '"frame":"steps"' '"name":"Post Two"' '"kind":"post"'
  is "$(grep -c '"kind":"post"' <<<"$frames")" 3 'a skipped action has none, a composite has one'
  ok 'the job succeeds' ended success

  # ---- from a folder of work trees ----
  mkdir -p "$T/actions/acme/tool/sub"
  (
    cd "$T/actions/acme/tool" || exit 1
    git init -q . && git config user.email t@example.com && git config user.name t
    cat >action.yml <<'EOF'
name: tool
inputs: { v: {} }
runs: { using: node20, pre: pre.js, main: main.js, post: post.js }
EOF
    echo "console.log('remote pre ' + process.env.INPUT_V); require('fs').appendFileSync(process.env.GITHUB_STATE, 'p=1\n')" >pre.js
    echo "console.log('remote main ' + process.env.STATE_p + ' ' + __dirname)" >main.js
    echo "console.log('remote post ' + process.env.STATE_p)" >post.js
    cat >sub/action.yml <<'EOF'
name: sub
runs: { using: composite, steps: [ { uses: acme/tool@v1, with: { v: inner } }, { run: 'echo from sub', shell: bash } ] }
EOF
    git add . && git commit -qm one && git tag v1
  ) >/dev/null
  chmod -R a+rX "$T/actions"
  SPEC_EXTRA='"actions_dir":"'$T/actions'"'
  steps '{"run":"echo first"}' '{"uses":"acme/tool@v1","with":{"v":"1"}}' '{"uses":"acme/tool/sub@v1"}'
  job
  if has 'cannot open' 'sluice-helper' || has 'helper'; then
    skip 'sluice-helper is not built' 6
  else
    ok 'a remote action runs' grep -q '^remote main 1 /home/runner/work/_actions/acme/tool/' <<<"$log"
    ok 'its pre runs before the first step' awk '/^remote pre 1/ {p=NR} /^first/ {exit !p}' <<<"$log"
    ok 'a composite in a folder of it runs, with its nested pre' grep -qx 'remote pre inner' <<<"$log"
    ok 'and its own steps' grep -qx 'from sub' <<<"$log"
    is "$(grep -cx 'remote post 1' <<<"$log")" 2 'each has its post'
    ok 'the commit is told in READY' has '"frame":"ready"' '"uses":"acme/tool@v1"' '"sha":"'
  fi
  steps '{"run":"echo first"}' '{"uses":"acme/tool@v9"}'
  job
  nok 'an unknown ref fails at set-up' grep -qx first <<<"$log"
  SPEC_EXTRA=
else
  skip 'node is not installed in the root' 1
fi

# ---- artifacts ----
steps '{"run":"mkdir -p dist/sub .hid; echo a >dist/a.txt; echo b >dist/sub/b.bin; chmod +x dist/sub/b.bin; echo h >dist/.hidden; echo no >dist/skip.log; ln -s /etc/passwd dist/out; ln -s a.txt dist/in; echo one >single.txt"}' \
  '{"id":"u","uses":"actions/upload-artifact@v4","with":{"name":"dist","path":"dist/**\n!dist/*.log"}}' \
  '{"uses":"actions/upload-artifact@v4","with":{"name":"single","path":"single.txt","retention-days":3}}' \
  '{"uses":"actions/upload-artifact@v4","with":{"name":"none","path":"nothing/*"}}' \
  '{"uses":"actions/upload-artifact@v4","with":{"name":"none","path":"nothing/*","if-no-files-found":"error"},"continue-on-error":true}' \
  '{"uses":"actions/upload-artifact@v4","with":{"name":"dist","path":"single.txt"},"continue-on-error":true}' \
  '{"uses":"actions/upload-artifact@v4","with":{"name":"a/b","path":"single.txt"},"continue-on-error":true}' \
  '{"uses":"actions/download-artifact@v4","with":{"name":"dist","path":"back"}}' \
  '{"run":"cd back && find . -type f | sort | tr \"\\n\" \" \"; echo; cat in; test -x sub/b.bin && echo executable; stat -c %U a.txt"}' \
  '{"uses":"actions/download-artifact@v4","with":{"path":"all"}}' \
  '{"run":"cat all/dist/a.txt all/single/single.txt"}' \
  '{"uses":"actions/download-artifact@v4","with":{"name":"absent"},"continue-on-error":true}' \
  '{"uses":"actions/upload-artifact@v4","with":{"name":"esc","path":"../../../../etc/passwd"},"continue-on-error":true}'
job
ok 'an artifact is told with its manifest' has '"frame":"artifact"' '"name":"dist"' '"files":3'
ok 'its files come back, hidden and excluded ones do not' grep -qx './a.txt ./in ./sub/b.bin ' <<<"$log"
ok 'a link inside is followed, one outside is not' grep -qx a <<<"$log"
ok 'executables stay so' grep -qx executable <<<"$log"
ok 'they belong to the job' grep -qx runner <<<"$log"
ok 'a single file is the artifact itself' grep -qx one <<<"$log"
ok 'days of keeping are told' has '"name":"single"' '"expires_days":3'
ok 'nothing found warns' has '"n":4,' '"conclusion":"success"'
ok 'or fails where asked to' has '"n":5,' '"outcome":"failure"'
ok 'a name is taken once in a run' has '"n":6,' '"outcome":"failure"'
ok 'a name with a slash is refused' has '"n":7,' '"outcome":"failure"'
ok 'a missing artifact fails' has '"n":12,' '"outcome":"failure"'
ok 'a path that leads out is refused' has '"n":13,' '"outcome":"failure"'
sha=$(sed -n 's/.*"name":"dist".*"sha256":"\([0-9a-f]*\)".*/\1/p' <<<"$frames")
sha=${sha:-$(grep '"name":"dist"' <<<"$frames" | sed -n 's/.*"sha256":"\([0-9a-f]*\)".*/\1/p')}
old=$D
SPEC_EXTRA='"artifacts":{"dist":"'$sha'"}'
steps '{"uses":"actions/download-artifact@v4","with":{"name":"dist"}}' '{"run":"cat a.txt sub/b.bin"}'
mkdir -p "$T/data$((job_number + 1))" && cp -a "$old/store" "$T/data$((job_number + 1))/"
job
ok 'another job of the run gets it' grep -qx b <<<"$log"
victim=$(find "$D/store" -type f -size 2c | head -n 1)
chmod u+w "$victim" && echo X >"$victim"
old=$D
mkdir -p "$T/data$((job_number + 1))" && cp -a "$old/store" "$T/data$((job_number + 1))/"
job
ok 'damage in the store is noticed' has '"n":1,' '"conclusion":"failure"'
ok 'and named' in_log 'damaged in the store'
SPEC_EXTRA=
steps '{"id":"c","uses":"actions/cache@v4","with":{"path":"x","key":"k"}}' '{"run":"echo hit=${{ steps.c.outputs.cache-hit }}."}'
job
ok 'a cache is a miss, and says so' grep -qx 'hit=.' <<<"$log"
done_testing
