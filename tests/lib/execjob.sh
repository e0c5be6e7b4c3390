# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Jobs for the executor alone: a spec, a run through tests/tools/execjob, what it said.
#
#   steps '{"run":"true"}' '{"run":"false"}'      # the steps of the next job
#   job [OPTION...]                               # runs it: $frames, $log, $D
#   has 'KEY":"VALUE' ...                         # some frame holds all of these
#
# SPEC_EXTRA are more members of the spec, JOB_EXTRA of its job, RULES of its network; PROFILE
# names another than the trust's. Skips everything where the sandbox cannot run; USER_OPTS says
# how the executor is confined here.

EXECJOB=$(dirname "$(readlink -f "$SLUICE")")/tests/tools/execjob
HELPER=$(readlink -f "$SOURCE/build/sluice-helper" 2>/dev/null || true)
SPEC_EXTRA='' JOB_EXTRA='' NETWORK=none RULES='' TRUSTED=true PROFILE=''
frames='' log='' D='' job_number=0

# As root the executor is another account, as everywhere else.
USER_OPTS=()
[ "$(id -u)" -ne 0 ] || USER_OPTS=(--user 64999 --cgroup)
[ "$(id -u)" -ne 0 ] || chmod 755 "$T"

steps() {
  local s list=''
  for s; do list=$list${list:+,}$s; done
  cat >"$T/spec.json" <<EOF
{"version":1,"run":7,"run_number":7,"job_id":1,"attempt":1,"epoch":3,"try":1,
 "trusted":$TRUSTED,"profile":"${PROFILE:-$([ "$TRUSTED" = true ] && echo standard || echo strict)}",
 "network":{"level":"$NETWORK"${RULES:+,$RULES}},${SPEC_EXTRA:+$SPEC_EXTRA,}
 "github":{"repository":"acme/app","event_name":"push","ref":"refs/heads/main","sha":"0123",
  "workflow":"CI","event":{"number":5}},
 "vars":{"REGION":"eu"},
 "job":{"id":"build","name":"build",${JOB_EXTRA:+$JOB_EXTRA,}"spec":{"steps":[$list]}}}
EOF
}

job() {
  job_number=$((job_number + 1))
  D=$T/data$job_number
  frames=$(timeout 120 "$EXECJOB" "${USER_OPTS[@]}" --helper "$HELPER" --end-after 60000 "$@" \
    "$D" "$T/spec.json" 2>"$T/executor.err")
  log=$(tr -d '\0' <"$D/jobs/1/1/log" 2>/dev/null)
  return 0
}

# Each argument is a fixed string; one line of $frames holds all of them.
has() {
  local lines=$frames a
  for a; do lines=$(grep -F -- "$a" <<<"$lines") || return 1; done
}

step_is() { has '"frame":"step"' "\"n\":$1," '"state":"completed"' "\"conclusion\":\"$2\""; }
ended() { has '"frame":"exit"' "\"conclusion\":\"$1\""; }
in_log() { grep -qF -- "$1" <<<"$log"; }

# A job that runs `true`, or why none can.
need_sandbox() {
  [ -x "$EXECJOB" ] || skip_all "tests/tools/execjob is not built"
  steps '{"run":"true"}'
  job
  ended success && return
  # Where doctor finds nothing wrong, a sandbox that cannot be made is a failure, no skip.
  if has '"frame":"exit"' 'the sandbox' && ! "$SLUICE" doctor >/dev/null 2>&1; then
    skip_all "the sandbox cannot run here: $(sed -n 's/.*"reason":"\([^"]*\)".*/\1/p' <<<"$frames" | tail -n 1)"
  fi
  diag "$frames"
  diag "$(tail -n 20 "$T/executor.err")"
}
