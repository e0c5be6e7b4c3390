/* SPDX-License-Identifier: Apache-2.0 */
/* Deciding: cancel, re-run, dispatch, approve, reject, pause, resume. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/cmd.h"
#include "runner/gate_text.h"
#include "runner/remote.h"

static int run_cancel(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	struct json *args = json_new_object();
	int r;

	json_set_str(args, "run", cli_arg(a, 0));
	if (cli_has(a, "force"))
		json_set_bool(args, "force", true);
	r = remote_call(a, "run.cancel", args, &ret);
	if (r == 0 && !remote_print_json(a, ret))
		fprintf(stderr, "cancel: run %s is being cancelled\n", cli_arg(a, 0));
	return r;
}

static int run_rerun(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	_cleanup_free_ char *run = NULL, *job = NULL;
	struct json *args = json_new_object();
	int r;

	remote_split(cli_arg(a, 0), &run, &job);
	json_set_str(args, "run", run);
	if (job[0])
		json_set_str(args, "job", job);
	if (cli_has(a, "failed"))
		json_set_bool(args, "failed", true);
	r = remote_call(a, "run.rerun", args, &ret);
	if (r == 0 && !remote_print_json(a, ret))
		fprintf(stderr, "rerun: run %s, attempt %lld\n", run,
			(long long)json_get_int(ret, "attempt", 0));
	return r;
}

static int run_dispatch(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	struct json *args = json_new_object(), *inputs = json_new_object();
	const char *repo = remote_repo(a), *pair;
	int r;

	if (!repo) {
		json_free(args);
		json_free(inputs);
		return cli_error(a, CLI_USAGE, "which repository? give --repo OWNER/NAME or set "
					       "SLUICE_REPO");
	}
	json_set_str(args, "repo", repo);
	json_set_str(args, "workflow", cli_arg(a, 0));
	if (cli_get(a, "ref"))
		json_set_str(args, "ref", cli_get(a, "ref"));
	for (size_t i = 0; (pair = cli_nth(a, "input", i)) != NULL; i++) {
		_cleanup_free_ char *name = xstrndup(pair, strcspn(pair, "="));

		json_set_str(inputs, name, strchr(pair, '=') ? strchr(pair, '=') + 1 : "");
	}
	json_set(args, "inputs", inputs);
	r = remote_call(a, "run.dispatch", args, &ret);
	if (r == 0 && !remote_print_json(a, ret))
		fprintf(stderr, "dispatch: accepted as event %lld; sluice runs shows it\n",
			(long long)json_get_int(ret, "event", 0));
	return r;
}

/* ---- gates ---- */

static const struct json *pending_gate(const struct json *run, const char *environment,
	size_t *ret_count)
{
	const struct json *gates = json_get(run, "gates"), *found = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < json_count(gates); i++) {
		const struct json *g = json_at(gates, i);

		if (!str_eq(json_get_str(g, "state", "pending"), "pending"))
			continue;
		if (environment && !str_eq(environment, json_get_str(g, "environment", "")))
			continue;
		found = g;
		(*ret_count)++;
	}
	return found;
}

/* The environment's name, typed by a person; anything else leaves it waiting. */
static bool confirmed(const char *environment)
{
	char line[256];

	fputs("Type the environment's name to deploy, anything else leaves it waiting: ",
		stderr);
	if (!fgets(line, sizeof(line), stdin)) {
		fputc('\n', stderr);
		return false;
	}
	line[strcspn(line, "\n")] = '\0';
	return strcmp(line, environment) == 0;
}

/* The last gate of ENVIRONMENT (NULL: of the run), whatever became of it; or NULL. */
static const struct json *last_gate(const struct json *run, const char *environment)
{
	const struct json *gates = json_get(run, "gates"), *found = NULL;

	for (size_t i = 0; i < json_count(gates); i++)
		if (!environment ||
			str_eq(environment, json_get_str(json_at(gates, i), "environment", "")))
			found = json_at(gates, i);
	return found;
}

