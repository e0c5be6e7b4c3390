#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What the programs link. Each library costs start-up time and is parser code in the
# address space: one more here is a decision, not an accident.
. tests/lib/tap.sh
need readelf
plan 9

always='libc.so.6 ld-linux-x86-64.so.2 ld-linux-aarch64.so.1 libm.so.6'
sluice='libjansson.so.4 libyaml-0.so.2 libcrypto.so.3 libsqlite3.so.0 libseccomp.so.2' # and libmicrohttpd once it serves
# Of each fork that a job is made of. No database, no HTTP server.
spawner='libjansson.so.4 libyaml-0.so.2 libcrypto.so.3 libseccomp.so.2'
helper='libjansson.so.4 libcrypto.so.3 libgit2.so. libcurl.so.4 libarchive.so.13 libpcre2-8.so.0 libzstd.so.1 libseccomp.so.2 libyaml-0.so.2'

needed() { readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }

# unasked PROGRAM LIBRARY...: what it links beyond them.
unasked() {
  local lib name
  local program=$1 allowed="${*:2}"
  for lib in $(needed "$program"); do
    for name in $allowed; do
      # "libgit2.so." stands for every version of it.
      [[ $lib == "$name" || ($name == *. && $lib == "$name"*) ]] && continue 2
    done
    echo "$lib"
  done
}

# A function of ours that a library looks up by the same name would be called instead of its own.
interposed() {
  readelf --dyn-syms -W "$1" |
    awk '$4 == "FUNC" && $5 != "LOCAL" && $7 != "UND" && $8 !~ /^(_init|_fini|main)$/ { print $8 }'
}

is_hardened() {
  readelf -hld -W "$1" >"$T/elf"
  grep -q 'Type:.*DYN' "$T/elf" && grep -q GNU_RELRO "$T/elf" && grep -qE 'BIND_NOW|NOW' "$T/elf" &&
    ! grep -E 'GNU_STACK.* RWE ' "$T/elf"
}

for program in "$SLUICE" "$SOURCE/build/sluice-spawner" "$SOURCE/build/sluice-helper"; do
  name=${program##*/}
  if [ ! -x "$program" ]; then
    skip "$name is not built" 3
    continue
  fi
  case $name in
  sluice) allowed=$sluice ;;
  sluice-spawner) allowed=$spawner ;;
  *) allowed=$helper ;;
  esac
  # shellcheck disable=SC2086 # lists of words
  is "$(unasked "$program" $always $allowed)" '' "$name links only what it may"
  is "$(interposed "$program")" '' "$name defines no function that its libraries look up"
  ok "$name is position independent, read-only after relocation, without an executable stack" is_hardened "$program"
done
