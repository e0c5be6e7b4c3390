# shellcheck shell=bash
# shellcheck disable=SC2034 # what is set here is for the scripts
# SPDX-License-Identifier: Apache-2.0
# A server with one bare repository, for scripts that have sourced tap.sh.
#
#   server_begin                  # account, data directory, repository demo/app, server
#   workflow FILE_IN_REPO         # stdin becomes .github/workflows/FILE, committed and pushed
#   push                          # one signed delivery for main as it is now: $code, $event
#   run_is 3 success              # the state of run 3 (for wait_for)
#   server_kill / server_up       # kill -9 of core; start again on the same port
#
# As root the server is another account, as everywhere else. Skips everything where no job
# can be confined.

DATA=$T/srv/data REPO=$T/srv/app.git WORK=$T/srv/work
ACCOUNT=() URL='' SECRET='' pid_of_core=0 port=0 deliveries=0
code='' event='' answer=''

as_account() { "${ACCOUNT[@]}" "$@"; }

# Verbs that ask the server.
ask() { "$SLUICE" "$@" --data "$DATA"; }

server_account() {
  mkdir -p "$T/srv"
  [ "$(id -u)" -eq 0 ] || return 0
  local user=${TEST_USER:-}
  if [ -z "$user" ]; then
    for user in sluice nobody; do id "$user" >/dev/null 2>&1 && break; done
  fi
  export SLUICE_USER=$user
  chmod 755 "$T" "$T/srv"
  chown "$user" "$T/srv"
  ACCOUNT=(setpriv --reuid "$user" --regid "$(id -g "$user")" --clear-groups env "HOME=$T/srv")
}

server_git() {
  as_account git -c user.name=Mira -c user.email=mira@example.com -c init.defaultBranch=main \
    -C "$WORK" "$@"
}

server_repo() {
  as_account git init -q --bare -b main "$REPO" && as_account mkdir -p "$WORK" &&
    server_git init -q -b main . && server_git remote add origin "$REPO" &&
    server_git commit -q --allow-empty -m 'Begin' && server_git push -q origin main
}

# The port of the first start is kept for the later ones.
server_up() {
  : >"$T/srv.out"
  (
    trap - EXIT
    exec "$SLUICE" serve --data "$DATA" --listen "127.0.0.1:$port" \
      >"$T/srv.out" 2>>"$T/srv.err" </dev/null
  ) &
  pid_of_core=$!
  tap_pids['core']=$pid_of_core
  wait_for_text 20 "$T/srv.out" '^sluice serve: http' || {
    diag "the server does not start: $(tail -n 3 "$T/srv.err")"
    return 1
  }
  URL=$(sed -n 's/^sluice serve: \(http[^ ]*\).*/\1/p' "$T/srv.out")
  port=${URL##*:}
}

server_kill() {
  kill -KILL "$pid_of_core" 2>/dev/null
  wait "$pid_of_core" 2>/dev/null
  unset 'tap_pids[core]'
}

server_spawner() { cat "$DATA/run/spawner.pid" 2>/dev/null; }

# Whatever of this data directory is left: its processes name it, or hold its locks.
server_end() {
  local pid keeper
  stop core
  pid=$(server_spawner)
  [ -n "$pid" ] || return 0
  wait_for 3 tap_is_gone "$pid" && return 0
  for keeper in $(pgrep -P "$pid" 2>/dev/null); do kill -KILL "$keeper" 2>/dev/null; done
  keeper=$(ps -o ppid= -p "$pid" 2>/dev/null | tr -d ' ')
  grep -qs 'sluice-keeper' "/proc/$keeper/comm" && kill -KILL "$keeper" 2>/dev/null
  kill -KILL "$pid" 2>/dev/null
  return 0
}

server_begin() {
  need git curl openssl
  server_account
  server_repo || skip_all 'git cannot make a repository here'
  port=0
  at_end server_end
  server_up || {
    fail 'the server starts' "$(tail -n 5 "$T/srv.err")"
    done_testing
    exit 1
  }
  SECRET=$(ask repo add demo/app --url "$REPO" 2>/dev/null |
    sed -n 's/^ *hook secret *\([^ ]*\).*/\1/p')
}

# workflow NAME <TEXT
workflow() {
  as_account mkdir -p "$WORK/.github/workflows"
  as_account tee "$WORK/.github/workflows/$1" >/dev/null
  server_git add -A && server_git commit -q -m "${2:-change}" && server_git push -q origin main
}

hex_hmac() { openssl dgst -sha256 -hmac "$1" -r <"$2" | cut -c1-64; }

# deliver FILE [KEY]: posts the signed FILE; $code is the status, $answer the body.
deliver() {
  answer=$(curl -s -m 10 -o - -w '\n%{http_code}' -H 'Content-Type: application/json' \
    -H 'X-Sluice-Event: push' ${2:+-H "X-Sluice-Delivery: $2"} \
    -H "X-Sluice-Signature: sha256=$(hex_hmac "$SECRET" "$1")" \
    --data-binary "@$1" "$URL/hooks/generic?repo=demo/app" 2>/dev/null)
  code=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  event=$(sed -n 's/.*"event":\([0-9]*\).*/\1/p' <<<"$answer")
}

# push [REF [SHA]]: a delivery as `sluice hook install` would send it.
push() {
  local ref=${1:-refs/heads/main} sha=${2:-}
  [ -n "$sha" ] || sha=$(as_account git -C "$REPO" rev-parse main)
  deliveries=$((deliveries + 1))
  cat >"$T/body.json" <<JSON
{"event":"push","repository":{"full_name":"demo/app","default_branch":"main"},
 "ref":"$ref","before":"0000000000000000000000000000000000000000","after":"$sha",
 "commits":[],"commits_complete":false,"pusher":{"name":"mira"},
 "nonce":"$deliveries-$RANDOM$RANDOM","time":$(date +%s)}
JSON
  deliver "$T/body.json"
}

# The runs as "ID STATE" lines, oldest first.
runs() {
  ask runs --format json 2>/dev/null | tr '{' '\n' |
    sed -n 's/.*"id":\([0-9]*\),"number":.*"state":"\([a-z_]*\)".*/\1 \2/p' | sort -n
}
run_is() { [ "$(ask runs --format json 2>/dev/null | state_of "$1")" = "$2" ]; }
state_of() {
  perl -MJSON::PP -e '
    local $/; my $d = decode_json(<STDIN>);
    for (@{$d->{items}}) { print $_->{state} if $_->{id} == $ARGV[0] }' "$1"
}

# need_jobs: a job that runs `true` ends well, or everything is skipped with the reason.
need_jobs() {
  workflow ci.yml 'a job that says nothing' <<'YML'
on: push
jobs:
  one:
    runs-on: here
    steps:
      - run: 'true'
YML
  push
  wait_for 20 run_is 1 success && return
  wait_for 1 run_is 1 failure && {
    local why
    why=$(ask logs 1 2>/dev/null | tail -n 3)
    [[ $why == *sandbox* ]] && skip_all "no job can run here: $why"
  }
  diag "$(ask runs 2>&1)"
  diag "$(ask logs 1 2>&1 | tail -n 5)"
  diag "$(tail -n 10 "$T/srv.err")"
}
