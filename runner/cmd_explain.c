/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice explain: state, because, change. The condition is shown as core evaluated it,
 * from the trace stored with the job, each operand with the value it had.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/cmd.h"
#include "runner/findings.h"
#include "runner/labels.h"
#include "runner/remote.h"

#define BUSY_SHOWN 4

static int collect(const char *data, size_t len, void *out)
{
	struct strbuf *sb = out;

	if (sb->len + len > 8 * MiB)
		return 1;
	strbuf_add(sb, data, len);
	return 0;
}

static struct json *fetch_trace(const struct cli_args *a, int64_t job)
{
	_cleanup_(client_freep) struct client *c = NULL;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_free_ char *target =
		xasprintf("/api/v1/jobs/%lld/trace", (long long)job);
	struct json *j = NULL;
	struct err err = ERR_INIT;
	int status = 0;

	if (remote_client(a, &c) != 0 ||
		client_get(c, target, collect, &text, &status, &err) < 0 || status != 200 ||
		json_parse(text.buf, text.len, &j, &err) < 0)
		return NULL;
	return j;
}

static void print_trace(const struct json *trace)
{
	const struct json *items = json_is(trace, JSON_KIND_ARRAY) ? trace :
								     json_get(trace, "trace");

	for (size_t i = 0; i < json_count(items) && i < 60; i++) {
		const struct json *t = json_at(items, i);
		_cleanup_free_ char *value = json_text(json_get(t, "value"));
		const char *source = json_get_str(t, "source", json_get_str(t, "text", ""));

		/* A literal says nothing that its own source does not. */
		if (json_get_int(t, "depth", 0) > 0 &&
			(str_eq(source, value) || source[0] == '\''))
			continue;
		printf("  %s", i == 0 ? "condition  " : "           ");
		for (int64_t d = json_get_int(t, "depth", 0); d > 0 && d < 30; d--)
			fputs("  ", stdout);
		cli_put(stdout, source);
		if (json_get_bool(t, "reached", true)) {
			fputs(" = ", stdout);
			cli_put(stdout, value);
		} else {
			fputs(" not evaluated", stdout);
		}
		putchar('\n');
	}
}

static const struct json *find_job(const struct json *run, const char *node)
{
	const struct json *jobs = json_get(run, "jobs");

	for (size_t i = 0; i < json_count(jobs); i++)
		if (str_eq(json_get_str(json_at(jobs, i), "node", ""), node) ||
			str_eq(json_get_str(json_at(jobs, i), "name", ""), node))
			return json_at(jobs, i);
	return NULL;
}

static void print_needs(const struct json *run, const struct json *job)
{
	const struct json *needs = json_get(job, "needs");

	for (size_t i = 0; i < json_count(needs); i++) {
		const struct json *n = json_at(needs, i);
		const char *key = json_as_str(n, json_get_str(n, "node", ""));
		const struct json *other = find_job(run, key);

		printf("  need       %s: %s\n", key,
			json_get_str(other, "state", json_get_str(n, "result", "")));
	}
}

static const struct json *gate_of(const struct json *run, const struct json *job)
{
	const struct json *gates = json_get(run, "gates");

	for (size_t i = 0; i < json_count(gates); i++)
		if (json_get_int(json_at(gates, i), "id", 0) == json_get_int(job, "gate_id", -1))
			return json_at(gates, i);
	return NULL;
}

/* Who has voted, and who can. */
static void print_gate(const struct json *run, const struct json *gate)
{
	const struct json *votes = json_get(gate, "votes"), *who = json_get(gate, "reviewers");
	const char *actor = json_get_str(run, "actor", "");

	for (size_t i = 0; i < json_count(votes); i++) {
		const struct json *v = json_at(votes, i);

		printf("  %-10s %s%s", str_eq(json_get_str(v, "decision", ""), "approve") ?
			"approved" : "rejected", json_get_str(v, "principal", ""),
			json_get_str(v, "comment", "")[0] ? ": " : "");
		cli_put(stdout, json_get_str(v, "comment", ""));
		putchar('\n');
	}
	printf("  can open   ");
	for (size_t i = 0; i < json_count(who); i++) {
		const char *name = json_as_str(json_at(who, i), "");

		printf("%s%s", i ? ", " : "",
			str_eq(name, "*") ? "everybody with the scope approve" : name);
	}
	if (actor[0] && !json_get_bool(gate, "is_self_approval", false)) {
		printf("; not by its actor, ");
		cli_put(stdout, actor);
	}
	putchar('\n');
}

