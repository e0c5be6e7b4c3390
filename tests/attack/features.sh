#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# With one feature of the kernel or the account off at a time: each attack still fails, or no
# job runs, and what is missing is named. (tests/tools/without makes the calls ENOSYS.)
# slow
# timeout: 400
. tests/lib/tap.sh
. tests/lib/attack.sh
. tests/lib/execjob.sh
need setpriv unshare
WITHOUT=$(dirname "$CONFINE")/without
[ -x "$WITHOUT" ] || skip_all 'tests/tools/without is not built'
need_sandbox
is_root_here=$((EUID == 0))
"$WITHOUT" openat2 true || skip_all 'no filter can be loaded here'

# Fallbacks: everything holds.
for feature in openat2 clone3; do
  exits 0 "without $feature no attack breaks through" "$WITHOUT" "$feature" "$SLUICE" doctor --attack
  shown=$(sed -n 's/^[0-9]* attacks: \([0-9]*\) held.*/\1/p' <<<"$out")
  ok "without $feature nearly all are shown" test "${shown:-0}" -ge $((is_root_here ? 38 : 28))
done
scripts=(races)
[ "$TORTURE" = 0 ] || scripts+=(escape resources)
for script in "${scripts[@]}"; do
  if out=$("$WITHOUT" openat2,clone3 bash "tests/attack/$script.sh" 2>&1); then
    pass "without openat2 and clone3 the $script fail as well [FS01 FS02]"
  else
    fail "without openat2 and clone3 the $script fail as well [FS01 FS02]" "$(grep '^not ok' <<<"$out")"
  fi
done

# Required: no job, and the reason.
while read -r feature named; do
  exits 1 "without $feature doctor says no" "$WITHOUT" "$feature" "$SLUICE" doctor
  like "$out" "no job can run here until .*'$named'" "and names $named"
  isnt "$("$WITHOUT" "$feature" "$CONFINE" echo ran 2>"$T/why")" ran "without $feature no step starts [SB26]"
  like "$(cat "$T/why")" "'$named'" 'and is told why [SB26]'
  [ "$feature" != pidfd ] || continue # what plays core here needs it itself
  steps '{"run":"echo it ran"}'
  real=$EXECJOB
  EXECJOB=$T/execjob
  printf '#!/bin/sh\nexec "%s" "%s" "%s" "$@"\n' "$WITHOUT" "$feature" "$real" >"$EXECJOB"
  chmod 755 "$EXECJOB"
  job
  EXECJOB=$real
  nok "without $feature the executor runs nothing [SB26]" in_log 'it ran'
  ok 'and says what is missing [SB26]' has '"frame":"exit"' "$named"
done <<'LIST'
landlock landlock
seccomp seccomp
pidfd calls
mounts namespaces
LIST

# Weaker: trusted work holds and is named weaker, strangers are refused.
if is_root; then
  hidden=(unshare --mount --propagation private sh -c 'umount -l /sys/fs/cgroup 2>/dev/null; exec "$@"' hidden)
  capture "${hidden[@]}" "$SLUICE" doctor
  like "$out" 'cgroup .*' 'without cgroups doctor says so'
  like "$out" 'named weaker \(.*cgroup.*Untrusted work is refused' 'and who is refused'
  exits 0 'without cgroups no attack breaks through' "${hidden[@]}" "$SLUICE" doctor --attack
  like "$out" 'RS02: no cgroup with a memory limit' 'but one needs them'
  TRUSTED=false
  USER_OPTS=(--user 64999)
  steps '{"run":"echo it ran"}'
  job
  nok 'without a group the work of strangers does not start [SB26]' in_log 'it ran'
  ok 'and is told that it needs one [SB26]' has '"frame":"exit"' cgroup
  USER_OPTS=(--user 64999 --cgroup)
  steps '{"run":"echo it ran"}'
  job
  if has '"frame":"ready"' '"cgroup":true'; then
    ok 'control: with one it does [SB26]' in_log 'it ran'
  else
    skip 'there is no cgroup with limits here' 1 'with a group it does [SB26]'
  fi
  TRUSTED=true
  shared=$(mktemp -d /tmp/sluice-features.XXXXXX)
  at_end 'rm -rf "$shared"'
  chmod 755 "$shared"
  cp "$SLUICE" "$shared/sluice"
  capture as_nobody sh -c "cd / && $shared/sluice doctor"
  like "$out" 'named weaker \(ids.*Untrusted work is refused' 'without a range of ids it is said who is refused'
  exits 0 'without a range of ids no attack breaks through' as_nobody sh -c "cd / && $shared/sluice doctor --attack"
else
  skip 'only root can take away cgroups and ids' 4 'without cgroups, without a range of ids [SB26]'
fi
done_testing
