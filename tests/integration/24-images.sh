#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Images as roots of labels: made, listed, mapped; a job that installs a package as root.
# components
. tests/lib/tap.sh
. tests/lib/serve.sh
[ "$(id -u)" -eq 0 ] || skip_all 'a root in the ids of jobs is prepared by root'
need_server
need dpkg-deb dpkg-query tar apt-get perl

# ---- a root of this host's own packages: what is essential, apt, and what these need ----
# A line for each package: name, essential, what it depends on.
dpkg-query -W -f '${Package}\t${Essential}\t${Pre-Depends}, ${Depends}\n' >"$T/packages"
awk -F '\t' '
  { essential[$1] = $2; n = split($3, d, ",")
    for (i = 1; i <= n; i++) { sub(/\|.*/, "", d[i]); gsub(/\(.*|:any| /, "", d[i]); if (d[i] != "") need[$1] = need[$1] " " d[i] } }
  function add(p,   k, m, l) { if (p in seen) return; seen[p] = 1; m = split(need[p], l, " "); for (k = 1; k <= m; k++) add(l[k]) }
  END { for (p in essential) if (essential[p] == "yes") add(p); add("apt"); add("mawk"); add("usr-is-merged"); add("usrmerge"); for (p in seen) if (p in essential) print p }
' "$T/packages" >"$T/names"
xargs dpkg-query -L <"$T/names" 2>/dev/null | sed -n 's|^/||p' | sort -u |
  grep -vE '^(usr/share/(doc|man|locale|info)/.*|\.|)$' >"$T/all"
perl -ne 'chomp; print "$_\n" if -e "/$_" || -l "/$_"' "$T/all" >"$T/list"
mkdir -p "$T/extra/var/lib/dpkg/info" "$T/extra/var/lib/apt/lists/partial" \
  "$T/extra/var/cache/apt/archives/partial" "$T/extra/etc/apt" "$T/extra/tmp" "$T/extra/var/lib/dpkg/updates"
while read -r p; do
  dpkg-query -s "$p" 2>/dev/null && echo
done <"$T/names" >"$T/extra/var/lib/dpkg/status"
: >"$T/extra/var/lib/dpkg/available"
cp /etc/passwd /etc/group /etc/shadow "$T/extra/etc/"
cp /var/lib/dpkg/info/*.list "$T/extra/var/lib/dpkg/info/" 2>/dev/null
for l in bin sbin lib lib32 lib64 libx32; do if [ -L "/$l" ]; then cp -P "/$l" "$T/extra/"; fi; done
tar -C / --no-recursion -T "$T/list" -cf "$T/root.tar" 2>/dev/null
tar -C "$T/extra" -rf "$T/root.tar" .

# ---- a package that nobody has, in a folder of the repository ----
mkdir -p "$T/pkg/DEBIAN" "$T/pkg/usr/bin"
printf 'Package: sluice-proof\nVersion: 1.0\nArchitecture: all\nMaintainer: none <none@example.com>\nDescription: a proof\n' \
  >"$T/pkg/DEBIAN/control"
printf '#!/bin/sh\necho proof of root\n' >"$T/pkg/usr/bin/sluice-proof"
chmod 755 "$T/pkg/usr/bin/sluice-proof"
dpkg-deb -b --root-owner-group "$T/pkg" "$T/sluice-proof.deb" >/dev/null

LABELS="['*', 'deb=deb:root', 'low=deb', 'gone=nowhere']" serve_start
I() { "$SLUICE" image "$@" --config "$D/sluice.yml"; }
ok 'an image is built of a tar' I build deb --from "$T/root.tar"
like "$(I list)" 'deb.*root.tar' 'and listed'
digest=$(sed -n 's/.*"digest": "\(.*\)".*/\1/p' "$D/data/roots/deb.json")
root=$D/data/roots/sha256/$digest/root
is "$(find "$root" -perm /6000 -type f | head -n 1)" '' 'without a set-id program'
is "$(find "$root" \( -type b -o -type c \) | head -n 1)" '' 'and without a device'
before=$(cd "$root" && find . -printf '%p %s %u %g %m\n' | sort | sha256sum)
nok 'an image that is damaged is refused' I build bad --from "$T/pkg/DEBIAN/control"
is "$(find "$D/data/roots" -mindepth 1 -maxdepth 1 -name '.*')" '' 'and leaves nothing behind'

project acme/app
as_owner mkdir -p "$WORK/debs"
as_owner cp "$T/sluice-proof.deb" "$WORK/debs/"
workflow ci.yml <<'YML'
on: push
jobs:
  install:
    runs-on: deb
    steps:
      - uses: actions/checkout@v4
      - run: |
          id -u
          sudo apt-get install -y ./debs/sluice-proof.deb
          sluice-proof
          stat -c '%U %a' /usr/bin/sluice-proof
      - run: sluice-proof && touch /opt/left
  plain:
    runs-on: low
    steps:
      - run: id -u; command -v sluice-proof || echo not there; touch /usr/x || echo read only
  missing:
    runs-on: gone
    steps: [{run: 'true'}]
YML
push 'roots'
ok 'the run ends' wait_run 1 failure 90
S runs 1 --format json >"$T/run.json"
S logs 1/install >"$T/install.log" 2>&1
S logs 1/plain >"$T/plain.log" 2>&1
like "$(cat "$T/install.log")" 'proof of root' 'sudo apt-get install in a step simply works' || diag "$(tail -n 30 "$T/install.log")"
like "$(cat "$T/install.log")" 'root 755' 'the file is root'\''s inside'
like "$(cat "$T/plain.log")" '1001' 'a label without :root runs as nobody special'
like "$(cat "$T/plain.log")" 'not there' 'in the root as it was made'
like "$(cat "$T/plain.log")" 'read only' 'which it cannot change'
like "$(S explain 1/missing 2>&1)" "there is no image 'nowhere'; make it: sluice image build nowhere" \
  'a label of no image ends the job with that reason'
is "$(cd "$root" && find . -printf '%p %s %u %g %m\n' | sort | sha256sum)" "$before" \
  'the prepared root is as it was'
like "$(api GET /api/v1/jobs/1)" 'root deb' 'the job says which root it had'
like "$(cat "$T/run.json")" '"root": *"deb \(' 'and the run'
like "$(S explain 1/install 2>&1)" 'root +deb \(' 'explain, too'
like "$(api GET /runs/1)" 'in root deb \(' 'and the page of the run'
like "$("$SLUICE" config check --config "$D/sluice.yml" 2>&1)" \
  "'gone=nowhere'.*there is no image 'nowhere'; make it: sluice image build nowhere" \
  'config check says that a label stands for no image, and the command'
exits 1 'and fails for it' "$SLUICE" config check --config "$D/sluice.yml"
exits 1 'a job of profile root is not entered' S shell 1/install
like "$err$out" 'jobs of the profiles root and build are not held' 'and it is said why'

# A build that is killed: what it left goes with the next word, what is being made does not.
mkfifo "$T/never.tar"
"$SLUICE" image build slow --from "$T/never.tar" --config "$D/sluice.yml" 2>/dev/null &
slow=$!
staged() { [ -n "$(find "$D/data/roots" -maxdepth 1 -name '.new-*')" ]; }
wait_for 10 staged
ok 'what is being built stays' eval 'I list && staged'
kill -KILL "$slow"
wait "$slow" 2>/dev/null
: >"$D/data/roots/.tar-0123456789abcdef.tar"
ok 'a killed build leaves something' staged
nok 'which the next word takes away' eval 'I list && staged'
ok 'also its archive' test ! -e "$D/data/roots/.tar-0123456789abcdef.tar"
ok 'what the job changed is gone' test ! -e "$D/data/jobs/1/1/rootfs"
ok 'an image is removed' I remove deb
is "$(ls "$D/data/roots/sha256")" '' 'with its files'
done_testing