/* ---- state, because, change -------------------------------------------------------- */

static void place_words(const struct json *job, int64_t place)
{
	static const char *const words[] = { "first", "second", "third", "fourth", "fifth",
		"sixth", "seventh", "eighth", "ninth" };
	const struct json *labels = json_get(job, "labels");

	if (place < (int64_t)ARRAY_SIZE(words))
		printf(", %s in line", words[place]);
	else
		printf(", number %lld in line", (long long)place + 1);
	for (size_t i = 0; i < json_count(labels); i++) {
		fputs(i ? ", " : " for label ", stdout);
		cli_put(stdout, json_as_str(json_at(labels, i), ""));
	}
}

static void busy_slots(const struct json *queue)
{
	const struct json *active = json_get(queue, "active");
	int64_t used = 0;
	char took[CLOCK_TEXT_MAX];

	for (size_t i = 0; i < json_count(active); i++)
		used += !str_eq(json_get_str(json_at(active, i), "state", ""), "lost");
	printf("because   %lld of %lld slots are busy", (long long)used,
		(long long)json_get_int(queue, "slots", 0));
	for (size_t i = 0; i < json_count(active) && i < BUSY_SHOWN; i++) {
		const struct json *j = json_at(active, i);

		printf("%s%lld/", i ? ", " : " (", (long long)json_get_int(j, "run_id", 0));
		cli_put(stdout, json_get_str(j, "node", ""));
		printf(" %s", clock_duration(clock_wall_ms() - remote_time(j, "claimed_at"), took));
	}
	puts(json_count(active) > BUSY_SHOWN ? ", ...)" : json_count(active) ? ")" : "");
}

static int64_t place_of(const struct json *queue, const struct json *job)
{
	const struct json *ready = json_get(queue, "ready");

	for (size_t i = 0; i < json_count(ready); i++)
		if (json_get_int(json_at(ready, i), "id", 0) == json_get_int(job, "id", -1))
			return (int64_t)i;
	return -1;
}

/* Which job the lines are about, where the whole run is told. */
static void whose(const struct json *run, const struct json *job, bool is_one)
{
	if (is_one)
		return;
	printf("%lld/", (long long)json_get_int(run, "id", 0));
	cli_put(stdout, json_get_str(job, "node", ""));
	fputs(": ", stdout);
}

static int explain_queued(const struct cli_args *a, const struct json *run,
	const struct json *job, bool is_one)
{
	_cleanup_(json_freep) struct json *queue = NULL;
	_cleanup_(strvec_done) struct strvec offered = STRVEC_INIT;
	const struct json *list, *paused;
	const char *missing;
	char took[CLOCK_TEXT_MAX];
	struct err err = ERR_INIT;
	int64_t place, now = clock_wall_ms(), since = remote_time(job, "queued_at");

	if (remote_look(a, "queue", NULL, &queue, &err) < 0)
		return cli_fail(a, &err);
	list = json_get(queue, "offered");
	for (size_t i = 0; i < json_count(list); i++)
		strvec_push(&offered, json_as_str(json_at(list, i), ""));
	missing = labels_missing(&offered, json_get(job, "labels"));
	paused = json_get(queue, "paused");
	place = place_of(queue, job);
	fputs("queued    ", stdout);
	whose(run, job, is_one);
	fputs(clock_duration(now - since, took), stdout);
	if (place >= 0)
		place_words(job, place);
	putchar('\n');
	if (missing) {
		int64_t left = since + json_get_int(queue, "label_wait_ms", 0) - now;

		fputs("because   nobody offers the label '", stdout);
		cli_put(stdout, missing);
		printf("': it fails with that reason in %s\n",
			clock_duration(left > 0 ? left : 0, took));
		puts("change    add it to 'labels' of the configuration, or change runs-on");
	} else if (json_is(paused, JSON_KIND_OBJECT)) {
		fputs("because   the server is paused by ", stdout);
		cli_put(stdout, json_get_str(paused, "by", "?"));
		fputs(json_get_str(paused, "why", "")[0] ? ": " : "", stdout);
		cli_put(stdout, json_get_str(paused, "why", ""));
		puts("\nchange    sluice resume");
	} else {
		busy_slots(queue);
		puts("change    nothing to do; or raise 'capacity'");
	}
	return CLI_OK;
}

