#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A step against our own work on its files and against the start of the next step: what it
# exchanges, replaces and opens while we look. test_path and 23-sandbox-root have the same
# for one open and for a prepared root; test_sandbox for a step killed as it starts.
# timeout: 300
. tests/lib/tap.sh
. tests/lib/attack.sh
. tests/lib/execjob.sh
need python3
need_sandbox

# What a link leads to is of the host: the agent works outside of the job's root.
mkdir -m 777 "$T/host"
secret=host-secret-$$-$RANDOM
echo "$secret" >"$T/host/text"
echo "$secret=1" >"$T/host/env"
chmod 666 "$T/host"/*
before=$(cat "$T/host"/* | sha256sum)

# Exchanges a folder with a link to the host's, and each command file with one, until the end.
cat >"$T/racer.py" <<E2
import ctypes, os, sys, time
libc = ctypes.CDLL(None)
os.makedirs("flip", exist_ok=True)
open("flip/text", "w").write("inside\\n")
if not os.path.islink("flop"):
    os.symlink("$T/host", "flop")
files = "/home/runner/work/_temp/_runner_file_commands"
if os.fork():
    sys.exit(0)
os.setsid()
fd = os.open("/dev/null", os.O_RDWR)
for i in range(3):
    os.dup2(fd, i)
n = 0
time.sleep(0.5)
while True:
    libc.renameat2(-100, b"flip", -100, b"flop", 2)
    n += 1
    if n % 64:
        continue
    try:
        names = os.listdir(files)
    except OSError:
        continue
    for name in names:
        path = os.path.join(files, name)
        try:
            if n % 128:
                os.symlink("$T/host/env", path + ".x")
            else:
                os.mkfifo(path + ".x")
            libc.renameat2(-100, (path + ".x").encode(), -100, path.encode(), 2)
        except OSError:
            pass
E2
python=$(python3 -c 'import json, sys; print(json.dumps(open(sys.argv[1]).read()))' "$T/racer.py")
# A pipe there stops the step that writes to it, which is its own affair: hence the timeout.
rounds=$((TORTURE ? 200 : 6))
list=()
for ((i = 0; i < rounds; i++)); do
  list+=('{"run":"echo round ${{ hashFiles('"'flip/**'"') }}; timeout 1 sh -c \"echo a=b >>$GITHUB_ENV; echo c=d >>$GITHUB_OUTPUT\" || true","timeout-minutes":1,"continue-on-error":true}'
    '{"uses":"actions/upload-artifact@v4","with":{"name":"a'"$i"'","path":"flip"},"continue-on-error":true}'
    '{"uses":"actions/download-artifact@v4","with":{"name":"a'"$i"'","path":"flip"},"continue-on-error":true}'
    '{"run":"cat flip/text","working-directory":"flip","continue-on-error":true}')
done
steps "{\"shell\":\"python\",\"run\":$python}" '{"run":"sleep 0.7","continue-on-error":true}' "${list[@]}" '{"if":"always()","run":"env; pgrep -c python3 && echo raced"}'
job
ok 'control: the race goes on to the end [FS01 FS02 FS05]' grep -qx raced <<<"$log"
ok 'control: our own work goes on beside it [FS02]' grep -qE '^round [0-9a-f]{64}' <<<"$log"
ok 'the job ends [FS02 FS04]' has '"frame":"exit"'
nok 'nothing of the host is in the log [FS02 FS05]' grep -q "$secret" <<<"$log"
nok 'nor in frames, artifacts or any file of ours [FS02 FS05]' grep -rq "$secret" "$D"
is "$(cat "$T/host"/* | sha256sum)" "$before" 'nothing of the host was written [FS01 FS02]'
is "$(find "$T/host" | wc -l)" 3 'or made, or removed when the job was cleaned away [FS01 FS02 RS16]'
ok 'whose folders are gone [RS16]' test ! -e "$D/jobs/1/1/work"

# ---- our program, while jobs start ----
cat >"$T/opener.py" <<'E2'
import os, sys
if os.fork():
    sys.exit(0)
os.setsid()
me = os.stat("/proc/self/exe")
tried = opened = 0
for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 4000):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for flags in (os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_PATH):
            tried += 1
            try:
                fd = os.open("/proc/%s/exe" % pid, flags)
                if flags == os.O_PATH:
                    os.close(os.open("/proc/self/fd/%d" % fd, os.O_RDWR))
                opened += 1
                os.close(fd)
            except OSError:
                pass
open("/tmp/opener", "w").write("tried %d opened %d\n" % (tried, opened))
E2
python=$(python3 -c 'import json, sys; print(json.dumps(open(sys.argv[1]).read()))' "$T/opener.py")
sum=$(sha256sum <"$EXECJOB")
list=()
for ((i = 0; i < 40; i++)); do list+=('{"run":"true"}'); done
steps "{\"shell\":\"python\",\"run\":$python}" "${list[@]}" \
  '{"run":"for i in $(seq 200); do test -e /tmp/opener && break; sleep 0.1; done; cat /tmp/opener"}'
job
like "$(grep '^tried' <<<"$log")" '^tried [0-9]{4,} opened 0$' \
  'no program of a process is opened for writing while steps start [SB21]'
is "$(sha256sum <"$EXECJOB")" "$sum" 'and ours is what it was [SB21]'
cp "$EXECJOB" "$T/copy"
ok 'control: a copy of it can be written [SB21]' bash -c 'exec 3<>"$1"' _ "$T/copy"
done_testing
