/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice shell: into a held job. The server prepares it, its executor hands over the near
 * end of the terminal, and from there on nothing of the server is between the two.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "runner/cmd.h"
#include "runner/remote.h"
#include "runner/rpc.h"
#include "runner/terminal.h"

/* "18:14", with its day when that is not today. */
static void local_time(int64_t ms, char *buf, size_t size)
{
	time_t now = (time_t)(clock_wall_ms() / 1000), then = (time_t)(ms / 1000);
	struct tm a, b;

	buf[0] = '\0';
	if (!localtime_r(&now, &a) || !localtime_r(&then, &b))
		return;
	(void)strftime(buf, size,
		a.tm_yday == b.tm_yday && a.tm_year == b.tm_year ? "%H:%M"
								 : "%Y-%m-%d %H:%M",
		&b);
}

static void say_list(const struct json *list, int64_t more)
{
	for (size_t i = 0; i < json_count(list); i++) {
		cli_put(stderr, i ? ", " : "");
		cli_put(stderr, json_as_str(json_at(list, i), ""));
	}
	if (more > 0)
		fprintf(stderr, " and %lld more", (long long)more);
}

static void say_secrets(const struct json *facts)
{
	const struct json *empty = json_get(facts, "empty");
	size_t n = json_count(empty);

	if (n == 0) {
		cli_put(stderr, "secrets are off");
	} else {
		fprintf(stderr, "secrets are off: %zu %s empty (", n,
			n == 1 ? "variable is" : "variables are");
		say_list(empty, 0);
		cli_put(stderr, ")");
	}
}

static void greet(
	const struct cli_args *a, const struct json *opened, const struct json *facts)
{
	const struct json *weaker = json_get(facts, "weaker");
	bool can_run = json_get_bool(facts, "run_step", false);
	int64_t expires = 0;
	char until[32];

	if (cli_quiet(a))
		return;
	(void)clock_parse(json_get_str(opened, "expires_at", ""), &expires);
	local_time(json_get_int(opened, "expires_at", expires), until, sizeof(until));
	if (json_get_int(facts, "step", -1) >= 0)
		fprintf(stderr, "step %lld ", (long long)json_get_int(facts, "step", 0));
	cli_put(stderr, json_get_str(facts, "name", ""));
	fprintf(stderr,
		" of run %lld, held until %s; confinement built anew: profile %s, "
		"network %s\n",
		(long long)json_get_int(opened, "run", 0), until,
		json_get_str(facts, "profile", ""), json_get_str(facts, "network", ""));
	if (json_count(weaker)) {
		cli_put(stderr, "weaker here: ");
		say_list(weaker, 0);
		cli_put(stderr, "\n");
	}
	if (json_count(json_get(facts, "removed"))) {
		cli_put(stderr, "left out, since a secret was in it: ");
		say_list(json_get(facts, "removed"), json_get_int(facts, "more", 0));
		cli_put(stderr, "\n");
	}
	say_secrets(facts);
	if (can_run) {
		cli_put(stderr, ". The step's program: run-step. Leave: exit\n");
		return;
	}
	cli_put(stderr, ". The step cannot be run again: ");
	cli_put(stderr, json_get_str(facts, "why", ""));
	cli_put(stderr, ". Leave: exit\n");
}

/* By descriptor: a data directory may be deeper than the name of a socket is long. */
static int connect_to(const struct json *opened, int *ret, struct err *err)
{
	_cleanup_free_ char *path = path_join(
		json_get_str(opened, "data", ""), json_get_str(opened, "socket", ""));
	_cleanup_close_ int dir = -1;
	char *slash = strrchr(path, '/'), name[64];

	*slash = '\0';
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, "cannot open '%s'", path);
	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d/%.32s", dir, slash + 1);
	return chan_connect(name, ret, err);
}

/* The answer to attach; what comes before it (hello) is passed over. */
static int attach(
	int chan, const struct json *opened, struct chan_msg *ret, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_new_object();

	json_set_str(head, "op", "attach");
	json_set_int(head, "seq", 1);
	if (json_is(json_get(opened, "step"), JSON_KIND_INT))
		json_set_int(head, "step", json_get_int(opened, "step", 0));
	terminal_describe(head);
	if (chan_send(chan, head, NULL, 0, NULL, 0, err) < 0)
		return -1;
	for (;;) {
		int got;

		chan_msg_done(ret);
		got = chan_recv(chan, ret, err);
		if (got <= 0)
			return got < 0 ? -1
				       : err_set(err, ERR_UNAVAILABLE,
						 "the shell's executor ended; see the "
						 "server's log");
		if (str_eq(chan_msg_op(ret), "answer"))
			break;
	}
	if (json_get_bool(ret->head, "ok", false))
		return 0;
	rpc_error_of(json_get(ret->head, "error"), err);
	return -1;
}

