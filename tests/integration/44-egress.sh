#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2119
# Network level `egress`: a route to the internet, and to nothing else (NET02); what is left of
# it after the job, and after kill -9 of the spawner. The internet is a namespace of ours.
. tests/lib/tap.sh
need_root
own_network
. tests/lib/netpeer.sh
. tests/lib/server.sh
need nft
peer_begin 11.0.0.2 10.9.0.2 100.64.0.2 172.16.9.2 192.168.9.2 169.254.169.254
peer_names 'good.example 11.0.0.2' 'inside.example 10.9.0.2' 'meta.example 169.254.169.254'
# shellcheck disable=SC2016 # perl expands
spawn echo nsenter --net="/proc/$PEER/ns/net" perl -MSocket -e '
  $| = 1; socket(my $s, PF_INET, SOCK_DGRAM, 0) or die; my @s;
  for my $a (@ARGV) { socket(my $u, PF_INET, SOCK_DGRAM, 0); bind($u, sockaddr_in(7, inet_aton($a))) or die; push @s, $u }
  print "ready\n";
  for my $u (@s) { next if fork; while (my $from = recv($u, my $m, 512, 0)) { send($u, "echo $m", 0, $from) } exit 0 }
  1 while wait > 0' 11.0.0.2 10.9.0.2
