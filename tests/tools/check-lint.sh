#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Static checks. A tool that is not installed is a skip that says so.
# timeout: 3600
. tests/lib/tap.sh
plan 6

sources() { find base workflows sandbox store executor webhooks runner -name "$1" | sort; }
scripts() {
  find tests deploy examples .ci install.sh -type f -not -path '*/node_modules/*' -exec \
    grep -lE '^#!.*\b(ba)?sh\b|^# shellcheck shell=' {} + 2>/dev/null | sort
}

# Its findings alone, without how it came to them: `make tidy` tells the whole story.
tidy() {
  make --no-print-directory -k -j "${JOBS:-2}" tidy >"$T/tidy" 2>&1 && return
  grep -E ' error: |^make.*\*\*\*' "$T/tidy"
  return 1
}
if command -v clang-tidy >/dev/null; then
  ok 'clang-tidy finds nothing (see .clang-tidy)' tidy
else
  skip 'clang-tidy is not installed'
fi

check_c() {
  sources '*.c' >"$T/sources"
  cppcheck --quiet --std=c11 --inline-suppr --error-exitcode=1 -j 2 -I. \
    --enable=warning,performance,portability --library=gnu,posix \
    -D_GNU_SOURCE '-D__has_include(x)=0' --max-configs=2 \
    --suppressions-list=tests/tools/cppcheck.txt --file-list="$T/sources"
}
if command -v cppcheck >/dev/null; then
  ok 'cppcheck finds nothing' check_c
else
  skip 'cppcheck is not installed'
fi

check_shell() { scripts | xargs -d '\n' shellcheck -x -S warning -e SC2120; }
if command -v shellcheck >/dev/null; then
  ok 'shellcheck finds nothing' check_shell
else
  skip 'shellcheck is not installed'
fi

# Unbounded, locale-bound, shell-starting, or returning a static buffer.
banned='(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gets|gmtime|localtime|system|popen|tmpnam|mktemp)'
use_of_banned() {
  # What a literal says is not called.
  sources '*.[ch]' | xargs -d '\n' perl -ne 's/\x27\\?"\x27//g; s/"(\\.|[^"\\])*"/""/g; print "$ARGV:$.:$_"; close ARGV if eof' |
    grep -E "(^|[^a-zA-Z0-9_>.\"'/*])${banned}[[:space:]]*\(" | grep -vE ':[[:space:]]*(/?\*|//)'
}
is "$(use_of_banned)" '' 'no function is used that we do not use'

without_licence() {
  {
    sources '*.[ch]'
    scripts
    find tests -name '*.[ch]'
    ls Makefile Makefile.tests
  } | xargs -d '\n' grep -L 'SPDX-License-Identifier: Apache-2.0'
}
is "$(without_licence)" '' 'every file names its licence'

too_wide() {
  # A line is as wide as it is without what its literals say: those stay in one piece, so
  # that a message can be searched for.
  # shellcheck disable=SC2016 # the fields are those of awk
  sources '*.[ch]' | xargs -d '\n' awk '{
    line = $0; width = 0
    gsub(/"([^"\\]|\\.)*"/, "\"\"", line)
    for (i = 1; i <= length(line); i++)
      width += substr(line, i, 1) == "\t" ? 8 - width % 8 : 1
    if (width > 100) print FILENAME ":" FNR ": " width " columns"
  }'
}
is "$(too_wide)" '' 'no line is far over 90 columns'