/* Nothing waits: what was decided before, by whom, or where the run is. */
static int nothing_waits(const struct cli_args *a, const struct json *run,
	const char *environment, const char *decision)
{
	const struct json *gate = last_gate(run, environment);
	const char *name = cli_arg(a, 0), *by = json_get_str(gate, "decided_by", "");
	const char *why = json_get_str(gate, "reason", "");
	const char *state = json_get_str(gate, "state", "");
	_cleanup_free_ char *was = NULL;

	if (!gate)
		return cli_error(a, CLI_NO,
			"run %s has no gate%s%s that waits; sluice runs %s shows where it is", name,
			environment ? " of " : "", environment ? environment : "", name);
	/* "superseded by run 219 (c9d0e11)" says it all; else the reason is somebody's comment. */
	was = str_starts(why, state) ? xstrdup(why) :
				       xasprintf("%s%s%s", state, by[0] ? " by " : "", by);
	return cli_error(a, CLI_NO, "the gate %s of run %s was %s: nothing was %s; sluice runs %s "
				    "shows where it is",
		json_get_str(gate, "environment", ""), name, was,
		str_eq(decision, "approve") ? "approved" : "rejected", name);
}

static struct json *gate_args(const struct json *gate)
{
	struct json *args = json_new_object();

	json_set_int(args, "gate", json_get_int(gate, "id", 0));
	return args;
}

/* All that will be deployed, before anybody decides. */
static void show_gate(const struct cli_args *a, const struct json *gate)
{
	_cleanup_(json_freep) struct json *shown = NULL;
	_cleanup_(json_freep) struct json *changes = NULL;
	_cleanup_(json_freep) struct json *status = NULL;
	struct err err = ERR_INIT, why = ERR_INIT;
	bool known;

	if (cli_quiet(a) || cli_json(a) ||
		remote_look(a, "gate.show", gate_args(gate), &shown, &err) < 0)
		return;
	known = remote_look(a, "gate.changes", gate_args(gate), &changes, &why) == 0;
	if (remote_look(a, "status", NULL, &status, &err) < 0)
		status = NULL;
	gate_describe(stderr, shown, changes, known ? NULL : why.msg,
		json_get_str(status, "url", NULL));
}

/* Shows it; then a yes to the question, which naming the environment was already. */
static int confirm(const struct cli_args *a, const struct json *gate, const char *decision)
{
	const char *environment = json_get_str(gate, "environment", "");
	bool asks = !cli_arg(a, 1) && str_eq(decision, "approve");

	if (asks && (isatty(0) != 1 || isatty(2) != 1))
		return cli_error(a, CLI_USAGE,
			"not a terminal: name what you approve: sluice approve %s %s", cli_arg(a, 0),
			environment);
	show_gate(a, gate);
	if (asks && !confirmed(environment))
		return cli_error(a, CLI_NO, "nothing was approved; it goes on waiting");
	return CLI_OK;
}

static int decide(const struct cli_args *a, const char *decision)
{
	_cleanup_(json_freep) struct json *run = NULL;
	_cleanup_(json_freep) struct json *ret = NULL;
	_cleanup_(json_freep) struct json *after = NULL;
	struct json *args = json_new_object();
	const struct json *gate;
	const char *environment = cli_arg(a, 1), *name = cli_arg(a, 0);
	struct err err = ERR_INIT;
	size_t count;
	int r;

	json_set_str(args, "run", name);
	r = remote_call(a, "run.show", args, &run);
	if (r)
		return r;
	gate = pending_gate(run, environment, &count);
	if (!gate)
		return nothing_waits(a, run, environment, decision);
	if (count > 1)
		return cli_error(a, CLI_USAGE, "run %s waits at %zu gates; name the environment",
			name, count);
	r = confirm(a, gate, decision);
	if (r)
		return r;
	args = gate_args(gate);
	json_set_str(args, "decision", decision);
	json_set_str(args, "comment", cli_get(a, "comment") ? cli_get(a, "comment") : "");
	/* What was shown goes along: another one at the server is refused. */
	json_set_str(args, "digest",
		json_get_str(gate, "digest", json_get_str(run, "workflow_digest", "")));
	json_set_str(args, "sha", json_get_str(run, "sha", ""));
	r = remote_call(a, "gate.decide", args, &ret);
	if (r || remote_print_json(a, ret))
		return r;
	if (remote_look(a, "gate.show", gate_args(gate), &after, &err) == 0)
		gate_decided(stderr, after, decision);
	return CLI_OK;
}

