# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is for the scripts
# SPDX-License-Identifier: Apache-2.0
# TAP for shell scripts. A test script is:
#
#   #!/usr/bin/env bash
#   # SPDX-License-Identifier: Apache-2.0
#   # What this covers. ("# slow" and "# timeout: 600" on lines of their own if so.)
#   . tests/lib/tap.sh
#   plan 2
#   ok 'a pushed commit is queued' grep -q queued "$T/out"
#   exits 1 'a broken workflow fails' "$SLUICE" run broken/
#   like "$out" 'exit 3' 'a failing step says its exit code'
#
# Scripts start in the top folder of the source. $T is a private folder; it and every
# process of spawn are gone at the end. $SLUICE is the built program, $SOURCE the top folder,
# $TORTURE 1 where full size is asked for.

set -u
SOURCE=$PWD
T=$(mktemp -d "${TMPDIR:-/tmp}/sluice.XXXXXX") || exit 1
# Nothing of the person who runs the tests may decide how they go.
TORTURE=${SLUICE_TORTURE:-0}
unset "${!SLUICE_@}" "${!XDG_@}" "${!GITHUB_@}" "${!RUNNER_@}" "${!GIT_@}" CI
SLUICE=$SOURCE/build/sluice
export HOME=$T/home GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
mkdir -p "$HOME"

tap_count=0
tap_plan=
tap_failed=0
declare -A tap_pids=()
out='' err='' status=0

# plan N: how many tests follow. Without it say done_testing at the end.
plan() {
  tap_plan=$1
  echo "1..$1"
}

done_testing() {
  [ -n "$tap_plan" ] || echo "1..$tap_count"
  tap_plan=$tap_count
}

# skip_all REASON: nothing here can run; ends the script.
skip_all() {
  echo "1..0 # SKIP $*"
  tap_plan=0
  exit 0
}

tap_result() {
  tap_count=$((tap_count + 1))
  if [ "$1" -eq 0 ]; then
    echo "ok $tap_count - $2"
    return 0
  fi
  tap_failed=$((tap_failed + 1))
  echo "not ok $tap_count - $2"
  return 1
}

# diag TEXT...: a comment in the output.
diag() { printf '%s\n' "$*" | sed 's/^/# /'; }

