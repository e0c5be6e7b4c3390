#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Runs TAP producers (cmocka programs, shell scripts) and sums them up.
#
#   run-tests.sh [-j JOBS] [-t SECONDS] [-v] [-s SKIPPED] [-k FILE] PRODUCER...
#
# Each has SECONDS (300; a script may say "# timeout: N"), a temporary folder of its own as
# TMPDIR and HOME, and no input. A producer that crashes, exits non-zero without a failed
# test, or prints another number of tests than its plan counts as one more failure. Every
# skip is printed with its reason; -s "WHAT: WHY" adds one. -k keeps the results in FILE, a
# line "LABEL<TAB>pass|fail|skip<TAB>NAME<TAB>REASON" each. A producer that failed beside
# others is run once more alone. The last line is `N passed, N failed, N skipped`.
set -u

JOBS=2
SECONDS_MAX=300
VERBOSE=${VERBOSE:-0}
KEEP=

# What one TAP stream says, as lines "pass|fail|skip NAME [reason]" and a last "end COUNT PLAN".
# cmocka: a skip is "not ok N # SKIP name" with its reason in a comment before it, and a
# failed group setup is number 0.
parse_tap() {
  awk '
    /^# skip reason: / { reason = substr($0, 16); next }
    /^1\.\.[0-9]+/ {
      plan = substr($1, 4) + 0; has_plan = 1
      if (plan == 0 && match($0, /# *[Ss][Kk][Ii][Pp][A-Za-z]*/)) {
        why = substr($0, RSTART + RLENGTH); sub(/^[ :]+/, "", why)
        print "skip\tall of it\t" (why == "" ? "no reason given" : why)
      }
      next
    }
    /^(not )?ok( |$)/ {
      count++
      failed = /^not/
      name = $0; sub(/^(not )?ok */, "", name)
      if (match(name, /^[0-9]+/)) { if (substr(name, 1, RLENGTH) == "0") count--; name = substr(name, RLENGTH + 1) }
      sub(/^ *-? */, "", name)
      if (match(name, /# *[Ss][Kk][Ii][Pp][A-Za-z]*/)) {
        why = substr(name, RSTART + RLENGTH); before = substr(name, 1, RSTART - 1)
        sub(/^[ :]+/, "", why); sub(/ +$/, "", before)
        if (failed) { before = why; why = reason }
        print "skip\t" before "\t" (why == "" ? "no reason given" : why)
      } else if (match(name, /# *[Tt][Oo][Dd][Oo]/)) {
        print "skip\t" name "\tnot done yet"
      } else {
        print (failed ? "fail\t" : "pass\t") name
      }
      reason = ""
      next
    }
    /^Bail out!/ { print "fail\t" $0 }
    END { print "end\t" count + 0 "\t" (has_plan ? plan : -1) }
  '
}

# "build/gcc/tests/unit/base/test_fd" is "unit/base/test_fd", with another variant in brackets.
label_of() {
  case $1 in
  build/gcc/tests/*) echo "${1#build/gcc/tests/}" ;;
  build/*/tests/*)
    local rest=${1#build/}
    echo "${rest#*/tests/} [${rest%%/*}]"
    ;;
  tests/*) echo "${1#tests/}" ;;
  *) echo "$1" ;;
  esac
}

# A fuzz target replays its corpus; as a producer it is one test.
run_producer() {
  local name corpus
  case $1 in
  *.sh) bash "$1" ;;
  */tests/fuzz/fuzz_*)
    name=${1##*/fuzz_}
    corpus=tests/fuzz/corpus/$name
    echo "1..1"
    if [ ! -d "$corpus" ]; then
      echo "not ok 1 - $corpus is missing: every fuzz target comes with inputs"
    elif find "$corpus" -type f -print0 | sort -z | xargs -0 "$1"; then
      echo "ok 1 - $(find "$corpus" -type f | wc -l) inputs"
    else
      echo "not ok 1 - an input failed"
    fi
    ;;
  *) "$1" ;;
  esac
}

# One producer, as a child of xargs: writes WORK/N.{out,tap} and prints one line.
run_one() {
  local n=$1 producer=$2 limit=$3 work=$4
  local label status asked passed failed skipped started
  label=$(label_of "$producer")
  case $producer in
  *.sh) asked=$(sed -n 's/^# timeout: *\([0-9]*\)$/\1/p' "$producer" | head -n 1) ;;
  *) asked= ;;
  esac
  [ -n "$asked" ] && [ "$asked" -gt "$limit" ] && limit=$asked
  started=$(date +%s%N)
  mkdir -p "$work/$n.tmp"
  (
    exec env -u SLUICE_TEST_SUM TMPDIR="$work/$n.tmp" HOME="$work/$n.tmp" LC_ALL=C.UTF-8 \
      CMOCKA_MESSAGE_OUTPUT=TAP \
      ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1}" \
      LSAN_OPTIONS="${LSAN_OPTIONS:-suppressions=tests/lib/lsan.supp:print_suppressions=0}" \
      UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}" \
      timeout --kill-after=5 "$limit" bash "$0" --producer "$producer"
  ) >"$work/$n.out" 2>&1 </dev/null
  status=$?
  parse_tap <"$work/$n.out" >"$work/$n.tap"
  judge "$status" "$limit" "$work/$n.tap"
  passed=$(grep -c '^pass' "$work/$n.tap")
  failed=$(grep -c '^fail' "$work/$n.tap")
  skipped=$(grep -c '^skip' "$work/$n.tap")
  printf '%s\n' "$label" >"$work/$n.label"
  printf '%s\n' "$producer" >"$work/$n.producer"
  printf '%-4s %-52s %4d ok%s%s %6d ms\n' "$([ "$failed" -eq 0 ] && echo ok || echo FAIL)" "$label" \
    "$passed" "$([ "$failed" -gt 0 ] && echo ", $failed failed")" \
    "$([ "$skipped" -gt 0 ] && echo ", $skipped skipped")" $((($(date +%s%N) - started) / 1000000))
  [ "$VERBOSE" = 1 ] && cat "$work/$n.out"
  chmod -R u+rwX "$work/$n.tmp" 2>/dev/null
  rm -rf "$work/$n.tmp"
  return 0
}

