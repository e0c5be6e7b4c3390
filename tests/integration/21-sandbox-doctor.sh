#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sluice doctor and its attacks, as root, as a dedicated user with a range of ids, and as
# a plain user without.
# timeout: 300
. tests/lib/tap.sh

capture "$SLUICE" doctor
[ "$status" -lt 2 ] || skip_all "doctor does not run: $err"
like "$out" 'verdict: ' 'it ends with a verdict'
for name in namespaces seccomp landlock ids cgroup network disk private; do
  like "$out" "$name " "it has a line about $name"
done
verdict=$status
capture "$SLUICE" doctor --format json
ok 'as JSON it is one object with the same answer' python3 -c '
import json, sys
d = json.loads(sys.argv[1])
assert d["ok"] == (sys.argv[2] == "0")
assert {f["name"] for f in d["facilities"]} >= {"namespaces", "ids", "disk"}
assert all(f["state"] in ("ok", "weaker", "missing") for f in d["facilities"])
' "$out" "$verdict"
exits 2 'an attack without --attack is a question' "$SLUICE" doctor SB01
exits 2 'an unknown flag is a usage error' "$SLUICE" doctor --atack

[ "$verdict" -eq 0 ] || {
  skip "no sandbox can be made here: ${out##*verdict}" 3
  done_testing
  exit 0
}
exits 0 'no attack breaks through' "$SLUICE" doctor --attack
like "$out" '40 attacks: [0-9]+ held, 0 broke through.*-v: all of them' 'and all are counted'
like "$out" 'SB12  read the memory of init, executor, server +held' 'the first of them are told'
unlike "$out" 'SB02 ' 'the others only'
capture "$SLUICE" doctor --attack -v
is "$(grep -c ' held ' <<<"$out")" "$(sed -n 's/^40 attacks: \([0-9]*\) held.*/\1/p' <<<"$out")" 'with -v'
capture "$SLUICE" doctor --attack --format json
attack_rows "$out"

if [ "$(id -u)" -ne 0 ]; then
  skip 'only root can try it as other accounts' 6
  done_testing
  exit 0
fi

# Where other accounts can read it.
shared=$(mktemp -d /tmp/sluice-doctor.XXXXXX)
chmod 755 "$shared"
cp "$SLUICE" "$shared/sluice"
as() { (cd / && setpriv --reuid "$1" --regid "$2" --clear-groups env HOME=/tmp "${@:3}"); }

capture as 54321 54321 "$shared/sluice" doctor
like "$out" "ids +'54321' has no range" 'a plain user hears what is weaker'
like "$out" 'mend: sudo usermod --add-subuids' 'and how to mend it'
like "$out" 'Untrusted work is refused' 'and what is refused'
exits 0 'no attack breaks through as a plain user' as 54321 54321 "$shared/sluice" doctor --attack

if command -v useradd >/dev/null && command -v newuidmap >/dev/null; then
  user=sluicetest$$
  if useradd --no-create-home --shell /usr/sbin/nologin "$user" 2>/dev/null &&
    grep -q "^$user:" /etc/subuid; then
    uid=$(id -u "$user") gid=$(id -g "$user")
    capture as "$uid" "$gid" "$shared/sluice" doctor
    like "$out" "for '$user': an id of its own for each job" 'a dedicated user has ids for its jobs'
    exits 0 'no attack breaks through as a dedicated user' \
      as "$uid" "$gid" "$shared/sluice" doctor --attack
  else
    skip 'no account with a subordinate range can be made here' 2
  fi
  userdel "$user" 2>/dev/null
else
  skip 'useradd or newuidmap is not installed' 2
fi
rm -rf "$shared"
done_testing
