#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# actions/checkout out of a mirror and out of a working tree; problem matchers; the proxy.
# All of it through sluice-helper.
. tests/lib/tap.sh
. tests/lib/execjob.sh
need git
[ -x "$HELPER" ] || skip_all 'sluice-helper is not built'
need_sandbox

repo=$T/repo
mkdir "$repo"
git -C "$repo" init -q -b main
git -C "$repo" config user.email t@example.com
git -C "$repo" config user.name t
(
  cd "$repo" || exit 1
  mkdir -p src .github/workflows
  echo one >src/file
  printf '#!/bin/sh\necho tool\n' >tool && chmod +x tool
  ln -s src/file link
  git add . && git commit -qm first
  git branch other && git tag v1
  echo two >src/file && git commit -qam second
  git checkout -q other && echo side >side && git add side && git commit -qm side && git checkout -q main
)
sha=$(git -C "$repo" rev-parse HEAD)
side=$(git -C "$repo" rev-parse other)

# with_mirror: the next job finds the bare mirror in its data directory.
with_mirror() {
  local data=$T/data$((job_number + 1))
  mkdir -p "$data/repos"
  git clone -q --bare "$repo" "$data/repos/12.git"
  [ "$(id -u)" -ne 0 ] || chown -R 64999:64999 "$data/repos"
}
SPEC_EXTRA='"source":{"kind":"mirror","mirror":"12.git","ref":"refs/heads/main","sha":"'$sha'","clone_url":"https://git.example.com/acme/app"}'
steps '{"id":"c","uses":"actions/checkout@v4"}' \
  '{"run":"cat src/file; ./tool; cat link; git log --oneline | wc -l; git status --porcelain; git rev-parse HEAD; git remote get-url origin; git rev-parse --abbrev-ref HEAD; stat -c %U src .git; echo commit ${{ steps.c.outputs.commit }}"}' \
  '{"run":"echo change >>src/file; git config user.email a@b; git config user.name n; git commit -qam mine && git log --oneline | wc -l"}' \
  '{"uses":"actions/checkout@v4","with":{"path":"sub/dir","fetch-depth":0}}' \
  '{"run":"git -C sub/dir log --oneline | wc -l; cat sub/dir/src/file; test -e src/file && echo the first is there"}' \
  '{"uses":"actions/checkout@v4","with":{"ref":"other","path":"o"}}' '{"run":"cat o/side; git -C o rev-parse HEAD"}' \
  '{"uses":"actions/checkout@v4","with":{"ref":"v1","path":"t"}}' '{"run":"echo tag has $(cat t/src/file)"}' \
  '{"run":"touch left; echo junk >src/file"}' '{"uses":"actions/checkout@v4"}' '{"run":"echo now $(cat src/file) $(ls left 2>&1)"}' \
  '{"uses":"actions/checkout@v4","with":{"path":"../../out"},"continue-on-error":true}' \
  '{"uses":"actions/checkout@v4","with":{"repository":"acme/other"},"continue-on-error":true}' \
  '{"uses":"actions/checkout@v4","with":{"ref":"nowhere"},"continue-on-error":true}'
with_mirror
job
ok 'the commit of the event is there' grep -qx two <<<"$log"
ok 'executables and links too' grep -qx tool <<<"$log"
ok 'with a .git that works without network' grep -qx "$sha" <<<"$log"
ok 'and names where it came from' grep -qx 'https://git.example.com/acme/app' <<<"$log"
ok 'on its branch' grep -qx main <<<"$log"
is "$(grep -cx runner <<<"$log")" 2 'all of it belongs to the job'
ok 'the commit is an output' grep -qx "commit $sha" <<<"$log"
ok 'one can commit in it' step_is 3 success
ok 'path: beneath the workspace, beside the first' grep -qx 'the first is there' <<<"$log"
ok 'ref: another branch' grep -qx "$side" <<<"$log"
ok 'ref: a tag' grep -qx 'tag has one' <<<"$log"
ok 'a second checkout cleans' grep -Eqx 'now two .*left.*' <<<"$log"
ok 'a path out of the workspace is refused' has '"n":13,' '"outcome":"failure"'
ok 'another repository is refused with the reason' in_log "checking out another repository ('acme/other')"
ok 'a ref that is not there fails' has '"n":15,' '"outcome":"failure"'
ok 'the mirror is untouched' git -C "$D/repos/12.git" -c safe.directory='*' fsck --strict
ok 'the job succeeds' ended success

