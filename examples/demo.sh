# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# The demo of install.sh, which sources this: one push, all the way through, in a fresh
# folder of its own, on loopback ports that were free. Nothing else is changed but the
# packages (and, as root, the user 'sluice' with its ids).

demo_pids=()

demo_end() {
	local pid
	for pid in "${demo_pids[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
	# The spawner is detached on purpose: it would keep running jobs. Here it goes too.
	if [ -n "${D:-}" ] && [ -s "$D/data/run/spawner.pid" ]; then
		kill "$(cat "$D/data/run/spawner.pid")" 2>/dev/null || true
	fi
	for pid in "${demo_pids[@]}"; do
		wait "$pid" 2>/dev/null || true
	done
}

# Runs a command as the account that owns the demo.
as_demo() {
	if is_root; then
		setpriv --reuid "$SERVICE_USER" --regid "$SERVICE_USER" --clear-groups \
			env HOME="$D/home" PATH="$PATH" "$@"
	else
		env HOME="$D/home" "$@"
	fi
}

demo_fail() { # STEP MESSAGE [FILE]
	printf 'install.sh: the demo failed at %s: %s\n' "$1" "$2" >&2
	if [ -n "${3:-}" ] && [ -s "$3" ]; then
		tail -n 20 "$3" | sed 's/^/    /' >&2
		printf 'all of it: %s\n' "$3" >&2
	fi
	exit 1
}

demo_wait() { # SECONDS COMMAND...: until it succeeds
	local until=$(($(date +%s) + $1))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ "$(date +%s)" -lt "$until" ] || return 1
		sleep 0.05
	done
}

# In the background, so that a signal ends us at once and not when the run does.
demo_follow() {
	local follower
	remote runs 1 --follow "$@" &
	follower=$!
	demo_pids+=("$follower")
	wait "$follower"
}

sluice() { as_demo "$BIN/sluice" "$@"; }
remote() { sluice "$@" --data "$D/data"; }

demo_probe() {
	local words
	# As who starts the server: its spawner keeps the rights that jobs' sandboxes need.
	words=$("$BIN/sluice" doctor 2>/dev/null | sed -n 's/^verdict: //p') || true
	say "3/6 probe     kernel $(uname -r | cut -d. -f1,2): ${words:-sluice doctor said nothing}"
}

demo_serve() {
	cat >"$D/sluice.yml" <<EOF
listen: 127.0.0.1:0
data: $D/data
user: $SERVICE_USER
labels: ['*']
EOF
	chmod 644 "$D/sluice.yml"
	if is_root; then
		"$BIN/sluice" serve --config "$D/sluice.yml" >"$D/serve.out" 2>"$D/serve.log" &
	else
		env HOME="$D/home" "$BIN/sluice" serve --config "$D/sluice.yml" \
			>"$D/serve.out" 2>"$D/serve.log" &
	fi
	demo_pids+=($!)
	demo_wait 20 grep -q 'http://' "$D/serve.out" ||
		demo_fail "step 4/6 serve" "the server did not start" "$D/serve.log"
	URL=$(grep -o 'http://[0-9.]*:[0-9]*' "$D/serve.out" | head -n 1)
	demo_wait 20 curl -fsS "$URL/health/ready" ||
		demo_fail "step 4/6 serve" "the server is not ready" "$D/serve.log"
	say "4/6 serve     $URL   data $D/data"
}

demo_git() { as_demo git -c user.name=demo -c user.email=demo@example.invalid \
	-c init.defaultBranch=main -c advice.detachedHead=false "$@"; }

demo_prepare() {
	local target
	perl examples/demo-target.pl "$TARGET_TOKEN" "$D/target.port" 2>"$D/target.log" &
	demo_pids+=($!)
	demo_wait 10 test -s "$D/target.port" ||
		demo_fail "step 5/6 push" "the stand-in for production did not start" "$D/target.log"
	target=http://127.0.0.1:$(cat "$D/target.port")
	demo_git init -q --bare "$D/hello.git"
	remote repo add demo/hello --url "$D/hello.git" >"$D/repo.out" 2>&1 ||
		demo_fail "step 5/6 push" "repo add" "$D/repo.out"
	remote hook install "$D/hello.git" >"$D/hook.out" 2>&1 ||
		demo_fail "step 5/6 push" "hook install" "$D/hook.out"
	remote var set TARGET_URL "$target" --repo demo/hello 2>/dev/null
	printf '%s' "$TARGET_TOKEN" | remote secret set DEPLOY_TOKEN --repo demo/hello --env production 2>/dev/null
	remote repo set demo/hello network.allow="127.0.0.1:$(cat "$D/target.port")" 2>/dev/null
	remote key add demo 2>/dev/null >"$D/key"
	chmod 600 "$D/key"
	cat >"$D/environments.yml" <<EOF
production:
  reviewers: [admin, 'key:demo']
  required: 1
EOF
	chmod 644 "$D/environments.yml"
	remote environments apply "$D/environments.yml" --repo demo/hello 2>"$D/env.out" ||
		demo_fail "step 5/6 push" "the rules of production" "$D/env.out"
}

