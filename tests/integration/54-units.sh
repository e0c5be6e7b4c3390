#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# slow
# What ./install.sh puts in place: files below a root of our own, units systemd accepts, and
# the two programs started as those units start them, the spawner as root, the rest without.
. tests/lib/tap.sh
. tests/lib/serve.sh
need make

ROOT=$T/root
exits 0 'install.sh installs below DESTDIR' env "DESTDIR=$ROOT" PREFIX=/usr/local ./install.sh
for f in usr/local/bin/sluice usr/local/libexec/sluice/sluice-{helper,spawner} etc/sluice/sluice.yml \
  etc/systemd/system/sluice.service etc/systemd/system/sluice-spawner.service; do
  ok "there is $f" test -s "$ROOT/$f"
done
exits 0 'the configuration it writes is a good one' "$ROOT/usr/local/bin/sluice" config check --config "$ROOT/etc/sluice/sluice.yml"
unit() { sed -n "s/^$2=//p" "$ROOT/etc/systemd/system/$1.service"; }
nok 'nothing is left to fill in' grep -rn '@[A-Z]*@' "$ROOT/etc"
if command -v systemd-analyze >/dev/null; then
  mkdir -p "$ROOT/usr/lib/systemd" && cp -r /usr/lib/systemd/system "$ROOT/usr/lib/systemd/"
  mkdir -p "$ROOT/bin" && cp /bin/true "$ROOT/bin/kill"
  for u in sluice sluice-spawner; do
    capture systemd-analyze verify --man=no --recursive-errors=no --root="$ROOT" "$u.service"
    is "$status $err" '0 ' "systemd has nothing against $u.service"
  done
else
  skip 'systemd-analyze is not installed' 2
fi
# What would break user namespaces and a fresh /proc for the jobs (SECURITY.md of the design).
nok 'the unit of the spawner takes nothing from the jobs' grep -qE \
  '^(Protect|Private|NoNewPrivileges|SystemCall|Restrict|CapabilityBoundingSet)' "$ROOT/etc/systemd/system/sluice-spawner.service"
is "$(unit sluice-spawner KillMode) $(unit sluice-spawner Delegate)" 'process yes' 'and its end does not end them'

exits 0 'it is taken away again' env "DESTDIR=$ROOT" PREFIX=/usr/local ./install.sh --uninstall
is "$(find "$ROOT/usr/local" "$ROOT/etc/systemd" -type f | grep -c sluice)" 0 'with nothing left of it'
ok 'but what an operator wrote' test -s "$ROOT/etc/sluice/sluice.yml"

# ---- as the units start them ----
if [ "$(id -u)" -ne 0 ] || ! id "$SERVICE" >/dev/null 2>&1; then
  skip "takes root and the account '$SERVICE'" 8
  done_testing
  exit
fi
need_server
mkdir -p "$D"
chown "$SERVICE:" "$D"
# sluice.service: the account, no new privileges, and word to systemd when it is ready.
spawn systemd perl -MSocket -e '
  socket(my $s, AF_UNIX, SOCK_DGRAM, 0) or die; bind($s, sockaddr_un($ARGV[0])) or die "$!";
  chmod 0777, $ARGV[0]; $| = 1; while (defined recv($s, my $m, 4096, 0)) { print "$m\n" }' "$D/notify"
SERVE_AS=(setpriv --reuid "$SERVICE" --regid "$SERVICE" --clear-groups --no-new-privs --bounding-set=-all
  env "NOTIFY_SOCKET=$D/notify")
cat >"$T/no-spawner" <<X
#!/bin/sh
verb=\$1
shift
exec "$SLUICE" "\$verb" --no-spawner "\$@"
X
chmod 755 "$T/no-spawner"
real=$SLUICE
SLUICE=$T/no-spawner serve_start 'capacity: 1' || diag "$(cat "$SERVE_OUT")"
SLUICE=$real
ok 'the server is ready without a spawner' curl -fsS "$URL/health/live"
ok 'and has told systemd so' wait_for_text 5 "$T/systemd.out" '^READY=1'
project acme/app
workflow who.yml <<'X'
on: push
jobs:
  who:
    runs-on: ubuntu-latest
    steps: [{run: 'echo "by $(id -u)"'}]
X
push one
sleep 0.3
is "$(run_state 1)" queued 'a job waits for the spawner'
INVOCATION_ID=1 spawn spawner "$SLUICE" spawner --config "$D/sluice.yml" --data "$D/data"
ok 'and runs when its unit is there' wait_run 1 success
uid_of() { awk '/^Uid:/ { print $2 }' "/proc/$1/status"; }
is "$(uid_of "$CORE") $(uid_of "$(cat "$D/data/run/spawner.pid")")" "$(id -u "$SERVICE") 0" 'core has no rights, the spawner has'
own_uid() {
  local uid
  uid=$(uid_of "$(web_of "$CORE" "$D/data")") && [ -n "$uid" ] && [ "$uid" != 0 ] && [ "$uid" != "$(id -u "$SERVICE")" ]
}
ok 'web gets a uid of its own as soon as there is one who can give it' wait_for 10 own_uid
ok 'and goes on serving' curl -fsS "$URL/health/ready"
stop "serve$serve_number"
ok 'a stopped server leaves the spawner running' kill -0 "$(cat "$D/data/run/spawner.pid")"
ok 'and has said that it stops' grep -q '^STOPPING=1' "$T/systemd.out"
stop spawner
ok 'which ends when it is told to' none_left
done_testing
