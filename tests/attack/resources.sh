#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a job takes from others: memory, disk, processes, the log, the end. At a fiftieth of
# the size; make torture has all of it.
# slow
# timeout: 300
. tests/lib/tap.sh
. tests/lib/attack.sh
. tests/lib/execjob.sh
need python3 perl
size() { echo $((TORTURE ? $1 : $1 / 50)); }

# ---- memory, in each way there is ----
mkdir "$T/tools"
cp tests/attack/hog.py "$T/tools/"
hog() { another_job --memory "$1" --pids 100 --ro "$T/tools" python3 "$T/tools/hog.py" "$2" 96; }
if "$CONFINE" --memory 64 true 2>/dev/null && "$SLUICE" doctor | grep -q 'cgroup .*memory'; then
  for what in anonymous shared sysv pipes tables; do
    capture hog 48 "$what"
    if [ "$what" = pipes ] && [ "$status" = 1 ]; then
      # The kernel's own limit on the pipes of one account came first.
      pass "more memory than the job has: $what, refused [RS02]"
    else
      is "$status" 137 "more memory than the job has: $what [RS02]"
    fi
    like "$(hog 400 "$what" 2>&1)" 'took it' "control: a job that has enough takes it: $what [RS02]"
  done
  nok 'a tmpfs ends before the memory of the job [RS02 RS03]' hog 200 tmpfs
  like "$(hog 600 tmpfs 2>&1)" 'took it' 'control: a larger one does not [RS02 RS03]'
else
  skip 'no memory controller for this account' 12 'more memory than the job has [RS02]'
fi

# ---- what the kernel counts by account: all jobs have one maker ----
cp tests/attack/counts.py "$T/tools/"
count() { another_job --ro "$T/tools" python3 "$T/tools/counts.py" "$@" 2>&1; }
for kind in inotify queues terminals; do
  # A job of this very shell: the others are of shells of their own.
  spawn "$kind" "$CONFINE" --ro "$T/tools" python3 "$T/tools/counts.py" "$kind" 600
  wait_for_text 30 "$T/$kind.out" "^$kind [1-9]"
  like "$(cat "$T/$kind.out")" "^$kind [1-9][0-9]* (24|28)$" "control: a job has as many as it can get: $kind [RS13]"
  like "$(count "$kind")" "^$kind [1-9]" "and another job gets its own: $kind [RS13]"
  like "$(python3 tests/attack/counts.py "$kind" 2>&1)" "^$kind [1-9]" "so does the account that made both: $kind [RS13]"
  stop "$kind" KILL
done
for kind in timers epoll descriptors; do
  capture count "$kind"
  like "$out" "^$kind [1-9][0-9]* (11|12|24)$" "they end before they are 120000: $kind [RS13]"
  [ "$kind" != timers ] || inside=$(cut -d ' ' -f 2 <<<"$out")
done
outside=$(python3 tests/attack/counts.py timers | cut -d ' ' -f 2)
diag "timers: $inside in a job, $outside outside"
ok "control: outside there are more [RS13]" test "$outside" -gt "$inside"

# ---- all of a job's files: counted, where there is no quota ----
over_disk() { # LIMITS SCRIPT: the job that does it and then sleeps
  SPEC_EXTRA="\"limits\":{$1}"
  steps "{\"run\":\"$2; sleep 25; echo got to the end\"}"
  job
  SPEC_EXTRA=''
}
over_disk '"disk":20000000' 'for i in 1 2 3; do head -c 10000000 /dev/zero >$i; done; mkdir shut; chmod 000 shut'
ok 'a job whose files take more than limits.disk ends [RS03]' ended failure
like "$frames" '"reason":"disk limit: the job.s files take 2[89] MiB of 19 MiB \(limits.disk\)' 'and is told why [RS03]'
nok 'before it is through [RS03]' grep -qx 'got to the end' <<<"$log"
over_disk '"files":500' 'mkdir many; cd many; for i in $(seq 700); do echo x >$i; done'
like "$frames" '"reason":"disk limit: the job has 7[0-9]* files of 500 \(limits.files\)' 'nor may it have too many files [RS03]'
over_disk '"disk":20000000,"files":500' 'head -c 10000000 /dev/zero >a; for i in 1 2 3 4 5 6 7 8; do ln a b$i; done; while :; do mkdir d; touch d/x; rm -r d; done & sleep 1'
ok 'control: a job within its limits gets to its end, whatever moves and however often a file is named [RS03]' ended success
grep -qx 'got to the end' <<<"$log" || diag "$frames"

# ---- files ----
files=$((TORTURE ? 200000 : 70000))
many="import os
d = '/tmp/many'
os.mkdir(d)
for i in range($files):
    open(d + '/' + str(i), 'w').close()
print('made all')"
unlike "$(another_job --memory 64 python3 -c "$many" 2>&1)" 'made all' 'a job cannot have files without end [RS03]'
deep="import os
for i in range(3000):
    os.mkdir('d'); os.chdir('d')
