#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `sluice eval`: contexts from a file, one line of JSON, errors on stderr with exit 1.
. tests/lib/tap.sh

plan 24
cat >"$T/ctx.json" <<'EOF'
{"github": {"ref": "refs/heads/main", "n": 3, "workspace": "/"}, "job": {"status": "failure"}, "own-name": [1, 2]}
EOF

# value WANT NAME EXPRESSION...: the whole of stdout, nothing on stderr.
value() {
  local want=$1 name=$2
  shift 2
  capture "$SLUICE" eval --context "$T/ctx.json" -- "$@"
  is "$status:$out:$err" "0:$want:" "$name"
}

value '"refs/heads/main"' 'a context is read without case' 'GITHUB.Ref'
value '[1,2]' 'any top-level name is a context' 'own-name'
value 'null' 'the empty expression is null' ''
value 'true' 'after -- an expression may begin with a dash' '-1 == -1.0'
value '"NaN"' 'what JSON cannot say is a string' 'NaN'
value '"{\n  \"ref\": \"refs/heads/main\",\n  \"n\": 3,\n  \"workspace\": \"/\"\n}"' \
  'toJSON prints two spaces' 'toJSON(github)'
value 'true' 'failure() looks at job.status' 'failure() && !success() && always()'

exits 1 'an unknown name is refused, also where it is not reached' \
  "$SLUICE" eval --context "$T/ctx.json" 'false && gihub.ref'
like "$err" "did you mean 'github'" 'and the nearest is named'
like "$err" $'\n  +\\^' 'and its place is marked'
is "$out" '' 'and nothing is printed as a value'
exits 1 'an evaluation error is exit 1' "$SLUICE" eval "fromJSON('{')"
is "$out" '' 'without a value'
exits 1 'a context file that is none is exit 1' "$SLUICE" eval --context "$T/none" 1
exits 2 'a missing expression is a usage error' "$SLUICE" eval
exits 2 'so is an unknown option' "$SLUICE" eval --nope 1
exits 2 'so is a second expression' "$SLUICE" eval 1 2
exits 0 'help is no error' "$SLUICE" eval --help

mkdir -p "$T/ws/sub"
printf a >"$T/ws/a.txt"
printf b >"$T/ws/sub/b.txt"
ln -s /etc/passwd "$T/ws/out.txt"
want=$(for f in a.txt sub/b.txt; do sha256sum <"$T/ws/$f"; done | cut -d' ' -f1 |
  python3 -c 'import hashlib, sys
print(hashlib.sha256(b"".join(bytes.fromhex(l) for l in sys.stdin.read().split())).hexdigest())' 2>/dev/null)
if [ -n "$want" ]; then
  capture env GITHUB_WORKSPACE="$T/ws" "$SLUICE" eval "hashFiles('**/*.txt')"
  is "$out" "\"$want\"" 'hashFiles hashes the files below the workspace, and none outside'
  cd "$T/ws" || exit 1
  capture "$SLUICE" eval "hashFiles('**/*.txt')"
  cd "$SOURCE" || exit 1
  is "$out" "\"$want\"" 'or below the working directory'
else
  skip 'python3 is not installed' 2
fi
capture env GITHUB_WORKSPACE="$T/ws" "$SLUICE" eval "hashFiles('$T/ws/a.txt') == hashFiles('a.txt')"
is "$out" true 'a pattern may name the workspace by its path'
capture env GITHUB_WORKSPACE="$T/ws" "$SLUICE" eval "hashFiles('nothing')"
is "$out" '""' 'no file gives the empty string'
exits 1 'a pattern cannot climb' env GITHUB_WORKSPACE="$T/ws" "$SLUICE" eval "hashFiles('../*')"
like "$err" "'..'" 'and the message says so'
done_testing
