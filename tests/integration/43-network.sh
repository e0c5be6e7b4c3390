#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2119
# The network of jobs on a server: the ledger, refusals that name their remedy, allow-lists of
# a repository and of an environment, learning, relays. The outside is a namespace of ours.
. tests/lib/tap.sh
need_root
own_network
. tests/lib/netpeer.sh
. tests/lib/server.sh
peer_begin 11.0.0.2 10.9.0.2 169.254.169.254
peer_names 'good.example 11.0.0.2' 'other.example 11.0.0.2' 'third.example 11.0.0.2' \
  'inside.example 10.9.0.2' 'meta.example 169.254.169.254'
for a in 11.0.0.2 10.9.0.2 169.254.169.254; do
  ok "the peer answers at $a without a sandbox" from_here "$a"
done
server_begin
need_jobs

# visits HOST...: pushes a workflow whose two steps ask for them (the last in the second
# step); $RUN is its run, $LOG what it logged. ENVIRONMENT: of the job.
RUN=1
visits() {
  local hosts=$* last=${*: -1}
  workflow ci.yml "visits $hosts" <<YML
on: push
jobs:
  one:
    runs-on: here
${ENVIRONMENT:+    environment: $ENVIRONMENT}
    steps:
      - name: Ask
        run: for h in ${hosts% *}; do echo "\$h \$(curl -sS -m 8 -o /dev/null -w '%{http_code}' http://\$h/)"; done
      - name: Ask again
        run: echo "again $last \$(curl -sS -m 8 -o /dev/null -w '%{http_code}' http://$last/)"
YML
  push
  RUN=$((RUN + 1))
  wait_for 30 run_is "$RUN" success || diag "$(ask logs "$RUN" 2>&1 | tail -n 8)"
  LOG=$(ask logs "$RUN" 2>&1)
}
page() { curl -sS -m 5 --unix-socket "$DATA/run/api.sock" "http://localhost$1"; }
job_id() { ask runs "$RUN" --format json | perl -MJSON::PP -e 'local $/; print decode_json(<STDIN>)->{jobs}[0]{id}'; }
net_rows() { # "STEP HOST PORT VERDICT RULE" of the run's only job
  page "/api/v1/jobs/$(job_id)" | perl -MJSON::PP -e '
    local $/; my $d = decode_json(<STDIN>);
    print join(" ", @$_{qw(step host port verdict rule)}), "\n" for @{$d->{net}}'
}

# ---- the ledger ----
visits good.example inside.example meta.example good.example
like "$LOG" 'good.example 200' 'a public host is reached'
like "$LOG" 'inside.example 403' 'a private one is refused'
like "$LOG" 'meta.example 403' 'so is a metadata service behind a name [NET02]'
rows=$(net_rows)
ok 'the ledger names step, host, port, rule' grep -qx '1 good.example 80 allowed public' <<<"$rows"
ok 'for each step' grep -qx '2 good.example 80 allowed public' <<<"$rows"
ok 'and what was refused' grep -qx '1 inside.example 80 refused private-address' <<<"$rows"
ok 'by which rule' grep -qx '1 meta.example 80 refused metadata' <<<"$rows"
is "$(grep -c 'refused inside.example:80 resolves to 10.9.0.2: rule private-address (network proxy); allow it: sluice repo set demo/app network.allow=inside.example$' <<<"$LOG")" \
  1 'the log says so in one line with the command that allows it'
like "$(page "/jobs/$(job_id)/network")" 'inside.example:80.*private-address.*network.allow=inside.example' \
  "the job's page has it"
like "$(page "/runs/$RUN")" 'Network ledger.*good.example:80' "and the run's"

# ---- the command in the log is the one that helps ----
eval "ask $(sed -n 's/.*allow it: sluice \(.*network.allow=inside.example\)$/\1/p' <<<"$LOG" | head -n 1)"
visits inside.example good.example
like "$LOG" 'inside.example 200' 'the command from the log allows it'
ok 'by the rule of the list' grep -qx '1 inside.example 80 allowed allow' <<<"$(net_rows)"
exits 1 'what is no host is refused' ask repo set demo/app 'network.allow=a b'
exits 1 'an unknown setting of the network too' ask repo set demo/app network.alow=x
like "$(ask audit --format json 2>&1)" 'network.allow.*inside.example' 'the change is in the audit log'

# ---- a list, and learning one ----
ask repo set demo/app network.only_allowed=true 2>/dev/null
visits inside.example other.example
like "$LOG" 'other.example 403' 'with only_allowed a public host is refused'
like "$LOG" 'rule not-listed .*allow it: sluice repo set demo/app network.allow=inside.example,other.example'$'\n' \
  'and the command keeps what was allowed before'
ask repo set demo/app network.learn=true 2>/dev/null
visits meta.example 169.254.169.254 10.9.0.2 other.example
like "$LOG" 'other.example 200' 'while learning it is let through'
ok 'and recorded so' grep -qx '2 other.example 80 allowed learn' <<<"$(net_rows)"
is "$(grep -cE '^[^|]*(meta.example|169.254.169.254|10.9.0.2) 403' <<<"$LOG")" 3 \
  'learning never opens metadata and private addresses'