wait_for_text 10 "$T/echo.out" ready
# What a host has besides: a service on all its addresses.
# shellcheck disable=SC2016
spawn own perl -MSocket -e '
  $| = 1; socket(my $l, PF_INET, SOCK_STREAM, 0) or die;
  bind($l, sockaddr_in(0, INADDR_ANY)) or die; listen($l, 16) or die;
  print "ready ", (sockaddr_in(getsockname($l)))[0], "\n";
  while (accept(my $c, $l)) { sysread($c, my $h, 4096);
    syswrite($c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nown\n"); close $c }'
wait_for_text 10 "$T/own.out" ready
own=$(awk '{print $2}' "$T/own.out")

network_fact() { "$SLUICE" doctor -v 2>/dev/null | grep -E '^[^ ]* *network'; }
like "$(network_fact)" 'no egress: the host does not forward .*sysctl -w net.ipv4.ip_forward=1' \
  'doctor names why there is no egress, and the command'
sysctl -qw net.ipv4.ip_forward=1
like "$(network_fact)" 'none proxy egress host' 'and that there is one, when the host forwards'
nft -f - <<<'table inet probe { chain c { type nat hook postrouting priority srcnat; ip saddr 198.19.128.0/17 masquerade; }; }' 2>"$T/nft.err" ||
  skip_all "nftables cannot do here what a route needs: $(head -n 1 "$T/nft.err")"
nft delete table inet probe

# Positive controls: all of it answers without a sandbox.
for a in 11.0.0.2 10.9.0.2 100.64.0.2 172.16.9.2 192.168.9.2 169.254.169.254; do
  ok "the peer answers at $a without a sandbox" from_here "$a"
done
is "$(curl -sS -m 5 "http://11.0.0.1:$own/")" own 'and the host itself does'
# shellcheck disable=SC2016
udp='use Socket; socket(my $s, PF_INET, SOCK_DGRAM, 0) or die; send($s, "hi", 0, sockaddr_in(7, inet_aton($ARGV[0]))) or print "no send\n"; my $r = ""; vec($r, fileno($s), 1) = 1; print select($r, undef, undef, 1) ? do { recv($s, my $m, 512, 0); "$m\n" } : "silence\n"'
is "$(perl -e "$udp" 10.9.0.2)" 'echo hi' 'UDP too'

server_begin
need_jobs
ask repo set demo/app network.level=egress 2>/dev/null
RUN=1
workflow ci.yml 'routed' <<YML
on: push
jobs:
  one:
    runs-on: here
    steps:
      - run: |
          try() { echo "\$1 = \$(curl -sS -m 4 --noproxy '*' "http://\$1/" 2>&1 | tail -n 1)"; }
          for h in good.example 11.0.0.2 inside.example meta.example 10.9.0.2 100.64.0.2 172.16.9.2 \\
              192.168.9.2 169.254.169.254 '[::ffff:10.9.0.2]' '[::ffff:11.0.0.2]' 11.0.0.1:$own; do try "\$h"; done
          gateway=\$(ip -4 route show default 2>/dev/null | awk '{print \$3}')
          try "\${gateway:-none}:$own"
          for a in 11.0.0.2 10.9.0.2; do echo "udp \$a \$(perl -e '$udp' \$a)"; done
          cat /proc/net/if_inet6 | grep -vc ' lo\$' || true
          perl -MSocket -e 'print "raw ", socket(my \$s, PF_INET, SOCK_RAW, 1) ? "yes" : "no", "\\n"'
          touch \$HOME/x; echo env "\${http_proxy:-none}"
YML
push
RUN=$((RUN + 1))
ok 'a routed job ends well' wait_for 60 run_is "$RUN" success || diag "$(ask logs "$RUN" 2>&1 | tail -n 8)"
LOG=$(ask logs "$RUN" 2>&1)
line() { ok "$2" grep -qE -- "$1" <<<"$LOG"; }
none() { nok "$2" grep -qE -- "$1" <<<"$LOG"; }
line '^good.example = at 11.0.0.2$' 'a public name is reached by a route'
line '^11.0.0.2 = at 11.0.0.2$' 'and a public address'
line '^\[::ffff:11.0.0.2\] = at 11.0.0.2$' 'also written as IPv6'
line '^udp 11.0.0.2 echo hi$' 'UDP goes out'
for a in 10.9.0.2 100.64.0.2 172.16.9.2 192.168.9.2 169.254.169.254 '\[::ffff:10.9.0.2\]'; do
  none "^$a = at " "$a is not reached [NET02]"
done
none '^(inside|meta).example = at ' 'nor by a name [NET02]'
line '^inside.example = .*Could not resolve' 'which has no answer'
line '^##\[sluice\]refused inside.example resolves to 10.9.0.2: rule private-address \(network egress\)$' 'the log names the rule'
none ' = own$' "the host's own addresses and the gateway are not reached [NET02]"
none '^udp 10.9.0.2 echo' 'nor a private address by UDP [NET02]'
line '^raw no$' 'no raw sockets [NET02]'
line '^env none$' 'no proxy is in the environment'
no_devices() { ! ip -o link | grep -qE ': s[0-9a-f]{12}@'; }
ok 'the device is gone with the job' wait_for 10 no_devices

# ---- never for strangers, never beside a list ----
routed=$(ask runs "$RUN" --format json 2>/dev/null | perl -MJSON::PP -e '
  my $d = decode_json(join "", <STDIN>);
  for (@{$d->{net}}) { print "$_->{bytes_in} $_->{bytes_out}" if $_->{host} eq "by the route" }')
like "$routed" '^[0-9]{3,5} [0-9]{3,5}$' 'the ledger has the bytes of the route'
like "$(ask network show demo/app)" 'level    egress' 'it is the level of the repository'
ask repo set demo/app network.only_allowed=true 2>/dev/null
like "$(ask network show demo/app)" 'level    proxy' 'a list makes it the proxy, which can hold to one'
ask repo set demo/app network.only_allowed=false 2>/dev/null

# ---- NET04, and kill -9 of the spawner ----
workflow ci.yml 'two at once' <<'YML'
on: push
jobs:
  one:
    runs-on: here
    strategy: {matrix: {n: [1, 2]}}
    steps:
      - run: perl -MSocket -e 'socket(my $l, PF_INET, SOCK_STREAM, 0); bind($l, sockaddr_in(8080, INADDR_ANY)) or die "taken"; listen($l, 1); $| = 1; print "bound\n"; sleep 4'
      - run: curl -sS -m 4 http://good.example/
YML
push
RUN=$((RUN + 1))
two_devices() { [ "$(ip -o link | grep -cE ': s[0-9a-f]{12}@')" -ge 2 ]; }
ok 'two routed jobs have a device each' wait_for 20 two_devices
spawner=$(server_spawner)
kill -KILL "$spawner"
ok 'both bind the same port; they outlive the spawner [NET04]' wait_for 60 run_is "$RUN" success ||
  diag "$(ask logs "$RUN" 2>&1 | tail -n 8)"
ok 'no device is left' wait_for 10 no_devices
ok 'the filter is there' grep -q 'table inet sluice_' <<<"$(nft list tables)"
no_table() { ! nft list tables | grep -q 'table inet sluice_'; }
stop core
ok 'the filter goes with the last spawner' wait_for 20 no_table
done_testing
