#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints files as C: one array of bytes each, and the table
#   static const struct asset assets[] = { { name, type, bytes, len, hash }, ... };
# with the MIME type by suffix and the first 16 digits of the SHA-256, for cache-proof URLs.
# Needs only od, awk and sha256sum.
set -eu

type_of() {
  case $1 in
  *.css) echo 'text/css; charset=utf-8' ;;
  *.js) echo 'text/javascript; charset=utf-8' ;;
  *.html) echo 'text/html; charset=utf-8' ;;
  *.json) echo 'application/json' ;;
  *.svg) echo 'image/svg+xml' ;;
  *.png) echo 'image/png' ;;
  *.ico) echo 'image/x-icon' ;;
  *.woff2) echo 'font/woff2' ;;
  *.txt) echo 'text/plain; charset=utf-8' ;;
  *) echo 'application/octet-stream' ;;
  esac
}

echo '/* Made by tests/tools/embed.sh: do not edit. */'
# What browsers do not need is left out of style sheets and scripts.
bytes_of() {
  case $1 in
  *.css) awk -v css=1 -f "${0%/*}/squeeze.awk" "$1" ;;
  *.js) awk -f "${0%/*}/squeeze.awk" "$1" ;;
  *) cat "$1" ;;
  esac
}

n=0
for file; do
  printf 'static const unsigned char asset_%d[] = {\n' "$n"
  # A C array cannot be empty: one byte more than the length says, always.
  bytes_of "$file" | od -An -v -tu1 | awk '{ gsub(/ +/, ","); print substr($0, 2) "," }'
  printf '0 };\n'
  n=$((n + 1))
done
echo 'static const struct asset assets[] = {'
n=0
for file; do
  hash=$(bytes_of "$file" | sha256sum | cut -c 1-16)
  printf '\t{ "%s", "%s", asset_%d, sizeof(asset_%d) - 1, "%s" },\n' \
    "$(basename "$file")" "$(type_of "$file")" "$n" "$n" "$hash"
  n=$((n + 1))
done
# The last one has no name, so that the table is never empty.
printf '\t{ 0, 0, 0, 0, 0 },\n};\n'