capture ask network learned demo/app
like "$out" 'other.example:80' 'what was learnt is shown'
unlike "$out" 'meta|169|10.9' 'and nothing else'
digest=$(sed -n 's/.*network keep demo.app \([0-9a-f]*\).*/\1/p' <<<"$err")
exits 1 'another list than the one shown is not taken' ask network keep demo/app 0123456789ab
exits 0 'the one shown is' ask network keep demo/app "$digest"
like "$(ask network show demo/app)" 'refused: only what is listed' 'it is held to from then on'
visits other.example third.example
like "$LOG" 'other.example 200' 'what was learnt is allowed'
like "$LOG" 'third.example 403' 'what was not is refused again'

# ---- an environment has a list of its own ----
printf 'staging:\n  required: 0\n  network_allow: [good.example]\n' >"$T/env.yml"
ask environments apply "$T/env.yml" --repo demo/app 2>/dev/null
ENVIRONMENT=staging visits other.example good.example
like "$LOG" 'other.example 403' "a deploy job has its environment's list, not the repository's"
like "$LOG" 'again good.example 200' 'which is enough for it'
like "$LOG" 'allow it: sluice network allow demo/app other.example --env staging'$'\n' 'the refusal names it'
eval "ask $(sed -n 's/.*allow it: sluice \(network allow .*\)$/\1/p' <<<"$LOG" | head -n 1)" 2>/dev/null
ENVIRONMENT=staging visits other.example other.example
like "$LOG" 'again other.example 200' 'and the command helps'
printf 'staging:\n  network_allow: ["a b"]\n' >"$T/env.yml"
exits 1 'an environment with no hosts in its list is refused' ask environments apply "$T/env.yml" --repo demo/app

# ---- relays ----
# shellcheck disable=SC2016 # perl expands
spawn registry perl -MSocket -e '
  $| = 1; socket(my $l, PF_INET, SOCK_STREAM, 0) or die;
  bind($l, sockaddr_in(0, INADDR_LOOPBACK)) or die; listen($l, 16) or die;
  print "ready ", (sockaddr_in(getsockname($l)))[0], "\n";
  while (accept(my $c, $l)) { sysread($c, my $h, 4096);
    syswrite($c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nregistry\n"); close $c }'
wait_for_text 10 "$T/registry.out" ready
registry=$(awk '{print $2}' "$T/registry.out")
relay_job() { # what a job at network LEVEL sees at localhost:5000 and at the port outside
  ask repo set demo/app "network.level=$1" 2>/dev/null
  workflow ci.yml "relay at $1" <<YML
on: push
jobs:
  one:
    runs-on: here
    steps:
      - run: |
          for p in 5000 $registry; do for h in 127.0.0.1 '[::1]'; do
            echo "\$h \$p \$(curl -sS -m 5 --noproxy '*' http://\$h:\$p/ 2>&1)"
          done; done
YML
  push
  RUN=$((RUN + 1))
  wait_for 30 run_is "$RUN" success
  LOG=$(ask logs "$RUN" 2>&1)
}
relay_job none
unlike "$LOG" '5000 registry' 'without a grant nothing listens on the port'
exits 1 'a relay to a name is refused' ask repo set demo/app network.relay=5000=registry:5000
ask repo set demo/app "network.relay=5000=127.0.0.1:$registry" 2>/dev/null
for level in none proxy; do
  relay_job "$level"
  like "$LOG" '127.0.0.1 5000 registry.*\[::1\] 5000 registry' "network $level: a granted relay is on both loopbacks"
  unlike "$LOG" " $registry registry" 'the port outside is not'
  ok 'the ledger has it' grep -qx "1 127.0.0.1 $registry allowed relay" <<<"$(net_rows)"
done

# ---- the server's own port, as a step could be given it (NET05) ----
ask repo set demo/app network.relay= network.level=proxy >/dev/null 2>&1
token=$(ask token create step --scope read 2>/dev/null | grep -oE '[A-Za-z0-9_-]{20,}' | head -n 1)
api_job() { # what a job hears from the API through PORT of its loopback
  workflow ci.yml "the API at $1 $RANDOM" <<YML
on: push
jobs:
  one:
    runs-on: here
    steps:
      - run: |
          ask() { echo "\$1 \$(curl -sS -m 5 --noproxy '*' -o answer -w '%{http_code}' "\${@:2}" http://127.0.0.1:$1/api/v1/runs 2>/dev/null)"; }
          ask without; ask nonsense -H 'Authorization: Bearer nonsense'
          ask with -H 'Authorization: Bearer $token'
          echo by proxy \$(curl -sS -m 5 -o answer -w '%{http_code}' http://127.0.0.1:$port/api/v1/runs -x http://127.0.0.1:3128 --noproxy '')
          ls /run/*.sock \$(dirname "$DATA")/data/run 2>/dev/null || echo no socket
YML
  push
  RUN=$((RUN + 1))
  wait_for 30 run_is "$RUN" success
  LOG=$(ask logs "$RUN" 2>&1)
}
api_job "$port"
like "$LOG" 'with 000' 'a step does not reach the API at all [NET05]'
like "$LOG" 'by proxy 403' 'nor by its proxy [NET05]'
like "$LOG" 'no socket' 'and sees none of its sockets [NET05]'
ask repo set demo/app "network.relay=5001=127.0.0.1:$port" >/dev/null 2>&1
api_job 5001
like "$LOG" 'without 401.*nonsense 401' 'where an administrator brings the port in, it takes a token [NET05]'
like "$LOG" 'with 200' 'control: with one it answers [NET05]'
ask token revoke step >/dev/null 2>&1
api_job 5001
like "$LOG" 'with 401' 'and one that is over is none [NET05]'
done_testing
