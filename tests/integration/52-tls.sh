#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# slow
# TLS, by a certificate of the server's own and behind the proxies of deploy/proxy:
# sign-in, streams as they are written, and whose word about a client is believed.
. tests/lib/tap.sh
. tests/lib/serve.sh
need_server

certificate() { # NAME: $T/NAME.pem and $T/NAME.key of the owner, for 127.0.0.1
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
    -subj "/CN=$1" -addext 'subjectAltName=IP:127.0.0.1' -keyout "$T/$1.key" -out "$T/$1.pem" 2>/dev/null
  if [ "$(id -u)" -eq 0 ]; then chown "$SERVICE:" "$T/$1.key"; fi
}
certificate first
certificate second
export CURL_CA_BUNDLE=$T/first.pem

# ---- by a certificate ----
cp "$T/first.pem" "$T/now.pem"
cp -p "$T/first.key" "$T/now.key"
serve_start "tls.certificate: $T/now.pem" "tls.key: $T/now.key" || fail 'the server starts' "$(cat "$SERVE_OUT")"
like "$URL" '^https://127.0.0.1:' 'with a certificate the address is https'
ok 'which curl verifies' curl -fsS "$URL/health/ready"
nok 'against this certificate alone' curl -fsS --cacert "$T/second.pem" "$URL/health/ready"
nok 'and nothing is answered without TLS' curl -fsS -m 5 "${URL/https/http}/health/ready"
S token create ci --scope read >"$T/token" 2>/dev/null