static int run_approve(const struct cli_args *a)
{
	return decide(a, "approve");
}

static int run_reject(const struct cli_args *a)
{
	return decide(a, "reject");
}

static int run_pause(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	struct json *args = json_new_object();
	int r;

	json_set_str(args, "why", cli_get(a, "why") ? cli_get(a, "why") : "");
	r = remote_call(a, "pause", args, &ret);
	if (r == 0 && !remote_print_json(a, ret))
		fputs("pause: running jobs go on, nothing new starts; undo: sluice resume\n",
			stderr);
	return r;
}

static int run_resume(const struct cli_args *a)
{
	_cleanup_(json_freep) struct json *ret = NULL;
	int r = remote_call(a, "resume", NULL, &ret);

	if (r == 0 && !remote_print_json(a, ret))
		fputs("resume: queued jobs start again\n", stderr);
	return r;
}

static const struct cli_opt cancel_opts[] = {
	{ "force", 0, NULL, "kill at once, always() steps too" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};
static const struct cli_opt rerun_opts[] = {
	{ "failed", 0, NULL, "failed and cancelled jobs, and what depends on them" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};
static const struct cli_opt dispatch_opts[] = {
	{ "repo", 0, "OWNER/NAME", "the repository ($SLUICE_REPO)" },
	{ "ref", 0, "REF", "branch or tag; default: the default branch" },
	{ "input", 0, "K=V", "an input; may be repeated" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};
static const struct cli_opt decide_opts[] = {
	{ "comment", 0, "TEXT", "kept with the vote" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};
static const struct cli_opt pause_opts[] = {
	{ "why", 0, "TEXT", "shown on the pages" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};
static const struct cli_opt resume_opts[] = {
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_cancel = { "cancel", "decide", "RUN [--force]", "Cancel a run",
	cancel_opts, "sluice cancel 213", NULL, 1, 1, run_cancel, NULL };
const struct cli_verb verb_rerun = { "rerun", "decide", "[--failed] RUN[/JOB]",
	"Run a finished run again, all of it or what failed", rerun_opts,
	"sluice rerun --failed 213", NULL, 1, 1, run_rerun, NULL };
const struct cli_verb verb_dispatch = { "dispatch", "decide",
	"WORKFLOW --repo OWNER/NAME [--ref REF] [--input K=V]",
	"Start a workflow that has workflow_dispatch", dispatch_opts,
	"sluice dispatch deploy.yml --repo acme/takeoff --input version=v2.4.0", NULL, 1, 1,
	run_dispatch, NULL };
const struct cli_verb verb_approve = { "approve", "decide", "RUN [ENV] [--comment TEXT]",
	"Approve the gate a run waits at", decide_opts, "sluice approve 218 production", NULL, 1,
	2, run_approve, NULL };
const struct cli_verb verb_reject = { "reject", "decide", "RUN [ENV] [--comment TEXT]",
	"Reject the gate a run waits at", decide_opts,
	"sluice reject 218 production --comment 'not on a Friday'", NULL, 1, 2, run_reject,
	NULL };
const struct cli_verb verb_pause = { "pause", "operate", "[--why TEXT]",
	"Start no more jobs; running ones go on", pause_opts, "sluice pause --why 'disk swap'",
	NULL, 0, 0, run_pause, NULL };
const struct cli_verb verb_resume = { "resume", "operate", "", "Start jobs again",
	resume_opts, "sluice resume", NULL, 0, 0, run_resume, NULL };