static int explain_waiting(const struct json *run, const struct json *job,
	const struct json *gate, bool is_one)
{
	int64_t now = clock_wall_ms(), expires = remote_time(gate, "expires_at");
	long long have = (long long)json_get_int(gate, "approvals", 0);
	long long wanted = (long long)json_get_int(gate, "required", 1);
	const char *env = json_get_str(gate, "environment", "");
	char took[CLOCK_TEXT_MAX];

	fputs("waiting   ", stdout);
	whose(run, job, is_one);
	printf("%s for %lld more approval%s of ",
		clock_duration(now - remote_time(gate, "created_at"), took), wanted - have,
		wanted - have == 1 ? "" : "s");
	cli_put(stdout, env[0] ? env : "a maintainer");
	printf(" (%lld of %lld)", have, wanted);
	if (expires > now)
		printf(", expires in %s", clock_duration(expires - now, took));
	putchar('\n');
	print_gate(run, gate);
	printf("change    sluice approve %lld%s", (long long)json_get_int(run, "id", 0),
		env[0] ? " " : "");
	cli_put(stdout, env);
	putchar('\n');
	return CLI_OK;
}

static void change(const struct json *run, const struct json *job)
{
	const char *state = json_get_str(job, "state", ""), *node = json_get_str(job, "node", "");
	long long id = (long long)json_get_int(run, "id", 0);

	fputs("change    ", stdout);
	if (str_eq(state, "lost"))
		printf("look at the target and at sluice logs %lld/%s, then say how it ended on its "
		       "page; or sluice cancel %lld\n", id, node, id);
	else if (str_eq(state, "skipped"))
		puts("change its needs or its condition; a condition without a status function "
		     "begins with success()");
	else if (str_eq(state, "failure"))
		printf("read its log: sluice logs %lld/%s; again: sluice rerun --failed %lld\n", id,
			node, id);
	else if (str_eq(state, "cancelled"))
		printf("again: sluice rerun %lld\n", id);
	else
		puts("nothing to do");
}

static int explain_job(const struct cli_args *a, const struct json *run,
	const struct json *job, bool is_one)
{
	_cleanup_(json_freep) struct json *trace = NULL;
	const char *state = json_get_str(job, "state", "");
	const char *why = json_get_str(job, "reason", "");
	const struct json *gate = gate_of(run, job);

	if (gate && str_eq(state, "awaiting_approval"))
		return explain_waiting(run, job, gate, is_one);
	if (str_eq(state, "queued"))
		return explain_queued(a, run, job, is_one);
	trace = fetch_trace(a, json_get_int(job, "id", 0));
	printf("%-9s %s#%lld %s, %s of %s (%.7s)\n", state, json_get_str(run, "repo", ""),
		(long long)json_get_int(run, "number", 0), json_get_str(job, "node", ""),
		json_get_str(run, "event", ""), json_get_str(run, "branch", ""),
		json_get_str(run, "sha", ""));
	if (findings_are(trace)) {
		puts("because   its workflow file cannot be read:");
		findings_print(stdout, trace);
		return CLI_OK;
	}
	if (why[0]) {
		printf("because   ");
		cli_put(stdout, why);
		putchar('\n');
	}
	print_trace(trace);
	print_needs(run, job);
	if (json_get_str(job, "root", NULL)) {
		printf("root      ");
		cli_put(stdout, json_get_str(job, "root", ""));
		putchar('\n');
	}
	change(run, job);
	return CLI_OK;
}

static int run_explain(const struct cli_args *a)
{
	_cleanup_free_ char *name = NULL, *key = NULL;
	_cleanup_(json_freep) struct json *run = NULL;
	struct json *args = json_new_object();
	const struct json *jobs, *job;
	int r;

	remote_split(cli_arg(a, 0), &name, &key);
	json_set_str(args, "run", name);
	r = remote_call(a, "run.show", args, &run);
	if (r)
		return r;
	if (remote_print_json(a, run))
		return CLI_OK;
	if (key[0]) {
		job = find_job(run, key);
		if (!job)
			return cli_error(a, CLI_NO, "run %s has no job '%s'; sluice runs %s lists "
						    "them", name, key, name);
		return explain_job(a, run, job, true);
	}
	jobs = json_get(run, "jobs");
	for (size_t i = 0; i < json_count(jobs); i++) {
		if (i)
			putchar('\n');
		explain_job(a, run, json_at(jobs, i), json_count(jobs) == 1);
	}
	return CLI_OK;
}

static const struct cli_opt opts[] = {
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_explain = { "explain", "look", "RUN[/JOB]",
	"Say why a job ran, waits, was skipped or was refused", opts,
	"sluice explain 214/deploy-production", NULL, 1, 1, run_explain, NULL };
