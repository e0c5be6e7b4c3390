#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Reads the #include lines: folders see only those below them, each third-party library is
# known to one module, and every project include names its folder.
. tests/lib/tap.sh
plan 4

# ---- who may include whom ----
declare -A below=(
  [base]='base'
  [workflows]='workflows base'
  [sandbox]='sandbox base'
  [store]='store base'
  [executor]='executor workflows sandbox base'
  [webhooks]='webhooks workflows store base'
  [runner]='runner webhooks executor store sandbox workflows base'
)

# ---- header (a prefix of the name)   the module that may include it (a pattern) ----
libraries='
jansson.h        base/json*.c
openssl/         base/crypto*.c
yaml.h           workflows/yaml*.c
seccomp.h        sandbox/seccomp*.c
sqlite3.h        store/*.[ch]
git2             executor/git*.[ch]
archive          executor/archive*.c
curl/            executor/transfer*.c
pcre2.h          executor/matcher_*.c
zstd.h           executor/zstd*.c
microhttpd.h     runner/http*.c
dlfcn.h          runner/http.c
'

# The C library, and the kernel with its folders.
system='^((sys|linux|asm|net|netinet|arpa)/.*|(assert|ctype|dirent|elf|errno|fcntl|float|fnmatch|getopt|glob|grp|ifaddrs|inttypes|langinfo|limits|link|locale|malloc|math|mntent|netdb|paths|poll|pthread|pty|pwd|regex|sched|search|setjmp|shadow|signal|spawn|stdalign|stdarg|stdbool|stddef|stdint|stdio|stdlib|stdnoreturn|string|strings|syslog|termios|time|uchar|unistd|utime|wchar|wctype)\.h)$'

# "file:header" of every quoted or angled include below the source folders.
includes() {
  grep -rHoE --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include[[:space:]]+$1" "${!below[@]}" |
    sed -E 's/:[^"<]*["<]/:/'
}

wrong_layers=() no_folder=() internals=()
while IFS=: read -r file header; do
  folder=${file%%/*} target=${header%%/*}
  if [[ $header != */* ]]; then
    # Made files (assets) have no folder.
    [[ $header == *.inc ]] || no_folder+=("$file includes \"$header\"")
  elif [[ " ${below[$folder]} " != *" $target "* ]]; then
    wrong_layers+=("$file includes \"$header\": $folder may see ${below[$folder]}")
  elif [[ $header == *-internal.h && $target != "$folder" ]]; then
    internals+=("$file includes \"$header\", which is for $target alone")
  fi
done < <(includes '"[^"]+')

module_of() {
  local prefix pattern
  while read -r prefix pattern; do
    if [ -n "$prefix" ] && [[ $1 == "$prefix"* ]]; then
      echo "$pattern"
      return
    fi
  done <<<"$libraries"
}

wrong_libraries=()
while IFS=: read -r file header; do
  [[ ! $header =~ $system ]] || continue
  pattern=$(module_of "$header")
  if [ -z "$pattern" ]; then
    wrong_libraries+=("$file includes <$header>: not in the table of $0")
  elif
    # shellcheck disable=SC2053 # the pattern is meant as one
    [[ $file != $pattern ]]
  then
    wrong_libraries+=("$file includes <$header>, which is for $pattern alone")
  fi
done < <(includes '<[^>]+')

is "$(printf '%s\n' "${wrong_layers[@]}")" '' 'folders include only what is below them'
is "$(printf '%s\n' "${no_folder[@]}")" '' 'every project include names its folder'
is "$(printf '%s\n' "${internals[@]}")" '' 'internal headers stay in their folder'
is "$(printf '%s\n' "${wrong_libraries[@]}")" '' 'each library is known to one module'
