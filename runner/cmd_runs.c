/* SPDX-License-Identifier: Apache-2.0 */
/* Looking: runs, status, environments, deployments, audit. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/cmd.h"
#include "runner/disk.h"
#include "runner/findings.h"
#include "runner/remote.h"

static char *marked(const char *state)
{
	return xasprintf("%s %s", cli_mark(state), state);
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
	_cleanup_free_ char *age = remote_when(run, "created_at");
	_cleanup_free_ char *took = duration_of(remote_time(run, "started_at"), remote_time(run, "completed_at"));

	cli_table_row(t, id, state, json_get_str(run, "repo", ""),
		json_get_str(run, "workflow", ""), json_get_str(run, "branch", ""), sha,
		json_get_str(run, "actor", ""), age, took);
}

/* WHY: its reason, or "" where more is said below. */
static void job_line(const struct json *job, const char *why)
{
	const char *state = json_get_str(job, "state", "");
	_cleanup_free_ char *took = duration_of(remote_time(job, "started_at"), remote_time(job, "completed_at"));

	printf("    %s%s%s ", cli_color(stdout, cli_state_color(state)), cli_mark(state),
		cli_color(stdout, CLI_PLAIN));
	cli_put(stdout, json_get_str(job, "name", ""));
	for (size_t n = strlen(json_get_str(job, "name", "")); n < 28; n++)
		putchar(' ');
	printf(" %-10s %s", str_eq(state, "awaiting_approval") ? "waiting" : state, took);
	if (why[0]) {
		printf("  ");
		cli_put(stdout, why);
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
	bool is_unplanned;
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
	is_unplanned = findings_unplanned(json_at(jobs, 0));
	for (size_t i = 0; i < json_count(jobs); i++)
		job_line(json_at(jobs, i),
			is_unplanned ? "" : json_get_str(json_at(jobs, i), "reason", ""));
	if (is_unplanned && !findings_of_job(a, json_at(jobs, 0), stdout))
		puts(json_get_str(json_at(jobs, 0), "reason", ""));
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
				job_line(json_at(jobs, i),
					json_get_str(json_at(jobs, i), "reason", ""));
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

#define RUN_STATES                                                                        \
	"live, attention, pending, queued, waiting, running, lost, success, failure, "    \
	"cancelled, skipped"

static bool is_word_of(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = words; (p = strstr(p, word)) != NULL; p += len ? len : 1)
		if (len && (p == words || p[-1] == ' ') && (p[len] == ',' || !p[len]))
			return true;
	return false;
}

/* A repository nobody has is a mistake; else there is no run, or none of that kind. */
static int none_listed(const struct cli_args *a, const char *const *filters)
{
	_cleanup_(json_freep) struct json *repo = NULL;
	const char *words = "no run yet\n";
	int r = CLI_OK;

	if (cli_get(a, "repo")) {
		struct json *args = json_new_object();

		json_set_str(args, "repo", cli_get(a, "repo"));
		r = remote_call(a, "repo.show", args, &repo);
	}
	for (size_t i = 0; filters[i]; i++)
		if (cli_get(a, filters[i]))
			words = "no such run; sluice runs shows them all\n";
	if (r == CLI_OK)
		fputs(words, stderr);
	return r;
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
	if (cli_get(a, "state") && !is_word_of(RUN_STATES, cli_get(a, "state")))
		return cli_error(a, CLI_NO, "no state '%s'; it is one of: %s", cli_get(a, "state"),
			RUN_STATES);
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
	if (json_count(items) == 0)
		return none_listed(a, filters);
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

#define ATTENTION_MAX 5 /* lines of one kind */
#define DAY_MS	      86400000LL

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
	cli_put(stdout, words);
	puts("; undo: sluice resume");
}

static void status_jobs(const struct json *s)
{
	const struct json *jobs = json_get(s, "jobs");
	int64_t oldest = remote_time(s, "oldest_queued_at");
	char age[CLOCK_TEXT_MAX];

	printf("jobs       %lld of %lld slots, %lld queued",
		(long long)json_get_int(s, "slots_used", 0),
		(long long)json_get_int(s, "slots", 0),
		(long long)json_get_int(jobs, "queued", 0));
	if (oldest > 0)
		printf(" (oldest %s)", clock_duration(clock_wall_ms() - oldest, age));
	printf(", %lld at a gate\n", (long long)json_get_int(jobs, "awaiting_approval", 0));
}

static void say_lost(const struct json *run)
{
	const struct json *jobs = json_get(run, "jobs");
	long long id = (long long)json_get_int(run, "id", 0);

	for (size_t i = 0; i < json_count(jobs); i++) {
		const struct json *j = json_at(jobs, i);

		if (!str_eq(json_get_str(j, "state", ""), "lost"))
			continue;
		printf("attention  run %lld: the outcome of its ", id);
		cli_put(stdout, json_get_str(j, "node", ""));
		printf(" is unknown, decide: sluice explain %lld/", id);
		cli_put(stdout, json_get_str(j, "node", ""));
		putchar('\n');
	}
}

static void say_waiting(const struct json *run)
{
	const struct json *gates = json_get(run, "gates");
	long long id = (long long)json_get_int(run, "id", 0);

	for (size_t i = 0; i < json_count(gates); i++) {
		const struct json *g = json_at(gates, i);
		const char *env = json_get_str(g, "environment", "");

		printf("attention  run %lld waits at ", id);
		cli_put(stdout, env[0] ? env : "its start: a maintainer lets it begin");
		printf(", %lld of %lld approvals: sluice approve %lld%s",
			(long long)json_get_int(g, "approvals", 0),
			(long long)json_get_int(g, "required", 1), id, env[0] ? " " : "");
		cli_put(stdout, env);
		putchar('\n');
	}
}

static void attention_runs(
	const struct cli_args *a, const char *state, void (*say)(const struct json *run))
{
	_cleanup_(json_freep) struct json *list = NULL;
	struct json *args = json_new_object();
	struct err err = ERR_INIT;

	json_set_str(args, "state", state);
	json_set_int(args, "limit", ATTENTION_MAX);
	if (remote_look(a, "run.list", args, &list, &err) < 0)
		return; /* the counts above stand */
	for (size_t i = 0; i < json_count(json_get(list, "items")); i++)
		say(json_at(json_get(list, "items"), i));
}

/* Deliveries of the last day that became no run, though they were accepted. */
static void attention_events(const struct cli_args *a, const struct json *s)
{
	_cleanup_(json_freep) struct json *list = NULL;
	const struct json *items;
	struct err err = ERR_INIT;
	int shown = 0;

	if (remote_look(a, "delivery.list", NULL, &list, &err) < 0)
		return;
	items = json_get(list, "items");
	for (size_t i = 0; i < json_count(items) && shown < ATTENTION_MAX; i++) {
		const struct json *d = json_at(items, i);
		int64_t old = clock_wall_ms() - remote_time(d, "received_at");
		char age[CLOCK_TEXT_MAX];

		if (!str_eq(json_get_str(d, "event_state", ""), "failed") || old > DAY_MS)
			continue;
		printf("attention  a %s of ", json_get_str(d, "event", "push"));
		cli_put(stdout, json_get_str(d, "repo", ""));
		printf(" became no run %s ago: ", clock_age(old, age));
		cli_put(stdout, json_get_str(d, "event_reason", ""));
		fputs("; sluice repo check ", stdout);
		cli_put(stdout, json_get_str(d, "repo", ""));
		printf(", then plan it again: %s/deliveries/%lld\n", json_get_str(s, "url", ""),
			(long long)json_get_int(d, "id", 0));
		shown++;
	}
}

/* What waits for a person, with what to do. */
static void status_attention(const struct cli_args *a, const struct json *s)
{
	const struct json *runs = json_get(s, "runs");
	_cleanup_free_ char *words = disk_words(json_get(s, "disk"));
	int64_t lost = json_get_int(runs, "lost", 0), waiting = json_get_int(runs, "waiting", 0);

	if (words)
		printf("attention  %s\n", words);
	if (lost)
		attention_runs(a, "lost", say_lost);
	if (waiting)
		attention_runs(a, "waiting", say_waiting);
	if (json_get_int(json_get(s, "events"), "failed", 0))
		attention_events(a, s);
}

static void status_state(const struct json *s)
{
	const struct json *disk = json_get(s, "disk");
	const char *confinement = json_get_str(s, "confinement", "full");
	double size = (double)json_get_int(disk, "size", 0) / 1e9;

	if (!json_is(json_get(s, "url"), JSON_KIND_STRING))
		return; /* no server: the store alone was asked */
	printf("state      profile %s, %s; disk %.0f of %.0f GB\n",
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
	status_attention(a, s);
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

/* "2026-05-08 16:20" of here, on a terminal: what was deployed when is looked up by its day. */
static char *minute_of(int64_t when)
{
	char text[CLOCK_TEXT_MAX];
	time_t s = when / 1000;
	struct tm tm;

	if (when <= 0)
		return xstrdup("");
	if (!cli_is_terminal(stdout) || !localtime_r(&s, &tm) ||
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M", &tm) == 0)
		return xstrdup(clock_format(when, text));
	return xstrdup(text);
}

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
	if (json_count(items) == 0) {
		fputs("no deployment yet\n", stderr);
		return CLI_OK;
	}
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
			duration_of(remote_time(d, "created_at"), remote_time(d, "completed_at"));
		_cleanup_free_ char *when = minute_of(remote_time(d, "created_at"));

		cli_table_row(t, no, json_get_str(d, "environment", ""), mark,
			json_get_str(d, "branch", ""), sha, run, json_get_str(d, "approvers", ""),
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
	if (json_count(items) == 0) {
		fputs("nothing of that kind was changed\n", stderr);
		return CLI_OK;
	}
	t = cli_table_new(heads, 4);
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *e = json_at(items, i);
		_cleanup_free_ char *no = xasprintf("%lld", (long long)json_get_int(e, "id", 0));
		_cleanup_free_ char *when = remote_when(e, "created_at");
		const struct json *d = json_get(e, "detail");
		_cleanup_free_ char *detail = json_is(d, JSON_KIND_STRING) ?
			xstrdup(json_as_str(d, "")) :
			json_text(d);

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
