#!/usr/bin/perl
# The demo's "production": keeps what is posted to a path in memory, with the right token,
# and answers it again. Loopback only, one request at a time, ends with its parent.
# Usage: demo-target.pl TOKEN PORTFILE
use strict;
use warnings;
use IO::Socket::INET;

my ($token, $port_file) = @ARGV;
my $parent = getppid();
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0,
	Listen => 8, ReuseAddr => 1) or die "listen: $!";
open(my $out, '>', "$port_file.new") or die "$port_file: $!";
print $out $listener->sockport, "\n";
close($out);
rename("$port_file.new", $port_file) or die "$port_file: $!";

my %kept;
while (1) {
	my $ready = '';
	vec($ready, fileno($listener), 1) = 1;
	exit 0 if getppid() != $parent;
	next if select($ready, undef, undef, 2) <= 0;
	my $c = $listener->accept or next;
	local $SIG{ALRM} = sub { close($c) };
	alarm 5;
	my ($method, $path) = (<$c> // '') =~ m{^(GET|POST) (/[a-z]{1,32}) HTTP/1\.[01]\r?\n};
	my ($length, $auth) = (0, '');
	while (defined(my $line = <$c>)) {
		last if $line =~ /^\r?\n$/;
		$length = $1 if $line =~ /^content-length:\s*(\d{1,5})\r?\n/i;
		$auth = $1 if $line =~ /^authorization:\s*Bearer (\S+)/i;
	}
	my ($status, $body) = ('404 Not Found', "nothing here\n");
	if (($method // '') eq 'POST' && $auth eq $token && $length < 65536) {
		read($c, $body, $length);
		$kept{$path} = $body;
		($status, $body) = ('200 OK', "kept\n");
	} elsif (($method // '') eq 'POST') {
		($status, $body) = ('403 Forbidden', "wrong token\n");
	} elsif ($method && exists $kept{$path}) {
		($status, $body) = ('200 OK', $kept{$path});
	}
	print $c "HTTP/1.1 $status\r\nContent-Length: ", length($body),
		"\r\nConnection: close\r\n\r\n$body";
	close($c);
	alarm 0;
}
