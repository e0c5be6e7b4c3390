#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The table of docs/confinement.md: which case of tests/attack/cases.tsv is shown by which
# test. A test says in its name what it shows: "nothing is left [RS06]"; the rows of
# sandbox/attack_table.c are tests of 21-sandbox-doctor.sh and of attack/profiles.sh, whose names
# also say what a profile allows by design.
#
#   cases.sh            is the table whole and of these tests? (TAP, for make check)
#   cases.sh producers  the tests that show a case
#   cases.sh write FILE FILE has the results of those (run-tests.sh -k): the table anew
set -u

LIST=tests/attack/cases.tsv
DOC=docs/confinement.md
FIRST='<!-- written by make confinement -->'
LAST='<!-- end of what make confinement writes -->'
ID='[A-Z]{2,3}[0-9]{2}'

# "CASE<TAB>LABEL", a line for each case a source file names.
claims() {
  {
    # In C by TEST_CASE("SB26 RS01", ...), in scripts by the names of tests themselves.
    grep -HoE "TEST_CASE(_WITH)?\(\"$ID( $ID)*\"" tests/unit/*/*.c
    grep -HoE "\[$ID( $ID)*\]" tests/integration/*.sh tests/attack/*.sh
    for label in integration/21-sandbox-doctor attack/profiles; do
      sed -nE "s|^[[:space:]]*\{ \"($ID)\", .*|tests/$label.sh:\1|p" sandbox/attack_table.c
    done
  } 2>/dev/null | awk -F: '{
    label = $1; sub(/^tests\//, "", label); sub(/\.c$/, "", label)
    n = split($2, words, /[^A-Z0-9]+/)
    for (i = 1; i <= n; i++) if (words[i] ~ /^[A-Z][A-Z][A-Z]?[0-9][0-9]$/) print words[i] "\t" label
  }' | sort -u
}

cases() { grep -v '^#' "$LIST"; }

producers() {
  claims | cut -f 2 | sort -u | while read -r label; do
    case $label in
    *.sh) echo "tests/$label" ;;
    *) echo "build/gcc/tests/$label" ;;
    esac
  done
}

# The table of DOC as "CASE<TAB>TESTS".
written() {
  sed -n "/^$FIRST$/,/^$LAST$/p" "$DOC" | awk -F' *\\| *' '$2 ~ /^[A-Z]+[0-9]+$/ { print $2 "\t" $5 }'
}

# "CASE<TAB>a, b": the tests of each case, as the table has them.
tests_of_cases() {
  claims | awk -F'\t' '{
    name = $2; sub(/^(unit|integration)\//, "", name); sub(/\.sh$/, "", name)
    if (!($1 in t)) order[++n] = $1
    t[$1] = t[$1] (t[$1] == "" ? "" : ", ") name
  } END { for (i = 1; i <= n; i++) print order[i] "\t" t[order[i]] }'
}

check() {
  local count=0 failed=0 shown id reason
  say() {
    count=$((count + 1))
    if [ "$1" = 0 ]; then echo "ok $count - $2"; else
      failed=1
      echo "not ok $count - $2"
    fi
  }
  shown=$(claims | cut -f 1 | sort -u)
  while IFS=$'\t' read -r id _ _ reason; do
    grep -qx "$id" <<<"$shown" || [ -n "$reason" ]
    say $? "$id has a test or a reason"
  done < <(cases)
  for id in $shown; do
    cases | grep -q "^$id	" || say 1 "$id, which tests name, is a case of $LIST"
  done
  [ "$(written)" = "$(tests_of_cases | join -t "$(printf '\t')" -a 1 -o 0,2.2 \
    <(cases | cut -f 1 | sort) - | sort -k 1,1 | in_order)" ]
  say $? "the table of $DOC names these tests (else: make confinement)"
  ! sed -n "/^$FIRST$/,/^$LAST$/p" "$DOC" | grep -q '| FAILED'
  say $? 'and none of them failed'
  echo "1..$count"
  return $failed
}

# Lines "CASE..." in the order of LIST.
in_order() {
  local lines id
  lines=$(cat)
  while read -r id; do grep "^$id	" <<<"$lines" || printf '%s\t\n' "$id"; done < <(cases | cut -f 1)
}

# Results, "LABEL<TAB>pass|fail|skip<TAB>NAME<TAB>REASON", as rows of the table.
rows() {
  awk -F'\t' -v claims="$(tests_of_cases)" '
    BEGIN {
      n = split(claims, l, "\n")
      for (i = 1; i <= n; i++) { split(l[i], f, "\t"); tests[f[1]] = f[2] }
    }
    FILENAME == ARGV[1] {
      if (!match($3, /\[[A-Z]+[0-9]+( [A-Z]+[0-9]+)*\]/)) next
      m = split(substr($3, RSTART + 1, RLENGTH - 2), ids, " ")
      for (i = 1; i <= m; i++) { got[ids[i] $2]++; if ($2 == "skip") why[ids[i]] = $4 }
      if (match($3, /\(profile [a-z]+; by design: .*\)/)) {
        words = substr($3, RSTART + 9, RLENGTH - 10)
        sub(/; by design: /, " by design: ", words)
        for (i = 1; i <= m; i++) design[ids[i]] = design[ids[i]] "; " words
      }
      next
    }
    /^#/ { next }
    {
      p = got[$1 "pass"] + 0; s = got[$1 "skip"] + 0
      if (got[$1 "fail"]) here = "FAILED"
      else if (p && s) here = "held (" p " tests; " s " not here: " why[$1] ")"
      else if (p) here = "held (" p (p == 1 ? " test)" : " tests)")
      else if ($4 != "") here = "not shown: " $4
      else here = "not shown: " (s ? why[$1] : "its tests did not run")
      if (p && $4 != "") here = here "; " $4
      here = here design[$1]
      printf "| %s | %s | %s | %s | %s |\n", $1, $2, here, tests[$1], $3
    }' "$1" "$LIST"
}

write() {
  local table
  table=$(rows "$1") || exit 1
  awk -v first="$FIRST" -v last="$LAST" -v table="$table" '
    $0 == first {
      print; print ""; print "| case | what must not happen | here | shown by | control |"
      print "| --- | --- | --- | --- | --- |"; print table; print ""; skip = 1
    }
    $0 == last { skip = 0 }
    !skip { print }' "$DOC" >"$DOC.new" && mv "$DOC.new" "$DOC"
  ! grep '| FAILED' <<<"$table"
}

case ${1:-check} in
check) check ;;
producers) producers ;;
write) write "$2" ;;
*) exit 2 ;;
esac
