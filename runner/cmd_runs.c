/* SPDX-License-Identifier: Apache-2.0 */
/* Looking: runs, status, environments, deployments, audit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/cmd.h"
#include "runner/disk.h"
#include "runner/remote.h"

/* API times are RFC 3339 text; verbs may give integers. */
static int64_t at(const struct json *j, const char *key)
{
	const struct json *v = json_get(j, key);
	int64_t ms = 0;

	if (json_is(v, JSON_KIND_STRING))
		return clock_parse(json_as_str(v, ""), &ms) == 0 ? ms : 0;
	return json_as_int(v, 0);
}

static char *marked(const char *state)
{
	return xasprintf("%s %s", cli_mark(state), state);
}

static char *age_of(int64_t when)
{
	char text[CLOCK_TEXT_MAX];

	if (when <= 0)
		return xstrdup("");
	if (!cli_is_terminal(stdout))
		return xstrdup(clock_format(when, text));
	return xstrdup(clock_age(clock_wall_ms() - when, text));
}

static char *duration_of(int64_t from, int64_t to)
{
	char text[CLOCK_TEXT_MAX];

	if (from <= 0)
		return xstrdup("");
	return xstrdup(clock_duration((to > 0 ? to : clock_wall_ms()) - from, text));
}

static void run_row(struct cli_table *t, const struct json *run)
{
	_cleanup_free_ char *id = xasprintf("%lld", (long long)json_get_int(run, "id", 0));
	_cleanup_free_ char *state = marked(json_get_str(run, "state", ""));
	_cleanup_free_ char *sha = xstrndup(json_get_str(run, "sha", ""), 7);
	_cleanup_free_ char *age = age_of(at(run, "created_at"));
	_cleanup_free_ char *took = duration_of(at(run, "started_at"), at(run, "completed_at"));

	cli_table_row(t, id, state, json_get_str(run, "repo", ""),
		json_get_str(run, "workflow", ""), json_get_str(run, "branch", ""), sha,
		json_get_str(run, "actor", ""), age, took);
}

static void job_line(const struct json *job)
{
	const char *state = json_get_str(job, "state", "");
	const char *why = json_get_str(job, "reason", "");
	_cleanup_free_ char *took = duration_of(at(job, "started_at"), at(job, "completed_at"));
	enum cli_color color = str_eq(state, "failure") ? CLI_RED :
		str_eq(state, "success")		? CLI_GREEN :
		str_eq(state, "awaiting_approval")	? CLI_YELLOW :
							  CLI_DIM;

	printf("    %s%s%s ", cli_color(stdout, color), cli_mark(state),
		cli_color(stdout, CLI_PLAIN));
	cli_print_safe(stdout, json_get_str(job, "name", ""),
		strlen(json_get_str(job, "name", "")), false);
	for (size_t n = strlen(json_get_str(job, "name", "")); n < 28; n++)
		putchar(' ');
	printf(" %-10s %s", str_eq(state, "awaiting_approval") ? "waiting" : state, took);
	if (why[0]) {
		printf("  ");
		cli_print_safe(stdout, why, strlen(why), false);
	}
	putchar('\n');
}

static bool is_over(const char *state)
{
	return str_eq(state, "success") || str_eq(state, "failure") ||
		str_eq(state, "cancelled") || str_eq(state, "skipped");
}

static int fetch_run(const struct cli_args *a, const char *run, struct json **ret)
{
	struct json *args = json_new_object();

	json_set_str(args, "run", run);
	return remote_call(a, "run.show", args, ret);
}