# ---- a working tree, as it stands ----
(cd "$repo" && echo uncommitted >src/file && echo new >untracked && echo '/ignored' >.gitignore && echo x >ignored)
chmod -R a+rX "$repo"
SPEC_EXTRA='"source":{"kind":"tree","path":"'$repo'"}'
steps '{"uses":"actions/checkout@v4"}' \
  '{"run":"cat src/file untracked; test -e ignored || echo no ignored; git rev-parse HEAD; git status --porcelain | sort | tr \"\\n\" \" \"; echo; echo mine >src/file"}'
job
ok 'uncommitted changes are in it' grep -qx uncommitted <<<"$log"
ok 'untracked files too' grep -qx new <<<"$log"
ok 'ignored ones are not' grep -qx 'no ignored' <<<"$log"
ok 'git says what it says to the user' in_log ' M src/file'
is "$(cat "$repo/src/file")" uncommitted 'the tree of the user is untouched'

# ---- problem matchers ----
SPEC_EXTRA=
matcher=$(printf '%s' '{"problemMatcher":[{"owner":"x","pattern":[{"regexp":"^(\\S+):(\\d+): (warning|error): (.*)$","file":1,"line":2,"severity":3,"message":4}]}]}' | base64 -w0)
steps "{\"run\":\"echo $matcher | base64 -d >m.json; echo ::add-matcher::\$PWD/m.json; echo a.c:3: error: broken ${RANDOM:+x}; echo b.c:4: warning: odd\"}" \
  '{"run":"echo c.c:5: error: later; echo plain; echo ::remove-matcher owner=x::; echo d.c:6: error: gone"}' \
  '{"run":"echo e.c:7: error: not any more; echo ::add-matcher::/etc/shadow"}'
job
ok 'lines become annotations' has '"frame":"note"' '"file":"a.c"' '"line":3' '"level":"error"' 'broken'
ok 'with their severity' has '"file":"b.c"' '"level":"warning"'
ok 'also in later steps' has '"file":"c.c"' '"n":2'
nok 'until it is removed' has '"file":"e.c"'
ok 'a matcher out of the job'"'"'s folders is refused' in_log "outside the job"

# ---- the way out ----
NETWORK=proxy
steps '{"run":"echo proxy is $https_proxy $HTTPS_PROXY $no_proxy; curl -sS -m 10 http://127.0.0.2:1/ -x $http_proxy -o /dev/null -w \"%{http_code}\\n\" || true; curl -sS -m 10 --noproxy \"*\" http://192.0.2.1/ && echo out || echo no other way"}'
job
if ended success; then
  ok 'the proxy is in the environment' grep -Eq '^proxy is http://127.0.0.1:[0-9]+ http://' <<<"$log"
  if command -v curl >/dev/null; then
    ok 'an address of the host is refused' has '"frame":"net"' '"verdict":"refused"' '"host":"127.0.0.2"'
    ok 'the log names the rule' grep -q "^##\[sluice\]refused 127.0.0.2" <<<"$log"
    ok 'there is no other way out' grep -qx 'no other way' <<<"$log"
  else
    skip 'curl is not installed' 3
  fi
else
  skip "no proxy here: $(sed -n 's/.*"reason":"\([^"]*\)".*/\1/p' <<<"$frames" | tail -n 1)" 4
fi
NETWORK=none
done_testing