print('made all')"
mkdir "$T/work" "$T/work/in"
echo sentinel >"$T/sentinel"
is "$(another_job --work "$T/work" python3 -c "$deep")" 'made all' 'control: it can have deep ones [RS03]'
steps '{"run":"python3 -c \"import os; [(os.mkdir(chr(100)), os.chdir(chr(100))) for i in range(3000)]\"; mkdir shut; touch shut/x; chmod 000 shut; touch -- \"-rf\" \"$(printf \"a\\nb\")\"; ln -s '"$T"' out; ls | wc -l"}'
job
ok 'control: a step leaves what is hard to remove [RS16]' grep -qx 6 <<<"$log"
ok 'its folders are removed all the same [RS16]' test ! -e "$D/jobs/1/1/work"
is "$(cat "$T/sentinel")" sentinel 'and nothing that a link led to [RS16 FS01]'
python3 - "$T/work" <<'E2'
import os, sys
os.chdir(sys.argv[1])
depth = 0
while os.path.isdir("d"):
    os.chdir("d")
    depth += 1
while depth:
    os.chdir("..")
    os.rmdir("d")
    depth -= 1
E2

# ---- orphans ----
orphans=$(size 100000)
like "$(another_job --pids 500 bash -c "
  perl -e 'for (1 .. $orphans) { my \$p = fork; if (!\$p) { fork and exit 0; exit 0 } waitpid \$p, 0 }'
  for i in {1..50}; do
    z=\$(grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l); [ \$z = 0 ] && break; sleep 0.1
  done
  echo \$z zombies; ls -d /proc/[0-9]* | wc -l")" '^0 zombies.[3-9]$' "$orphans orphans are reaped, no pid is lost [RS09]"

# ---- both outputs, no input ----
bytes=$((1 << 20))
steps "{\"run\":\"for i in 1 2 3 4; do head -c $((bytes / 4)) /dev/zero | tr '\\\\0' o | fold -w 1023; head -c $((bytes / 4)) /dev/zero | tr '\\\\0' e | fold -w 1023 >&2; done; echo; cat | wc -c\"}"
job
ok 'a step that fills both outputs ends [RS12]' ended success
all_of() { grep -xE "$1+" "$D/jobs/1/1/log" | tr -d '\n' | wc -c; }
is "$(all_of o) $(all_of e)" "$bytes $bytes" 'control: all of it is in the log [RS12]'

# ---- a line without end ----
steps "{\"run\":\"head -c $(size 2000000000) /dev/zero | tr '\\\\0' a; cat /proc/sys/kernel/hostname\"}"
spawn rss bash -c 'while :; do for p in $(pgrep -f tests/tools/execjob); do grep VmHWM /proc/$p/status; done; sleep 0.2; done'
job
stop rss
ok 'a line without end passes [RS10]' ended success
ok 'and no process of ours held much of it [RS10]' test "$(awk '{ if ($2 > m) m = $2 } END { print m + 0 }' "$T/rss.out")" -lt 65536
ok 'control: they were looked at [RS10]' test -s "$T/rss.out"

# ---- many jobs, cancels ----
rounds=$(size 1000)
# Groups of a driver that is gone: others may be at work beside us.
left() {
  find /sys/fs/cgroup -type d -name 'execjob-*' 2>/dev/null | while read -r group; do
    [ -d "/proc/${group##*-}" ] || echo group
  done | wc -l
  grep -cF "$T" /proc/self/mountinfo
  pgrep -f "soak-$$" | wc -l
}
before=$(left)
ran=0 cancelled=0 killed=0
for ((i = 0; i < rounds; i++)); do
  steps "{\"run\":\"echo begun; exec -a soak-$$ sleep 0.1\"}" "{\"run\":\"sleep 30 & echo second\"}"
  case $((RANDOM % 3)) in
  0) job ;;
  1) job --cancel-on begun --force ;;
  2) job --kill-on begun ;;
  esac
  if ended success; then ran=$((ran + 1)); elif ended cancelled; then cancelled=$((cancelled + 1)); else killed=$((killed + 1)); fi
  rm -rf "$D"
done
diag "$ran ran, $cancelled cancelled, $killed killed"
ok 'control: of all kinds there were some [RS18]' test "$ran" -gt 0 -a "$((cancelled + killed))" -gt 0
wait_for 5 bash -c '! pgrep -f "soak-$0"' "$$"
is "$(left)" "$before" "$rounds jobs leave no group, mount or process [RS18]"
# ---- the processor ----
latency() { # the middle of 15 answers, in microseconds
  for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
    curl -sS -o "$T/.live" -m 10 -w '%{time_total}\n' "$URL/health/live"
    sleep 0.05
  done | sort -n | awk '{ t[NR] = $1 * 1000000 } END { printf "%d\n", t[int((NR + 1) / 2)] }'
}
. tests/lib/serve.sh
need curl
serve_start
quiet=$(latency)
for i in 1 2; do
  spawn "hog$i" bash -c '"$@"; exit $?' another "$CONFINE" --pids 100 bash -c \
    'for i in $(seq 8); do (while :; do :; done) & done; sleep 5; cat /proc/loadavg; kill $(jobs -p)'
done
sleep 2
busy=$(latency)
ok 'control: somebody was at work [RS05]' pgrep -f 'while :; do :; done'
wait_for_text 30 "$T/hog1.out" '^[0-9.]* '
diag "the server answers in $quiet us, beside 16 endless loops of two jobs in $busy us"
ok 'a server answers beside jobs that take every processor [RS05]' test "$busy" -lt 200000 -o "$busy" -lt $((quiet * 4))
serve_stop
done_testing