static int show_run(const struct cli_args *a, const char *text)
{
	_cleanup_(json_freep) struct json *run = NULL;
	const struct json *jobs;
	int r = fetch_run(a, text, &run);

	if (r)
		return r;
	if (remote_print_json(a, run))
		return CLI_OK;
	printf("run %lld  %s %s  %s  %s %.7s  by %s\n", (long long)json_get_int(run, "id", 0),
		cli_mark(json_get_str(run, "state", "")), json_get_str(run, "state", ""),
		json_get_str(run, "workflow", ""), json_get_str(run, "branch", ""),
		json_get_str(run, "sha", ""), json_get_str(run, "actor", ""));
	jobs = json_get(run, "jobs");
	for (size_t i = 0; i < json_count(jobs); i++)
		job_line(json_at(jobs, i));
	return str_eq(json_get_str(run, "state", ""), "failure") ? CLI_NO : CLI_OK;
}

/* The job at I was not printed with this state yet. */
static bool is_news(struct strvec *seen, const struct json *job)
{
	const char *state = json_get_str(job, "state", "");
	_cleanup_free_ char *key = NULL;

	if (!is_over(state) && !str_eq(state, "awaiting_approval") && !str_eq(state, "lost"))
		return false;
	key = xasprintf("%lld %s", (long long)json_get_int(job, "id", 0), state);
	if (strvec_has(seen, key))
		return false;
	strvec_push(seen, key);
	return true;
}

/* A line a job as it ends; stops at the end of the run, or (--gate) at a gate. */
static int follow_run(const struct cli_args *a, const char *text)
{
	_cleanup_(strvec_done) struct strvec seen = STRVEC_INIT;
	bool stop_at_gate = cli_has(a, "until-gate");

	for (;;) {
		_cleanup_(json_freep) struct json *run = NULL;
		const struct json *jobs;
		const char *state;
		int r = fetch_run(a, text, &run);

		if (r)
			return r;
		jobs = json_get(run, "jobs");
		for (size_t i = 0; i < json_count(jobs); i++)
			if (is_news(&seen, json_at(jobs, i)))
				job_line(json_at(jobs, i));
		fflush(stdout);
		state = json_get_str(run, "state", "");
		if (is_over(state))
			return str_eq(state, "failure") || str_eq(state, "cancelled") ? CLI_NO :
											CLI_OK;
		if (stop_at_gate && (str_eq(state, "waiting") || str_eq(state, "lost")))
			return CLI_OK;
		(void)usleep(150000); /* woken early by a signal is fine */
	}
}

static int run_runs(const struct cli_args *a)
{
	static const char *const filters[] = { "repo", "state", "branch", "event", "actor",
		"workflow", "before", NULL };
	static const char *const heads[] = { "RUN", "STATE", "REPOSITORY", "WORKFLOW", "REF",
		"COMMIT", "BY", "AGE", "TIME", NULL };
	_cleanup_(json_freep) struct json *list = NULL;
	struct json *args;
	struct cli_table *t;
	const struct json *items;
	int r;

	if (cli_arg(a, 0))
		return cli_has(a, "follow") ? follow_run(a, cli_arg(a, 0)) :
					      show_run(a, cli_arg(a, 0));
	args = json_new_object();
	for (size_t i = 0; filters[i]; i++)
		if (cli_get(a, filters[i]))
			json_set_str(args, filters[i], cli_get(a, filters[i]));
	r = remote_call(a, "run.list", args, &list);
	if (r)
		return r;
	if (remote_print_json(a, list))
		return CLI_OK;
	items = json_get(list, "items");
	if (json_count(items) == 0) {
		fputs("no run yet\n", stderr);
		return CLI_OK;
	}
	t = cli_table_new(heads, 3);
	for (size_t i = 0; i < json_count(items); i++)
		run_row(t, json_at(items, i));
	cli_table_print(t, stdout);
	cli_table_free(t);
	return CLI_OK;
}