demo_push() {
	local sha
	cp -R examples/demo "$D/work"
	is_root && chown -R "$SERVICE_USER:" "$D/work"
	demo_git -C "$D/work" init -q
	demo_git -C "$D/work" add -A
	demo_git -C "$D/work" commit -q -m "Say hello"
	sha=$(demo_git -C "$D/work" rev-parse --short=7 HEAD)
	SLUICE_PUSHER=demo demo_git -C "$D/work" push -q "$D/hello.git" HEAD:refs/heads/main >"$D/push.out" 2>&1 ||
		demo_fail "step 5/6 push" "git push" "$D/push.out"
	say "5/6 push      demo/hello main $sha \"Say hello\" by demo; $(sed -n 's/^remote: sluice: [^:]*: /signed hook answered /p' "$D/push.out" | head -n 1 | sed 's/ *$//')"
	demo_wait 20 sh -c "[ -n \"\$('$BIN/sluice' runs --data '$D/data' --format json 2>/dev/null | grep -o '\"id\":')\" ]" ||
		demo_fail "step 6/6 run" "no run appeared" "$D/serve.log"
	demo_wait 20 demo_has_begun || true # a run that never begins is told below
	say "6/6 run 1     demo.yml on push; first log line $(demo_run_words first) after the push"
}

