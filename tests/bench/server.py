#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server measured as a whole, beside a peer or the raw thing in the same run.

  tests/bench/server.py [--quick] [latency|many|log|viewers|hooks|memory ...]

needs build/sluice; for hooks the load client too (make build/gcc/tests/bench/load_hooks).
As root (jobs have ids of their own) or as a plain user. Everything on loopback and free
ports, in a folder of its own; medians of a few rounds. Prints a Markdown table for
docs/performance.md. What cannot be measured is skipped with its reason.
"""
import hashlib
import hmac
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time

QUICK = "--quick" in sys.argv
PARTS = [a for a in sys.argv[1:] if not a.startswith("-")]
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SLUICE = os.path.join(SOURCE, "build/sluice")
ENDED = ("success", "failure", "cancelled", "skipped")


def row(what, figure, against="", ratio=""):
    print("| %s | %s | %s | %s |" % (what, figure, against, ratio), flush=True)


def note(text):
    print("<!-- %s -->" % text, flush=True)


def wait_for(check, seconds, what):
    end = time.time() + seconds
    while time.time() < end:
        got = check()
        if got:
            return got
        time.sleep(0.002)
    raise SystemExit("bench: %s did not happen within %d s" % (what, seconds))


def exchange(s, method, path, body=b"", headers=None):
    head = "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n" % (
        method, path, len(body))
    for k, v in (headers or {}).items():
        head += "%s: %s\r\n" % (k, v)
    s.sendall(head.encode() + b"\r\n" + body)
    data = b""
    while True:
        piece = s.recv(65536)
        if not piece:
            break
        data += piece
    s.close()
    head, _, rest = data.partition(b"\r\n\r\n")
    if b"chunked" in head.lower():
        out = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            n = int(size, 16)
            if n == 0:
                break
            out, rest = out + rest[:n], rest[n + 2:]
        rest = out
    return int(head.split()[1]), rest


def request(port, method, path, body=b"", headers=None):
    return exchange(socket.create_connection(("127.0.0.1", port), 30), method, path, body, headers)


WORKFLOW = """on: [push, workflow_dispatch]
jobs:
  one:
    runs-on: ubuntu-latest
    steps:
      - run: 'true'
"""
MANY = """on: workflow_dispatch
jobs:
  many:
    runs-on: ubuntu-latest
    strategy:
      matrix:
        n: [%s]
    steps:
      - run: 'true'
"""
LOG = """on: workflow_dispatch
jobs:
  log:
    runs-on: ubuntu-latest
    steps:
      - run: head -c %d /dev/zero | tr '\\0' x | fold -w 99
