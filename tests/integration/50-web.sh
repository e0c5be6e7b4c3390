#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The web process from outside: paths, bodies, sessions, ranges, streams, many at once, and a
# core that goes away.
. tests/lib/tap.sh
. tests/lib/webseed.sh
web_begin --runs 4
job=$(id job-live)

# ---- paths: ids are numbers, file names never come from an address ----
bad=0
while read -r p; do
  for base in /static /jobs /runs "/jobs/$job" /api/v1/artifacts "/api/v1/jobs/$job"; do
    answer=$(curl -s -m 5 --path-as-is -w '%{http_code}' -H "Authorization: Bearer $TOKEN" \
      "$URL$base/$p" 2>/dev/null | tr -d '\0')
    case $answer in
    *root:*:0:*) bad=$((bad + 1)) && diag "read a file: $base/$p" ;;
    *[45]0? | *3??) ;;
    *) bad=$((bad + 1)) && diag "$base/$p: ${answer: -3}" ;;
    esac
  done
done <<'PATHS'
../../../../../../etc/passwd
..%2f..%2f..%2f..%2f..%2fetc%2fpasswd
%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd
%252e%252e%252fetc%252fpasswd
..;/..;/etc/passwd
..\..\..\etc\passwd
%5c..%5c..%5cetc%5cpasswd
/etc/passwd
//etc/passwd
....//....//etc/passwd
%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd
%00/etc/passwd
1%00
1/../../db/sluice.db
1.json
0x1
1e1
-1
00000000000000000000000000000000000001x
99999999999999999999
%31%20
1;2
1'or'1
%F0%9F%92%A9
PATHS
is "$bad" 0 'no address leads out of what is served'
long=$(head -c 7000 /dev/zero | tr '\0' a)
get "/static/$long"
is "$code" 404 'a very long one is not there either'

# ---- bodies ----
rss() { web_say stat && sed -n 's/.*"rss_kb":\([0-9]*\).*/\1/p' <<<"$said"; }
before=$(rss)
head -c 31457280 /dev/zero >"$T/large"
get /hooks/github --data-binary "@$T/large" -H 'Expect:'
is "$code" 413 'a webhook of 30 MiB is refused'
get /hooks/github -H 'Transfer-Encoding: chunked' --data-binary "@$T/large" -H 'Expect:'
is "$code" 413 'also when its length is not announced'
for _ in 1 2 3; do get /hooks/github -H 'Transfer-Encoding: chunked' --data-binary "@$T/large"; done
after=$(rss)
ok "and is never kept (memory $before -> $after kB)" test "$after" -lt $((before + 40000))
head -c 26214400 /dev/zero >"$T/exact"
get /hooks/github --data-binary "@$T/exact"
is "$code" 202 'one of exactly 25 MiB is taken'
get /hooks/nothing -d x
is "$code" 413 'an address without a forge takes no body'
get /hooks/github
is "$code" 405 'webhooks are posted'
gzip -9c <"$T/large" >"$T/bomb"
get /hooks/github -H 'Content-Encoding: gzip' --data-binary "@$T/bomb"
is "$code" 202 'what is compressed is passed on as it is, not unpacked'
rm -f "$T/large" "$T/exact"

# ---- sessions ----
post() { curl -s -m 10 -o "$T/.body" -D "$T/.head" -w '%{http_code}' "$@" 2>/dev/null; }
web_say link
link=$(sed -n 's/.*"link":"\([^"]*\)".*/\1/p' <<<"$said")
is "$(post -d "token=$link&next=/queue" "$URL/login")" 303 'a one-time link signs in'
like "$(cat "$T/.head")" 'Set-Cookie: sluice=[A-Za-z0-9_-]{20,}; Path=/; HttpOnly; SameSite=Strict' \
  'with a cookie scripts cannot read and other sites cannot send'
like "$(tr -d '\r' <"$T/.head")" 'Location: /queue' 'and goes where one wanted to'
cookie=$(sed -n 's/^Set-Cookie: \(sluice=[^;]*\).*/\1/p' "$T/.head")
is "$(post -d "token=$link" "$URL/login")" 403 'the link works once'
is "$(post -H "Cookie: $cookie" "$URL/queue")" 200 'the cookie is a session'
is "$(post -H "Cookie: sluice=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" "$URL/queue")" 303 \
  'one that was made up is none'
form=$(curl -s -H "Cookie: $cookie" "$URL/me" | sed -n 's/.*name="form" value="\([0-9a-f]*\)".*/\1/p')
is "$(post -H "Cookie: $cookie" -X POST "$URL/logout")" 403 'signing out takes the form of this session'
is "$(post -H "Cookie: $cookie" -d "form=$form" "$URL/logout")" 303 'and works with it'
is "$(post -H "Cookie: $cookie" "$URL/queue")" 303 'afterwards the cookie is worth nothing'
is "$(post -H "Cookie: $cookie" -H 'Sec-Fetch-Site: same-origin' -X POST "$URL/api/v1/verbs/pause")" \
  401 'nor at the API'
