#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `sluice lint`: exit status, formats, and that the derived documents are up to date.
. tests/lib/tap.sh

plan 20
top=$PWD
docs=$(dirname "$(readlink -f "$SLUICE")")/tests/tools/workflow_docs

mkdir "$T/w" && cd "$T/w" || exit 1
printf 'on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: make\n' >good.yml
sed 's/make/echo ::add-path::x/' good.yml >old.yml
sed 's/make/sudo make/' good.yml >sudo.yml
sed 's/runs-on/run-on/' good.yml >bad.yml
sed 's/make/rm \x24UNQUOTED/' good.yml >shell.yml

capture "$SLUICE" lint good.yml
is "$status:$out:$err" '0::' 'a clean file says nothing'
capture "$SLUICE" lint good.yml old.yml bad.yml
is "$status" 1 'findings are exit 1'
like "$out" '^old.yml:6:19: ' 'on stdout, with their place'
like "$err" '^lint: 2 findings in 3 files' 'the count is on stderr'
capture "$SLUICE" lint sudo.yml
is "$status" 0 'our own kinds are silent by default'
capture "$SLUICE" lint --rules all sudo.yml
like "$status:$out" '1:.*\[sudo\]' 'and speak with --rules all'

if command -v shellcheck >/dev/null; then
  capture "$SLUICE" lint --rules all shell.yml
  like "$status:$out" '1:shell.yml:6:17: SC2086: .*\[shellcheck\]' 'scripts go through shellcheck'
  capture "$SLUICE" lint shell.yml
  is "$status:$out" '0:' 'but not by default'
else
  skip 'shellcheck is not installed' 2
fi

capture "$SLUICE" lint --format json good.yml
is "$status:$out" '0:[]' 'a clean file as JSON is an empty array'
capture "$SLUICE" lint --format json old.yml bad.yml
like "$out" '"file": "old.yml"' 'findings of all files are in one array'
like "$out" '"end_column": [0-9]+' 'with the column behind'
capture "$SLUICE" lint --format sarif old.yml
like "$out" '"version": "2.1.0"' 'SARIF has its version'
like "$out" '"ruleId": "deprecated-command"' 'and the finding'
if command -v python3 >/dev/null; then
  # Every kind of finding there is, and names that are no URI as they stand.
  mkdir -p 'a b' && cp bad.yml 'a b/é%20#?.yml'
  "$SLUICE" lint --rules all --format sarif "$top"/tests/data/workflows/mistakes/*.yml \
    old.yml bad.yml 'a b/é%20#?.yml' >all.sarif
  like "$(python3 "$top/tests/lib/sarif.py" <all.sarif)" \
    '^[0-9][0-9]+ results, all as the standard has them$' 'SARIF keeps the rules of the standard'
  like "$(cat all.sarif)" '"uri": "a%20b/%C3%A9%2520%23%3F.yml"' 'a name becomes a URI'
  # What reads it would see a mistake.
  like "$(sed 's/"level": "error"/"level": "fatal"/; s/%20b/ b/' all.sarif |
    python3 "$top/tests/lib/sarif.py")" "level 'fatal'.*'a b.* is no URI" 'and one that does not is told'
else
  skip 'python3 is not installed' 3
fi
exits 2 'an unknown format is a usage error' "$SLUICE" lint --format xml good.yml
exits 1 'a file that is not there is exit 1' "$SLUICE" lint none.yml

cd "$top" || exit 1
if [ -x "$docs" ]; then
  is "$("$docs" syntax | cksum)" "$(cksum <docs/workflow-syntax.md)" \
    'docs/workflow-syntax.md is what the table says'
  stale=
  "$docs" schema | cmp -s - docs/workflow.schema.json || stale='workflow.schema.json'
  "$docs" lint | cmp -s - docs/lint/README.md || stale="$stale lint/README.md"
  for code in $("$docs" codes); do
    "$docs" code "$code" | cmp -s - "docs/lint/$code.md" || stale="$stale $code"
  done
  is "$stale" '' 'so are the schema for editors and the pages of lint'
else
  skip 'the tool is not built' 2
fi
