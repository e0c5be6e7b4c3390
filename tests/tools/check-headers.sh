#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every header compiles alone, so that nobody depends on the order of includes.
. tests/lib/tap.sh

mapfile -t headers < <(find base workflows sandbox store executor webhooks runner tests/lib -name '*.h' | sort)
plan ${#headers[@]}

compile() {
  printf '#include "%s"\n' "$1" |
    ${CC:-gcc} -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-unused-function \
      -Wno-missing-field-initializers -I. -D_GNU_SOURCE -fsyntax-only -x c -
}

for header in "${headers[@]}"; do
  ok "$header" compile "$header"
done
