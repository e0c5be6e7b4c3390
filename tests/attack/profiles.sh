#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The attacks of doctor against the profiles that a job only gets by an administrator's word:
# `standard`, and `root` and `build`, which are weaker by design; what that is stands in the names.
# slow
# timeout: 600
. tests/lib/tap.sh
"$SLUICE" doctor >"$T/doctor" 2>&1 || skip_all "no sandbox can be made here: $(grep verdict "$T/doctor")"

exits 2 'a profile that is none is a question' "$SLUICE" doctor --attack --profile rot
for profile in standard root build; do
  capture timeout 300 "$SLUICE" doctor --attack --profile "$profile" --format json
  if [ -z "$out" ]; then
    skip "$(head -n 1 <<<"$err")" 1 "the attacks in profile $profile"
    continue
  fi
  ok "profile $profile: every attack was tried" test "$(grep -o '"id"' <<<"$out" | wc -l)" -ge 40
  attack_rows "$out" "$profile"
done
done_testing
