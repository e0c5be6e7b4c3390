#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ways out of a job: the terminal of whoever started it, setuid programs, other jobs, other
# users, an unsafe start. `sluice doctor --attack` has the system calls and the files.
# timeout: 200
. tests/lib/tap.sh
. tests/lib/attack.sh
. tests/lib/execjob.sh
need python3 setpriv

# ---- the terminal ----
cat >"$T/push.py" <<'E2'
import fcntl, termios
for fd in (0, 1, 2):
    for c in b"echo pushed\n":
        try:
            fcntl.ioctl(fd, termios.TIOCSTI, bytes([c]))
        except OSError:
            pass
    try:
        fcntl.ioctl(fd, termios.TIOCSCTTY, 1)
        print("took the terminal")
    except OSError:
        pass
try:
    open("/dev/tty")
    print("opened the terminal")
except OSError:
    pass
E2
# in_pty COMMAND: what the shell says that runs it on a terminal of its own, then reads.
in_pty() {
  python3 - "$@" <<'E2'
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp("bash", ["bash", "-c", '"$@"; if read -r -t 1 line; then echo "read: $line"; fi', "pty"] + sys.argv[1:])
said = b""
while True:
    try:
        got = os.read(fd, 4096)
    except OSError:
        break
    if not got:
        break
    said += got
os.waitpid(pid, 0)
sys.stdout.write(said.decode(errors="replace"))
E2
}
cp "$T/push.py" "$T/pushed.py"
if [[ "$(in_pty python3 "$T/push.py")" == *'read: echo pushed'* ]]; then
  pass 'control: keys pushed into the terminal arrive [SB10]'
  mkdir "$T/ro"
  cp "$T/push.py" "$T/ro/"
  unlike "$(in_pty "$CONFINE" --ro "$T/ro" python3 "$T/ro/push.py")" 'read: |took|opened' \
    'from a job that was started on it none does [SB10]'
else
  skip 'this kernel has no TIOCSTI any more' 2 'keys pushed into the terminal [SB10]'
fi

# ---- setuid, file capabilities ----
if is_root; then
  mkdir -m 755 "$T/suid"
  cp -L /usr/bin/id "$T/suid/id"
  cp -L /usr/bin/cat "$T/suid/cat"
  chmod 4755 "$T/suid/id"
  echo secret >"$T/suid/secret"
  chmod 600 "$T/suid/secret"
  is "$(as_nobody "$T/suid/id" -u)" 0 'control: outside a setuid program is root [SB14]'
  is "$("$CONFINE" --ro "$T/suid" "$T/suid/id" -u)" 1001 'in a job it is not [SB14]'
  if setcap cap_dac_override+ep "$T/suid/cat" 2>/dev/null; then
    is "$(as_nobody "$T/suid/cat" "$T/suid/secret" 2>&1)" secret 'control: outside a program has its capability [SB14]'
    nok 'in a job it has not [SB14]' "$CONFINE" --ro "$T/suid" "$T/suid/cat" "$T/suid/secret"
  else
    skip 'setcap is not installed, or not for this file system' 2 'file capabilities [SB14]'
  fi
  for program in su sudo newuidmap ping; do
    [ -u "/usr/bin/$program" ] || continue
    unlike "$("$CONFINE" sh -c "$program -c 'grep CapEff /proc/self/status; id -u' root </dev/null 2>&1")" \
      '^0$|CapEff' "$program gains nothing [SB14]"
  done
else
  skip 'only root can make a setuid program' 2 'setuid programs [SB14]'
fi

# ---- another job ----
mark=trace-$$-$RANDOM
mkfifo "$T/hold"
mkdir -p "$T/tools"
cp tests/attack/traces.py "$T/tools/"
spawn first bash -c 'exec "$@" <"$0"' "$T/hold" "$CONFINE" --ro "$T/tools" bash -c "
  { sleep 20 | python3 $T/tools/traces.py plant $mark; } & sleep 1
  python3 $T/tools/traces.py search $mark; python3 -m http.server --bind 127.0.0.1 8017 >/dev/null 2>&1 & sleep 0.5; sleep 12"
exec 9>"$T/hold"
wait_for_text 15 "$T/first.out" 'abstract'
like "$(cat "$T/first.out")" '/tmp /var/tmp /dev/shm /run /home/runner shm sem msg mq abstract process' \
  'control: a job finds what it left itself [SB25]'
is "$(another_job --ro "$T/tools" python3 "$T/tools/traces.py" search "$mark")" '' 'another finds nothing of it [SB25]'
is "$(python3 tests/attack/traces.py search "$mark" | sed 's/ *process//')" '' 'nor does the host, but the process [SB25]'
ok 'the same port is free for the other [NET04]' another_job python3 -c '
import socket
s = socket.socket()
s.bind(("127.0.0.1", 8017))
s.listen(1)'
exec 9>&-
stop first

# ---- what an earlier job left ----
places='$GITHUB_WORKSPACE/.git/hooks $GITHUB_WORKSPACE $HOME /tmp /var/tmp /dev/shm $RUNNER_TEMP $RUNNER_TOOL_CACHE'
steps "{\"run\":\"for d in $places; do mkdir -p \$d; echo x >\$d/.planted; chmod 6755 \$d/.planted; done; find / -name .planted 2>/dev/null | wc -l\"}"
job
ok 'control: a job sees what it plants [FS06]' grep -qx '8' <<<"$log"
ok 'nothing of it is left in its folders [FS06]' test -z "$(find "$D/jobs" -name .planted)"
steps '{"run":"find / -name .planted 2>/dev/null | wc -l"}'
job
ok 'the next one sees none of it [FS06]' grep -qx '0' <<<"$log"

# ---- names of files ----
steps '{"run":"mkdir out; touch out/plain \"$(printf \"out/a\\033]0;owned\\007b\")\" \"$(printf \"out/\\302\\233x\")\"; ls out"}' \
  '{"uses":"actions/upload-artifact@v4","with":{"name":"odd","path":"out"},"continue-on-error":true}'
job
ok 'control: a plain name is in the log [FS07]' in_log plain
"$SLUICE" logs --help >/dev/null 2>&1
nok 'no frame of the journal holds a raw escape [FS07]' grep -q $'\033' <<<"$frames"

# ---- other users, an unsafe start ----
if is_root; then
  mkdir -m 755 "$T/open"
  exits 1 'a data directory that others can read is refused [HO02]' timeout 20 "$SLUICE" serve --data "$T/open"
  like "$err" 'others can look into .*run: chmod 700' 'with what to do [HO02]'
  mkdir -m 700 "$T/shut"
  head -c 32 /dev/urandom | od -An -v -t x1 | tr -d ' \n' >"$T/shut.key"
  chmod 644 "$T/shut.key"
  exits 1 'and so is a master key [HO02]' timeout 20 "$SLUICE" serve --data "$T/shut"
  like "$err" 'others can read the master key' 'which is named [HO02]'
  chmod 400 "$T/shut.key"
  nok 'another user reads neither the data nor the key [HO01]' as_nobody sh -c "ls $T/shut || cat $T/shut.key"
  ok 'control: the owner does [HO01]' sh -c "ls $T/shut && cat $T/shut.key"
else
  skip 'only root can be somebody else' 2 'other users [HO01 HO02]'
fi
done_testing
