/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice explain: state, because, change. The condition is shown as core evaluated it,
 * from the trace stored with the job, each operand with the value it had.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/cmd.h"
#include "runner/remote.h"

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

static void put(const char *s)
{
	cli_print_safe(stdout, s, strlen(s), false);
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
		put(source);
		if (json_get_bool(t, "reached", true)) {
			fputs(" = ", stdout);
			put(value);
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
		put(json_get_str(v, "comment", ""));
		putchar('\n');
	}
	printf("  can open   ");
	for (size_t i = 0; i < json_count(who); i++) {
		const char *name = json_as_str(json_at(who, i), "");

		printf("%s%s", i ? ", " : "",
			str_eq(name, "*") ? "everybody with the scope approve" : name);
	}
	printf("; %lld of %lld", (long long)json_get_int(gate, "approvals", 0),
		(long long)json_get_int(gate, "required", 1));
	if (actor[0] && !json_get_bool(gate, "is_self_approval", false)) {
		printf("; not by its actor, ");
		put(actor);
	}
	putchar('\n');
}

static const char *what_to_do(const struct json *run, const struct json *job)
{
	const char *state = json_get_str(job, "state", "");

	if (str_eq(state, "lost"))
		return "look at the log and at the target, then: sluice rerun RUN, or cancel it";
	if (str_eq(state, "skipped"))
		return "change its needs or its condition; a condition without a status function "
		       "begins with success()";
	if (str_eq(state, "failure"))
		return "read its log: sluice logs RUN/JOB; again: sluice rerun --failed RUN";
	if (str_eq(state, "queued"))
		return "nothing to do: it waits for a slot; or raise 'capacity'";
	return json_get_str(run, "reason", "")[0] ? json_get_str(run, "reason", "") : "nothing";
}

static int explain_job(const struct cli_args *a, const struct json *run,
	const struct json *job)
{
	_cleanup_(json_freep) struct json *trace = fetch_trace(a, json_get_int(job, "id", 0));
	const char *state = json_get_str(job, "state", "");
	const char *why = json_get_str(job, "reason", "");
	const struct json *gate = gate_of(run, job);

	printf("%-9s %s#%lld %s, %s of %s (%.7s)\n",
		str_eq(state, "awaiting_approval") ? "waiting" : state,
		json_get_str(run, "repo", ""), (long long)json_get_int(run, "number", 0),
		json_get_str(job, "node", ""), json_get_str(run, "event", ""),
		json_get_str(run, "branch", ""), json_get_str(run, "sha", ""));
	if (why[0]) {
		printf("because   ");
		put(why);
		putchar('\n');
	}
	print_trace(trace);
	print_needs(run, job);
	if (gate && str_eq(state, "awaiting_approval")) {
		print_gate(run, gate);
		printf("change    sluice approve %lld %s\n", (long long)json_get_int(run, "id", 0),
			json_get_str(gate, "environment", ""));
		return CLI_OK;
	}
	printf("change    %s\n", what_to_do(run, job));
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
		return explain_job(a, run, job);
	}
	jobs = json_get(run, "jobs");
	for (size_t i = 0; i < json_count(jobs); i++) {
		if (i)
			putchar('\n');
		explain_job(a, run, json_at(jobs, i));
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
