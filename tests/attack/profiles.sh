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
  # A test for each row of the table of attacks, by the case it shows.
  while IFS=$'\t' read -r id verdict what words design; do
    name="$what (profile $profile${design:+; by design: $design}) [$id]"
    case $verdict in
    held) pass "$name" ;;
    'not shown') skip "$words" 1 "$name" ;;
    *) fail "$name" "$words" ;;
    esac
  done < <(python3 -c '
import json, sys
for a in json.load(sys.stdin)["items"]:
    print(a["id"], a["verdict"], a["what"], a["words"], a.get("by_design", ""), sep="\t")' <<<"$out")
done
done_testing
