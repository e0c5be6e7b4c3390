#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# slow
# A repository fetched by ssh, from an sshd of our own on the loopback: the key that fetches,
# the host key that is pinned, and that no job, log or page ever sees either.
. tests/lib/tap.sh
. tests/lib/serve.sh
SSHD=/usr/sbin/sshd
[ -x "$SSHD" ] || skip_all 'sshd is not installed'
need ssh ssh-keygen
need_server
shell=$(getent passwd "$(id -u)" | cut -d: -f7)
[[ $shell != */nologin && $shell != */false ]] || skip_all "this account's shell is $shell: sshd lets nobody in"

# ---- the host: our own account, one command, keys in our own folder ----
HOST=$T/host
mkdir -p "$HOST"
for k in right_host wrong_host user stranger; do
  ssh-keygen -q -t ed25519 -N '' -C "$k-comment" -f "$HOST/$k"
done
chmod 755 "$HOST"
PORT=$(free_port)
cat >"$HOST/serve" <<X
#!/bin/sh
case \$SSH_ORIGINAL_COMMAND in
"git-upload-pack "*) exec git -c safe.directory='*' upload-pack "$D/acme-app.git" ;;
esac
exit 1
X
chmod 755 "$HOST/serve"
cp "$HOST/user.pub" "$HOST/authorized"
cat >"$HOST/sshd_config" <<X
ListenAddress 127.0.0.1:$PORT
HostKey $HOST/right_host
AuthorizedKeysFile $HOST/authorized
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
ForceCommand $HOST/serve
X
# As root it wants a folder of that name for its children; made here it is of this mount only.
as_sshd=()
if [ "$(id -u)" -eq 0 ] && [ ! -d /run/sshd ]; then
  as_sshd=(unshare --mount sh -c 'mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec "$@"' sh)
fi
spawn sshd "${as_sshd[@]}" "$SSHD" -D -e -f "$HOST/sshd_config"
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }
wait_for 10 listens || skip_all "sshd does not start here: $(tail -n 1 "$T/sshd.out")"
known() { sed "s/^/[127.0.0.1]:$PORT /" "$HOST/$1.pub"; }
FROM=ssh://$(id -un)@127.0.0.1:$PORT/acme/app.git
if [ "$(id -u)" -eq 0 ]; then chown -R "$SERVICE:" "$HOST"/{user,stranger}{,.pub}; fi

serve_start || fail 'the server starts'
git_as_owner init -q --bare "$D/acme-app.git"
add() { # NAME KEY HOST
  S repo add "$1" --url "$FROM" --ssh-key "$HOST/$2" ${3:+--host-key "$(known "$3")"} --format json
}

# ---- what is refused ----
capture add acme/none user
is "$status" 1 'an ssh address without a host key is refused'
like "$err" 'no host key was given.*ssh-keyscan' 'and what to do is said'
add acme/liar user wrong_host >/dev/null 2>&1
capture S repo check acme/liar
is "$status" 1 'a host with another key than the pinned one is not fetched from'
like "$err" "host's key is not the registered one" 'and that is the reason given'
add acme/stranger stranger right_host >/dev/null 2>&1
capture S repo check acme/stranger
is "$status" 1 'a key the host does not know fetches nothing'
like "$err" 'the key is not accepted' 'and that is the reason given'

# ---- what works ----
PROJECT=acme/app BARE=$D/acme-app.git WORK=$D/acme-app
git_as_owner init -q "$WORK"
as_owner mkdir -p "$WORK/.github/workflows"
HOOK_SECRET=$(value "$(add acme/app user right_host 2>/dev/null)" hook_secret)
isnt "$HOOK_SECRET" '' 'with both keys it is added'
# A line of the private key that stands in no other file.
MARK=$(sed -n 3p "$HOST/user")
workflow look.yml <<X
on: push
jobs:
  look:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: |
          git log -1 --format='subject %s'
          echo planted >here; grep -rqs planted . && echo control
          cat .git/config; env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' || true
          if grep -rqsF '$MARK' "\$HOME" /tmp /var/tmp /run . "\$RUNNER_TEMP" /proc/[0-9]*/environ 2>/dev/null; then echo found; fi
          if [ -r '$HOST/user' ]; then echo readable; fi
          if (exec 3<>/dev/tcp/127.0.0.1/$PORT) 2>/dev/null; then echo reached; fi
X
sed -i "s|$MARK|\$(printf %s '${MARK:0:20}')\$(printf %s '${MARK:20}')|" "$WORK/.github/workflows/look.yml"
ok 'a push is told' push 'By ssh'
ok 'and what ssh fetched runs' wait_run 1 success
log=$(S logs 1)
like "$log" 'subject By ssh' 'at the commit that was pushed'
like "$log" 'control' 'a step finds what it may see (the control)'
unlike "$log" '(^|
)(found|readable|reached)' 'but neither the key nor the host'
unlike "$log" 'PRIVATE KEY' 'nor is a key in anything it can print'
capture S repo check acme/app
like "$status $out" '^0 .*reachable' 'repo check says it is there'

# ---- and nowhere else ----
nok 'no file of the server holds the key as it is' grep -rqsF "$MARK" "$D/data"
ok 'which is in its own file (the control)' grep -qF "$MARK" "$HOST/user"
for page in /repos/acme/app{,/hook,/secrets,/rules} /audit /api/v1/repos/acme/app /api/v1/audit; do
  api GET "$page"
done >"$T/pages"
ok 'pages speak of the repository (the control)' grep -q 'acme/app' "$T/pages"
nok 'but none shows it' grep -qF "$MARK" "$T/pages"
ok 'the invariants hold' S check
serve_stop
done_testing