for next in //evil.example https://evil.example '/\evil.example' '/%09/evil.example' 'javascript:alert(1)'; do
  web_say link
  link=$(sed -n 's/.*"link":"\([^"]*\)".*/\1/p' <<<"$said")
  post --data-urlencode "token=$link" --data "next=$next" "$URL/login" >/dev/null
  like "$(tr -d '\r' <"$T/.head" | grep -i '^Location:')" '^Location: /[^/\\]*$|^Location: /$' \
    "no way leads away from here: $next"
done
get /login -H 'Host: evil.example' -H 'X-Forwarded-Host: evil.example'
unlike "$head$body" 'evil.example' 'no address is built from what a request says'
is "$(post "$URL/login?token=secret-in-an-address")" 200 'a page with a token in its address'
like "$(cat "$T/.head")" 'Referrer-Policy: same-origin' 'does not hand it on'
nok 'nor is it in the log of the server' grep -q secret-in-an-address "$T/web.err"

# ---- a link for one gate opens that and nothing else ----
web_say link "$(id gate)"
link=$(sed -n 's/.*"link":"\([^"]*\)".*/\1/p' <<<"$said")
post -d "token=$link" "$URL/login" >/dev/null
guest=$(sed -n 's/^Set-Cookie: \(sluice=[^;]*\).*/\1/p' "$T/.head")
is "$(post -H "Cookie: $guest" "$URL/gates/$(id gate)")" 200 'a link for a gate shows that gate'
denied=''
for p in / /queue "/gates/1" "/jobs/$job" "/jobs/$job/raw" "/jobs/$job/tail" "/live?page=runs" \
  /repos /audit /api/v1/runs "/api/v1/gates" "/api/v1/jobs/$job/log"; do
  c=$(post -m 2 -H "Cookie: $guest" "$URL$p")
  case $c in 403 | 404 | 303) ;; *) denied="$denied $p=$c" ;; esac
done
is "$denied" '' 'and nothing else, pages, streams and API alike'

# ---- the log: ranges, one line, streams ----
get "/jobs/$job/raw"
whole=$body
size=$(sed -n 's/^Content-Length: //p' <<<"$head")
get "/jobs/$job/raw" -H 'Range: bytes=0-9'
is "$code" 206 'a part of a log'
is "$body" "${whole:0:10}" 'is those bytes'
like "$head" "Content-Range: bytes 0-9/$size" 'and says of how many'
get "/jobs/$job/raw" -H 'Range: bytes=-5'
is "$code $(wc -c <"$T/.body")" '206 5' 'the last bytes'
get "/jobs/$job/raw" -H "Range: bytes=$size-"
is "$code" 416 'a part behind the end is none'
get "/jobs/$job/raw" -H 'Range: bytes=5-2'
is "$code" 416 'nor one that ends before it begins'
get "/jobs/$job/raw" -I
is "$code $(sed -n 's/^Content-Length: //p' <<<"$head")" "200 $size" 'HEAD says how long it is'
like "$head" 'Content-Security-Policy: default-src .none.; sandbox' 'a log is never run'
get "/jobs/$job/raw?line=3"
is "$body" "$(sed -n 3p <<<"$whole")" 'one line of it whole'

cat >"$T/streams.py" <<'PY'
import json, socket, sys, time, threading
host, port = sys.argv[1].split('//')[1].split(':')
token, job, what = sys.argv[2], sys.argv[3], sys.argv[4]

def connect(path, extra=''):
    s = socket.create_connection((host, int(port)))
    s.sendall(('GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n%s\r\n' % (path, token, extra)).encode())
    s.settimeout(5)
    return s

def read_until(s, needle, seconds=5):
    got, end = b'', time.time() + seconds
    while needle not in got and time.time() < end:
        try:
            d = s.recv(65536)
        except socket.timeout:
            break
        if not d:
            break
        got += d
    return got

def said(line):
    open(sys.argv[5], 'w').write(line + '\n')