static const struct cli_opt runs_opts[] = {
	{ "follow", 'f', NULL, "a line for each job as it ends, until the run ends" },
	{ "until-gate", 0, NULL, "with --follow: stop when a person has to decide" },
	{ "repo", 0, "OWNER/NAME", "of this repository" },
	{ "state", 0, "WORD", "as in failure, live, attention" },
	{ "branch", 0, "NAME", "of this branch or tag" },
	{ "event", 0, "NAME", "started by this event" },
	{ "actor", 0, "NAME", "started by this person" },
	{ "workflow", 0, "FILE", "of this workflow file" },
	{ "before", 0, "RUN", "older than this run" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_runs = { "runs", "look", "[RUN] [-f] [--state WORD] ...",
	"List runs, newest first, or show and follow one", runs_opts,
	"sluice runs --state failure", NULL, 0, 1, run_runs, NULL };

/* ---- status ---- */

static void status_head(const struct json *s)
{
	const struct json *paused = json_get(s, "paused");
	_cleanup_free_ char *words = NULL;
	char up[CLOCK_TEXT_MAX];

	printf("sluice %s at %s, up %s; ", json_get_str(s, "version", SLUICE_VERSION),
		json_get_str(s, "url", "this machine"),
		clock_age(json_get_int(s, "up_ms", 0), up));
	if (!json_is(paused, JSON_KIND_OBJECT)) {
		puts("not paused");
		return;
	}
	words = xasprintf("%s%s%s", json_get_str(paused, "by", "?"),
		json_get_str(paused, "why", "")[0] ? ": " : "", json_get_str(paused, "why", ""));
	fputs("PAUSED by ", stdout);
	cli_print_safe(stdout, words, strlen(words), false);
	puts("; undo: sluice resume");
}

static void status_jobs(const struct json *s)
{
	const struct json *jobs = json_get(s, "jobs");
	int64_t oldest = at(s, "oldest_queued_at");
	char age[CLOCK_TEXT_MAX];

	printf("jobs       %lld of %lld slots, %lld queued",
		(long long)json_get_int(s, "slots_used", 0),
		(long long)json_get_int(s, "slots", 0),
		(long long)json_get_int(jobs, "queued", 0));
	if (oldest > 0)
		printf(" (oldest %s)", clock_duration(clock_wall_ms() - oldest, age));
	printf(", %lld at a gate\n", (long long)json_get_int(jobs, "awaiting_approval", 0));
}

/* What waits for a person, with what to do. */
static void status_attention(const struct json *s)
{
	const struct json *runs = json_get(s, "runs");
	_cleanup_free_ char *words = disk_words(json_get(s, "disk"));
	int64_t lost = json_get_int(runs, "lost", 0), waiting = json_get_int(runs, "waiting", 0);

	if (words)
		printf("attention  %s\n", words);
	if (lost)
		printf("attention  %lld run%s lost: nobody knows how a job ended, decide: sluice "
		       "runs --state lost\n",
			(long long)lost, lost == 1 ? " is" : "s are");
	if (waiting)
		printf("attention  %lld run%s at a gate: sluice runs --state waiting\n",
			(long long)waiting, waiting == 1 ? " waits" : "s wait");
}

static void status_state(const struct json *s)
{
	const struct json *disk = json_get(s, "disk");
	const char *confinement = json_get_str(s, "confinement", "full");
	double size = (double)json_get_int(disk, "size", 0) / 1e9;

	if (!json_is(json_get(s, "url"), JSON_KIND_STRING))
		return; /* no server: the store alone was asked */
	printf("state      profile %s, %s; disk %.1f of %.1f GB\n",
		json_get_str(s, "profile", ""),
		str_eq(confinement, "full") ? "nothing weaker" : confinement,
		size - (double)json_get_int(disk, "free", 0) / 1e9, size);
}

static int run_status(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *s = NULL;
	int r = remote_call(a, "status", NULL, &s);

	if (r)
		return r;
	if (remote_print_json(a, s))
		return CLI_OK;
	status_head(s);
	status_jobs(s);
	status_attention(s);
	status_state(s);
	return CLI_OK;
}

static const struct cli_opt remote_only[] = {
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_status = { "status", "look", "", "Say what the server is doing",
	remote_only, "sluice status", NULL, 0, 0, run_status, NULL };

/* ---- deployments ---- */

static int run_deployments(const struct cli_args *a)
{
	static const char *const heads[] = { "NO", "ENVIRONMENT", "RESULT", "REF", "COMMIT",
		"RUN", "APPROVED BY", "TIME", "WHEN", NULL };
	_cleanup_(json_freep) struct json *list = NULL;
	struct json *args = json_new_object();
	const struct json *items;
	struct cli_table *t;
	int r;

	if (remote_repo(a))
		json_set_str(args, "repo", remote_repo(a));
	if (cli_arg(a, 0))
		json_set_str(args, "environment", cli_arg(a, 0));
	r = remote_call(a, "deployment.list", args, &list);
	if (r)
		return r;
	if (remote_print_json(a, list))
		return CLI_OK;
	items = json_get(list, "items");
	if (json_count(items) == 0)
		fputs("no deployment yet\n", stderr);
	t = cli_table_new(heads, 6);
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *d = json_at(items, i);
		const char *state = json_get_str(d, "state", json_get_str(d, "result", ""));
		_cleanup_free_ char *no = xasprintf("%lld",
			(long long)json_get_int(d, "number", json_get_int(d, "id", 0)));
		_cleanup_free_ char *mark = marked(state);
		_cleanup_free_ char *sha = xstrndup(json_get_str(d, "sha", ""), 7);
		_cleanup_free_ char *run = xasprintf("%lld", (long long)json_get_int(d, "run", 0));
		_cleanup_free_ char *took =
			duration_of(at(d, "started_at"), at(d, "completed_at"));
		_cleanup_free_ char *when = age_of(at(d, "created_at"));

		cli_table_row(t, no, json_get_str(d, "environment", ""), mark,
			json_get_str(d, "ref", ""), sha, run, json_get_str(d, "approvers", ""),
			took, when);
	}
	cli_table_print(t, stdout);
	cli_table_free(t);
	return CLI_OK;
}

static const struct cli_opt repo_opts[] = {
	{ "repo", 0, "OWNER/NAME", "of this repository" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_deployments = { "deployments", "look", "[ENV]",
	"List what was deployed where", repo_opts, "sluice deployments production", NULL, 0, 1,
	run_deployments, NULL };

/* ---- audit ---- */

static int run_audit(const struct cli_args *a)
{
	static const char *const heads[] = { "NO", "WHEN", "WHO", "WHAT", "DETAIL", NULL };
	_cleanup_(json_freep) struct json *list = NULL;
	struct json *args = json_new_object();
	const struct json *items;
	struct cli_table *t;
	int r;

	if (cli_get(a, "run"))
		json_set_str(args, "run", cli_get(a, "run"));
	if (cli_get(a, "verb"))
		json_set_str(args, "verb", cli_get(a, "verb"));
	if (cli_get(a, "before"))
		json_set_str(args, "before", cli_get(a, "before"));
	r = remote_call(a, "audit.list", args, &list);
	if (r)
		return r;
	if (remote_print_json(a, list))
		return CLI_OK;
	items = json_get(list, "items");
	t = cli_table_new(heads, 4);
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *e = json_at(items, i);
		_cleanup_free_ char *no = xasprintf("%lld", (long long)json_get_int(e, "id", 0));
		_cleanup_free_ char *when = age_of(
			at(e, "created_at") ? at(e, "created_at") : at(e, "recorded_at"));
		_cleanup_free_ char *detail = json_text(json_get(e, "detail"));

		cli_table_row(t, no, when, json_get_str(e, "actor", json_get_str(e, "who", "")),
			json_get_str(e, "verb", ""), str_eq(detail, "null") ? "" : detail);
	}
	cli_table_print(t, stdout);
	cli_table_free(t);
	return CLI_OK;
}

static const struct cli_opt audit_opts[] = {
	{ "run", 0, "RUN", "about this run" },
	{ "verb", 0, "PREFIX", "as in gate." },
	{ "before", 0, "NO", "older than this entry" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_audit = { "audit", "operate", "[--run RUN] [--verb PREFIX]",
	"List what was changed, by whom", audit_opts, "sluice audit --run 190", NULL, 0, 0,
	run_audit, NULL };
