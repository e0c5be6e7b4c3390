#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The helper program from outside: confined fetches (file, http with a token, a redirect, a
# slow and a broken server), checkout, artifacts' archives, a TLS-less connect.
. tests/lib/tap.sh
need git
need python3
bin=$(dirname "$(readlink -f "$SLUICE")")
HELPER=$bin/sluice-helper
CALL=$bin/tests/tools/helper_call
[ -x "$HELPER" ] || skip_all 'sluice-helper is not built'
[ -x "$CALL" ] || skip_all 'tests/tools/helper_call is not built'
plan 29

token=s3cr3t-t0ken-of-the-forge
mkdir -p "$T"/{repos,tmp,ws,srv,actions}
git init -q -b main "$T/work"
git -C "$T/work" config user.email a@b.c
git -C "$T/work" config user.name A
mkdir -p "$T/work/.github/workflows" "$T/work/.git/hooks"
printf 'on: push\n' >"$T/work/.github/workflows/ci.yml"
printf 'runs: {using: composite, steps: []}\n' >"$T/work/action.yml"
echo one >"$T/work/file"
git -C "$T/work" add -A
git -C "$T/work" commit -qm one
git -C "$T/work" tag v1
git clone -q --bare "$T/work" "$T/srv/demo.git"
git -C "$T/srv/demo.git" config http.receivepack false
sha=$(git -C "$T/work" rev-parse HEAD)