if what == 'resume':
    s = connect('/api/v1/jobs/%s/log' % job, 'Accept: text/event-stream\r\n')
    got = read_until(s, b'\n\n')
    s.close()
    event = [l for l in got.decode(errors='replace').split('\n') if l.startswith('data: ')][0]
    ident = [l for l in got.decode(errors='replace').split('\n') if l.startswith('id: ')][0][4:]
    first = json.loads(event[6:])
    half = int(ident) - 40
    s = connect('/api/v1/jobs/%s/log' % job, 'Accept: text/event-stream\r\nLast-Event-ID: %d\r\n' % half)
    again = read_until(s, b'\n\n')
    second = json.loads([l for l in again.decode(errors='replace').split('\n') if l.startswith('data: ')][0][6:])
    print('ok' if second['offset'] == half and first['text'].encode()[half:] == second['text'].encode() and first['offset'] == 0 else (first, second))
elif what == 'many':
    streams = [connect('/jobs/%s/tail?from=1000000' % job) for _ in range(100)] + [connect('/jobs/%s/raw?follow=1' % job) for _ in range(50)] + [connect('/live?page=runs') for _ in range(50)]
    for s in streams:
        assert b'200 OK' in read_until(s, b'\r\n\r\n'), 'no stream'
    t = time.time()
    h = connect('/health/live')
    assert b'200 OK' in read_until(h, b'\r\n\r\n')
    health = time.time() - t
    print('streams %d health %.3f' % (len(streams), health))
    for s in streams:
        s.close()
elif what == 'idle':
    idle = []
    for _ in range(200):
        s = socket.create_connection((host, int(port)))
        s.sendall(b'GET / HTTP/1.1\r\nHo')
        idle.append(s)
    slow = 0
    for _ in range(20):
        t = time.time()
        h = connect('/health/live', 'Connection: close\r\n')
        read_until(h, b'ok')
        slow = max(slow, time.time() - t)
    print('ok' if slow < 0.2 else 'health took %.3f' % slow)
elif what == 'follow':
    s = connect('/jobs/%s/raw?follow=1' % job)
    got = read_until(s, b'exit code 1', 10)
    print('follows', flush=True)
    got += read_until(s, b'the last word', 10)
    got += read_until(s, b'never there', 5)
    print('ok' if b'the last word' in got and got.rstrip().endswith(b'0') else got[-200:])
PY
is "$(python3 "$T/streams.py" "$URL" "$TOKEN" "$job" resume "$T/web.in")" ok \
  'a stream of a log goes on at the byte where it stopped'
out=$(python3 "$T/streams.py" "$URL" "$TOKEN" "$job" many "$T/web.in" 2>&1)
like "$out" '^streams 200 health 0\.[01]' 'two hundred streams at once, and health answers'
streams_gone() { web_say stat && [ "$(sed -n 's/.*"fds":\([0-9]*\).*/\1/p' <<<"$said")" -lt 40 ]; }
ok 'streams whose reader left are gone' wait_for 15 streams_gone
is "$(python3 "$T/streams.py" "$URL" "$TOKEN" "$job" idle "$T/web.in")" ok \
  'health answers while two hundred sit on half a request'
python3 "$T/streams.py" "$URL" "$TOKEN" "$job" follow "$T/web.in" >"$T/follow" &
follower=$!
wait_for_text 10 "$T/follow" follows
web_say append "$job" 1 'the last word'
web_say end "$job" success
wait "$follower"
is "$(tail -n 1 "$T/follow")" ok 'a followed log ends when its job does'

# ---- what machines ask ----
for p in /health /health/live /health/ready /health/startup; do
  get "$p"
  is "$code" 200 "$p"
done
get /metrics
like "$body" 'sluice_http_requests_total\{class="2xx"\} [1-9]' 'metrics count requests by class'
like "$body" 'sluice_http_request_seconds_bucket\{le="\+Inf"\} [1-9]' 'and how long they took'
unlike "$body" 'nan|inf\b' 'with numbers only'

# ---- core hangs and goes: nobody is left without an answer ----
web_say hang
curl -s -m 10 -o "$T/hook" -w '%{http_code}' -d '{}' "$URL/hooks/github" >"$T/hook.code" 2>/dev/null &
asking=$!
sleep 0.3
get /health/live
is "$code" 200 'while core hangs the process is alive'
get /runs/"$(id run-failure)"
is "$code" 200 'and pages are served'
web_say core
wait "$asking"
is "$(cat "$T/hook.code")" 503 'when core goes, a webhook that waits gets a 503'
like "$(cat "$T/hook")" 'restarting' 'that says why'
web_gone() { ! kill -0 "$(id pid)" 2>/dev/null || grep -qs ' Z' "/proc/$(id pid)/stat" || [ "$(cut -d' ' -f3 "/proc/$(id pid)/stat" 2>/dev/null)" = Z ]; }
ok 'and the web process ends, so that core starts another' wait_for 5 web_gone
web_say web
get /health/ready
is "$code" 503 'a core that does not answer is not ready'
web_say hang
get /health/ready
is "$code" 200 'one that does is'
done_testing
