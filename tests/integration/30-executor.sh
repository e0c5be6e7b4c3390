#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# One job through the executor, confined: shells, env files, conditions, masks, outputs.
. tests/lib/tap.sh
. tests/lib/execjob.sh
need_sandbox

# ---- shells and the environment ----
steps '{"run":"echo ok; exit 3"}' '{"if":"always()","run":"false | true; echo went on"}' \
  '{"if":"always()","shell":"bash","run":"false | true; echo never seen","continue-on-error":true}' \
  '{"if":"always()","shell":"sh","run":"echo sh is $0"}' \
  '{"if":"always()","shell":"cp {0} copied.txt","run":"as a file"}' \
  '{"if":"always()","run":"cat copied.txt"}' \
  '{"if":"always()","shell":"nonsense","run":"x"}'
job
ok 'an exit code fails the step' has '"n":1,' '"exit_code":3' '"conclusion":"failure"'
ok 'and is said' in_log '##[error]Process completed with exit code 3.'
ok 'without shell: there is no pipefail' step_is 2 success
ok 'shell bash has pipefail, and continue-on-error turns it' \
  has '"n":3,' '"outcome":"failure"' '"conclusion":"success"'
nok 'and stops there' grep -qx 'never seen' <<<"$log"
ok 'sh runs the script as a file' grep -Eq '^sh is /home/runner/work/_temp/.*\.sh$' <<<"$log"
ok 'a custom shell gets the script in {0}' grep -qx 'as a file' <<<"$log"
ok 'a shell without {0} is refused in the words of the runner' in_log 'Invalid shell option'
ok 'the job fails' ended failure

JOB_EXTRA='"env":{"A":"job","C":"job","E":"${{ vars.REGION }}"}'
steps '{"run":"echo 1 $A $B $C $E; echo B=file >>$GITHUB_ENV; echo A=file >>$GITHUB_ENV; echo now $A","env":{"B":"step"}}' \
  '{"run":"echo 2 $A $B $C ${{ env.A }}","env":{"C":"step ${{ env.C }}"}}' \
  '{"run":"mkdir bin; printf \"#!/bin/sh\\necho mine\\n\" >bin/tool; chmod +x bin/tool; echo $PWD/bin >>$GITHUB_PATH"}' \
  '{"run":"tool; echo $CI $GITHUB_ACTIONS $GITHUB_RUN_ID $RUNNER_OS; cat $GITHUB_EVENT_PATH","env":{"GITHUB_RUN_ID":"no"}}' \
  '{"run":"echo NODE_OPTIONS=x >>$GITHUB_ENV"}' \
  '{"run":"echo bad >>$GITHUB_ENV","continue-on-error":true}' \
  '{"run":"test -z \"$NODE_OPTIONS\"; pwd; id -un; umask"}'
job
JOB_EXTRA=
ok 'step env, job env and vars reach the step' grep -qx '1 job step job eu' <<<"$log"
ok 'GITHUB_ENV does not change its own step' grep -qx 'now job' <<<"$log"
ok 'GITHUB_ENV beats the job, the step beats it' grep -qx '2 file file step job file' <<<"$log"
ok 'GITHUB_PATH is in front of PATH' grep -qx 'mine' <<<"$log"
ok 'GITHUB_ and RUNNER_ cannot be overridden' grep -qx 'true true 7 Linux' <<<"$log"
ok 'the event is a file' in_log '"number": 5'
ok 'NODE_OPTIONS is refused and the step goes on' step_is 5 success
ok 'a bad line of GITHUB_ENV fails the step' has '"n":6,' '"outcome":"failure"'
ok 'the place is that of a hosted runner' grep -qx '/home/runner/work/app/app' <<<"$log"
ok 'the user is runner' grep -qx runner <<<"$log"
ok 'and the job succeeds' ended success

# ---- outputs, conditions, contexts ----
JOB_EXTRA='"outputs":{"v":"${{ steps.a.outputs.v }}","none":"${{ steps.a.outputs.none }}","s":"${{ secrets.S }}"},"environment":{"name":"production","url":"https://${{ steps.a.outputs.v }}.example"}'
steps '{"id":"a","run":"{ echo v=1; echo \"m<<X\"; echo l1; echo l2; echo X; } >>$GITHUB_OUTPUT; exit 1","continue-on-error":true}' \
  '{"if":"steps.a.outcome == '"'failure'"' && steps.a.conclusion == '"'success'"'","run":"echo \"got ${{ steps.a.outputs.m }}\""}' \
  '{"if":"failure()","run":"echo no"}' \
  '{"if":"fromJSON('"'{'"')","run":"echo no","continue-on-error":true}' \
  '{"run":"echo key $SLUICE_IDEMPOTENCY_KEY"}'
job --secret S=swordfish-9
JOB_EXTRA=
ok 'outputs of a failed step count' in_log 'got l1'
ok 'what is not wanted is skipped' step_is 3 skipped
ok 'a condition that cannot be evaluated fails its step' has '"n":4,' '"outcome":"failure"'
ok 'outputs of the job: empty ones are left out' has '"frame":"outputs"' '"outputs":{"v":"1"}'
ok 'one that holds a secret is dropped' has '"frame":"outputs"' '"dropped":["s"]'
ok 'and that is said' in_log "Skip output 's' since it may contain secret."
ok 'the URL of the deployment is told' has '"frame":"deploy"' '"url":"https://1.example"'
ok 'a deploy has a key that stays over attempts' grep -qx 'key 7-build-production' <<<"$log"

