#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Packs the greeting: build.sh GREETING VERSION -> hello.tar.gz
set -eu
[ -n "${1:-}" ] || { echo "build.sh: an empty greeting" >&2; exit 1; }
printf '%s %s\n' "$1" "$2" > hello.txt
tar -czf hello.tar.gz hello.txt
