/* SPDX-License-Identifier: Apache-2.0 */
/* sluice logs: the stored bytes of a job, or of all jobs of a run; -f while they grow. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/cmd.h"
#include "runner/findings.h"
#include "runner/remote.h"

#define PREFIX_MAX 40 /* a longer key stands out of its column */

struct printing {
	const char *prefix; /* of a run: the job's key; NULL for one job */
	int width;	    /* its column */
	bool at_start;
	size_t bytes;
};

static int on_bytes(const char *data, size_t len, void *p_)
{
	struct printing *p = p_;

	p->bytes += len;
	for (size_t i = 0; i < len;) {
		const char *nl = memchr(data + i, '\n', len - i);
		size_t n = nl ? (size_t)(nl - data) - i + 1 : len - i;

		if (p->at_start && p->prefix) {
			cli_put(stdout, p->prefix);
			for (int w = (int)strlen(p->prefix); w < p->width; w++)
				fputc(' ', stdout);
			fputs(" | ", stdout);
		}
		if (cli_is_terminal(stdout))
			cli_print_safe(stdout, data + i, n, true);
		else
			fwrite(data + i, 1, n, stdout);
		p->at_start = nl != NULL;
		i += n;
	}
	fflush(stdout);
	return ferror(stdout) ? 1 : 0; /* the reader went away: silence */
}

static bool key_matches(const struct json *job, const char *key)
{
	const char *node = json_get_str(job, "node", ""), *name = json_get_str(job, "name", "");
	size_t len = strlen(node);

	if (str_eq(node, key) || str_eq(name, key))
		return true;
	/* "build-images:api" is the row of build-images whose name ends in (api). */
	if (strncmp(key, node, len) == 0 && key[len] == ':') {
		_cleanup_free_ char *row = xasprintf("(%s)", key + len + 1);
		_cleanup_free_ char *number =
			xasprintf("%lld", (long long)json_get_int(job, "row", 0));

		return strstr(name, row) || str_eq(number, key + len + 1);
	}
	return false;
}

/* The widest job, so that no step can forge the column of another. */
static int widest(const struct json *jobs)
{
	size_t width = 0;

	for (size_t i = 0; i < json_count(jobs); i++) {
		size_t len = strlen(json_get_str(json_at(jobs, i), "node", ""));

		width = len > width && len <= PREFIX_MAX ? len : width;
	}
	return (int)width;
}

/* A job without a log says why it has none. */
static void no_line(const struct cli_args *a, const char *run, const struct json *job)
{
	const char *reason = json_get_str(job, "reason", ""), *node = json_get_str(job, "node", "");

	fflush(stdout);
	if (findings_of_job(a, job, stderr))
		return;
	fprintf(stderr, "logs: %s is %s and wrote no line", node, json_get_str(job, "state", ""));
	if (reason[0]) {
		fputs(": ", stderr);
		cli_put(stderr, reason);
	}
	fprintf(stderr, "; sluice explain %s/%s\n", run, node);
}

/* Ctrl-C ends the following, never the run: said, and then the signal does its work. */
static char farewell[256];

static void on_interrupt(int number)
{
	ssize_t n = write(STDERR_FILENO, farewell, strlen(farewell));

	(void)n; /* the terminal is gone: nobody reads it */
	(void)raise(number);
}

static void say_at_interrupt(const char *run, const char *what)
{
	struct sigaction sa = { .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND };

	if (isatty(STDERR_FILENO) != 1)
		return;
	snprintf(farewell, sizeof(farewell),
		"stopped following; run %.80s goes on: sluice logs -f %.100s\n", run, what);
	(void)sigaction(SIGINT, &sa, NULL); /* without it the signal ends us as silently */
}

static int print_job(const struct cli_args *a, struct client *c, const struct json *job,
	struct printing *p)
{
	struct err err = ERR_INIT;
	int status = 0;
	_cleanup_free_ char *target = xasprintf("/api/v1/jobs/%lld/log%s",
		(long long)json_get_int(job, "id", 0), cli_has(a, "follow") ? "?follow=1" : "");

	if (client_get(c, target, on_bytes, p, &status, &err) < 0)
		return cli_fail(a, &err);
	if (status != 200)
		return cli_error(a, status == 403 || status == 401 ? CLI_DENIED : CLI_NO,
			"the log of job '%s' failed: the server answered %d",
			json_get_str(job, "name", ""), status);
	return CLI_OK;
}

static void list_jobs(const struct json *jobs, struct strbuf *out)
{
	for (size_t i = 0; i < json_count(jobs); i++)
		strbuf_addf(out, "%s%s", i ? ", " : "",
			json_get_str(json_at(jobs, i), "node", ""));
}

/* How it ended: whoever waits for an end exits by it. */
static int verdict(const struct cli_args *a, const char *run, const char *key)
{
	_cleanup_(json_freep) struct json *j = NULL;
	struct json *args = json_new_object();
	const struct json *jobs;
	const char *state;
	int r;

	json_set_str(args, "run", run);
	r = remote_call(a, "run.show", args, &j);
	if (r)
		return r;
	state = json_get_str(j, "state", "");
	jobs = json_get(j, "jobs");
	for (size_t i = 0; key[0] && i < json_count(jobs); i++)
		if (key_matches(json_at(jobs, i), key))
			state = json_get_str(json_at(jobs, i), "state", "");
	return str_eq(state, "failure") || str_eq(state, "cancelled") || str_eq(state, "lost") ?
		CLI_NO :
		CLI_OK;
}

static int run_logs(const struct cli_args *a)
{
	_cleanup_free_ char *run = NULL, *key = NULL;
	_cleanup_(client_freep) struct client *c = NULL;
	_cleanup_(json_freep) struct json *j = NULL;
	struct json *args = json_new_object();
	const struct json *jobs;
	struct printing p = { .at_start = true };
	size_t shown = 0;
	int r;

	remote_split(cli_arg(a, 0), &run, &key);
	if (cli_has(a, "follow"))
		say_at_interrupt(run, cli_arg(a, 0));
	json_set_str(args, "run", run);
	r = remote_call(a, "run.show", args, &j);
	if (r == 0)
		r = remote_client(a, &c);
	if (r)
		return r;
	jobs = json_get(j, "jobs");
	p.width = key[0] || json_count(jobs) == 1 ? 0 : widest(jobs);
	for (size_t i = 0; i < json_count(jobs); i++) {
		const struct json *job = json_at(jobs, i);

		if (key[0] && !key_matches(job, key))
			continue;
		shown++;
		p.prefix = p.width ? json_get_str(job, "node", "") : NULL;
		p.bytes = 0;
		r = print_job(a, c, job, &p);
		if (r)
			return r;
		if (p.bytes == 0)
			no_line(a, run, job);
	}
	if (shown == 0) {
		_cleanup_(strbuf_done) struct strbuf names = STRBUF_INIT;

		list_jobs(jobs, &names);
		return cli_error(a, CLI_NO, "run %s has no job '%s'; it has: %s", run, key,
			names.buf);
	}
	return cli_has(a, "follow") ? verdict(a, run, key) : CLI_OK;
}

static const struct cli_opt opts[] = {
	{ "follow", 'f', NULL, "until it ends; then exit by how it ended" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_logs = { "logs", "look", "[-f] RUN[/JOB]",
	"Print the log of a job, or of every job of a run", opts, "sluice logs -f 213/test-api",
	"0, 1 a followed run or job failed, 2 usage, 3 no server, 4 not allowed", 1, 1, run_logs,
	NULL };