static int enter(const struct cli_args *a, const struct json *opened, struct err *err)
{
	_cleanup_(chan_msg_done) struct chan_msg answer = CHAN_MSG_INIT;
	_cleanup_(chan_msg_done) struct chan_msg end = CHAN_MSG_INIT;
	_cleanup_close_ int chan = -1, near = -1;
	int got;

	if (connect_to(opened, &chan, err) < 0 || attach(chan, opened, &answer, err) < 0)
		return -1;
	near = chan_msg_take_fd(&answer, 0);
	if (near < 0)
		return err_set(err, ERR_BUG, "no terminal came with the answer");
	greet(a, opened, answer.head);
	got = terminal_join(near, chan, &end, err);
	if (got < 0)
		return -1;
	if (got == 0 && !cli_quiet(a))
		cli_put(stderr, "the shell has ended; the job is held as before\n");
	return 0;
}

static int run_shell(const struct cli_args *a)
{
	_cleanup_free_ char *run = NULL, *job = NULL;
	_cleanup_(json_freep) struct json *opened = NULL;
	struct json *args;
	struct err err = ERR_INIT;
	int r;

	/* Terminals do not travel over HTTP, nor the right to have one. */
	if (cli_get(a, "server") || getenv("SLUICE_SERVER"))
		return cli_error(a, CLI_NO,
			"a held job is entered on the server's machine, by its own socket; "
			"there: sluice shell %s",
			cli_arg(a, 0));
	remote_split(cli_arg(a, 0), &run, &job);
	if (!job[0])
		return cli_error(a, CLI_USAGE,
			"'%s' names no job; as in: sluice shell 213/test-api", run);
	args = json_new_object();
	json_set_str(args, "run", run);
	json_set_str(args, "job", job);
	r = remote_call(a, "shell.open", args, &opened);
	if (r)
		return r;
	if (remote_print_json(a, opened))
		return CLI_OK;
	return enter(a, opened, &err) < 0 ? cli_fail(a, &err) : CLI_OK;
}

static const struct cli_opt opts[] = {
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_shell = { "shell", "operate", "RUN/JOB[/STEP]",
	"Enter a failed job that is held, in its confinement", opts,
	"sluice shell 213/test-api",
	"0 left again, 1 not held or refused, 2 usage, 3 no server, 4 not allowed", 1, 1,
	run_shell, NULL };

/* ---- gc --------------------------------------------------------------------------- */

static void bytes_text(int64_t n, char *buf, size_t size)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double v = (double)n;
	size_t u = 0;

	for (; v >= 1000 && u + 1 < ARRAY_SIZE(units); u++)
		v /= 1000;
	(void)snprintf(buf, size, u ? "%.1f %s" : "%.0f %s", v, units[u]);
}

static int run_gc(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	struct json *args = json_new_object();
	bool is_dry = cli_has(a, "dry-run");
	char bytes[32];
	int r;

	json_set_bool(args, "dry_run", is_dry);
	r = remote_call(a, "gc", args, &ret);
	if (r)
		return r;
	if (remote_print_json(a, ret))
		return CLI_OK;
	bytes_text(json_get_int(ret, "bytes", 0), bytes, sizeof(bytes));
	printf("gc: %s %s: %lld logs", is_dry ? "would free" : "freed", bytes,
		(long long)json_get_int(ret, "logs", 0));
	if (json_get_int(ret, "logs_days", 0))
		printf(" older than %lldd", (long long)json_get_int(ret, "logs_days", 0));
	printf(", %lld artifacts, %lld held workspaces; kept: the logs of %lld deployments\n",
		(long long)json_get_int(ret, "artifacts", 0),
		(long long)json_get_int(ret, "held", 0),
		(long long)json_get_int(ret, "deployments", 0));
	if (json_get_bool(ret, "is_more", false))
		fputs("gc: there is more; run it again\n", stderr);
	return CLI_OK;
}

static const struct cli_opt gc_opts[] = {
	{ "dry-run", 0, NULL, "say what would go, remove nothing" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_gc = { "gc", "operate", "[--dry-run]",
	"Remove what keep.* of the configuration says is kept no longer", gc_opts,
	"sluice gc --dry-run", NULL, 0, 0, run_gc, NULL };