# What the run came to, in the words of the summary: demo_run_words PART.
demo_run_words() {
	{ demo_json runs/1; demo_json deliveries/1; } | perl -MJSON::PP -MTime::Piece -e '
		local $/;
		my ($part) = @ARGV;
		my ($r, $told) = JSON::PP->new->incr_parse(<STDIN>);
		my $pushed = $told->{received_at};
		my @jobs = @{$r->{jobs}};
		sub ms { my ($t) = @_; $t =~ /^(.*)\.(\d+)Z$/ or return;
			1000 * Time::Piece->strptime($1, "%Y-%m-%dT%H:%M:%S")->epoch + $2 }
		sub took { my ($n) = @_; $n < 1000 ? "${n}ms" : sprintf("%.1fs", $n / 1000) }
		sub span { my ($from, $to) = @_; $from && $to ? took(ms($to) - ms($from)) : "-" }
		my ($first) = sort map { $_->{started_at} // () } map { @{$_->{steps} // []} } @jobs;
		if ($part eq "first") {
			print span($pushed, $first);
		} elsif ($part eq "run") {
			print "$r->{id} $r->{repo} demo.yml, $r->{event} by $r->{actor}, $r->{branch} ",
				substr($r->{sha}, 0, 7);
		} elsif ($part eq "jobs") {
			my $good = grep { $_->{state} eq "success" } @jobs;
			print "$good success: ", join(", ",
				map { "$_->{name} " . span($_->{started_at}, $_->{completed_at}) } @jobs);
		} elsif ($part eq "times") {
			my ($deploy) = grep { $_->{environment} ne "" } @jobs;
			my ($built) = reverse sort map { $_->{completed_at} // () } grep { $_ != $deploy } @jobs;
			print "push to first log line ", span($pushed, $first), ", gate ",
				span($built, $deploy->{queued_at}), ", all ",
				span($pushed, $r->{completed_at});
		}' "$1"
}

demo_has_begun() { [ "$(demo_run_words first)" != - ]; }
demo_json() { as_demo curl -fsS -m 10 --unix-socket "$D/data/run/api.sock" "http://localhost/api/v1/$1"; }

# Profile, and every host any step spoke to.
demo_confined() {
	local j hosts
	hosts=$(for j in 1 2 3 4 5; do demo_json "jobs/$j"; done | perl -MJSON::PP -0777 -e '
		my %h; my $n = 0;
		for my $job (JSON::PP->new->incr_parse(<STDIN>)) {
			for (@{$job->{net} // []}) { $h{"$_->{host}:$_->{port}"} = 1 if $_->{verdict} =~ /^allow/ }
		}
		print scalar(keys %h), " host", (keys %h == 1 ? "" : "s"), " reached",
			(%h ? " (" . join(", ", sort keys %h) . ")" : "");')
	remote status | sed -n "s/^state  *\(profile [^,;]*\), \(.*\); disk.*/\1, network proxy, $hosts; \2/p"
}

# The signed approval webhook, as a script a person can read and run again.
demo_approve_script() {
	local gate digest
	gate=$(of_run 'gates[0].id')
	digest=$(of_run workflow_digest)
	cat >"$D/approve.sh" <<EOF
#!/bin/sh
# Opens gate $gate through the signed webhook with the demo's approval key.
set -eu
body='{"gate":"$gate","decision":"approve","digest":"$digest"}'
ts=\$(date +%s)
nonce=\$(openssl rand -hex 16)
path=/hooks/approvals/$gate
bodysum=\$(printf '%s' "\$body" | openssl dgst -sha256 -r | cut -d' ' -f1)
# The key goes by a file: on a command line everybody could read it.
sig=\$(printf '%s\n%s\n%s\n%s\n%s' "\$ts" "\$nonce" POST "\$path" "\$bodysum" |
	perl -MDigest::SHA=hmac_sha256_hex -e 'open(my \$f, "<", shift) or die; my \$k = <\$f>; chomp \$k;
		local \$/; print hmac_sha256_hex(scalar <STDIN>, \$k)' '$D/key')
curl -fsS -H "X-Sluice-Key: demo" -H "X-Sluice-Timestamp: \$ts" -H "X-Sluice-Nonce: \$nonce" \\
	-H "X-Sluice-Signature: sha256=\$sig" -H "Content-Type: application/json" \\
	-d "\$body" $URL\$path
EOF
	GATE=$gate
}

# One value out of a run as JSON: sluice's own expressions read it.
of_run() {
	remote runs 1 --format json | "$BIN/sluice" eval --context - "$1" | tr -d '"'
}

demo_gate_words() {
	local link
	link=$(remote token link 2>/dev/null)
	cat <<EOF
The deploy waits at its gate. Open it in one of three ways:
  browser   $link      (one-time link, signs you in; then gate $GATE shows what will run)
  command   $BIN/sluice approve 1 production --data $D/data
  webhook   sh $D/approve.sh      (signs with the demo's approval key; it says:)
EOF
	sed -n '/^curl/,$p' "$D/approve.sh" | sed 's/^/            /'
}

demo_summary() {
	printf 'sluice demo: %s\n' "$(of_run state)"
	printf '  run          %s\n' "$(demo_run_words run)"
	printf '  jobs         %s\n' "$(demo_run_words jobs)"
	printf '  environment  production: %s\n' "$(remote deployments --repo demo/hello --format json |
		"$BIN/sluice" eval --context - "format('{0}, deployment {1}, approved by {2}', items[0].state, items[0].number, items[0].approvers)" | tr -d '"')"
	printf '  times        %s\n' "$(demo_run_words times)"
	printf '  confined     %s\n' "$(demo_confined)"
}

demo() {
	local yes=no started took target
	[ "${1:-}" != --yes ] || yes=yes
	D=$(mktemp -d /tmp/sluice-demo.XXXXXX)
	chmod 755 "$D"
	LOG=$D/install.log
	TARGET_TOKEN=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
	PART='1/6 ' need_packages build run
	check_versions
	PART='2/6 ' build
	make_user
	BIN=$D/prefix/bin
	make DEV=0 PREFIX="$D/prefix" install >>"$LOG" 2>&1 || demo_fail "step 2/6 build" "make install" "$LOG"
	mkdir -p "$D/home"
	if is_root; then chown "$SERVICE_USER:" "$D" "$D/home"; fi
	trap 'demo_end; exit 130' INT TERM
	trap demo_end EXIT
	demo_probe
	demo_serve
	demo_prepare
	demo_push
	demo_follow --until-gate || true
	[ "$(of_run 'gates[0].state')" = pending ] ||
		demo_fail "step 6/6 run" "it did not reach the gate" "$D/serve.log"
	demo_approve_script
	if [ "$yes" = yes ]; then
		started=$(date +%s%3N)
		sh "$D/approve.sh" >"$D/approve.out" 2>&1 ||
			demo_fail "the approval" "the signed webhook was refused" "$D/approve.out"
		took=$(($(date +%s%3N) - started))
		say "approve       production, by key:demo through the signed webhook, 200 in ${took}ms"
		demo_follow >"$D/follow.out" || demo_fail "the deploy" "run 1 failed" "$D/serve.log"
		target=http://127.0.0.1:$(cat "$D/target.port")/hello
		printf '%s  %s answers "%s"\n' "$(tail -n 1 "$D/follow.out")" "$target" \
			"$(curl -fsS "$target" || echo nothing)"
		demo_summary
		return
	fi
	demo_gate_words
	printf 'Serving until Ctrl-C. Nothing outside %s was changed but the packages above%s.\n' "$D" \
		"$(is_root && echo " (as root also the user '$SERVICE_USER' and its ids)")"
	demo_follow >/dev/null 2>&1 && demo_summary
	wait "${demo_pids[0]}"
}
