# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # what is set here is for the scripts; tap.sh sets the rest
# SPDX-License-Identifier: Apache-2.0
# A real `sluice serve`: its own data directory in $T, a free loopback port.
#
#   serve_start ['capacity: 2' ...]    # more lines of its configuration; sets $URL
#   project acme/app                   # a bare repository the server knows; $WORK its work tree
#   push 'message'                     # commits all of $WORK, pushes, sends the signed webhook
#   wait_run 1 success                 # until run 1 of the server is completed so
#   S runs 1 --format json             # the command line against this server, as its owner
#   api GET /api/v1/runs/1             # the API through its socket, as its owner
#
# LABELS is the list of offered labels, in YAML; every one without it.
# As root everything but the spawner is the account 'sluice', and so are S, api and as_owner.
# SERVE_AS is a command that starts the server as somebody else: then that is the owner.

SERVICE=sluice SERVE_AS=()
URL='' D=$T/serve WORK='' PROJECT='' BARE='' serve_number=0

# Skips everything where no server could run a job.
need_server() {
  need git curl openssl perl
  if [ "$(id -u)" -eq 0 ]; then
    id "$SERVICE" >/dev/null 2>&1 || skip_all "there is no account '$SERVICE'; ./install.sh makes it"
    chmod 755 "$T"
  fi
  # shellcheck disable=SC2153
  "${SERVE_AS[@]}" "$SLUICE" doctor >"$T/doctor.out" 2>&1 ||
    skip_all "no job can run here: $(sed -n 's/^verdict: //p' "$T/doctor.out")"
  mkdir -p "$T/owner"
  if [ "$(id -u)" -eq 0 ]; then chown "$SERVICE:" "$T/owner"; fi
}

as_owner() {
  if [ "$(id -u)" -eq 0 ]; then
    setpriv --reuid "$SERVICE" --regid "$SERVICE" --clear-groups \
      env HOME="$T/owner" TMPDIR="$T/owner" GIT_CONFIG_NOSYSTEM=1 "$@"
  else
    "$@"
  fi
}

S() { as_owner "$SLUICE" "$@" --data "$D/data"; }

api() { # METHOD PATH [CURL OPTION...]
  local method=$1 path=$2
  shift 2
  as_owner curl -sS -m 20 --unix-socket "$D/data/run/api.sock" -X "$method" \
    -H 'Content-Type: application/json' "$@" "http://localhost$path"
}

# value JSON EXPRESSION: what one of our own expressions finds in it.
value() { "$SLUICE" eval --context - "$2" <<<"$1" 2>/dev/null | sed 's/^"\(.*\)"$/\1/'; }

serve_start() {
  local line
  if [ -z "${serve_root:-}" ]; then
    mkdir -p "$D"
    serve_root=$D
    if [ "$(id -u)" -eq 0 ]; then chown "$SERVICE:" "$D"; fi
  fi
  {
    printf '%s\n' 'listen: 127.0.0.1:0' "data: $D/data" "user: $SERVICE" "labels: ${LABELS:-['*']}"
    for line; do printf '%s\n' "$line"; done
  } >"$D/sluice.yml"
  chmod 644 "$D/sluice.yml"
  serve_number=$((serve_number + 1))
  spawn "serve$serve_number" "${SERVE_AS[@]}" "$SLUICE" serve --config "$D/sluice.yml"
  at_end "serve_stop"
  SERVE_OUT=$T/serve$serve_number.out
  wait_for_text 20 "$SERVE_OUT" '^sluice serve: http' ||
    { diag "$(tail -n 20 "$SERVE_OUT")"; return 1; }
  URL=$(sed -n 's/^sluice serve: \(http[^ ]*\) .*/\1/p' "$SERVE_OUT")
  CORE=$(sed -n 's/^sluice serve: .* pid \([0-9]*\)$/\1/p' "$SERVE_OUT")
  wait_for 20 curl -fsS "$URL/health/ready"
}

