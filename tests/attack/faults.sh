#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Set-up that fails half-way (SB26), seen from the executor and the spawner: system calls of
# each process that has to do with a job fail in turn (tests/tools/failcall), until its first
# step begins. Then either nothing of the job's was executed, or it was as confined as without a
# fault: ids, rights, filters, Landlock, namespaces, covers, limits; what is named weaker may be
# missing where the log names it. Every call in `make torture`, here one in so many.
# slow
# timeout: 900
. tests/lib/tap.sh
. tests/lib/execjob.sh
need_root
need_sandbox
FAILCALL=$(dirname "$EXECJOB")/failcall
"$FAILCALL" "$T/try" m 0 true || skip_all 'no process can be traced here'

stride=$((TORTURE ? 1 : 41))
spawner=
# A device node of no device is anyone's to make, but for Landlock; then `env` is executed.
landlocked='mknod "$RUNNER_TEMP/n" c 0 0 && exec env true; true'
step=$(jq -cn --arg run "$landlocked" '{run: $run}' 2>/dev/null ||
  perl -MJSON::PP -e 'print encode_json({run => $ARGV[0]})' "$landlocked")

# The job with call N of PROCESS failing. $D has its files, $frames what it said.
attempt() { # PROCESS N
  rm -rf "$T/data"
  mkdir -p "$T/data"
  [ ! -d "$T/roots" ] || ln -s "$T/roots" "$T/data/roots"
  rm -f "$T/rep/report"
  "${RUN[@]}" >"$T/frames" 2>"$T/said" </dev/null
  status=$?
  # The parent of executors has no name of its own.
  [ -z "$spawner" ] || sed -i "s/^process $spawner sluice /process $spawner spawner /" "$T/rep/report"
}
by_execjob() {
  RUN=(timeout -k 5 90 "$FAILCALL" "$T/rep" "$1" "$2" "$EXECJOB" "${USER_OPTS[@]}" --helper "$HELPER"
    --end-after 60000 --log "$T/data" "$T/spec.json")
}
by_run() {
  RUN=(timeout -k 5 90 "$FAILCALL" "$T/rep" "$1" "$2" "$SLUICE" run "${RUN_OPTS[@]}" "$T/repo")
}

execs() { awk '$1 == "exec" { print $'"$1"' }' "$T/rep/report" 2>/dev/null | sort -u; }
calls_of() { awk -v n="$1" '$1 == "process" && $3 == n { print $2, $4 }' "$T/control"; }

# What is wrong with how this attempt went, or nothing.
judge() {
  local hash weak name
  [ "$status" -lt 124 ] || echo "it did not end ($status)"
  if [ -z "$(execs 2)" ]; then
    refused=$((refused + 1))
    grep -qE 'cannot|error|fail|gone|out of memory|one descriptor more|ended|refused|not there|"conclusion":"failure"|"wait":[^0]' "$T/frames" "$T/said" || echo 'nothing ran, and nobody says why'
    return
  fi
  while read -r hash weak name; do
    grep -qx "$hash" <<<"$whole" || echo "$name was executed in another confinement: $(diff "$T/rep/$(head -n 1 <<<"$whole")" "$T/rep/$hash" | tail -n +2 | head -n 4 | tr '\n' ' ')"
    grep -qx "$weak" <<<"$groups" || grep -q 'weaker here: ' "$T/frames" "$T/said" ||
      echo "$name was executed without what is not named weaker: $(diff "$T/rep/$(head -n 1 <<<"$groups")" "$T/rep/$weak" | tail -n +2 | head -n 4 | tr '\n' ' ')"
    [ "$name" != env ] || [ "$has_landlock" = no ] || echo 'Landlock was not there'
  done < <(awk '$1 == "exec" { print $2, $3, $4 }' "$T/rep/report" | sort -u)
}