# A git server over http: a token, redirects, silence, all by path.
cat >"$T/server.py" <<'PY'
import base64, http.server, os, subprocess, sys, time
root, log, token = sys.argv[1:4]
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"
    def log_message(self, *a): pass
    def note(self, text):
        with open(log, "a") as f: f.write(text + "\n")
    def do_GET(self): self.serve(b"")
    def do_POST(self): self.serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))
    def serve(self, body):
        path, _, query = self.path.partition("?")
        auth = self.headers.get("Authorization", "")
        self.note("%s %s" % (path, "with-auth" if auth else "without-auth"))
        if path.startswith("/moved/"):
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:%d/other%s" % (self.server.server_port, self.path[6:]))
            self.end_headers()
            return
        if path.startswith("/slow/"):
            time.sleep(30)
            return
        if path.startswith("/broken/"):
            self.send_response(200)
            self.send_header("Content-Type", "application/x-git-upload-pack-advertisement")
            self.end_headers()
            self.wfile.write(b"001e# service=git-upload-pack\n0000ffffgarbage")
            return
        if path.startswith("/private/"):
            want = "Basic " + base64.b64encode(b"x-access-token:" + token.encode()).decode()
            if auth != want:
                self.send_response(401)
                self.send_header("WWW-Authenticate", "Basic realm=x")
                self.end_headers()
                return
            path = path[8:]
        env = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": root, "GIT_HTTP_EXPORT_ALL": "1",
               "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
               "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
               "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "REMOTE_ADDR": "127.0.0.1",
               "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
               "GIT_CONFIG_NOSYSTEM": "1", "HOME": root}
        out = subprocess.run(["git", "http-backend"], input=body, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        head, _, rest = out.partition(b"\r\n\r\n")
        status = 200
        fields = []
        for line in head.decode().split("\r\n"):
            k, _, v = line.partition(": ")
            if k == "Status": status = int(v.split()[0])
            elif k: fields.append((k, v))
        self.send_response(status)
        for k, v in fields: self.send_header(k, v)
        self.end_headers()
        self.wfile.write(rest)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
PY
spawn server python3 "$T/server.py" "$T/srv" "$T/http.log" "$token"
wait_for 10 test -s "$T/server.out"
port=$(head -n 1 "$T/server.out")
base=http://127.0.0.1:$port
printf %s "$token" >"$T/token"
: >"$T/http.log"

fetch() { # NAME URL EXTRA [@BODY]
  out=$("$CALL" "$HELPER" git "$T/repos" "$T/tmp" -- \
    "{\"op\":\"fetch\",\"repo\":\"$1\",\"url\":\"$2\",\"refs\":[\"refs/heads/main\",\"refs/tags/\"],\"sha\":\"$sha\"$3}" \
    ${4+"$4"} 2>"$T/err")
}

fetch local "$T/srv/demo.git" ',"local":true'
like "$out" '"reachable":true' 'a registered path is fetched'
fetch unasked "file://$T/srv/demo.git" ''
like "$out" 'only when it was registered' 'a path that was not registered is refused'
fetch pub "$base/demo.git" ''
like "$out" '"ok":true' 'http on loopback is fetched'
fetch priv "$base/private/demo.git" '' "@$T/token"
like "$out" '"ok":true' 'a private repository is fetched with its token'
fetch library "$base/private/demo.git" ',"no_program":true' "@$T/token"
like "$out" '"method":"libgit2"' 'and so it is where there is no git program'
fetch none "$base/private/demo.git" ''
like "$out" '"code":"denied".*a token is needed' 'without one it says so'
printf wrong >"$T/bad"
fetch wrong "$base/private/demo.git" '' "@$T/bad"
like "$out" '"code":"denied"' 'a wrong token is refused'
nok 'the token is nowhere on disk' grep -rqF "$token" "$T/repos" "$T/tmp"
: >"$T/http.log"
fetch moved "$base/moved/demo.git" '' "@$T/token"
like "$out" 'the server redirects: register the new address' 'a redirect is not followed'
nok 'and nobody there was asked' grep -q '^/other' "$T/http.log"
fetch slow "$base/slow/demo.git" ',"timeout_ms":1500'
like "$out" '"code":"timeout"' 'a server that says nothing is given up'
fetch broken "$base/broken/demo.git" ''
like "$out" '"ok":false' 'a server that sends garbage is an error'
fetch gone "$base/none.git" ''
like "$out" '"code":"not_found"' 'a repository that is not there is named so'
sha_was=$sha
sha=$(printf %040d 0)
fetch lost "$base/demo.git" ''
like "$out" 'removed or replaced since' 'a commit that no ref holds is gone'
sha=$sha_was

out=$("$CALL" "$HELPER" git "$T/repos" "$T/tmp" -- \
  "{\"op\":\"files\",\"repo\":\"priv\",\"sha\":\"$sha\",\"dirs\":[\".github/workflows\"]}" \
  '{"op":"resolve","repo":"priv","ref":"v1"}' '{"op":"nonsense"}' '{"op":"resolve","repo":"../x","ref":"y"}')
like "$out" 'on: push' 'workflow files are read'
like "$out" '"kind":"tag"' 'a tag is resolved'
like "$out" "knows no 'nonsense'" 'an unknown operation is answered'
like "$out" "is no name of a mirror" 'a mirror is a name, not a path'

out=$("$CALL" "$HELPER" checkout "$T/repos/priv.git" "$T/ws" -- \
  "{\"op\":\"checkout\",\"sha\":\"$sha\",\"ref\":\"refs/heads/main\",\"url\":\"$base/demo.git\",\"trusted\":true,\"link\":true,\"depth\":0}")
like "$out" '"linked":true' 'a workspace is made with hard links'
is "$(git -C "$T/ws" status --short; git -C "$T/ws" fsck 2>&1; git -C "$T/ws" log --format=%s)" one 'git agrees with it'
nok 'no credential in it' grep -rqF "$token" "$T/ws"

out=$("$CALL" "$HELPER" actions "$T/actions" "$T/tmp" -- \
  "{\"op\":\"action\",\"owner\":\"x\",\"repo\":\"demo.git\",\"ref\":\"v1\",\"url\":\"$base\"}")
like "$out" 'no such repository' 'an action that is not there is said'
mkdir -p "$T/srv/acme"
mv "$T/srv/demo.git" "$T/srv/acme/demo"
out=$("$CALL" "$HELPER" actions "$T/actions" "$T/tmp" -- \
  "{\"op\":\"action\",\"owner\":\"acme\",\"repo\":\"demo\",\"ref\":\"v1\",\"url\":\"$base\"}" \
  "{\"op\":\"action\",\"owner\":\"acme\",\"repo\":\"demo\",\"ref\":\"$sha\",\"url\":\"http://127.0.0.1:1\"}" \
  "{\"op\":\"read\",\"dir\":\"acme/demo/$sha\",\"path\":\"action.yml\"}" \
  "{\"op\":\"action\",\"owner\":\"acme\",\"repo\":\"demo\",\"ref\":\"${sha:0:10}\",\"url\":\"$base\"}")
like "$out" "\"dir\":\"acme/demo/$sha\",\"cached\":true" 'a full sha is taken from the cache'
like "$out" 'using: composite' 'its definition is read'
like "$out" 'shortened version of a commit SHA' 'a short one is refused'

if command -v openssl >/dev/null; then
  openssl req -x509 -newkey rsa:2048 -nodes -keyout "$T/k.pem" -out "$T/c.pem" -days 2 \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
  tls=$(free_port)
  echo hello over tls >"$T/index.txt"
  cd "$T" || exit 1
  spawn tls openssl s_server -accept "$tls" -cert c.pem -key k.pem -WWW -quiet
  cd "$SOURCE" || exit 1
  get() {
    printf 'GET /index.txt HTTP/1.0\r\n\r\n' | timeout 20 "$CALL" "$HELPER" connect - -- \
      "{\"op\":\"connect\",\"url\":\"https://localhost:$tls\"$1}"
  }
  wait_for 10 bash -c "exec 3<>/dev/tcp/127.0.0.1/$tls" 2>/dev/null
  like "$(get ",\"ca\":\"$T/c.pem\"")" 'hello over tls' 'connect relays a verified connection'
  like "$(get '')" '"code":"denied"' 'and none that does not verify'
else
  skip 'openssl is not installed' 2
fi

# A tree below a folder that is closed to the helper's user, handed to it by descriptor.
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
  mkdir -p "$T/open/ws" "$T/closed/tree"
  cp "$HELPER" "$CALL" "$T/open"
  chmod 755 "$T" "$T/open"
  chmod 700 "$T/closed"
  git clone -q "$T/work" "$T/closed/tree"
  echo two >"$T/closed/tree/file"
  chown -R 4321:4321 "$T/open/ws"
  other() { setpriv --reuid 4321 --regid 4321 --clear-groups "$@"; }
  nok 'the tree cannot be reached by its path' other ls "$T/closed/tree"
  out=$(cd "$T/open" && other ./helper_call ./sluice-helper tree /proc/self/fd/9 ws -- '{"op":"tree"}' 9<"$T/closed/tree")
  if [[ $out == *'as uid 4321'* ]]; then
    skip 'no user namespaces for that user here' 1
  else
    is "$(cat "$T/open/ws/file" 2>&1) $(other git -C "$T/open/ws" status --short 2>/dev/null)" 'two  M file' 'but is copied as it stands'
  fi
else
  skip 'needs root and setpriv' 2
fi