# pass NAME / fail NAME [WHY]
pass() { tap_result 0 "$1"; }
fail() {
  tap_result 1 "$1"
  [ $# -lt 2 ] || diag "$2"
}

# ok NAME COMMAND...: passes if the command succeeds. nok: if it fails.
ok() {
  local name=$1
  shift
  if "$@" >"$T/.ok" 2>&1; then
    tap_result 0 "$name"
  else
    tap_result 1 "$name"
    diag "failed: $*"
    tail -n 20 "$T/.ok" | sed 's/^/#   /'
  fi
}
nok() {
  local name=$1
  shift
  if "$@" >"$T/.ok" 2>&1; then
    tap_result 1 "$name"
    diag "succeeded: $*"
  else
    tap_result 0 "$name"
  fi
}

# is GOT WANT NAME, isnt GOT UNWANTED NAME
is() {
  [ "$1" = "$2" ]
  tap_result $? "$3" || { diag "     got: $1"; diag "expected: $2"; }
}
isnt() {
  [ "$1" != "$2" ]
  tap_result $? "$3" || diag "got the unwanted: $1"
}

# like TEXT REGEX NAME, unlike TEXT REGEX NAME (extended regular expressions)
like() {
  [[ $1 =~ $2 ]]
  tap_result $? "$3" || { diag "no match for: $2"; diag "$(head -c 2000 <<<"$1")"; }
}
unlike() {
  [[ ! $1 =~ $2 ]]
  tap_result $? "$3" || { diag "matches: $2"; diag "$(head -c 2000 <<<"$1")"; }
}

# skip REASON [COUNT [NAME]]: COUNT (1) planned tests cannot run here.
skip() {
  local n=${2:-1}
  for (( ; n > 0; n--)); do
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - ${3:+$3 }# SKIP $1"
  done
}

# capture COMMAND...: sets $status, $out and $err; never fails.
capture() {
  "$@" >"$T/.out" 2>"$T/.err" </dev/null
  status=$?
  out=$(tr -d '\0' <"$T/.out")
  err=$(tr -d '\0' <"$T/.err")
  return 0
}

# exits CODE NAME COMMAND...: capture, and a test of its exit status.
exits() {
  local want=$1 name=$2
  shift 2
  capture "$@"
  [ "$status" = "$want" ]
  tap_result $? "$name" || {
    diag "status $status, expected $want: $*"
    printf '%s\n' "$out" "$err" | tail -n 20 | sed 's/^/#   /'
  }
}

# need COMMAND...: skip everything unless all of them are here.
need() {
  local c
  for c; do
    command -v "$c" >/dev/null 2>&1 || skip_all "$c is not installed"
  done
}
need_root() { [ "$(id -u)" -eq 0 ] || skip_all 'needs root'; }

# own_network: the whole script in a network and mount namespace of its own with only a
# loopback, so that fixed ports never clash. To be called before anything else.
own_network() {
  local map=() here
  here=$(readlink /proc/self/ns/net)
  if [ -n "${TAP_OUTER_NETWORK:-}" ] && [ "$TAP_OUTER_NETWORK" != "$here" ]; then return 0; fi
  [ "$(id -u)" -eq 0 ] || map=(--map-root-user)
  unshare "${map[@]}" --net --mount ip link set lo up 2>/dev/null ||
    skip_all 'needs a network namespace of its own (unshare, ip)'
  trap - EXIT
  rm -rf "$T"
  # shellcheck disable=SC2016 # the inner shell expands
  TAP_OUTER_NETWORK=$here SLUICE_TORTURE=$TORTURE exec unshare "${map[@]}" --net --mount \
    bash -c 'ip link set lo up && exec bash "$0"' "$0"
}

# free_port: a loopback port nobody listens on.
free_port() {
  perl -MSocket -e '
    my $s;
    socket($s, PF_INET, SOCK_STREAM, 0) && bind($s, sockaddr_in(0, INADDR_LOOPBACK)) or die;
    print((sockaddr_in(getsockname($s)))[0], "\n");'
}

# spawn NAME COMMAND...: in the background, output to $T/NAME.out, its pid in $pid_of_NAME.
spawn() {
  local name=$1
  shift
  rm -f "$T/$name.out"
  (
    trap - EXIT
    exec "$@" >"$T/$name.out" 2>&1 </dev/null
  ) &
  tap_pids[$name]=$!
  printf -v "pid_of_$name" '%s' "$!"
  # Before that the child is still this shell, and would end as one.
  until [ -e "$T/$name.out" ] || tap_is_gone "$!"; do sleep 0.002; done
}

# stop NAME [SIGNAL]: ends it (SIGTERM, after 10 s SIGKILL) and sets $status.
stop() {
  local pid=${tap_pids[$1]:-}
  [ -n "$pid" ] || return 0
  unset "tap_pids[$1]"
  kill -"${2:-TERM}" "$pid" 2>/dev/null
  wait_for 10 tap_is_gone "$pid" || kill -KILL "$pid" 2>/dev/null
  wait "$pid" 2>/dev/null
  status=$?
  return 0
}

# A zombie of ours is gone enough.
tap_is_gone() {
  local stat
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
  [[ ${stat##*) } == Z* ]]
}

# wait_for SECONDS COMMAND...: until it succeeds; fails after SECONDS.
wait_for() {
  local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "${EPOCHREALTIME/./}" -lt "$end" ] || return 1
    sleep 0.05
  done
}

# wait_for_text SECONDS FILE REGEX
wait_for_text() { wait_for "$1" grep -qE -- "$3" "$2"; }

# at_end COMMAND: run when the script ends, however it does, last one first.
tap_at_end=()
at_end() { tap_at_end+=("$1"); }

tap_cleanup() {
  local code=$? name i
  [ "$BASHPID" = "$tap_main" ] || exit "$code"
  trap - EXIT
  for name in "${!tap_pids[@]}"; do stop "$name"; done
  for ((i = ${#tap_at_end[@]} - 1; i >= 0; i--)); do eval "${tap_at_end[i]}"; done
  chmod -R u+rwX "$T" 2>/dev/null
  rm -rf "$T"
  [ -n "$tap_plan" ] || echo '# the script ended before done_testing'
  if [ "$code" -ne 0 ]; then exit "$code"; fi
  [ "$tap_failed" -eq 0 ]
  exit $?
}
# Bash runs this on SIGINT and SIGTERM too. With traps of their own a signal sent to a child
# that is just being forked would be lost.
tap_main=$BASHPID
trap tap_cleanup EXIT

# web_of CORE DATA: the server's web, a child of core's or, with a uid of its own, the spawner's.
web_of() {
  local parent
  for parent in "$1" "$(cat "$2/run/spawner.pid" 2>/dev/null)"; do
    [ -z "$parent" ] || pgrep -P "$parent" -x sluice-web && return 0
  done
  return 1
}

# attack_rows JSON [PROFILE]: a test for each row of `doctor --attack`, by the case it shows.
attack_rows() {
  local id verdict what words design name
  while IFS=$'\t' read -r id verdict what words design; do
    name="$what${2:+ (profile $2${design:+; by design: $design})} [$id]"
    case $verdict in
    held) pass "$name" ;;
    'not shown') skip "$words" 1 "$name" ;;
    *) fail "$name" "$words" ;;
    esac
  done < <(python3 -c '
import json, sys
for a in json.load(sys.stdin)["items"]:
    print(a["id"], a["verdict"], a["what"], a["words"], a.get("by_design", ""), sep="\t")' <<<"$1")
}
