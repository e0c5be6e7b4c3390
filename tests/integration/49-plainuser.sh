#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A plain user: without rights, without a range of ids, without a cgroup of his own. And
# `sluice run` on a tree with changes, as him and as root. As root an account is made for it.
. tests/lib/tap.sh
. tests/lib/serve.sh

IS_ROOT=
if [ "$(id -u)" -eq 0 ]; then
  need useradd userdel setpriv
  IS_ROOT=yes
  SERVICE=sluice-t$$
  useradd --system --user-group --no-create-home --home-dir "$T/owner" --shell /bin/sh "$SERVICE" \
    2>"$T/useradd.err" || skip_all "no account can be made: $(cat "$T/useradd.err")"
  at_end "userdel $SERVICE 2>/dev/null"
  chmod 755 "$T"
  SERVE_AS=(setpriv --reuid "$SERVICE" --regid "$SERVICE" --clear-groups env "HOME=$T/owner")
fi
need_server
WHO=$(as_owner id -un)

# ---- what this account offers ----
capture as_owner "$SLUICE" doctor
is "$status" 0 'doctor says that jobs can run'
like "$out" 'verdict: standard, named weaker \(.*ids' 'and what is weaker'
like "$out" "ids +'$WHO' has no range in /etc/subuid|ids +newuidmap is not installed" 'why'
like "$out" 'mend: sudo (usermod --add-subuids [0-9]+-[0-9]+ --add-subgids|apt-get install uidmap)' 'and how to mend it'
first=$(sed -n 's/.*--add-subuids \([0-9]*\)-.*/\1/p' <<<"$out")
overlaps() { awk -F: -v a="${first:-0}" '$2 < a + 65536 && $2 + $3 > a { found = 1 } END { exit !found }' "$1"; }
for file in /etc/subuid /etc/subgid; do
  if [ -n "$first" ] && [ -r "$file" ]; then
    nok "with ids that nobody has in $file" overlaps "$file"
  else
    skip "no range is proposed or there is no $file"
  fi
done
like "$out" 'Untrusted work is refused' 'strangers are not run with less'

# ---- a server ----
ok 'a plain user serves' serve_start 'capacity: 1'
is "$(stat -c '%a %U' "$D/data")" "700 $WHO" 'its data is his alone [HO01]'
is "$(stat -c '%a %U' "$D/data.key")" "400 $WHO" 'and so is its key [HO01]'
project acme/app
workflow ci.yml <<'X'
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: echo "I am $(id -un) $(id -u), pid $$"; git log --oneline | wc -l
      - run: echo hello >out; ls /root /var/lib/private && exit 1; echo nothing of others
      - uses: actions/upload-artifact@v4
        with: {name: out, path: out}
X
ok 'install a hook in a repository of his' S hook install "$BARE"
git_as_owner -C "$WORK" add -A
git_as_owner -C "$WORK" commit -q -m 'Through the hook'
git_as_owner -C "$WORK" push "$BARE" HEAD:refs/heads/main >"$T/push.out" 2>&1
like "$(cat "$T/push.out")" 'sluice: main: 202' 'a push is answered on his terminal'
ok 'and runs' wait_run 1 success
like "$(S logs 1)" 'I am runner 1001' 'its steps see no account of the host'
like "$(S logs 1)" 'nothing of others' 'and no file of it'
like "$(S logs 1)" 'weaker|ids' 'the log says what is weaker'
ok 'the invariants hold' S check
serve_stop
ok 'nothing is left' none_left

# ---- sluice run ----
make_tree() { # DIR, as whoever runs it
  mkdir -p "$1/.github/workflows" && cd "$1" || return 1
  git init -q -b main . && git config user.email t@example.com && git config user.name t
  cat >.github/workflows/ci.yml <<'X'
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          echo "tracked: $(cat tracked)"; echo "untracked: $(cat untracked)"
          test -e deleted || echo 'deleted is gone'
          test -e ignored || echo 'ignored is not here'
          test -x tool && ./tool
          echo written >>tracked; echo made >made; rm untracked; mkdir -p dir; echo x >dir/x
      - run: tail -n 1 tracked
X
  echo before >tracked && echo x >deleted && echo ignored >.gitignore
  git add -A && git commit -qm first
  echo changed >tracked && rm deleted && echo new >untracked && echo secret >ignored
  printf '#!/bin/sh\necho tool runs\n' >tool && chmod +x tool
}
look() { (cd "$1" && find . -path ./.git/index -prune -o -printf '%p %m %u %s %T@ %y\n' | sort && find . -type f ! -path './.git/index' -exec sha256sum {} + | sort); }
runs_there() { # WHO DIR COMMAND...
  local who=$1 dir=$2 before
  shift 2
  before=$(look "$dir")
  cd "$dir" || return
  capture "$@"
  cd "$SOURCE" || exit 1
  is "$status" 0 "$who: it runs" || diag "$out" "$err"
  like "$out" 'main [0-9a-f]{7} \+ 4 changed files' "$who: it counts what is not committed"
  like "$out" 'tracked: changed' "$who: a change is in it"
  like "$out" 'untracked: new' "$who: a new file too"
  like "$out" 'deleted is gone' "$who: what was deleted is not"
  like "$out" 'ignored is not here' "$who: nor what git ignores"
  like "$out" 'tool runs' "$who: what can be executed still can"
  like "$out" '\| written' "$who: a step can write and the next one reads it"
  is "$(look "$dir")" "$before" "$who: the tree is as it was"
}
as_owner bash -c "$(declare -f make_tree); make_tree '$T/owner/tree'"
runs_there 'plain user' "$T/owner/tree" as_owner "$SLUICE" run
if [ -n "$IS_ROOT" ]; then
  (make_tree "$T/tree")
  chmod 700 "$T/tree"
  runs_there root "$T/tree" "$SLUICE" run
  is "$(stat -c %U "$T/tree/tracked")" root 'root: and is still his'
else
  skip 'the rest takes root' 10
fi
left_over_runs() { find "$T" "${TMPDIR:-/tmp}" -maxdepth 3 -name "sluice-run-*" -user "$WHO" 2>/dev/null | grep -q .; }
nok "no directory of a run is left" left_over_runs
done_testing
