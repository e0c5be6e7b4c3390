#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Lines covered by the unit tests, a line for each folder and file. Usage: coverage.sh BUILD
set -eu
build=$1
command -v gcov >/dev/null || { echo 'skip: gcov is not installed'; exit 0; }

find "$build" -name '*.gcda' -not -path '*/tests/*' -print0 |
  xargs -0 -r gcov -n -r 2>/dev/null |
  awk -F"['% :]+" '
    /^File / { file = $2 }
    /^Lines executed/ && file ~ /^[a-z]+\/.*\.c$/ {
      hit[file] = $3 / 100 * $5; all[file] = $5; file = ""
    }
    END {
      for (f in all) {
        split(f, part, "/")
        folder_hit[part[1]] += hit[f]; folder_all[part[1]] += all[f]
        printf "%5.1f %% %6d  %s\n", 100 * hit[f] / all[f], all[f], f | "sort -k4"
      }
      close("sort -k4")
      print ""
      for (d in folder_all) printf "%5.1f %% %6d  %s/\n", 100 * folder_hit[d] / folder_all[d], folder_all[d], d | "sort -k4"
    }'