# ---- masks ----
steps '{"run":"echo whole $S; printf %s \"${S:0:5}\"; sleep 0.1; printf %s\\\\n \"${S:5}\"","env":{"S":"${{ secrets.S }}"}}' \
  '{"run":"printf %s \"$S\" | base64; v=later; echo \"::add-mask::$v-value\"; echo $v-value; echo \"::error title=$v-value::$S $v-value\"","env":{"S":"${{ secrets.S }}"}}' \
  '{"name":"named ${{ secrets.S }}","run":"echo \"# $S\" >>$GITHUB_STEP_SUMMARY","env":{"S":"${{ secrets.S }}"}}' \
  '{"run":"for i in 1 2 3 4 5 6 7 8; do printf %s \"${S:$((i-1)):1}\"; printf %s \"${S:$((i-1)):1}\" >&2; done; echo; echo >&2","env":{"S":"${{ secrets.S }}"}}'
job --secret S=Tr0ub4dor --token tok-123456
ok 'a secret is stars' grep -qx 'whole \*\*\*' <<<"$log"
ok 'also when it comes in two writes' grep -qx '\*\*\*' <<<"$log"
nok 'its base64 is not in the log' in_log "$(printf Tr0ub4dor | base64)"
nok 'the value of add-mask is not in the log' in_log later-value
ok 'the name of a step is masked' has '"n":3,' '"name":"named ***"'
nok 'it is nowhere in the data directory' grep -rqaE 'Tr0ub4dor|tok-123456' "$D"
ok 'positive control: the search finds what is there' grep -rqaF 'whole' "$D"
ok 'a secret in the summary is masked there' \
  grep -rqaxF '# ***' "$D/store"

# ---- workflow commands ----
steps '{"run":"echo ::notice file=a.c,line=3,endLine=4,col=2,title=T%3At::say%0Amore; echo ::group::G; echo in; echo ::endgroup::; echo ::debug::hid\"\"den; echo \"  ::warning::w\"; echo ::stop-commands::tok-en-1; echo ::error::not one; echo ::tok-en-1::; for i in $(seq 12); do echo ::warning::n$i; done"}' \
  '{"run":"echo ::set-env name=X::1","continue-on-error":true}' \
  '{"id":"o","run":"echo ::set-output name=k::val; echo ::save-state name=z::1"}' \
  '{"run":"echo ${{ steps.o.outputs.k }}; test -z \"$X\"; echo ::set-env name=Y::2; echo ::add-path::/opt/x","env":{"ACTIONS_ALLOW_UNSECURE_COMMANDS":"true"}}' \
  '{"run":"echo Y is $Y; echo $PATH; echo ::error::stdout; echo ::error::stderr >&2"}' \
  '{"run":"rm $GITHUB_ENV; ln -s /etc/passwd $GITHUB_ENV; rm $GITHUB_OUTPUT; mkfifo $GITHUB_OUTPUT","continue-on-error":true}'
job
ok 'an annotation keeps what fits together' has '"frame":"note"' '"title":"T:t"' '"line":3' '"end_line":4'
nok 'columns over several lines are dropped' has '"title":"T:t"' '"col"'
ok 'groups are shown in the form of the runner' grep -qx '##\[group\]G' <<<"$log"
nok 'debug is hidden' in_log hidden
ok 'stop-commands makes text of commands' grep -qx '::error::not one' <<<"$log"
is "$(grep -c '"level":"warning","message":"n' <<<"$frames")" 9 'ten warnings of a step are kept (with w)'
ok 'the rest is counted' has '"frame":"dropped"' '"count":3'
ok 'set-env is refused and fails the step' has '"n":2,' '"outcome":"failure"'
ok 'set-output still works' grep -qx val <<<"$log"
ok 'set-env is obeyed where the env says so' grep -qx 'Y is 2' <<<"$log"
ok 'add-path likewise' grep -q '^/opt/x:' <<<"$log"
ok 'commands count on both streams' has '"message":"stderr"'
ok 'a link in place of a command file is not followed [FS04 FS05]' has '"n":6,' '"outcome":"failure"'
nok 'and nothing of it is read [FS05]' in_log 'root:x:0'

# ---- what is not to be had ----
steps '{"run":"echo started"}' '{"if":"false","uses":"acme/none@v1"}'
job
ok 'an action that cannot be had fails the job before its first step' ended failure
ok 'in the words of the runner' in_log 'Unable to resolve action `acme/none@v1`'
nok 'nothing has run' grep -qx started <<<"$log"
JOB_EXTRA='"container":"alpine"'
steps '{"run":"true"}'
job
JOB_EXTRA=
ok 'a job container is refused with the reason' has '"frame":"exit"' "jobs with 'container'"
steps '{"run":"true","background":true}'
job
ok 'background steps are refused by name' in_log "'background'"
done_testing