"""


def stat_of(pid):
    """Name, parent; None when it has gone."""
    try:
        text = open("/proc/%d/stat" % pid).read()
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    return name, int(rest.split()[1])


class Server:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sluice-bench.")
        os.chmod(self.dir, 0o755)
        self.data = os.path.join(self.dir, "data")
        self.log = open(os.path.join(self.dir, "serve.log"), "w")
        self.spawner = 0
        began = time.time()
        self.proc = subprocess.Popen([SLUICE, "serve", "--data", self.data, "--listen", "127.0.0.1:0"],
                                     stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.proc.stdout.readline()
        m = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        if not m:
            raise SystemExit("bench: the server did not start; see %s" % self.log.name)
        self.port = int(m.group(1))
        wait_for(lambda: request(self.port, "GET", "/health/ready")[0] == 200, 20, "ready")
        self.cold_ms = (time.time() - began) * 1000

    def verb(self, verb, /, **args):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        s.connect(os.path.join(self.data, "run/api.sock"))
        status, body = exchange(s, "POST", "/api/v1/verbs/" + verb, json.dumps(args).encode(),
                                {"Content-Type": "application/json"})
        if status >= 300:
            raise SystemExit("bench: %s: %s" % (verb, body.decode(errors="replace")))
        return json.loads(body)

    def pids(self):
        """Every process of this server by name, and of no other: by what it says, by descent."""
        out = {"core": self.proc.pid}
        for name, pid in self.verb("status")["pids"].items():
            pids = [p for p in (pid if isinstance(pid, list) else [pid]) if p]
            for i, p in enumerate(pids):
                out[name if not i else "%s %d" % (name, i + 1)] = p
        spawner = out.get("spawner", 0)  # web is its child, where it is root
        for p in os.listdir("/proc"):
            name, parent = (stat_of(int(p)) if p.isdigit() else None) or ("", 0)
            if parent == self.proc.pid and int(p) not in out.values() or \
                    parent == spawner and name == "sluice-web":
                try:
                    argv = open("/proc/%s/cmdline" % p).read().split("\0")
                except OSError:
                    continue
                out[argv[1] if len(argv) > 1 and argv[1] else argv[0]] = int(p)
        self.spawner = out.get("spawner", 0)
        keeper = self.spawner and stat_of(self.spawner)
        if keeper and (stat_of(keeper[1]) or ("",))[0] == "sluice-keeper":
            out["keeper"] = keeper[1]
        return out

    def database(self):
        return sqlite3.connect("file:%s/db/sluice.db?mode=ro" % self.data, uri=True)

    def stop(self):
        self.pids()
        self.proc.terminate()
        try:
            self.proc.wait(20)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
        if self.spawner:
            try:
                os.kill(self.spawner, signal.SIGTERM)
            except OSError:
                pass
            end = time.time() + 10
            while stat_of(self.spawner) and time.time() < end:
                time.sleep(0.02)
        shutil.rmtree(self.dir, ignore_errors=True)


def make_repo(server, name, files):
    work, bare = os.path.join(server.dir, name + ".work"), os.path.join(server.dir, name + ".git")
    git = ["git", "-c", "user.name=b", "-c", "user.email=b@example.invalid", "-c", "init.defaultBranch=main"]
    os.makedirs(os.path.join(work, ".github/workflows"))
    for path, text in files.items():
        with open(os.path.join(work, ".github/workflows", path), "w") as f:
            f.write(text)
    q = dict(check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(git + ["init", "-q", "--bare", bare], **q)
    subprocess.run(git + ["-C", work, "init", "-q"], **q)
    subprocess.run(git + ["-C", work, "add", "-A"], **q)
    subprocess.run(git + ["-C", work, "commit", "-qm", "x"], **q)
    subprocess.run(git + ["-C", work, "push", "-q", bare, "HEAD:refs/heads/main"], **q)
    server.sha = subprocess.run(git + ["-C", work, "rev-parse", "HEAD"], check=True, capture_output=True,
                                text=True).stdout.strip()
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "sluice:", bare], check=False)
    return server.verb("repo.add", repo="bench/" + name, url=bare)["hook_secret"]


def push(server, secret, n):
    """A signed push of a commit the server has met: what a forge sends."""
    body = json.dumps({"event": "push", "repository": {"full_name": "bench/one"}, "ref": "refs/heads/main",
                       "before": "0" * 40, "after": server.sha, "commits": [], "pusher": {"name": "bench"},
                       "nonce": "bench-push-%d" % n, "time": int(time.time())}).encode()
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    status, answer = request(server.port, "POST", "/hooks/generic", body, {
        "Content-Type": "application/json", "X-Sluice-Event": "push", "X-Sluice-Delivery": "push-%d" % n,
        "X-Sluice-Signature": "sha256=" + mac})
    if status != 202:
        raise SystemExit("bench: a push was answered %d %s" % (status, answer))


def finished(server, want):
    """Looks into the database, so that waiting costs the server nothing."""
    db = server.database()
    db.isolation_level = None

    def check():
        return db.execute("SELECT id, conclusion, reason FROM runs WHERE id >= ? AND completed_at > 0", (want,)).fetchone()
    run = wait_for(check, 300, "the run's end")
    db.close()
    if run[1] != "success":
        raise SystemExit("bench: run %d ended as %s: %s" % run)
    return {"id": run[0]}


STAGES = (("accepted to run made (plan)", "r.created_at - e.created_at"),
          ("to queued", "j.queued_at - r.created_at"),
          ("to claimed", "j.claimed_at - j.queued_at"),
          ("to released (executor, sandbox, READY)", "j.released_at - j.claimed_at"),
          ("to started (GO durable)", "j.started_at - j.released_at"),
          ("to completed (step, kill, exit record)", "j.completed_at - j.started_at"),
          ("to run completed", "r.completed_at - j.completed_at"))


def print_latency(server, name, first, waited):
    rows = server.database().execute(
        "SELECT r.completed_at - e.created_at, %s FROM jobs j JOIN runs r ON r.id = j.run_id "
        "JOIN events e ON e.id = r.event_id WHERE r.id >= ?" % ", ".join(s[1] for s in STAGES), (first,)).fetchall()
    whole = [r[0] for r in rows]
    row("trigger to finished, one job `true`, confined: " + name,
        "%.0f ms at p50, best %d ms (the client saw %.0f ms)" % (
            statistics.median(whole), min(whole), statistics.median(waited)),
        "%d runs" % len(whole))
    for i, (stage, _) in enumerate(STAGES):
        values = [r[i + 1] for r in rows]
        row("... " + stage, "%.1f ms mean, %.0f p50" % (statistics.mean(values), statistics.median(values)))


def bench_latency(server, secret):
    rounds = 5 if QUICK else 40
    server.verb("run.dispatch", repo="bench/one", workflow="one.yml")
    last = finished(server, 1)["id"]
    for name, trigger in (("a push whose commit is known", lambda i: push(server, secret, i)),
                          ("a dispatch (fetches the branch)",
                           lambda i: server.verb("run.dispatch", repo="bench/one", workflow="one.yml"))):
        waited = []
        for i in range(rounds):
            time.sleep(0.05)  # what the last one leaves to be cleaned is not this one's
            began = time.time()
            trigger(i)
            last += 1
            finished(server, last)
            waited.append((time.time() - began) * 1000)
        print_latency(server, name, last - rounds + 1, waited)


def newest(server):
    items = server.verb("run.list", limit=1)["items"]
    return items[0]["id"] if items else 0


def bench_many(server):
    n, runs = (100, 1) if QUICK else (250, 2)
    last = newest(server)
    began = time.time()
    for _ in range(runs):
        server.verb("run.dispatch", repo="bench/one", workflow="many.yml")
    wait_for(lambda: newest(server) >= last + runs and all(
        r["state"] in ENDED for r in server.verb("run.list", limit=runs)["items"]), 300, "all runs")
    took = time.time() - began
    bad = [r["id"] for r in server.verb("run.list", limit=runs)["items"] if r["state"] != "success"]
    if bad:
        note("runs %s did not succeed" % bad)
    raw = time.time()
    for _ in range(n * runs):
        subprocess.run(["/bin/true"])
    raw = time.time() - raw
    row("%d jobs `true`" % (n * runs), "%.2f s, %.1f ms each" % (took, took * 1000 / n / runs),
        "fork and exec of `true` from here: %.2f s" % raw, "%.1fx of it" % (took / raw))


def bench_log(server):
    size = 10_000_000 if QUICK else 100_000_000
    cmd = "head -c %d /dev/zero | tr '\\0' x | fold -w 99" % size
    ours, raw, stalls = [], [], []
    stop = threading.Event()

    def poke():
        while not stop.is_set():
            t = time.time()
            request(server.port, "GET", "/health/live")
            stalls.append(time.time() - t)
            time.sleep(0.01)
    t = threading.Thread(target=poke)
    t.start()
    for _ in range(1 if QUICK else 3):
        began = time.time()
        subprocess.run(cmd + " > " + os.path.join(server.dir, "raw"), shell=True, check=True)
        raw.append(time.time() - began)
        next_run = newest(server) + 1
        server.verb("run.dispatch", repo="bench/one", workflow="log.yml")
        run = finished(server, next_run)
        took = server.database().execute("SELECT completed_at - started_at FROM jobs WHERE run_id = ?",
                                         (run["id"],)).fetchone()[0]
        ours.append(took / 1000)
    stop.set()
    t.join()
    row("%d MB log in lines of 100 bytes, masked and framed" % (size // 1_000_000),
        "%.2f s" % statistics.median(ours), "`> file`: %.2f s" % statistics.median(raw),
        "%.2fx" % (statistics.median(ours) / statistics.median(raw)))
    stalls.sort()
    row("answers of /health/live beside it", "worst %.1f ms, p99 %.1f ms" % (
        stalls[-1] * 1000, stalls[len(stalls) * 99 // 100] * 1000))
    return server.verb("run.show", run=newest(server))["jobs"][0]["id"]


def bench_viewers(server, job):
    token = server.verb("token.create", name="bench", scope="read")["token"]
    n = 20 if QUICK else 100
    size = 10_000_000
    done = []

    def view():
        s = socket.create_connection(("127.0.0.1", server.port), 60)
        s.sendall(("GET /api/v1/jobs/%d/log HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                   "Range: bytes=0-%d\r\nAuthorization: Bearer %s\r\n\r\n" % (job, size - 1, token)).encode())
        got = 0
        while True:
            piece = s.recv(1 << 20)
            if not piece:
                break
            got += len(piece)
        done.append(got)
    began = time.time()
    threads = [threading.Thread(target=view) for _ in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    took = time.time() - began
    if sum(done) < n * size * 0.9:
        note("viewers got %d bytes of %d" % (sum(done), n * size))
    row("%d viewers of 10 MB each" % n, "%.2f s, %.0f MB/s" % (took, sum(done) / took / 1e6))


class Peer:
    """Debian's `webhook` with the same duty, but nothing stored."""

    def __init__(self, folder):
        self.program = shutil.which("webhook")
        if not self.program:
            note("webhook is not installed: no peer for hooks")
            return
        conf = os.path.join(folder, "hooks.json")
        with open(conf, "w") as f:
            json.dump([{"id": "b", "execute-command": "/bin/true", "trigger-rule": {"match": {
                "type": "payload-hmac-sha256", "secret": "s3cret", "parameter": {
                    "source": "header", "name": "X-Hub-Signature-256"}}}}], f)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.proc = subprocess.Popen([self.program, "-hooks", conf, "-ip", "127.0.0.1", "-port", str(self.port)],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)

    def stop(self):
        if self.program:
            self.proc.terminate()
            self.proc.wait()