# The server by SIGTERM; and what is made to outlive it: the spawner, its keeper, executors.
serve_stop() {
  local p
  stop "serve$serve_number"
  for p in $(left_over); do kill "$p" 2>/dev/null; done
  wait_for 10 none_left || for p in $(left_over); do kill -KILL "$p" 2>/dev/null; done
}
left_over() {
  local p
  for p in /proc/[0-9]*; do
    if is_ours "${p#/proc/}"; then echo "${p#/proc/}"; fi
  done
}
none_left() { [ -z "$(left_over)" ]; }
# By the data directory in its command line, which nobody else's has.
is_ours() {
  [[ $(tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline") == *sluice*[\ =]"$D/"* ]] && [ "$1" != "$BASHPID" ]
} 2>/dev/null

git_as_owner() {
  as_owner git -c user.name=alice -c user.email=alice@example.com -c init.defaultBranch=main \
    -c advice.detachedHead=false -c protocol.file.allow=always "$@"
}

# A bare repository that the server knows by NAME, its work tree, its hook secret.
project() { # NAME [URL]
  PROJECT=$1
  BARE=$D/${1//\//-}.git
  WORK=$D/${1//\//-}
  git_as_owner init -q --bare "$BARE"
  git_as_owner init -q "$WORK"
  as_owner mkdir -p "$WORK/.github/workflows"
  S repo add "$PROJECT" --url "${2:-$BARE}" --format json >"$T/repo.json" 2>"$T/repo.err" || {
    diag "$(cat "$T/repo.err")"
    return 1
  }
  HOOK_SECRET=$(value "$(cat "$T/repo.json")" hook_secret)
}

# workflow NAME < TEXT: a workflow file of the work tree.
workflow() { as_owner tee "$WORK/.github/workflows/$1" >/dev/null; }

sign() { # KEY < BYTES
  openssl dgst -sha256 -hmac "$1" -r | cut -d' ' -f1
}

# The body of a push as our own hook sends it.
push_body() { # SHA [BEFORE] [REF] [PUSHER]
  printf '{"event":"push","repository":{"full_name":"%s","default_branch":"main"},"ref":"%s","before":"%s","after":"%s","commits":[],"commits_complete":false,"pusher":{"name":"%s"},"nonce":"%s","time":%s}' \
    "$PROJECT" "${3:-refs/heads/main}" "${2:-0000000000000000000000000000000000000000}" "$1" \
    "${4:-alice}" "$(openssl rand -hex 16)" "$(date +%s)"
}

# hook BODYFILE [CURL OPTION...]: sends it signed; the answer's status in $code, its body in $out.
hook() {
  local body=$1
  shift
  code=$(curl -sS -m 60 -o "$T/hook.out" -w '%{http_code}' -H 'Content-Type: application/json' \
    -H 'X-Sluice-Event: push' -H "X-Sluice-Signature: sha256=$(sign "$HOOK_SECRET" <"$body")" \
    -H 'Expect:' --data-binary "@$body" "$@" "$URL/hooks/generic?repo=$PROJECT" 2>"$T/hook.err")
  out=$(cat "$T/hook.out" 2>/dev/null)
}

# push MESSAGE [REF] [PUSHER]: commits, pushes, tells; $SHA is the commit.
push() {
  local ref=${2:-refs/heads/main}
  git_as_owner -C "$WORK" add -A
  git_as_owner -C "$WORK" commit -q --allow-empty -m "$1"
  SHA=$(git_as_owner -C "$WORK" rev-parse HEAD)
  git_as_owner -C "$WORK" push -q -f "$BARE" "HEAD:$ref" || return 1
  push_body "$SHA" '' "$ref" "${3:-alice}" >"$T/push.json"
  hook "$T/push.json"
  [ "$code" = 202 ]
}

run_json() { S runs "$1" --format json 2>/dev/null; }
run_state() { value "$(run_json "$1")" state; }
is_run() { [ "$(run_state "$1")" = "$2" ]; }
has_ended() { [[ $(run_state "$1") =~ ^(success|failure|cancelled|skipped)$ ]]; }

# wait_run RUN CONCLUSION [SECONDS]: until it has ended, and so.
wait_run() {
  wait_for "${3:-30}" has_ended "$1"
  is_run "$1" "$2" && return
  value "$(run_json "$1")" "format('{0} {1}: {2} {3}', state, reason, join(jobs.*.state), join(jobs.*.reason))"
  S logs "$1" | tail -n 5
  return 1
}

# wait_gate RUN: until a person has to decide; $GATE and $DIGEST are what it is about.
wait_gate() { wait_for 20 has_gate "$1"; }
has_gate() {
  local j i
  j=$(run_json "$1")
  DIGEST=$(value "$j" workflow_digest)
  for i in 0 1 2 3; do
    [ "$(value "$j" "gates[$i].state")" = pending ] && GATE=$(value "$j" "gates[$i].id") && return
  done
  return 1
}

# crawl DIR PATH...: every page and JSON document that links lead to, as the administrator sees
# them. A stream has no end: what it says at once is looked at.
crawl() {
  local dir=$1 n=0 next seconds
  local -A seen=()
  local queue=("${@:2}")
  mkdir -p "$dir"
  while [ ${#queue[@]} -gt 0 ] && [ "$n" -lt 160 ]; do
    next=${queue[0]}
    queue=("${queue[@]:1}")
    [ -z "${seen[$next]:-}" ] || continue
    seen[$next]=1
    n=$((n + 1))
    case $next in
      /live* | */tail* | */events* | *follow=1*) seconds=1 ;;
      *) seconds=10 ;;
    esac
    as_owner curl -sS -m "$seconds" --unix-socket "$D/data/run/api.sock" "http://localhost$next" >"$dir/$n" 2>"$T/.crawl"
    printf '%s %s\n' "$n" "$next" >>"$dir/index"
    while read -r next; do queue+=("$next"); done < <(
      tr -d '\0' <"$dir/$n" | grep -o '\(href\|src\|action\|data-src\|data-url\)="/[^"]*"' |
        sed 's/^[^"]*"//; s/"$//; s/#.*//; s/&amp;/\&/g' | grep -v '^/logout\|^/static' | sort -u)
  done
}
