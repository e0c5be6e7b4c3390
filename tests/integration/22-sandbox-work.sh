#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real work inside the profiles: what a workflow does every day must not notice them.
# slow
# timeout: 900
. tests/lib/tap.sh

CONFINE=$SOURCE/build/gcc/tests/tools/confine
[ -x "$CONFINE" ] || CONFINE=$(find "$SOURCE"/build -path '*/tests/tools/confine' -type f | head -n 1)
[ -x "$CONFINE" ] || skip_all 'tests/tools/confine is not built'
"$CONFINE" true >"$T/why" 2>&1 || skip_all "no sandbox can be made here: $(head -n 1 "$T/why")"

mkdir "$T/work" "$T/strict"
inside() { "$CONFINE" --work "$T/work" "$@"; }
strictly() { "$CONFINE" --profile strict --work "$T/strict" "$@"; }
here() { [ -x "/usr/bin/$1" ]; }

# both NAME [OPTION...] SCRIPT: SCRIPT under bash, in standard and in strict.
both() {
  local name=$1
  shift
  ok "$name" inside "${@:1:$#-1}" timeout 200 bash -euc "${!#}"
  ok "strict: ${name%% [*}" strictly "${@:1:$#-1}" timeout 200 bash -euc "${!#}"
}
# works NAME PROGRAM SCRIPT: the same; PROGRAM must be the system's own.
works() {
  if here "$2"; then
    both "$1" "$3"
  else
    skip "$2 is not installed below /usr" 2
  fi
}
# alone NAME PROGRAM SCRIPT: in standard alone, for it needs ptrace, or strict would show nothing new.
alone() {
  if here "$2"; then
    ok "$1" inside timeout 120 bash -euc "$3"
  else
    skip "$2 is not installed below /usr"
  fi
}

cat >"$T/work/leak.c" <<'C'
#include <stdlib.h>
int main(int argc, char **argv)
{
	char *volatile p = malloc(7);
	if (argc > 1)
		p[7] = 1;
	p = 0;
	return 0;
}
C
cat >"$T/work/threads.c" <<'C'
#include <pthread.h>
static void *run(void *data) { return data; }
int main(void)
{
	pthread_t t[50];
	for (int i = 0; i < 50; i++)
		if (pthread_create(&t[i], 0, run, 0))
			return 1;
	for (int i = 0; i < 50; i++)
		pthread_join(t[i], 0);
	return 0;
}
C

