#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The server measured as a whole, beside a peer or the raw thing in the same run.

  tests/bench/server.py [--quick]      needs build/sluice and the load client (make bench)

Everything on loopback and free ports, in a folder of its own; medians of a few rounds.
Prints a Markdown table for docs/performance.md. Skips name their reason.
"""
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

QUICK = "--quick" in sys.argv
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SLUICE = os.path.join(SOURCE, "build/sluice")
ROWS = []


def row(what, figure, against="", ratio=""):
    ROWS.append((what, figure, against, ratio))
    print("| %s | %s | %s | %s |" % (what, figure, against, ratio), flush=True)


def wait_for(check, seconds, what):
    end = time.time() + seconds
    while time.time() < end:
        got = check()
        if got:
            return got
        time.sleep(0.002)
    raise SystemExit("bench: %s did not happen within %d s" % (what, seconds))


def request(port, method, path, body=b"", headers=None):
    s = socket.create_connection(("127.0.0.1", port), 30)
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


class Server:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="sluice-bench.")
        os.chmod(self.dir, 0o755)
        self.data = os.path.join(self.dir, "data")
        self.log = open(os.path.join(self.dir, "serve.log"), "w")
        self.start()

    def start(self):
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

    def verb(self, name, **args):
        argv = {"token": None}
        del argv["token"]
        p = subprocess.run(["curl", "-sS", "--unix-socket", os.path.join(self.data, "run/api.sock"),
                            "-H", "Content-Type: application/json", "-d", json.dumps(args),
                            "http://x/api/v1/verbs/" + name], capture_output=True, text=True)
        return json.loads(p.stdout)

    def pids(self):
        pids = self.verb("status")["pids"]
        out = {}
        for name, pid in pids.items():
            for p in (pid if isinstance(pid, list) else [pid]):
                if p:
                    out.setdefault(name, p)
        for p in os.listdir("/proc"):
            if p.isdigit():
                try:
                    cmd = open("/proc/%s/cmdline" % p).read().split("\0")
                except OSError:
                    continue
                if len(cmd) > 1 and "sluice" in cmd[0] and cmd[1] in ("web", "planner", "checkpointer"):
                    stat = open("/proc/%s/stat" % p).read().rsplit(")", 1)[1].split()
                    if int(stat[1]) != self.proc.pid:
                        continue
                    out[cmd[1]] = int(p)
        out["core"] = self.proc.pid
        return out

    def stop(self):
        spawner = self.pids().get("spawner")
        self.proc.terminate()
        self.proc.wait(20)
        if spawner:
            try:
                os.kill(spawner, signal.SIGTERM)
            except OSError:
                pass
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
    if os.getuid() == 0:
        subprocess.run(["chown", "-R", "sluice:", bare], check=False)
    return server.verb("repo.add", repo="bench/" + name, url=bare)["hook_secret"]


def finished(server, want):
    def check():
        runs = server.verb("run.list", limit=1)["items"]
        return runs and runs[0]["id"] >= want and runs[0]["state"] in ("success", "failure") and runs[0]
    return wait_for(check, 300, "the run's end")


def ms(run, a, b):
    from datetime import datetime
    t = [datetime.fromisoformat(run[k].replace("Z", "+00:00")) for k in (a, b)]
    return (t[1] - t[0]).total_seconds() * 1000


def bench_hooks(server, secret):
    client = next((os.path.join(r, "load_hooks") for r, _, f in os.walk(os.path.join(SOURCE, "build"))
                   if "load_hooks" in f), None)
    if not client:
        print("skip hooks: the load client is not built (make bench builds it)")
        return
    n = 2000 if QUICK else 10000

    def load(port, path, header, secret, count, repo):
        best = []
        for _ in range(1 if QUICK else 3):
            out = subprocess.run([client, str(port), path, secret, header, str(count), "16", "10240", repo],
                                 capture_output=True, text=True).stdout
            best.append({k: float(v) for k, v in re.findall(r"(\w+) ([\d.]+)", out)})
        best.sort(key=lambda x: x["per_second"])
        return best[len(best) // 2]

    ours = load(server.port, "/hooks/generic", "X-Sluice-Signature", secret, n, "bench/one")
    if ours["refused"]:
        print("note: %d refused" % ours["refused"])
    against, ratio = "", ""
    peer = shutil.which("webhook")
    if peer:
        conf = os.path.join(server.dir, "hooks.json")
        with open(conf, "w") as f:
            json.dump([{"id": "b", "execute-command": "/bin/true", "trigger-rule": {"match": {
                "type": "payload-hmac-sha256", "secret": "s3cret", "parameter": {
                    "source": "header", "name": "X-Hub-Signature-256"}}}}], f)
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        s.close()
        p = subprocess.Popen([peer, "-hooks", conf, "-ip", "127.0.0.1", "-port", str(port)],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            theirs = load(port, "/hooks/b", "X-Hub-Signature-256", "s3cret", n // 4, "bench/one")
            against = "webhook: %.0f/s, p99 %.1f ms (not stored)" % (theirs["per_second"], theirs["p99_us"] / 1000)
            ratio = "%.1fx" % (ours["per_second"] / theirs["per_second"])
        finally:
            p.terminate()
            p.wait()
    row("signed 10 KB webhooks, stored and committed, 16 connections",
        "%.0f/s, p50 %.2f ms, p99 %.2f ms" % (ours["per_second"], ours["p50_us"] / 1000, ours["p99_us"] / 1000),
        against, ratio)


def bench_latency(server):
    server.verb("run.dispatch", repo="bench/one", workflow="one.yml")
    last = finished(server, 1)["id"]
    total, parts = [], []
    for _ in range(5 if QUICK else 30):
        began = time.time()
        server.verb("run.dispatch", repo="bench/one", workflow="one.yml")
        last += 1
        run = finished(server, last)
        total.append((time.time() - began) * 1000)
        parts.append(ms(run, "created_at", "completed_at"))
    row("trigger to finished, one job `true`, confined", "%.1f ms at the median (%.1f ms in the database)" % (
        statistics.median(total), statistics.median(parts)))
    return last


def bench_many(server, last):
    n = 100 if QUICK else 250
    began = time.time()
    runs = 1 if QUICK else 2
    for _ in range(runs):
        server.verb("run.dispatch", repo="bench/one", workflow="many.yml")
    last += runs
    finished(server, last)
    wait_for(lambda: all(r["state"] in ("success", "failure") for r in server.verb("run.list", limit=runs)["items"]),
             300, "all runs")
    took = time.time() - began
    raw = time.time()
    for _ in range(n * runs):
        subprocess.run(["/bin/true"])
    raw = time.time() - raw
    row("%d jobs `true`" % (n * runs), "%.2f s, %.1f ms each" % (took, took * 1000 / n / runs),
        "fork and exec of `true` from here: %.2f s" % raw, "%.1fx of it" % (took / raw))
    return last


def bench_log(server, last):
    size = 10_000_000 if QUICK else 100_000_000
    cmd = "head -c %d /dev/zero | tr '\\0' x | fold -w 99" % size
    raw = []
    for _ in range(3):
        began = time.time()
        subprocess.run(cmd + " > " + os.path.join(server.dir, "raw"), shell=True, check=True)
        raw.append(time.time() - began)
    server.verb("run.dispatch", repo="bench/one", workflow="log.yml")
    last += 1
    stalls = []
    stop = threading.Event()

    def poke():
        while not stop.is_set():
            t = time.time()
            request(server.port, "GET", "/health/live")
            stalls.append(time.time() - t)
            time.sleep(0.01)
    t = threading.Thread(target=poke)
    t.start()
    run = finished(server, last)
    stop.set()
    t.join()
    took = ms(run, "started_at", "completed_at") / 1000
    row("%d MB log in lines of 100 bytes, masked and framed" % (size // 1_000_000), "%.2f s" % took,
        "`> file`: %.2f s" % statistics.median(raw), "%.2fx" % (took / statistics.median(raw)))
    row("worst answer of /health/live beside it", "%.1f ms" % (max(stalls) * 1000))
    job = server.verb("run.show", run=last)["jobs"][0]["id"]
    return last, job


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
    row("%d viewers of 10 MB each" % n, "%.2f s, %.0f MB/s" % (took, sum(done) / took / 1e6))


def memory(server, when):
    total = 0
    for name, pid in sorted(server.pids().items()):
        try:
            text = open("/proc/%d/smaps_rollup" % pid).read()
            status = open("/proc/%d/status" % pid).read()
        except OSError:
            continue
        pss = int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
        peak = int(re.search(r"^VmHWM:\s+(\d+)", status, re.M).group(1))
        total += pss
        row("memory %s: %s" % (when, name), "PSS %.1f MiB, peak RSS %.1f MiB" % (pss / 1024, peak / 1024))
    row("memory %s: all" % when, "PSS %.1f MiB" % (total / 1024))


def main():
    print("| what | figure | against, same run | ratio |\n| --- | --- | --- | --- |")
    server = Server()
    try:
        row("cold start to /health/ready, empty", "%.0f ms" % server.cold_ms)
        memory(server, "idle")
        rows = ", ".join(str(i) for i in range(100 if QUICK else 250))
        secret = make_repo(server, "one", {"one.yml": WORKFLOW, "many.yml": MANY % rows,
                                           "log.yml": LOG % (10_000_000 if QUICK else 100_000_000)})
        last = bench_latency(server)
        last = bench_many(server, last)
        last, job = bench_log(server, last)
        bench_viewers(server, job)
        bench_hooks(server, secret)
        memory(server, "at the end")
    finally:
        server.stop()


main()
