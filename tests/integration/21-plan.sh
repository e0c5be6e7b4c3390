#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `sluice plan`: the table, the JSON, called workflows from the tree and from a work tree
# with tags, refusals with place and caret.
. tests/lib/tap.sh

plan 14
mkdir -p "$T/repo/.github/workflows" "$T/repo/.git" "$T/actions/acme/tools"
cd "$T/repo" || exit 1
w=.github/workflows
cat >$w/ci.yml <<'EOT'
name: CI
on:
  push:
    branches: [main]
jobs:
  build:
    runs-on: ubuntu-latest
    strategy:
      matrix:
        v: [1, 2]
    steps:
      - run: make
  call:
    needs: build
    uses: ./.github/workflows/called.yml
    with:
      n: 3
  remote:
    needs: call
    environment: production
    runs-on: ubuntu-latest
    name: Ship it
    steps:
      - run: ship
EOT
cat >$w/called.yml <<'EOT'
on:
  workflow_call:
    inputs:
      n:
        type: number
jobs:
  inner:
    runs-on: ubuntu-latest
    name: n=${{ inputs.n }}
    steps:
      - run: x
EOT

capture "$SLUICE" plan $w/ci.yml
is "$status:$err" '0:' 'a plan is made'
is "$(sed -n 1p <<<"$out")" 'ci.yml "CI" on push' 'the first line names the workflow'
tab=$'\t'
like "$out" "1${tab}build${tab}2${tab}${tab}${tab}6${tab}" 'a job has its rows and its line'
like "$out" "3${tab}remote${tab}1${tab}call${tab}production${tab}18${tab}Ship it" \
  'and its stage, needs, environment and name'
like "$out" "2${tab}call/inner${tab}1" 'a called job follows its caller'

capture "$SLUICE" plan --format json $w/ci.yml
is "$status" 0 'the same as JSON'
like "$out" '"name": "call / n=3"' 'with the inputs of a called workflow'

echo '{"ref": "refs/heads/dev", "commits": []}' >"$T/payload.json"
capture "$SLUICE" plan --event push --payload "$T/payload.json" $w/ci.yml
is "$status" 0 'an event that does not start it is no error'
like "$out" 'does not run: ' 'and the reason is told'

sed -i 's|uses: .*|uses: acme/tools/w/called.yml@v1|' $w/ci.yml
capture "$SLUICE" plan $w/ci.yml
is "$status" 1 'a workflow of another repository needs --actions-dir'
like "$err" "ci.yml:15:11: .*acme/tools.*--actions-dir" 'which the message says'
(
  cd "$T/actions/acme/tools" || exit 1
  mkdir w && cp "$T/repo/$w/called.yml" w/
  git init -q . && git add -A
  git -c user.name=t -c user.email=t@t commit -q -m one && git tag v1
) >"$T/git.log" 2>&1
if command -v git >/dev/null; then
  capture "$SLUICE" plan --actions-dir "$T/actions" $w/ci.yml
  like "$status:$out" '^0:.*call/inner' 'it is read at its tag'
else
  skip 'git is not installed'
fi

sed -i 's/needs: call/needs: cal/' $w/ci.yml
capture "$SLUICE" plan --actions-dir "$T/actions" $w/ci.yml
is "$status:$out" '1:' 'a faulty file is refused without output'
is "$err" "$w/ci.yml:19:12: job 'remote' needs 'cal', which is not a job of this workflow [unknown-need]
19 |     needs: cal
   |            ^^^ did you mean 'call' (line 13)?" 'with place, caret and remedy'
