#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# docs/api.md and docs/openapi.json against the table of routes and against the server.
. tests/lib/tap.sh
. tests/lib/webseed.sh
web_begin --runs 6

# ---- the documents name what there is, and nothing else ----
routes() {
  sed -n 's/^\t{ "\([A-Z]*\)", "\(\/api\/v1[^"]*\)", \(SCOPE_\)\{0,1\}\([A-Z0]*\),.*/\1 \2 \4/p' \
    runner/web_api.c | tr 'A-Z' 'a-z' | sort
}
in_api_md() {
  sed -n 's/^| \([A-Z]*\) | `\(\/api\/v1[^`]*\)` | \([a-z]*\).*/\1 \2 \3/p' docs/api.md |
    sed 's/ any$/ 0/; s/ as$/ 0/' | tr 'A-Z' 'a-z' | sort
}
in_openapi() {
  python3 - <<'PY'
import json, re
doc = json.load(open('docs/openapi.json'))
for path, methods in doc['paths'].items():
    for method, op in methods.items():
        print(method, '/api/v1' + re.sub(r'\{\w+\}', '*', path), op.get('x-scope') or '0')
PY
}
verbs() { sed -n 's/^\t{ "\([a-z_.]*\)", SCOPE_.*/\1/p' runner/verbs_*.c | sort; }
isnt "$(routes | wc -l)" 0 'the table of routes can be read'
is "$(in_api_md)" "$(routes)" 'docs/api.md has exactly the routes, with their scopes'
is "$(in_openapi | sort)" "$(routes)" 'docs/openapi.json likewise'
is "$(sed -n 's/^| `\([a-z_.]*\)` | .*/\1/p' docs/api.md | sort)" "$(verbs)" \
  'docs/api.md has exactly the verbs'

# ---- every answer is what openapi.json says ----
cat >"$T/check.py" <<'PY'
import json, re, sys, urllib.request
first, url, token = json.loads(open(sys.argv[1]).readline()), sys.argv[2], sys.argv[3]
doc = json.load(open('docs/openapi.json'))
kinds = {'object': dict, 'array': list, 'string': str, 'integer': int, 'number': (int, float),
         'boolean': bool, 'null': type(None)}

def check(schema, value, where, bad):
    types = schema.get('type', [])
    types = [types] if isinstance(types, str) else types
    if types and not any(isinstance(value, kinds[t]) and not (t == 'integer' and isinstance(value, bool)) for t in types):
        bad.append('%s is %s, not %s' % (where, json.dumps(value)[:60], types))
        return
    if schema.get('format') == 'date-time' and value is not None and not re.match(r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$', value):
        bad.append('%s is no time: %s' % (where, value))
    if isinstance(value, dict):
        for k in schema.get('required', []):
            if k not in value:
                bad.append('%s.%s is missing' % (where, k))
        for k, v in value.items():
            if k in schema.get('properties', {}):
                check(schema['properties'][k], v, where + '.' + k, bad)
            elif 'properties' in schema:
                bad.append('%s.%s is not in the document' % (where, k))
    if isinstance(value, list):
        for i, v in enumerate(value[:50]):
            check(schema.get('items', {}), v, '%s[%d]' % (where, i), bad)

ids = {'run': ['run-live', 'run-waiting', 'run-failure', 'run-lost', 'run-attempts'],
       'job': ['job-live', 'job-failure', 'job-queued', 'job-absent', 'job-carried'],
       'gate': ['gate'], 'delivery': [1, 3], 'artifact': ['artifact'], 'owner': ['halden'], 'name': ['takeoff', 'archive']}
n = 0
for path, methods in sorted(doc['paths'].items()):
    op = methods.get('get')
    if not op or 'application/json' not in op['responses']['200']['content']:
        continue
    if path.endswith('/usage'):  # an executor's answer, and here is none: 42-held.sh
        continue
    schema = op['responses']['200']['content']['application/json']['schema']
    todo = [path]
    for name in re.findall(r'\{(\w+)\}', path):
        todo = [t.replace('{%s}' % name, str(first.get(v, v))) for t in todo for v in ids[name]]
    bad = []
    for t in todo:
        r = urllib.request.Request(url + '/api/v1' + t, headers={'Authorization': 'Bearer ' + token})
        check(schema, json.load(urllib.request.urlopen(r)), t, bad)
    n += 1
    print('%s %s' % ('ok' if not bad else 'bad', path))
    for b in bad[:10]:
        print('  ' + b)
PY
python3 "$T/check.py" "$T/web.out" "$URL" "$TOKEN" >"$T/checked" 2>&1
while read -r how path; do
  case $how in
  ok) pass "$path answers as documented" ;;
  bad) fail "$path answers as documented" "$(grep -A10 "^bad $path\$" "$T/checked")" ;;
  esac