# sweep WHAT HOW NAME...: of the processes of these names.
sweep() {
  local what=$1 how=$2 name role calls n bad wrong=0 tried=0 refused=0
  shift 2
  rm -rf "$T/rep"
  "$how" m 0
  attempt
  mv "$T/rep/report" "$T/control"
  whole=$(awk '$1 == "exec" { print $2 }' "$T/control" | sort -u)
  groups=$(awk '$1 == "exec" { print $3 }' "$T/control" | sort -u)
  has_landlock=yes
  grep -q '^exec .* env$' "$T/control" && has_landlock=no
  grep -q '^exec .* bash$' "$T/control"
  tap_result $? "$what: without a fault a step runs [SB26]" || {
    diag "$(tail -n 5 "$T/frames" "$T/said")"
    return
  }
  for name; do
    while read -r role calls; do
      for ((n = 1; n <= calls; n += stride)); do
        "$how" "$role" "$n"
        attempt
        # It may have taken another path, and have had fewer.
        grep -q '^failed' "$T/rep/report" 2>/dev/null || continue
        tried=$((tried + 1))
        bad=$(judge)
        [ -n "$(execs 2)" ] || refused=$((refused + 1))
        [ -n "$bad" ] || continue
        wrong=$((wrong + 1))
        diag "$what, $name $(grep '^failed' "$T/rep/report"): $bad"
        diag "$(tail -n 2 "$T/frames" "$T/said" | cut -c 1-300)"
      done
    done < <(calls_of "$name")
  done
  diag "$what: $tried calls failed in turn, $refused times nothing of the job's was executed"
  [ "$wrong" -eq 0 ] && [ "$tried" -gt 4 ] && [ "$refused" -gt 0 ]
  tap_result $? "$what: whichever call fails, no step runs in less than its confinement [SB26]"
}

steps "$step"
sweep 'an account of its own' by_execjob sluice-executor sluice-agent sluice-init sluice-fork bash
standard=$whole
USER_OPTS=(--cgroup)
NETWORK=proxy RULES='"relay":["5000=127.0.0.1:5000"]'
steps "$step"
sweep 'proxy and a relay, as root' by_execjob sluice-executor sluice-agent sluice-proxy
NETWORK=host RULES=''
steps "$step"
by_execjob m 0
rm -f "$T/rep/report"
attempt
isnt "$(execs 2)" "$standard" 'a confinement that lacks something is told from a whole one [SB26]'

NETWORK=none PROFILE=build
steps "$step"
if grep -q 'exec .* bash$' <(by_execjob m 0; attempt; cat "$T/rep/report"); then
  stride=$((TORTURE ? 5 : 97)) # two seconds each
  sweep 'profile build' by_execjob sluice-executor sluice-init sluice-fork
  is "$has_landlock" no 'where Landlock knows no files the node is made, and seen [SB26]'
else
  skip "profile build cannot be had here: $(grep -o 'cannot be had here: .*' "$T/frames" | head -n 1 | cut -c 1-100)" 3 'profile build [SB26]'
fi
stride=$((TORTURE ? 1 : 41))

# A root of its own: a shell and what it is linked to.
mkdir -p "$T/tree" "$T/store"
for f in bash env mknod; do
  file=$(readlink -f "$(command -v "$f")")
  for l in "$file" $(ldd "$file" | grep -o '/[^ )]*'); do
    mkdir -p "$T/tree/$(dirname "$l")"
    cp -L "$l" "$T/tree/$l"
  done
done
mkdir -p "$T/tree/usr/bin"
for f in bash env mknod; do [ -e "$T/tree/usr/bin/$f" ] || cp -L "$(command -v "$f")" "$T/tree/usr/bin/"; done
[ -e "$T/tree/bin" ] || ln -s usr/bin "$T/tree/bin"
if "$SLUICE" image build small --from "dir:$T/tree" --data "$T/store" >"$T/image.out" 2>&1; then
  cp -r "$T/store/roots" "$T/roots"
  digest=$(sed -n 's/.*"digest": *"\([0-9a-f]*\)".*/\1/p' "$T/roots/small.json")
  PROFILE=root SPEC_EXTRA="\"root\":{\"kind\":\"image\",\"name\":\"small\",\"digest\":\"$digest\"}"
  steps "$step"
  sweep 'profile root' by_execjob sluice-executor sluice-agent sluice-init sluice-fork
else
  skip "no image can be made here: $(tail -n 1 "$T/image.out")" 2 'profile root [SB26]'
fi
rm -rf "$T/roots"

# The real spawner, with what it does before and for its executors.
mkdir -p "$T/repo/.github/workflows"
printf 'on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: %s\n' "$landlocked" >"$T/repo/.github/workflows/ci.yml"
git -C "$T/repo" init -q && git -C "$T/repo" add -A && git -C "$T/repo" -c user.name=x -c user.email=x@example.com commit -qm x
RUN_OPTS=()
by_run m 0
attempt
spawner=$(awk '$1 == "process" && $3 == "sluice-executor" { sub(/\.[0-9]+$/, "", $2); print $2; exit }' "$T/rep/report")
stride=$((TORTURE ? 1 : 23))
sweep 'the spawner' by_run spawner
done_testing