cp "$T/work"/*.c "$T/strict"

works 'gcc compiles and threads run [SB04]' gcc 'gcc -O2 -pthread threads.c -o threads && ./threads'
works 'AddressSanitizer finds an overflow' gcc \
  'gcc -g -fsanitize=address,undefined leak.c -o leak; ! ./leak x 2>err; grep -q heap-buffer-overflow err'
alone 'LeakSanitizer finds a leak, which needs ptrace' gcc \
  'gcc -g -fsanitize=address leak.c -o leak; ! ./leak 2>err; grep -q "7 byte(s) leaked" err'
alone 'ThreadSanitizer runs' gcc 'gcc -g -fsanitize=thread -pthread threads.c -o tsan && ./tsan'
alone 'clang compiles' clang 'clang -O2 -pthread threads.c -o threads && ./threads'
alone 'gdb runs a program' gdb \
  'gcc -g threads.c -pthread -o threads; gdb -batch -ex run ./threads 2>&1 | grep -q "exited normally"'
alone 'strace counts its calls' strace 'strace -f -o trace true; grep -q execve trace'
works 'make runs jobs side by side' make \
  'printf "all: a b c\na b c:\n\tsleep 0.1; touch \$@\n" >Makefile; make -j3; test -e c'
works 'cmake configures and builds' cmake \
  'mkdir -p cm; printf "project(x C)\nadd_executable(x ../threads.c)\ntarget_link_libraries(x pthread)\n" >cm/CMakeLists.txt
   cmake -S cm -B cm/build >/dev/null; cmake --build cm/build >/dev/null; cm/build/x'
works 'python forks workers' python3 \
  'python3 -c "import multiprocessing as m; assert sum(m.Pool(4).map(abs, range(100))) == 4950"'
alone 'python makes an environment and installs a local package' python3 \
  'mkdir -p pkg/src/hello_pkg && cd pkg && touch src/hello_pkg/__init__.py
   printf "from setuptools import setup\nsetup(name=\"hello_pkg\", package_dir={\"\": \"src\"}, packages=[\"hello_pkg\"])\n" >setup.py
   python3 -m venv --system-site-packages ../venv || exit 77
   ../venv/bin/python -c "import sys; assert sys.prefix != sys.base_prefix"
   if ../venv/bin/python -c "import setuptools" 2>/dev/null; then
     ../venv/bin/pip install --no-index --no-build-isolation -q . && ../venv/bin/python -c "import hello_pkg"
   fi'
# Wheels and the pages of an index (PEP 503) on the job's own loopback; one needs the other.
works 'pip installs from an index with what that needs' python3 \
  'rm -rf index env; mkdir -p index/simple/hello-top index/simple/hello-dep && cd index/simple
   python3 - <<"PY"
import hashlib, base64, zipfile
def wheel(name, needs):
    files = {f"{name}/__init__.py": f"name = \"{name}\"\n",
      f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n" + "".join(f"Requires-Dist: {n}\n" for n in needs),
      f"{name}-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    record = "".join("%s,sha256=%s,%d\n" % (f, base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).decode().rstrip("="), len(t)) for f, t in files.items())
    files[f"{name}-1.0.dist-info/RECORD"] = record + f"{name}-1.0.dist-info/RECORD,,\n"
    folder, file = name.replace("_", "-"), f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(f"{folder}/{file}", "w") as z:
        for f, t in files.items(): z.writestr(f, t)
    digest = hashlib.sha256(open(f"{folder}/{file}", "rb").read()).hexdigest()
    open(f"{folder}/index.html", "w").write(f"<a href=\"{file}#sha256={digest}\">{file}</a>\n")
wheel("hello_dep", [])
wheel("hello_top", ["hello-dep"])
PY
   cd ../..
   python3 -m http.server --bind 127.0.0.1 --directory index 8765 >served 2>&1 & server=$!
   for i in $(seq 100); do python3 -c "import socket; socket.create_connection((\"127.0.0.1\", 8765))" 2>/dev/null && break; sleep 0.1; done
   python3 -m venv env
   env/bin/pip install -q --disable-pip-version-check --index-url http://127.0.0.1:8765/simple/ hello-top
   kill $server
   env/bin/python -c "import hello_top, hello_dep; assert hello_dep.name == \"hello_dep\""
   grep -q "GET /simple/hello-dep/hello_dep-1.0-py3-none-any.whl" served'
works 'node serves and asks itself, with a worker' node \
  'node -e "
     const http = require(\"http\"), { Worker, isMainThread } = require(\"worker_threads\");
     new Worker(\"require(\\\"worker_threads\\\").parentPort.postMessage(1)\", { eval: true }).on(\"message\", () => {
       const s = http.createServer((q, a) => a.end(\"hi\")).listen(0, () =>
         http.get({ port: s.address().port }, (r) => { r.resume(); s.close(); process.exitCode = r.statusCode === 200 ? 0 : 1; }));
     });"'
works 'npm installs a local package' npm \
  'mkdir -p np/dep && cd np && echo "{\"name\":\"dep\",\"version\":\"1.0.0\",\"main\":\"i.js\"}" >dep/package.json
   echo "module.exports = 5" >dep/i.js && echo "{\"name\":\"top\",\"version\":\"1.0.0\",\"dependencies\":{\"dep\":\"file:dep\"}}" >package.json
   npm install --offline --no-audit --no-fund --silent && node -e "process.exit(require(\"dep\") === 5 ? 0 : 1)"'
works 'git commits, clones and collects' git \
  'export GIT_CONFIG_GLOBAL=/dev/null; rm -rf r c; git init -q r; cd r
   for i in 1 2 3; do echo $i >f; git add f; git -c user.name=a -c user.email=a@b commit -qm $i; done
   git gc -q; git clone -q . ../c; test "$(git -C ../c rev-list --count HEAD)" = 3'
works 'java compiles and runs' javac \
  'mkdir -p jv && cd jv && echo "public class H { public static void main(String[] a) throws Exception { Thread t = new Thread(() -> System.out.println(\"hi\")); t.start(); t.join(); } }" >H.java
   javac H.java && test "$(java -cp . H)" = hi'
# Go and Rust come in many ways: whichever is found, with its own place read-only inside.
go=$(PATH=$PATH:/usr/local/go/bin command -v go)
if [ -n "$go" ] && goroot=$("$go" env GOROOT) && [ -x "$goroot/bin/go" ]; then
  at=()
  case $goroot in /usr/*) ;; *) at=(--ro "$goroot") ;; esac
  both 'go builds, tests and runs without dependencies' "${at[@]}" "
    export PATH=$goroot/bin:\$PATH GOTOOLCHAIN=local GOFLAGS=-mod=mod GOPROXY=off GOCACHE=\$PWD/go-cache GOPATH=\$PWD/go-path
    mkdir -p gomod && cd gomod
    printf 'module hello\n' >go.mod
    printf 'package main\nimport (\"fmt\"; \"sync\")\nfunc Six() int { return 6 }\nfunc main() { var w sync.WaitGroup; w.Add(1); go w.Done(); w.Wait(); fmt.Println(7 * Six()) }\n' >main.go
    printf 'package main\nimport \"testing\"\nfunc TestSix(t *testing.T) { if Six() != 6 { t.Fatal() } }\n' >main_test.go
    go test . && go build -o hello . && test \$(./hello) = 42; chmod -R u+w ../go-path 2>/dev/null || true"
else
  skip 'go is not installed' 2
fi
home=$(getent passwd "$(id -u)" | cut -d: -f6)
sysroot=$(RUSTUP_HOME=${RUSTUP_HOME:-$home/.rustup} rustc --print sysroot 2>/dev/null)
if [ -n "$sysroot" ] && [ -x "$sysroot/bin/cargo" ]; then
  at=()
  case $sysroot in /usr*) ;; *) at=(--ro "$sysroot") ;; esac
  both 'cargo builds, tests and runs without dependencies' "${at[@]}" "
    export PATH=$sysroot/bin:\$PATH CARGO_HOME=\$PWD/cargo CARGO_NET_OFFLINE=true
    cargo init -q --vcs none --name hello rs && cd rs
    printf 'fn six() -> i32 { 6 }\nfn main() { println!(\"{}\", std::thread::spawn(|| 7 * six()).join().unwrap()); }\n#[test]\nfn is_six() { assert_eq!(six(), 6); }\n' >src/main.rs
    cargo test -q >/dev/null && test \$(cargo run -q) = 42"
else
  skip 'cargo is not installed' 2
fi
works 'tar, cp and rm keep what they should' tar \
  'mkdir -p d/e; ln -sf e d/l; mkfifo d/p; echo x >d/e/f; ln -f d/e/f d/h; tar cf d.tar d; cp -a d d2
   rm -rf d d2; tar xf d.tar; test -p d/p; test "$(stat -c %h d/h)" = 2; mv d/e/f d/moved; rm -r d'
works 'port 80 and the loopback are the job own [NET04]' python3 \
  'python3 -c "
import http.server, threading, urllib.request
s = http.server.HTTPServer((\"127.0.0.1\", 80), http.server.SimpleHTTPRequestHandler)
threading.Thread(target=s.serve_forever, daemon=True).start()
assert urllib.request.urlopen(\"http://localhost/leak.c\").status == 200"'
works 'a terminal of its own can be made' python3 \
  'python3 -c "
import pty, os
pid, fd = pty.fork()
if pid == 0: os.execvp(\"tty\", [\"tty\"])
assert os.read(fd, 100).startswith(b\"/dev/pts/\")"'

pg=$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | tail -n 1)
if [ -n "$pg" ]; then
  both 'postgres starts, answers and stops' "
    p=$(dirname "$pg"); \$p/initdb -D db -A trust -U pg >/dev/null
    \$p/pg_ctl -D db -o '-k /tmp -p 5432' -l log -w start >/dev/null
    test \$(\$p/psql -h 127.0.0.1 -U pg -Atc 'select 40+2' postgres) = 42
    \$p/pg_ctl -D db -w stop >/dev/null"
else
  skip 'postgres is not installed' 2
fi

browser=$(command -v chromium || command -v chromium-headless-shell || true)
if [ -n "$browser" ]; then
  both 'a headless browser renders a page' \
    "echo '<p id=a>x</p><script>a.textContent=6*7</script>' >p.html
     $browser --headless --no-sandbox --disable-gpu --dump-dom file://\$PWD/p.html 2>/dev/null | grep -q '>42<'"
else
  skip 'no chromium here' 2
fi

# strict has no ptrace, and says so honestly.
if here strace; then
  nok 'strict has no ptrace [SB12]' strictly bash -c 'strace -o /dev/null true'
else
  skip 'strace is not installed'
fi

exits 137 'a job over its memory is killed [RS02]' "$CONFINE" --memory 32 \
  bash -c 'head -c 100M /dev/zero | tail -c 90M; sleep 60'
if "$CONFINE" --memory 32 grep -q . /dev/null 2>/dev/null; [ "$(id -u)" -eq 0 ]; then
  like "$err" 'killed: the job used all its memory' 'and is told why [RS02]'
else
  skip 'no memory controller for this account'
fi
exits 159 'a call of another architecture is explained [SB07]' inside bash -euc \
  'cat >x.c <<C
int main(void) { long r = 20; __asm__ volatile("int \$0x80" : "+a"(r)); return 0; }
C
  gcc x.c -o x && exec ./x'
if [ "$(uname -m)" = x86_64 ]; then
  like "$err" 'another architecture' 'in words'
else
  skip 'only x86-64 has a second kind of system call'
fi
nok 'nothing is left of all that' pgrep -f "$T/work"
done_testing
