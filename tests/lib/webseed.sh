# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is for the scripts
# SPDX-License-Identifier: Apache-2.0
# A web process with a store behind it (tests/tools/webseed.c), for scripts that have
# sourced tap.sh:
#
#   web_begin [OPTION...]     # $URL, $TOKEN; id NAME prints what the first line named
#   web_say 'append 96 1 x'   # a command; $said is its answer
#   get PATH [CURL OPTION...] # signed in: $code, $body, $head

WEBSEED=$(dirname "$(readlink -f "$SLUICE")")/tests/tools/webseed
URL='' TOKEN='' said='' code='' body='' head=''

id() { sed -n "1s/.*\"$1\":\"\\{0,1\\}\\([^,\"}]*\\).*/\\1/p" "$T/web.out"; }

web_begin() {
  [ -x "$WEBSEED" ] || skip_all 'tests/tools/webseed is not built'
  need curl python3
  mkdir -p "$T/web"
  mkfifo "$T/web.in"
  "$WEBSEED" --dir "$T/web" "$@" <"$T/web.in" >"$T/web.out" 2>"$T/web.err" &
  tap_pids['webseed']=$!
  exec 7>"$T/web.in"
  wait_for_text 60 "$T/web.out" '"url"' || {
    fail 'the web process starts' "$(tail -n 5 "$T/web.err")"
    done_testing
    exit 1
  }
  URL=$(id url)
  TOKEN=$(id token)
}

web_say() {
  local before
  before=$(wc -l <"$T/web.out")
  echo "$*" >&7
  wait_for 20 web_said "$before"
  said=$(tail -n 1 "$T/web.out")
}
web_said() { [ "$(wc -l <"$T/web.out")" -gt "$1" ]; }

get() {
  local path=$1
  shift
  code=$(curl -s -m 20 -D "$T/.head" -o "$T/.body" -w '%{http_code}' \
    -H "Authorization: Bearer $TOKEN" "$@" "$URL$path" 2>/dev/null)
  head=$(tr -d '\r' <"$T/.head" 2>/dev/null)
  body=$(tr -d '\0' <"$T/.body" 2>/dev/null)
}