signs_in() { # COMMAND...: curl with whatever leads to the server
  local link answer
  link=$(S token link --format json | sed 's/.*"token":"\([^"]*\)".*/\1/')
  answer=$("$@" -s -o "$T/login" -D "$T/head" -w '%{http_code}' -d "token=$link" "$URL/login")
  cookie=$(sed -n 's/^[Ss]et-[Cc]ookie: \(__Host-sluice=[^;]*\); Path=\/; HttpOnly; SameSite=Strict; Secure.*/\1/p' "$T/head")
  [ "$answer" = 303 ] && [ -n "$cookie" ]
}
ok 'a link signs in, with a cookie that is bound to this host and to https' signs_in curl
is "$(curl -s -o "$T/queue" -w '%{http_code}' -H "Cookie: $cookie" "$URL/queue")" 200 'which is a session'
is "$(curl -s -o "$T/queue" -w '%{http_code}' -H "Cookie: ${cookie#__Host-}" "$URL/queue")" 303 \
  'under its whole name only'

project acme/app
workflow slow.yml <<'X'
on: push
jobs:
  talk:
    runs-on: ubuntu-latest
    steps:
      - run: |
          echo first line
          for i in $(seq 100); do sleep 0.1; done
          echo last line
X
# streams RUN CURL...: the first line comes while the job runs, long before its end.
streams() {
  local run=$1 job
  shift
  wait_for 20 is_run "$run" running || return 1
  job=$(value "$(run_json "$run")" 'jobs[0].id')
  spawn stream "$@" -sS -N -H 'Accept: text/event-stream' -H "Authorization: Bearer $(cat "$T/token")" \
    "$URL/api/v1/jobs/$job/log"
  wait_for_text 10 "$T/stream.out" 'first line' && is_run "$run" running && ! grep -q '^last line' "$T/stream.out"
}
ok 'a webhook comes in by TLS' push one
ok 'a log streams through TLS while it is written' streams 1 curl
S cancel 1 --force 2>/dev/null
stop stream

# ---- a renewed certificate, a broken one ----
cat "$T/second.pem" >"$T/now.pem"
cat "$T/second.key" >"$T/now.key"
kill -HUP "$CORE"
ok 'a renewed certificate is taken by SIGHUP' wait_for 10 curl -fsS --cacert "$T/second.pem" "$URL/health/ready"
nok 'and the old one given up' curl -fsS --cacert "$T/first.pem" "$URL/health/ready"
is "$(curl -s --cacert "$T/second.pem" -o "$T/queue" -w '%{http_code}' -H "Cookie: $cookie" "$URL/queue")" 200 \
  'who was signed in still is'
rm "$T/now.key"
kill -HUP "$CORE"
ok 'one whose key is gone is not taken' wait_for_text 10 "$SERVE_OUT" "not taken: tls.key: cannot open"
ok 'and the server goes on with what it has' curl -fsS --cacert "$T/second.pem" "$URL/health/ready"
serve_stop
capture timeout 20 "$SLUICE" serve --config "$D/sluice.yml"
is "$status" 1 'a server never starts without the key it is told to use'
like "$err" 'serve: tls.key: cannot open' 'and says which'

# ---- behind a proxy, with the snippets of deploy/proxy as they are but for addresses and keys ----
# peer CURL...: whom the server takes for the sender of a push.
peer() {
  git_as_owner -C "$WORK" commit -q --allow-empty -m "$RANDOM"
  push_body "$(git_as_owner -C "$WORK" rev-parse HEAD)" >"$T/push.json"
  hook "$T/push.json" "$@"
  value "$(api GET "/api/v1/deliveries?repo=acme/app")" 'items[0].peer'
}

as_owner mkdir -p "$D/nginx" "$D/caddy"
nginx_conf() {
  printf '%s\n' 'daemon off;' "pid $D/nginx/pid;" 'events {}' 'http {' 'access_log off;'
  for t in client_body proxy fastcgi uwsgi scgi; do echo "${t}_temp_path $D/nginx/$t;"; done
  sed "s|listen 443 |listen 127.0.0.1:$PORT |; s|server_name .*;|server_name 127.0.0.1;|
    s|/etc/ssl/ci.example.com|$T/first|; s|127.0.0.1:8480|$BEHIND|" deploy/proxy/nginx.conf
  echo '}'
}
caddy_conf() { # a certificate of our own, nothing fetched, nothing listened to but that
  printf '%s\n' '{' 'admin off' 'auto_https disable_redirects' "storage file_system $D/caddy" '}'
  sed "s|^ci.example.com {|https://127.0.0.1:$PORT {\n\tbind 127.0.0.1\n\ttls $T/first.pem $T/first.key|
    s|127.0.0.1:8480|$BEHIND|" deploy/proxy/Caddyfile
}
PROXY_TESTS=12
behind() { # NAME SNIPPET COMMAND...
  local name=$1 snippet=$2 page
  shift 2
  if ! command -v "$1" >/dev/null; then
    skip "$name is not installed" "$PROXY_TESTS"
    return
  fi
  PORT=$(free_port) BEHIND=127.0.0.1:$(free_port)
  "${name}_conf" >"$D/$name.conf"
  chmod 644 "$D/$name.conf"
  spawn "$name" "${owner[@]}" env HOME="$T/owner" "$@"
  SLUICE_LISTEN=$BEHIND serve_start "external_url: https://127.0.0.1:$PORT" 'trusted_proxies: [127.0.0.1]' ||
    diag "$(cat "$T/$name.out")"
  is "$URL" "https://127.0.0.1:$PORT" "behind $name the address is that of the proxy"
  ok "$snippet is one $name serves" wait_for 10 curl -fsS "$URL/health/ready"
  ok 'a link signs in through it, with the cookie of https' signs_in curl
  page=$(curl -s -o "$T/queue" -w '%{http_code}' -H "Cookie: $cookie" "$URL/queue")
  is "$page" 200 'which is a session there'
  ok 'a webhook comes through' push "$name"
  RUN=$((RUN + 1))
  ok 'a log streams through it while it is written' streams "$RUN" curl
  S cancel "$RUN" --force 2>/dev/null
  stop stream
  head -c $((25 << 20)) /dev/zero >"$T/large"
  hook "$T/large"
  is "$code" 400 'a body as large as a forge may send reaches the server'
  head -c 30000000 /dev/zero >"$T/large"
  hook "$T/large"
  is "$code" 413 'a larger one does not'
  is "$(peer --interface 127.0.0.3)" 127.0.0.3 'the server knows who sent what comes through the proxy'
  is "$(peer --interface 127.0.0.3 -H 'X-Forwarded-For: 203.0.113.9' -H 'X-Real-IP: 203.0.113.9')" 127.0.0.3 \
    'by the word of the proxy, not of the sender'
  URL=http://$BEHIND
  is "$(peer --interface 127.0.0.3 -H 'X-Forwarded-For: 203.0.113.9')" 127.0.0.3 \
    'who is no trusted proxy is not believed'
  is "$(peer -H 'X-Forwarded-For: 203.0.113.9')" 203.0.113.9 'who is one is (the control)'
  stop "$name"
  serve_stop
}
owner=() RUN=1
[ "$(id -u)" -ne 0 ] || owner=(setpriv --reuid "$SERVICE" --regid "$SERVICE" --clear-groups)
PATH=$PATH:/usr/sbin
behind nginx deploy/proxy/nginx.conf nginx -e stderr -p "$D/nginx" -c "$D/nginx.conf"
behind caddy deploy/proxy/Caddyfile caddy run --adapter caddyfile --config "$D/caddy.conf"
done_testing