def bench_hooks(server, secret):
    client = next((os.path.join(r, "load_hooks") for r, _, f in os.walk(os.path.join(SOURCE, "build"))
                   if "load_hooks" in f), None)
    if not client:
        note("hooks are skipped: the load client is not built")
        return
    rounds = 1 if QUICK else 3

    def load(port, path, header, key, count, size):
        best = []
        for _ in range(rounds):
            out = subprocess.run([client, str(port), path, key, header, str(count), "16", str(size), "bench/one"],
                                 capture_output=True, text=True)
            got = {k: float(v) for k, v in re.findall(r"(\w+) ([\d.]+)", out.stdout)}
            if "per_second" not in got:
                note("load_hooks: %s" % out.stderr.strip())
                return None
            got["why"] = out.stderr.strip()
            best.append(got)
        best.sort(key=lambda x: x["per_second"])
        return best[len(best) // 2]

    n = 2000 if QUICK else 10000
    peer = Peer(server.dir)
    try:
        for what, size, count, key, must in (
                ("signed 10 KB webhooks, stored and committed, 16 connections", 10240, n, secret, True),
                ("10 KB with a wrong signature", 10240, n, "not it", False),
                ("signed 1 MB webhooks, stored", 1 << 20, n // 40, secret, True)):
            ours = load(server.port, "/hooks/generic", "X-Sluice-Signature", key, count, size)
            if not ours:
                continue
            if (must and ours["refused"]) or (not must and ours["accepted"]):
                note("%s: %d accepted, %d refused (%s)" % (what, ours["accepted"], ours["refused"], ours["why"]))
            against = ratio = ""
            theirs = peer.program and load(peer.port, "/hooks/b", "X-Hub-Signature-256",
                                           "s3cret" if must else "not it", max(count // 4, 50), size)
            if theirs:
                against = "webhook: %.0f/s, p99 %.1f ms (not stored)" % (
                    theirs["per_second"], theirs["p99_us"] / 1000)
                ratio = "%.1fx" % (ours["per_second"] / theirs["per_second"])
            row(what, "%.0f/s, p50 %.2f ms, p99 %.2f ms" % (
                ours["per_second"], ours["p50_us"] / 1000, ours["p99_us"] / 1000), against, ratio)
    finally:
        peer.stop()


def memory(server, when):
    total, parts, pids = 0, [], server.pids()
    for name, pid in sorted(pids.items()):
        try:
            text = open("/proc/%d/smaps_rollup" % pid).read()
            status = open("/proc/%d/status" % pid).read()
        except OSError as e:
            note("memory of %s: %s" % (name, e.strerror))
            continue
        pss = int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1)) / 1024
        peak = int(re.search(r"^VmHWM:\s+(\d+)", status, re.M).group(1)) / 1024
        total += pss
        parts.append("%s %.1f (peak RSS %.1f)" % (name, pss, peak))
    row("memory %s, PSS of %s processes" % (when, "all" if len(parts) == len(pids) else len(parts)), "%.1f MiB" % total, ", ".join(parts))


def main():
    def wants(part):
        return not PARTS or part in PARTS
    print("| what | figure | against, same run | ratio |\n| --- | --- | --- | --- |")
    server = Server()
    try:
        row("cold start to /health/ready, empty", "%.0f ms" % server.cold_ms)
        if wants("memory"):
            memory(server, "idle")
        rows = ", ".join(str(i) for i in range(100 if QUICK else 250))
        secret = make_repo(server, "one", {"one.yml": WORKFLOW, "many.yml": MANY % rows,
                                           "log.yml": LOG % (10_000_000 if QUICK else 100_000_000)})
        if wants("latency"):
            bench_latency(server, secret)
        if wants("many"):
            bench_many(server)
        if wants("log") or wants("viewers"):
            job = bench_log(server)
            if wants("viewers"):
                bench_viewers(server, job)
        if wants("hooks"):
            bench_hooks(server, secret)
        if wants("memory"):
            memory(server, "at the end")
    finally:
        server.stop()
    note("load average %.1f %.1f %.1f" % os.getloadavg())


main()