done < <(grep -E '^(ok|bad) ' "$T/checked")
is "$(grep -cE '^(ok|bad) ' "$T/checked")" 16 'all of them were asked'
nok 'nothing went wrong on the way' grep -q Traceback "$T/checked"

# ---- who may ----
get /api/v1/runs -H 'Authorization: Bearer another'
is "$code" 400 'two tokens at once are refused'
TOKEN=nonsense
get /api/v1/runs
is "$code" 401 'a token that is none is a 401 [NET05]'
like "$head" 'WWW-Authenticate' 'which says how to come'
TOKEN=$(id token-read)
get /api/v1/audit
is "$code" 403 'a reader may not read the audit log'
like "$body" '"message":"[^"]*scope admin' 'and is told which scope it takes'
get "/api/v1/runs/$(id run-live)/cancel" -X POST
is "$code" 403 'nor cancel a run'
get "/api/v1/gates/$(id gate)/decision" -d '{"decision":"approve"}'
is "$code" 403 'nor open a gate'
TOKEN=$(id token)
get /api/v1/runs/999999
is "$code" 404 'what is not there is a 404'
like "$body" '"request":"[0-9a-f]{16}"' 'every error has its request id'
get /api/v1/nothing
is "$code" 404 'so is what has no route'
get /api/v1/runs -X DELETE
is "$code" 405 'a method that has no route is a 405'
get "/api/v1/gates/$(id gate)/decision" -d 'no json'
is "$code" 400 'a body that is no JSON is a 400'
get "/api/v1/gates/$(id gate)/decision" -d '{"decision":"approve"} trailing'
is "$code" 400 'nor with something behind it'
python3 -c 'print("{\"a\":"*2000+"1"+"}"*2000)' >"$T/deep"
get "/api/v1/gates/$(id gate)/decision" --data-binary "@$T/deep"
is "$code" 400 'nor one that is nested without end'
head -c 1100000 /dev/zero | tr '\0' 'x' >"$T/large"
get "/api/v1/verbs/pause" --data-binary "@$T/large"
is "$code" 413 'nor one over the limit'

# ---- doing ----
get "/api/v1/gates/$(id gate)"
digest=$(sed -n 's/.*"digest":"\([0-9a-f]\{64\}\)".*/\1/p' <<<"$body")
get "/api/v1/gates/$(id gate)/decision" -d "{\"decision\":\"approve\",\"sha\":\"0000\",\"digest\":\"$digest\"}"
is "$code" 409 'a vote for another commit is a conflict'
get "/api/v1/gates/$(id gate)/decision" -d '{"decision":"approve"}'
is "$code" 400 'a vote that does not name the digest that was shown is a 400'
TOKEN=$(id token-approve)
get "/api/v1/gates/$(id gate)/decision" -d "{\"decision\":\"approve\",\"comment\":\"by API\",\"digest\":\"$digest\"}"
is "$code" 200 'a vote counts'
TOKEN=$(id token)
get "/api/v1/gates/$(id gate)/decision" -d '{"decision":"approve"}'
is "$code" 409 'one that comes too late is a conflict'
get "/api/v1/verbs/nothing.here" -d '{}'
is "$code" 404 'a verb that is none is a 404'

# ---- lists are walked by their cursor ----
walk() {
  python3 - "$URL" "$TOKEN" <<'PY'
import json, sys, urllib.request
seen, before = [], ''
for _ in range(50):
    r = urllib.request.Request(sys.argv[1] + '/api/v1/runs?limit=3' + before, headers={'Authorization': 'Bearer ' + sys.argv[2]})
    page = json.load(urllib.request.urlopen(r))
    seen += [i['id'] for i in page['items']]
    if page['next'] is None:
        break
    before = '&before=%d' % page['next']
print('ok' if seen == sorted(seen, reverse=True) and len(set(seen)) == len(seen) > 10 else seen)
PY
}
is "$(walk)" ok 'the cursor gives each run once, newest first'
get '/api/v1/runs?sha=xyz'
is "$code" 400 'a filter that cannot be is an error, not an empty list'
done_testing