# What the stream itself cannot say: how the producer ended, and whether all of it came.
judge() {
  local status=$1 limit=$2 tap=$3 count plan
  IFS=$'\t' read -r _ count plan < <(grep '^end' "$tap")
  if [ "$status" = 124 ]; then
    printf 'fail\tnot done after %s seconds\n' "$limit" >>"$tap"
  elif [ "$status" -ge 128 ]; then
    printf 'fail\tdied of signal %s\n' $((status - 128)) >>"$tap"
  elif [ "$plan" = -1 ]; then
    printf 'fail\tno plan, and it ended with status %s\n' "$status" >>"$tap"
  elif [ "$count" != "$plan" ]; then
    printf 'fail\tplanned %s tests, ran %s, ended with status %s\n' "$plan" "$count" "$status" >>"$tap"
  elif [ "$status" != 0 ] && ! grep -q '^fail' "$tap"; then
    printf 'fail\tno test failed, but it ended with status %s\n' "$status" >>"$tap"
  fi
}

# What failed beside others runs once more alone, and only that counts; it is named, so that
# a test that needs a quiet machine is seen and mended. Not for a single producer.
run_failed_again() {
  local work=$1 limit=$2 tap n label
  for tap in $(find "$work" -name '*.tap' | sort -V); do
    n=$(basename "$tap" .tap)
    grep -q '^fail' "$tap" || continue
    [ -f "$work/$n.producer" ] || continue
    label=$(cat "$work/$n.label")
    awk -F'\t' -v label="$label" '$1 == "fail" { print "again, alone: " label ": " $2 }' "$tap"
    cp "$work/$n.out" "$work/$n.first"
    run_one "$n" "$(cat "$work/$n.producer")" "$limit" "$work"
    grep -q '^fail' "$tap" || echo "unsteady: $label failed beside others and passed alone"
  done
}

summary() {
  local work=$1 tap n passed failed skipped
  for tap in $(find "$work" -name '*.tap' | sort -V); do
    n=${tap%.tap}
    awk -F'\t' -v label="$(cat "$n.label")" '$1 == "skip" { print "skip " label ": " $2 ": " $3 }' "$tap"
  done
  for tap in $(find "$work" -name '*.tap' | sort -V); do
    n=${tap%.tap}
    grep -q '^fail' "$tap" || continue
    printf '\n--- %s\n' "$(cat "$n.label")"
    awk -F'\t' '$1 == "fail" { print "failed: " $2 }' "$tap"
    [ "$VERBOSE" = 1 ] || tail -n 30 "$n.out" | sed 's/^/    /'
  done
  passed=$(cat "$work"/*.tap | grep -c '^pass')
  failed=$(cat "$work"/*.tap | grep -c '^fail')
  skipped=$(cat "$work"/*.tap | grep -c '^skip')
  [ -z "$KEEP" ] || for tap in "$work"/*.tap; do
    awk -F'\t' -v label="$(cat "${tap%.tap}.label")" '$1 != "end" { print label "\t" $0 }' "$tap"
  done >"$KEEP"
  # For whoever adds several runs up.
  [ -n "${SLUICE_TEST_SUM:-}" ] && echo "$passed $failed $skipped" >>"$SLUICE_TEST_SUM"
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" -eq 0 ]
}

main() {
  local work status n=0 list missing=''
  while getopts j:t:vs:k: opt; do
    case $opt in
    j) JOBS=$OPTARG ;;
    t) SECONDS_MAX=$OPTARG ;;
    v) VERBOSE=1 ;;
    s) missing=$OPTARG ;;
    k) KEEP=$OPTARG ;;
    *) exit 2 ;;
    esac
  done
  shift $((OPTIND - 1))
  if [ $# -eq 0 ] && [ -z "$missing" ]; then
    echo "no such test" >&2
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
  fi
  # Short: the path of a unix socket has 107 bytes.
  work=$(mktemp -d "${TMPDIR:-/tmp}/slt.XXXXXX") || exit 1
  # As root some tests run what they test as another account, which must get to its folder.
  [ "$(id -u)" -ne 0 ] || chmod 711 "$work"
  # shellcheck disable=SC2064 # the folder of now
  trap "chmod -R u+rwX '$work' 2>/dev/null; rm -rf '$work'" EXIT
  export VERBOSE
  if [ -n "$missing" ]; then
    echo "${missing%%:*}" >"$work/0.label"
    printf 'skip\tall of it\t%s\n' "${missing#*: }" >"$work/0.tap"
  fi
  list=$(for producer; do printf '%d\n%s\n' $((n += 1)) "$producer"; done)
  # shellcheck disable=SC2016 # the inner shell expands
  [ $# -eq 0 ] || printf '%s\n' "$list" | xargs -d '\n' -n 2 -P "$JOBS" bash -c \
    'exec bash "$0" --one "$3" "$4" "$1" "$2"' "$0" "$SECONDS_MAX" "$work"
  [ $# -lt 2 ] || run_failed_again "$work" "$SECONDS_MAX"
  summary "$work"
  status=$?
  exit $status
}

case ${1:-} in
--producer) run_producer "$2" ;;
--one) run_one "$2" "$3" "$4" "$5" ;;
*) main "$@" ;;
esac
