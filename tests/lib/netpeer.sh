# shellcheck shell=bash
# shellcheck disable=SC2154 # tap.sh sets the rest
# SPDX-License-Identifier: Apache-2.0
# An "internet" of one machine, for scripts that have called own_network as root: a peer in a
# network namespace of its own behind a veth, which answers HTTP on port 80 at each address
# given, and names for them. Nothing here is reachable from, or reaches, anything else.
#
#   peer_begin 11.0.0.2 10.9.0.2 ...       # our side is 11.0.0.1; routes lead to the peer
#   peer_names 'good.example 11.0.0.2' ... # what the resolver of this script's processes says
#   from_here 11.0.0.2                     # asks without any sandbox: the positive control

peer_begin() {
  need unshare nsenter ip perl curl
  local a
  spawn peer unshare --net sleep 600
  # shellcheck disable=SC2154
  PEER=$pid_of_peer
  wait_for 5 peer_has_own_net || skip_all 'needs a second network namespace'
  ip link add uplink type veth peer name eth0 netns "$PEER" 2>/dev/null ||
    skip_all 'needs veth devices'
  ip addr add 11.0.0.1/24 dev uplink && ip link set uplink up
  in_peer ip link set lo up
  in_peer ip link set eth0 up
  for a; do
    in_peer ip addr add "$a/32" dev eth0
    ip route add "$a/32" dev uplink src 11.0.0.1
  done
  in_peer ip route add 11.0.0.0/24 dev eth0
  # shellcheck disable=SC2016 # perl expands
  spawn web nsenter --net="/proc/$PEER/ns/net" perl -MSocket -e '
    $SIG{CHLD} = "IGNORE"; $| = 1;
    socket(my $l, PF_INET, SOCK_STREAM, 0) or die; setsockopt($l, SOL_SOCKET, SO_REUSEADDR, 1);
    bind($l, sockaddr_in(80, INADDR_ANY)) or die; listen($l, 64) or die; print "ready\n";
    while (accept(my $c, $l)) {
      next if fork; my ($port, $to) = sockaddr_in(getsockname($c));
      sysread($c, my $head, 4096); my $body = "at " . inet_ntoa($to) . "\n";
      syswrite($c, "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body");
      exit 0 }'
  wait_for_text 10 "$T/web.out" ready || skip_all 'the peer does not answer'
}

in_peer() { nsenter --net="/proc/$PEER/ns/net" "$@"; }
peer_has_own_net() { [ "$(readlink "/proc/$PEER/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }

# In this script's own mount namespace.
peer_names() {
  local line
  { echo '127.0.0.1 localhost'; for line; do echo "${line#* } ${line% *}"; done; } >"$T/hosts"
  chmod 644 "$T/hosts"
  mount --bind "$T/hosts" /etc/hosts 2>/dev/null || skip_all 'needs a mount namespace of its own'
}

from_here() { [ "$(curl -sS -m 5 "http://$1/")" = "at $1" ]; }
