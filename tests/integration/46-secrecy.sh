#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# slow
# What a step cannot reach, what never outlives its job, where a secret never is, and what
# the web process could not do if it were taken over. A real server; each claim has its
# control: the same probe succeeds outside, the same search finds what may be there.
. tests/lib/tap.sh
. tests/lib/serve.sh
need_server
INJECT=$(dirname "$(readlink -f "$SLUICE")")/tests/tools/inject

serve_start 'capacity: 3' || { fail 'the server starts'; done_testing; exit; }
project acme/app
MARK=mark$(openssl rand -hex 8)
DATA=$D/data

# ---- what a step of a trusted job can reach ----
# One script, run in a step and outside. Every line it prints is a thing it could do.
cat >"$T/probe.sh" <<'X'
data=$1 key=$2 mark=$3 core=$4 spawner=$5 port=$6 other=$7 first=$8
can() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo "CAN $name"; else echo "CANNOT $name"; fi; }
unix() { perl -MSocket -e 'socket(my $s,PF_UNIX,SOCK_SEQPACKET,0);connect($s,pack_sockaddr_un($ARGV[0])) or do { socket($s,PF_UNIX,SOCK_STREAM,0);connect($s,pack_sockaddr_un($ARGV[0])) or exit 1 }' "$1"; }
tcp() { perl -MSocket -e 'socket(my $s,PF_INET,SOCK_STREAM,0);connect($s,sockaddr_in($ARGV[0],INADDR_LOOPBACK)) or exit 1' "$1"; }
listed() { case $(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ') in *"$1 "*) ;; *) return 1 ;; esac; }
can 'read the database' head -c 16 "$data/db/sluice.db"
can 'list the data directory' ls "$data"
can 'read the master key' cat "$key"
can 'connect to the API socket' unix "$data/run/api.sock"
can 'connect to the spawner' unix "$data/run/spawner.sock"
can 'read the spec of another job' cat "$data/jobs/$other/1/spec.json"
can 'list the directory of another job' ls "$data/jobs/$other/1"
can 'see the processes of another job' listed "$mark-other"
can 'see the server in the process list' listed "sluice-spawner --data=$data"
can 'signal core' kill -0 "$core"
can 'signal the spawner' kill -0 "$spawner"
can 'reach the server on the loopback' tcp "$port"
can 'read the environment of a process it did not start' sh -c 'test -n "$(tr -d "\0" <"/proc/$1/environ")"' - "$first"
X

git_as_owner -C "$WORK" commit -q --allow-empty -m start
workflow other.yml <<X
on: push
jobs:
  other:
    runs-on: ubuntu-latest
    steps:
      - run: perl -e 'sleep 120' $MARK-other
X
push other
is "$code" 202 'a push of a long job is accepted'
sees() { [[ $(cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' ' ') == *"$1 "* ]]; } # no grep: it would see itself
ok 'which runs' wait_for 20 sees "$MARK-other"
OTHER=$(value "$(run_json 1)" 'jobs[0].id')

SPAWNER=$(cat "$DATA/run/spawner.pid")
PROBE_ARGS="$DATA $DATA.key $MARK $CORE $SPAWNER ${URL##*:} $OTHER"
as_owner cp "$T/probe.sh" "$WORK/probe.sh" 2>/dev/null || install -m644 "$T/probe.sh" "$WORK/probe.sh"
as_owner rm "$WORK/.github/workflows/other.yml"
workflow probe.yml <<X
on: push
jobs:
  probe:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: sh probe.sh $PROBE_ARGS 1
X
push probe
ok 'a step probes what it can reach' wait_run 2 success
S logs 2 >"$T/inside"
# shellcheck disable=SC2086 # words
as_owner sh "$T/probe.sh" $PROBE_ARGS $$ >"$T/outside"
# shellcheck disable=SC2086
[ "$(id -u)" -ne 0 ] || sh "$T/probe.sh" $PROBE_ARGS $$ >>"$T/outside"
# Signals are the kernel's to refuse outside too where uids differ; root is the control then.
while read -r what; do
  ok "outside one can $what [SB12 SB23 HO01]" grep -qx "CAN $what" "$T/outside"
  ok "a step cannot $what [SB12 SB23 HO01]" grep -qx "CANNOT $what" "$T/inside"
done < <(sed -n "s/^can '\([^']*\)'.*/\1/p" "$T/probe.sh")
S cancel 1 >"$T/cancel.out" 2>&1
ok 'the long job is cancelled' wait_run 1 cancelled

# ---- what a job leaves behind ----
as_owner rm "$WORK/.github/workflows/probe.yml"
as_owner tee "$WORK/daemon.pl" >/dev/null <<'X'
# Forks twice, leads a session, holds nothing open, ignores what can be ignored.
use POSIX;
exit if fork; POSIX::setsid(); exit if fork;
%ENV = (); POSIX::close($_) for 0 .. 255;
$SIG{$_} = 'IGNORE' for qw(TERM HUP INT QUIT USR1 USR2);
sleep 1 while 1;
X
workflow daemon.yml <<X
on: push
jobs:
  leaves:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: perl daemon.pl $MARK-daemon; perl daemon.pl $MARK-daemon
      - run: sleep 2
      - run: cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -o '$MARK-daemo[n]' | wc -l
X
push daemon
ok 'two daemons leave their step and live on' wait_for 20 sees "$MARK-daemon"
ok 'the job succeeds' wait_run 3 success
ok 'with both of them there until its end [RS06]' grep -qx 2 <(S logs 3)
nok 'and when it is completed none is left [RS06]' sees "$MARK-daemon"

# ---- where a secret never is ----
as_owner rm "$WORK/.github/workflows/daemon.yml"
CANARY=canary$(openssl rand -hex 12)
TOKEN=tk$(openssl rand -hex 14)
PRIVATE=pv$(openssl rand -hex 14)
LINE1=l1$(openssl rand -hex 14) LINE2=l2$(openssl rand -hex 14)
printf %s "$TOKEN" | S secret set TOKEN --repo acme/app 2>"$T/secret.err"
printf 'BEGIN\n%s\n%s\nEND\n' "$LINE1" "$LINE2" | S secret set LINES --repo acme/app 2>>"$T/secret.err"
printf %s "$PRIVATE" | S secret set PRIVATE --repo acme/app --env production 2>>"$T/secret.err"
as_owner tee "$D/environments.yml" >/dev/null <<'X'
production:
  reviewers: [admin]
  required: 1
staging:
  required: 0
X
ok 'rules are set' S environments apply "$D/environments.yml" --repo acme/app

workflow secret.yml <<X
on: push
env:
  HERE: \${{ secrets.TOKEN }}
jobs:
  leak:
    runs-on: ubuntu-latest
    outputs:
      out: \${{ steps.o.outputs.out }}
      plain: \${{ steps.o.outputs.plain }}
    environment:
      name: staging
      url: https://example.com/\${{ steps.o.outputs.out }}
    steps:
      - name: named \${{ secrets.TOKEN }} $CANARY
        run: echo "whole \$HERE $CANARY"; echo "error \$HERE" >&2
      - name: forms
        run: |
          set -x
          printf %s "\$HERE" | base64
          printf 'user:%s' "\$HERE" | base64 -w0; echo
          printf %s "\$HERE" | od -An -v -tx1 | tr -d ' \\n'; echo
          printf '%s' "\${HERE%??????????????}"; sleep 0.2; printf '%s\n' "\${HERE#??????????????}"
          for c in \$(printf %s "\$HERE" | fold -w1); do printf %s "\$c"; done; echo
          env
      - name: lines
        env:
          LINES_: \${{ secrets.LINES }}
        run: printf '%s\n' "\$LINES_"; printf '%s\n' "\$LINES_" | tr '\\n' ' '; printf %s "\$LINES_" | base64 -w0
      - id: o
        run: |
          echo "out=\$HERE" >>"\$GITHUB_OUTPUT"
          echo "plain=$CANARY" >>"\$GITHUB_OUTPUT"
          echo "STORED=\$HERE" >>"\$GITHUB_ENV"
          echo "KEPT=\$HERE" >>"\$GITHUB_STATE"
          echo "/opt/\$HERE" >>"\$GITHUB_PATH"
          echo "# Summary of \$HERE and $CANARY" >>"\$GITHUB_STEP_SUMMARY"
          echo "::error file=a-\$HERE.c,line=1,title=T \$HERE::E \$HERE $CANARY"
          echo "::notice::N \$HERE"
          echo "::debug::D \$HERE"
          echo "::group::G \$HERE"
          echo "::endgroup::"
          mkdir -p up; echo x >up/file
      - run: echo "again \$STORED \$PATH"
      - if: env.STORED == 'no' && env.HERE != 'x'
        run: echo never
      - uses: actions/upload-artifact@v4
        with:
          name: art-\${{ secrets.TOKEN }}
          path: up
        continue-on-error: true
      - uses: actions/upload-artifact@v4
        with:
          name: $CANARY
          path: up
      - run: exit "\$HERE"
        continue-on-error: true
  takes:
    needs: leak
    runs-on: ubuntu-latest
    name: takes \${{ needs.leak.outputs.out }}
    if: contains(needs.leak.outputs.plain, 'canary') && needs.leak.outputs.out == ''
    steps:
      - run: echo "taken '\${{ needs.leak.outputs.out }}' '\${{ needs.leak.outputs.plain }}'"
  deploy:
    needs: takes
    runs-on: ubuntu-latest
    environment: production
    steps:
      - run: echo "private \${{ secrets.PRIVATE }} of ${CANARY}"
X
push secret
ok 'a run that spreads secrets reaches its gate' wait_gate 4
decrypts() { S audit --run 4 --verb secret. --format json; }
like "$(decrypts)" 'TOKEN' 'the audit names the secrets that were opened for its jobs'
unlike "$(decrypts)" 'PRIVATE' 'those of an environment are not opened before its gate'
ok 'the gate is opened' S approve 4 production
ok 'the run ends' wait_run 4 success 40
like "$(decrypts)" 'PRIVATE' 'then they are, and the audit says so'

S logs 4 >"$T/logs" 2>&1
S runs 4 --format json >"$T/run.json"
{ S explain 4; S explain 4/takes; } >"$T/explain" 2>&1
S audit --format json >"$T/audit.json"
# shellcheck disable=SC2046 # words
crawl "$T/pages" / /runs/4 /repos /repos/acme/app /environments /audit /queue /metrics /live \
  $(for j in $(value "$(cat "$T/run.json")" "join(jobs.*.id, ' ')"); do
    echo "/jobs/$j /jobs/$j/raw /jobs/$j/lines /jobs/$j/tail /api/v1/jobs/$j /api/v1/jobs/$j/log /api/v1/jobs/$j/trace /runs/4/explain"
  done) /api/v1/runs /api/v1/runs/4 /api/v1/audit /api/v1/deployments /api/v1/environments \
  /api/v1/deliveries /api/v1/repos /api/v1/gates /api/v1/queue /api/v1/status
diag "$(wc -l <"$T/pages/index") pages and documents"

b64() { printf %s "$1" | base64 -w0 | sed 's/=*$//'; }
hex() { printf %s "$1" | od -An -v -tx1 | tr -d ' \n'; }
# Of base64 in the two other alignments what does not depend on the neighbours.
inner() { printf '%s%s' "$1" "$2" | base64 -w0 | cut -c5-36; }
{
  for s in "$TOKEN" "$PRIVATE" "$LINE1" "$LINE2"; do printf '%s\n' "$s" "$(b64 "$s" | cut -c1-36)" "$(hex "$s")"; done
  inner x "$TOKEN"
  inner 'user:' "$TOKEN"
} >"$T/forms"
search() { grep -rlaF -f "$T/forms" "$@" 2>/dev/null; }
is "$(search "$DATA")" '' 'no secret is in any file of the data directory'
is "$(search "$SERVE_OUT" "$DATA/run")" '' 'none in what the server says'
is "$(search "$T/logs" "$T/run.json" "$T/explain" "$T/audit.json")" '' 'none in what the command line shows'
is "$(search "$T/pages")" '' 'none in a page or a document of the API'
canary() { grep -rlaF "$CANARY" "$@" | wc -l; }
ok 'control: what is no secret is in log, journal and database' \
  test "$(canary "$DATA/jobs")" -ge 4 -a "$(canary "$DATA/db")" -ge 1
ok 'control: in what the command line shows' test "$(canary "$T/logs" "$T/run.json")" -eq 2
like "$(cat "$T/explain")" "needs.leak.outputs.plain = .*$CANARY" \
  'control: a traced condition shows the values it met'
ok 'control: in pages and documents' test "$(canary "$T/pages")" -ge 6
ok 'control: the search finds a secret where one is' test -n "$(printf %s "x$TOKEN" >"$T/has" && search "$T/has")"
ok 'control: the search finds its base64' test -n "$(printf %s "user:$TOKEN" | base64 -w0 >"$T/has" && search "$T/has")"
like "$(cat "$T/logs")" 'whole \*\*\* '"$CANARY" 'the log shows that something was masked'
like "$(cat "$T/logs")" "taken '' '$CANARY'" 'an output that holds a secret is not passed on'
rm -f "$T/has"

# ---- the processes of the server ----
WEB=$(web_of "$CORE" "$DATA")
ok 'there is one web process' test -d "/proc/${WEB:-none}"
of_status() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }
is "$(of_status "$WEB" Seccomp) $(of_status "$WEB" NoNewPrivs) $(of_status "$WEB" CapEff)" \
  '2 1 0000000000000000' 'web is filtered, gains no privileges, has no capability'
ok 'nor has core' test "$(of_status "$CORE" CapEff)" = 0000000000000000
if [ "$(id -u)" -eq 0 ]; then
  spawn bystander setpriv --reuid "$SERVICE" --regid "$SERVICE" --clear-groups sleep 61
else
  spawn bystander sleep 61
fi
BYSTANDER=${tap_pids[bystander]}
wait_for 5 sees 'sleep 61'
ok 'control: the owner of the server reads the memory map of his processes' as_owner head -c 1 "/proc/$BYSTANDER/maps"
for p in "$CORE:core" "$WEB:web"; do
  nok "but not of ${p#*:}, which is not dumpable" as_owner head -c 1 "/proc/${p%:*}/maps"
  nok "nor the environment of ${p#*:}" as_owner head -c 1 "/proc/${p%:*}/environ"
done

# ---- web has a uid of its own, where the spawner can give it one ----
uid_of() { of_status "$1" Uid | cut -f1; }
if [ "$(id -u)" -ne 0 ]; then
  skip 'a uid for web takes a spawner that is root' 12
else
  WEB_UID=$(uid_of "$WEB")
  isnt "$WEB_UID" "$(id -u "$SERVICE")" 'the uid of web is not that of core [HO03]'
  isnt "$WEB_UID" 0 'nor root'
  is "$(getent passwd "$WEB_UID")" '' 'nor anybody who can sign in'
  is "$(of_status "$WEB" Groups)" '' 'and it is in no other group'
  as_web() { setpriv --reuid "$WEB_UID" --regid "$SERVICE" --clear-groups "$@"; }
  ok 'control: the owner reads the key' as_owner test -r "$DATA.key"
  nok 'that uid does not, without Landlock too [HO03]' as_web test -r "$DATA.key"
  nok 'nor does it reach a file of the data by name' as_web test -e "$DATA/db/sluice.db"
  # The folders that web holds, opened for it as core does.
  in_web() { as_web "$@" 3<"$DATA/db" 4<"$DATA/jobs/$OTHER/1"; }
  ok 'control: in the folders it was given it reads' in_web test -r /dev/fd/3/sluice.db -a -r /dev/fd/4/log
  nok 'but does not write the database' in_web test -w /dev/fd/3/sluice.db
  nok 'nor its log' in_web test -w /dev/fd/3/sluice.db-wal
  nok 'nor make a file beside it' in_web test -w /dev/fd/3/
  nok "nor read what a job was told" in_web test -r /dev/fd/4/spec.json
fi

# The real processes make the calls: what core can, web cannot.
inject() { "$INJECT" "$1" "$2" "$3" 2>&1; }
if [ "$(id -u)" -ne 0 ] || [ "$(inject "$BYSTANDER" read /etc/passwd)" != ok ]; then
  skip 'tracing another process takes root' 11
else
  is "$(inject "$CORE" read "$DATA.key")" ok 'control: core can open the key [HO03]'
  is "$(inject "$WEB" read "$DATA.key")" EACCES 'web cannot [HO03]'
  is "$(inject "$CORE" write "$DATA/db/sluice.db")" ok 'control: core can open the database for writing'
  held() { # FOLDER: its path as web can go it
    local f
    for f in "/proc/$WEB/fd"/*; do
      [ "$(readlink "$f")" != "$DATA/$1" ] || { echo "/proc/self/fd/${f##*/}" && return; }
    done
  }
  is "$(inject "$WEB" read "$(held db)/sluice.db")" ok 'web can read it'
  is "$(inject "$WEB" write "$(held db)/sluice.db")" EACCES 'but not open it for writing'
  is "$(inject "$WEB" write "$(held db)/sluice.db-wal")" EACCES 'nor its log'
  is "$(inject "$WEB" write "$(held jobs)/$OTHER/1/log")" EACCES 'nor the log of a job'
  is "$(inject "$WEB" read /etc/passwd)" EACCES 'nor read anything else'
  isnt "$(inject "$WEB" exec /bin/true)" ok 'nor execute a program [HO03]'
  ok 'and goes on serving' curl -fsS "$URL/health/ready"
  is "$(inject "$BYSTANDER" exec /bin/true)" ok 'control: another process of the account can'
fi
ok 'the invariants hold' S check

# ---- a web that hangs does not keep the address of a core that is gone ----
gone() { ! kill -0 "$1" 2>/dev/null; }
kill -STOP "$WEB"
kill -KILL "$CORE"
ok 'a web that has stopped answering does not outlive core' wait_for 10 gone "$WEB"
serve_stop
done_testing
