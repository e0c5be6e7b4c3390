/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sluice run`: workflows of a tree on this machine, by the server's own core on a store in
 * memory. What is special here: the event comes from flags, the spawner is our child, a
 * gate is answered at the terminal, and everything ends with us.
 */
#include "runner/cmd.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/helper.h"
#include "runner/core.h"
#include "runner/run-internal.h"
#include "runner/run_place.h"
#include "runner/spawner.h"
#include "sandbox/sandbox.h"
#include "store/environments.h"
#include "store/gates.h"
#include "store/jobs.h"
#include "store/query.h"
#include "store/repos.h"
#include "store/tokens.h"

enum {
	TICK_MS = 100,
	LEAVE_MS = 10 * 1000, /* executors that were told to go */
};

struct app {
	struct run_options o;
	struct run_event e;
	struct config *config;
	struct run_view view;
	struct loop *loop;
	struct core *core;
	struct core_options co;
	struct run_place place;
	pid_t spawner;
	char *helper;
	int64_t event, repo;
	bool is_dirty, is_planned, has_begun, is_over, has_cancelled;
	int interrupts, status;
	struct strvec secrets; /* NAME=VALUE, names in upper case */
	struct strvec refused; /* environments whose gate was answered */
	struct loop_source *prompt;
	int64_t prompt_gate;
	char *prompt_env;
	struct strbuf answer;
};

static void show_dirty(struct app *a);

/* ---- flags ------------------------------------------------------------------------- */

static const struct cli_opt run_opts[] = {
	{ "workflow", 'W', "FILE|DIR",
		"workflow file, or a folder of them (.github/workflows)" },
	{ "event", 0, "NAME", "the event (push)" },
	{ "payload", 0, "FILE", "its JSON payload: github.event" },
	{ "job", 'j', "JOB", "this job and what it needs; may be repeated" },
	{ "matrix", 0, "KEY:VALUE", "only rows that fit; may be repeated" },
	{ "input", 0, "K=V", "an input of workflow_dispatch or workflow_call" },
	{ "secret", 0, "K[=V]", "a secret; without V from the environment or a prompt" },
	{ "secret-file", 0, "FILE", "secrets, K=V a line" },
	{ "var", 0, "K=V", "a variable of the vars context" },
	{ "env", 0, "K=V", "into the env context, below the workflow's own" },
	{ "env-file", 0, "FILE", "K=V a line" },
	{ "actions-dir", 0, "DIR", "DIR/OWNER/REPO: git work trees of actions" },
	{ "approve", 0, "ENV", "open the gate of this environment; may be repeated" },
	{ "network", 0, "LEVEL", "none, proxy, egress or host" },
	{ "in-place", 0, NULL, "let the jobs write into the tree itself" },
	{ "list", 0, NULL, "list the jobs and stop" },
	{ "dry-run", 0, NULL, "say what would run and stop" },
	{ "format", 0, "text|json", "json: one object a line" },
	{ NULL, 0, NULL, NULL },
};

static void take_all(const struct cli_args *args, const char *name, struct strvec *to)
{
	const char *v;

	for (size_t i = 0; (v = cli_nth(args, name, i)); i++)
		(void)strvec_push(to, v);
}

/* K=V a line; blank lines and those led by '#' are skipped, quotes around V are taken off. */
static int take_file(const char *path, struct strvec *to, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct strvec lines = STRVEC_INIT;
	int rc = 0, n = 0;

	if (fd_read_file(AT_FDCWD, path, LIMIT_ENV_FILE, &text, err) < 0)
		return -1;
	strvec_split(&lines, text.buf, '\n');
	strvec_foreach (line, &lines) {
		char *s = *line, *eq = strchr(s, '=');
		size_t len;

		n++;
		while (*s == ' ' || *s == '\t')
			s++;
		if (!*s || *s == '#' || *s == '\r')
			continue;
		if (!eq || eq == s) {
			rc = err_set(err, ERR_INPUT, "'%s:%d' is no K=V", path, n);
			break;
		}
		if (str_starts(s, "export "))
			s += strlen("export ");
		len = strlen(eq + 1);
		if (len > 0 && eq[len] == '\r')
			eq[len--] = '\0';
		if (len >= 2 && (eq[1] == '"' || eq[1] == '\'') && eq[len] == eq[1]) {
			eq[len] = '\0';
			memmove(eq + 1, eq + 2, len - 1);
		}
		(void)strvec_push(to, s);
	}
	strvec_done(&lines);
	return rc;
}

static int take_files(
	const struct cli_args *args, const char *name, struct strvec *to, struct err *err)
{
	const char *path;

	for (size_t i = 0; (path = cli_nth(args, name, i)); i++)
		if (take_file(path, to, err) < 0)
			return -1;
	return 0;
}

static int check_pairs(
	const struct strvec *list, const char *flag, char sep, struct err *err)
{
	strvec_foreach (v, list) {
		const char *at = strchr(*v, sep);

		if (!at || at == *v)
			return err_set(
				err, ERR_INPUT, "--%s '%.64s' is no K%cV", flag, *v, sep);
	}
	return 0;
}

static int take_options(
	const struct cli_args *args, struct run_options *o, struct err *err)
{
	const char *format = cli_get(args, "format");
	enum sandbox_network level;

	*o = (struct run_options){ .args = args,
		.where = cli_get(args, "workflow"),
		.event = cli_get(args, "event"),
		.payload = cli_get(args, "payload"),
		.dir = cli_arg(args, 0),
		.actions_dir = cli_get(args, "actions-dir"),
		.network = cli_get(args, "network"),
		.jobs = STRVEC_INIT,
		.matrix = STRVEC_INIT,
		.inputs = STRVEC_INIT,
		.secrets = STRVEC_INIT,
		.vars = STRVEC_INIT,
		.env = STRVEC_INIT,
		.approve = STRVEC_INIT,
		.in_place = cli_has(args, "in-place"),
		.is_quiet = cli_quiet(args),
		.is_verbose = cli_verbose(args),
		.is_json = cli_json(args) };
	if (format && !str_eq(format, "text") && !str_eq(format, "json"))
		return err_set(
			err, ERR_INPUT, "--format is text or json, not '%s'", format);
	if (o->network && sandbox_network_parse(o->network, &level) < 0)
		return err_set(err, ERR_INPUT,
			"--network is none, proxy, egress or host, not '%s'", o->network);
	take_all(args, "job", &o->jobs);
	take_all(args, "matrix", &o->matrix);
	take_all(args, "input", &o->inputs);
	take_all(args, "var", &o->vars);
	take_all(args, "approve", &o->approve);
	if (take_files(args, "secret-file", &o->secrets, err) < 0 ||
		take_files(args, "env-file", &o->env, err) < 0)
		return -1;
	take_all(args, "secret", &o->secrets);
	take_all(args, "env", &o->env);
	if (check_pairs(&o->matrix, "matrix", ':', err) < 0 ||
		check_pairs(&o->inputs, "input", '=', err) < 0 ||
		check_pairs(&o->vars, "var", '=', err) < 0)
		return -1;
	return check_pairs(&o->env, "env", '=', err);
}

static void options_done(struct run_options *o)
{
	strvec_done(&o->jobs);
	strvec_done(&o->matrix);
	strvec_done(&o->inputs);
	strvec_done(&o->secrets);
	strvec_done(&o->vars);
	strvec_done(&o->env);
	strvec_done(&o->approve);
}

/* ---- secrets ----------------------------------------------------------------------- */

static int prompt_secret(const char *name, struct strbuf *out, struct err *err)
{
	struct termios was, quiet;
	char buf[4096];

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return err_set(err, ERR_INPUT,
			"secret '%s' is not in the environment and there is no terminal to ask; "
			"give --secret-file FILE",
			name);
	(void)fprintf(stderr, "Value of %s (not shown): ", name);
	if (tcgetattr(STDIN_FILENO, &was) == 0) {
		quiet = was;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	if (!fgets(buf, sizeof(buf), stdin))
		buf[0] = '\0';
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
	(void)fputc('\n', stderr);
	buf[strcspn(buf, "\r\n")] = '\0';
	strbuf_adds(out, buf);
	explicit_bzero(buf, sizeof(buf));
	return 0;
}

static void warn_visible(void)
{
	static bool is_said;

	if (is_said || !isatty(STDERR_FILENO))
		return;
	is_said = true;
	(void)fputs(
		"run: a value after --secret is seen by every user of this machine; "
		"use --secret K (from the environment or a prompt) or --secret-file\n",
		stderr);
}

static int take_secrets(struct app *a, struct err *err)
{
	for (size_t i = 0; cli_nth(a->o.args, "secret", i); i++)
		if (strchr(cli_nth(a->o.args, "secret", i), '='))
			warn_visible();
	strvec_foreach (pair, &a->o.secrets) {
		_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
		const char *eq = strchr(*pair, '='), *env = getenv(*pair);
		size_t n = eq ? (size_t)(eq - *pair) : strlen(*pair);

		for (size_t k = 0; k < n; k++)
			strbuf_addc(&text, (char)toupper((unsigned char)(*pair)[k]));
		strbuf_addc(&text, '=');
		if (eq)
			strbuf_adds(&text, eq + 1);
		else if (env)
			strbuf_adds(&text, env);
		else if (prompt_secret(*pair, &text, err) < 0)
			return -1;
		(void)strvec_push(&a->secrets, text.buf);
	}
	return 0;
}

static const char *secret_value(const struct app *a, const char *name)
{
	size_t n = strlen(name);

	strvec_foreach (pair, &a->secrets)
		if (strncmp(*pair, name, n) == 0 && (*pair)[n] == '=')
			return *pair + n + 1;
	return NULL;
}

static void on_secrets(
	int64_t job, const struct json *names, struct json *ret, void *data)
{
	struct app *a = data;
	struct run_job *j = run_view_job(&a->view, job);

	for (size_t i = 0; i < json_count(names); i++) {
		const char *name = json_as_str(json_at(names, i), ""),
			   *value = secret_value(a, name);
		_cleanup_free_ char *text = NULL;

		if (value) {
			json_set_str(ret, name, value);
			continue;
		}
		if (str_eq(name, "*")) {
			strvec_foreach (pair, &a->secrets) {
				const char *eq = strchr(*pair, '=');
				_cleanup_free_ char *key =
					xstrndup(*pair, (size_t)(eq - *pair));

				json_set_str(ret, key, eq + 1);
			}
			continue;
		}
		if (str_eq(name, "GITHUB_TOKEN"))
			continue;
		text = xasprintf("warning: secrets.%s is empty: sluice run --secret %s",
			name, name);
		if (a->view.show->say)
			a->view.show->say(&a->view, j, text);
	}
}

/* ---- what core asks ---------------------------------------------------------------- */

static void on_plan(struct json *plan, void *data)
{
	struct app *a = data;
	struct err err = ERR_INIT;

	/* A file without that job has no part in it. */
	if (run_select_jobs(plan, &a->o.jobs, &err) < 0)
		json_set(plan, "jobs", json_new_array());
}

static void on_expansion(struct json *x, void *data)
{
	struct app *a = data;

	run_select_rows(x, &a->o.matrix);
}

static void on_spec(int64_t job, struct json *spec, void *data)
{
	struct app *a = data;
	struct json *source = json_new_object(), *env = json_new_object();

	(void)job;
	json_set_str(source, "kind", "tree");
	json_set_str(source, "path", a->e.root);
	json_set_bool(source, "in_place", a->o.in_place);
	if (a->e.git.url)
		json_set_str(source, "clone_url", a->e.git.url);
	json_set_str(source, "ref", json_get_str(a->e.github, "ref", ""));
	json_set_str(source, "sha", json_get_str(a->e.github, "sha", ""));
	json_set(spec, "source", source);
	strvec_foreach (pair, &a->o.env) {
		const char *eq = strchr(*pair, '=');
		_cleanup_free_ char *name = xstrndup(*pair, (size_t)(eq - *pair));

		json_set_str(env, name, eq + 1);
	}
	json_set(spec, "env", env);
}

static int on_source(const char *repository, const char *ref, const char *path,
	struct strbuf *out, void *data, struct err *err)
{
	struct app *a = data;
	return run_event_source(&a->e, repository, ref, path, out, err);
}

/* ---- gates ------------------------------------------------------------------------- */

static void vote(struct app *a, int64_t id, bool approves, const char *comment)
{
	_cleanup_(gate_done) struct gate gate = { 0 };
	struct gate_vote v = { .gate = id,
		.who = { "user", "you", NULL },
		.has_scope = true,
		.approves = approves,
		.comment = comment };
	struct gate_result result;
	struct err err = ERR_INIT;

	if (gates_get(core_store(a->core), id, &gate, &err) == 0)
		v.digest = gate.digest; /* what runs here is this tree, planned once */
	if (core_begin(a->core, &err) < 0 ||
		gates_vote(core_store(a->core), &v, &result, &err) < 0)
		log_warnx("gate=%" PRId64 " %s", id, err.msg);
	core_wake(a->core);
}

static void prompt_end(struct app *a)
{
	loop_remove(a->prompt);
	a->prompt = NULL;
	strbuf_done(&a->answer);
	free(a->prompt_env);
	a->prompt_env = NULL;
	a->prompt_gate = 0;
}

static void on_answer(struct loop *l, int fd, uint32_t events, void *data)
{
	struct app *a = data;
	char buf[256];
	ssize_t n = read(fd, buf, sizeof(buf));
	_cleanup_free_ char *comment = NULL;
	bool is_yes;

	(void)l;
	(void)events;
	if (n > 0)
		strbuf_add(&a->answer, buf, (size_t)n);
	if (n > 0 && !memchr(a->answer.buf, '\n', a->answer.len) && a->answer.len < 1024)
		return;
	strbuf_truncate(&a->answer, strcspn(a->answer.buf, "\r\n"));
	is_yes = str_eq(a->answer.buf, a->prompt_env);
	comment = xasprintf("gate %s: not opened at the terminal", a->prompt_env);
	vote(a, a->prompt_gate, is_yes, is_yes ? "at the terminal" : comment);
	prompt_end(a);
	a->is_dirty = true;
}

static bool is_approved(const struct app *a, const char *env)
{
	strvec_foreach (name, &a->o.approve)
		if (strcasecmp(*name, env) == 0)
			return true;
	return false;
}

static void answer_gate(struct app *a, const struct json *g)
{
	int64_t id = json_get_int(g, "id", 0);
	const char *env = json_get_str(g, "environment", "");
	_cleanup_free_ char *key = xasprintf("%" PRId64, id), *why = NULL;
	bool is_terminal = isatty(STDIN_FILENO) && isatty(STDERR_FILENO) && !a->o.is_json;

	if (strvec_has(&a->refused, key) || a->prompt)
		return;
	(void)strvec_push(&a->refused, key);
	if (is_approved(a, env)) {
		vote(a, id, true, "--approve");
	} else if (is_terminal) {
		(void)fprintf(stderr,
			"gate %s: type the environment's name to deploy, anything else "
			"refuses: ",
			env);
		a->prompt_gate = id;
		a->prompt_env = xstrdup(env);
		a->prompt = loop_add_fd(a->loop, STDIN_FILENO, EPOLLIN, on_answer, a);
	} else {
		why = xasprintf("gate %s: no terminal and no --approve %s", env, env);
		vote(a, id, false, why);
	}
}

/* ---- following --------------------------------------------------------------------- */

static void resolve_lost(struct app *a, int64_t job)
{
	const struct actor who = { "user", "you", NULL };
	struct err err = ERR_INIT;

	if (core_begin(a->core, &err) < 0 ||
		jobs_resolve_lost(core_store(a->core), job, CONCLUSION_FAILURE,
			"its executor died", &who, &err) < 0)
		log_warnx("job=%" PRId64 " %s", job, err.msg);
	core_wake(a->core);
}

static void judge(struct app *a, const char *conclusion)
{
	static const char *const order[] = { "failure", "cancelled", "success",
		"skipped" };

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		if (str_eq(order[i], conclusion) ||
			(a->view.conclusion && str_eq(order[i], a->view.conclusion))) {
			free(a->view.conclusion);
			a->view.conclusion = xstrdup(order[i]);
			return;
		}
	}
}

/* False: it still goes on. */
static bool follow_run(struct app *a, int64_t id)
{
	_cleanup_(json_freep) struct json *run = NULL;
	const struct json *gates, *jobs;
	struct err err = ERR_INIT;

	if (query_run(core_store(a->core), id, 0, &run, &err) < 0) {
		log_err("run %" PRId64 ": %s", id, err.msg);
		return true;
	}
	if (!a->has_begun && a->view.jobs_len == 0) {
		const struct run_show *show = a->view.show;
		struct run_show quiet = { 0 };

		/* The first line names the number of jobs, so the jobs are counted first. */
		a->view.show = &quiet;
		run_view_update(&a->view, run);
		a->view.show = show;
	}
	gates = json_get(run, "gates");
	for (size_t i = 0; i < json_count(gates); i++)
		if (str_eq(json_get_str(json_at(gates, i), "state", ""), "pending"))
			answer_gate(a, json_at(gates, i));
	jobs = json_get(run, "jobs");
	for (size_t i = 0; i < json_count(jobs); i++)
		if (str_eq(json_get_str(json_at(jobs, i), "state", ""), "lost"))
			resolve_lost(a, json_get_int(json_at(jobs, i), "id", 0));
	if (a->has_begun)
		run_view_update(&a->view, run);
	if (!*json_get_str(run, "conclusion", ""))
		return false;
	judge(a, json_get_str(run, "conclusion", ""));
	return true;
}

static void on_planned(const char *reason, const struct json *detail, void *data)
{
	struct app *a = data;
	const struct json *list = json_get(detail, "findings");

	a->is_planned = true;
	a->is_dirty = true;
	if (!reason)
		return;
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *f = json_at(list, i);
		const char *hint = json_get_str(f, "hint", NULL);

		(void)fprintf(stderr, "%s:%" PRId64 ":%" PRId64 ": %s [%s]\n",
			json_get_str(f, "file", ""), json_get_int(f, "line", 0),
			json_get_int(f, "column", 0), json_get_str(f, "message", ""),
			json_get_str(f, "code", ""));
		if (hint)
			(void)fprintf(stderr, "  %s\n", hint);
	}
	if (json_count(list) == 0)
		(void)cli_error(a->o.args, CLI_NO, "%s", reason);
	judge(a, "failure");
	a->is_over = true;
}

static bool follow_all(struct app *a)
{
	struct query_runs q = { .limit = QUERY_PAGE_MAX };
	_cleanup_(json_freep) struct json *list = NULL;
	struct err err = ERR_INIT;
	const struct json *items;
	bool is_done = true;

	if (query_runs(core_store(a->core), &q, &list, &err) < 0) {
		log_err("cannot read the runs: %s", err.msg);
		return true;
	}
	items = json_get(list, "items");
	for (size_t i = json_count(items); i > 0; i--)
		is_done = follow_run(a, json_get_int(json_at(items, i - 1), "id", 0)) &&
			  is_done;
	return is_done;
}

static void show_dirty(struct app *a)
{
	bool is_done;

	a->is_dirty = false;
	if (!a->is_planned || a->is_over)
		return;
	is_done = follow_all(a);
	if (!a->has_begun) {
		a->has_begun = true;
		if (a->view.show->begin)
			a->view.show->begin(&a->view);
		is_done = follow_all(a);
	}
	if (is_done)
		a->is_over = true;
}

static void on_turn(struct loop *l, void *data)
{
	struct app *a = data;

	if (a->is_dirty)
		show_dirty(a);
	if (ferror(stdout) && !a->has_cancelled) {
		/* Nobody reads any more: no reason to go on, and nothing to say. */
		a->has_cancelled = true;
		core_cancel_all(a->core, "the reader is gone", true);
	}
	if (a->is_over)
		loop_stop(l, 0);
}

static void on_changed(const struct store_change *c, void *data)
{
	(void)c;
	((struct app *)data)->is_dirty = true;
}

static void on_frame(int64_t job, const struct journal_frame *f, void *data)
{
	struct app *a = data;

	if (a->is_dirty)
		show_dirty(a); /* rows that came with the last commit */
	run_view_frame(&a->view, job, f);
}

static void on_log(int64_t job, int64_t size, void *data)
{
	run_view_log(&((struct app *)data)->view, job, size);
}

/* Nobody else makes jobs here, and one that was killed or could not begin is not replaced. */
static void look_at_spawner(struct app *a)
{
	if (a->spawner <= 0 || a->is_over || waitpid(a->spawner, NULL, WNOHANG) == 0)
		return;
	a->spawner = 0;
	fputs("sluice run: the process that confines jobs has ended; no job can run without it\n",
		stderr);
	judge(a, "failure");
	a->is_over = true;
	loop_stop(a->loop, 0);
}

static void on_tick(struct loop *l, void *data)
{
	struct app *a = data;

	look_at_spawner(a);
	if (a->view.show->tick && a->has_begun)
		a->view.show->tick(&a->view);
	(void)loop_add_timer(l, TICK_MS, on_tick, a);
}

static void on_signal(struct loop *l, const struct signalfd_siginfo *si, void *data)
{
	struct app *a = data;

	(void)l;
	a->interrupts++;
	a->status = (int)si->ssi_signo;
	a->has_cancelled = true;
	if (a->prompt)
		prompt_end(a);
	if (a->view.show->say)
		a->view.show->say(&a->view, NULL,
			a->interrupts == 1 ? "cancelling; once more kills" : "killing");
	core_cancel_all(a->core, "Ctrl-C", a->interrupts > 1);
	if (!a->is_planned || a->interrupts > 2) {
		judge(a, "cancelled");
		a->is_over = true;
		loop_stop(a->loop, 0);
	}
}

/* ---- setting up -------------------------------------------------------------------- */

static void fill_core_options(struct app *a)
{
	const struct config *cfg = a->config;
	struct core_options *o = &a->co;

	o->data_dir = a->place.dir;
	o->store = ":memory:";
	o->helper = a->helper;
	o->planners = 1;
	o->is_run = true;
	o->capacity = cfg->capacity;
	(void)strvec_push(&o->labels, "*");
	o->profile = cfg->profile;
	o->network = a->o.network ? a->o.network : cfg->network_default;
	o->network_untrusted = cfg->network_untrusted;
	strvec_foreach (host, &cfg->network_allow)
		(void)strvec_push(&o->network_allow, *host);
	o->network_only_allowed = cfg->network_only_allowed;
	strvec_foreach (relay, &cfg->network_relay)
		(void)strvec_push(&o->network_relay, *relay);
	o->job_memory = cfg->job_memory;
	o->job_pids = cfg->job_pids;
	o->job_cpu_percent = cfg->job_cpu_percent;
	o->job_disk = cfg->job_disk;
	o->job_files = cfg->job_files;
	o->job_minutes = cfg->job_minutes;
	o->actions_dir = a->o.actions_dir ? a->o.actions_dir : cfg->actions_dir;
	o->actions_url = cfg->actions_url;
	o->watch = (struct core_watch){ on_changed, on_frame, on_log, a };
}

/* Forked before there is a store, and before the first secret was read. */
static int start_spawner(struct app *a, struct err *err)
{
	struct spawner_options so = SPAWNER_OPTIONS_INIT;
	int pair[2];

	if (chan_pair(pair, err) < 0)
		return -1;
	a->spawner = fork();
	if (a->spawner < 0)
		return err_sys(err, "cannot fork the spawner");
	if (a->spawner == 0) {
		(void)close(pair[0]);
		so.data_dir = a->place.dir;
		so.helper = a->helper;
		so.chan = pair[1];
		log_open("spawner", LOG_WARN);
		_exit(spawner_run(&so));
	}
	(void)close(pair[1]);
	a->co.spawner_chan = pair[0];
	return 0;
}

static int seed_vars(struct app *a, struct err *err)
{
	const struct actor who = ACTOR_CORE;

	strvec_foreach (pair, &a->o.vars) {
		const char *eq = strchr(*pair, '=');
		_cleanup_free_ char *name = xstrndup(*pair, (size_t)(eq - *pair));

		if (vars_set(core_store(a->core), a->repo, "", name, eq + 1, &who, err) <
			0)
			return err_wrap(err, "--var %s", name);
	}
	return 0;
}

static int seed_event(struct app *a, struct err *err)
{
	const struct json *g = a->e.github;
	const char *sha = json_get_str(g, "sha", ""), *ref = json_get_str(g, "ref", "");
	_cleanup_(strbuf_done) struct strbuf title = STRBUF_INIT;
	struct json *only = json_new_array();
	struct delivery_new d = { .repo = a->repo,
		.forge = "generic",
		.key = "",
		.event = a->e.name,
		.peer = "terminal",
		.request = "" };
	struct event_new n = {
		.kind = str_starts(a->e.name, "pull_request") ? "pull_request" : "push",
		.name = a->e.name,
		.action = "",
		.ref = ref,
		.head_sha = sha,
		.base_sha = "",
		.merge_sha = "",
		.actor = json_get_str(g, "actor", ""),
		.actor_id = "",
		.trust = TRUST_TRUSTED,
		.document = a->e.document
	};
	struct accept_result result;

	for (size_t i = 0; i < a->e.files_len; i++)
		if (a->e.files[i].is_wanted)
			json_push_str(only, a->e.files[i].path);
	json_set(a->e.document, "only", only);
	run_event_commit(&a->e, &title);
	n.title = title.buf;
	if (deliveries_accept(core_store(a->core), &d, &n, &result, err) < 0)
		return -1;
	a->event = result.event;
	return 0;
}

/* Every environment asks: at the terminal, or by --approve. */
static int seed_gates(struct app *a, struct err *err)
{
	static const char rules[] = "{\"reviewers\":[\"*\"],\"required\":1,"
				    "\"self_approval\":true}";
	_cleanup_(json_freep) struct json *j = NULL;

	if (json_parse(rules, sizeof(rules) - 1, &j, err) < 0)
		return -1;
	return environments_set_default(core_store(a->core), j, err);
}

static int seed(struct app *a, struct err *err)
{
	const struct actor who = ACTOR_CORE;
	const struct repo_new in = { .full_name = a->e.repository,
		.forge = "generic",
		.url = a->e.git.url ? a->e.git.url : a->e.root };

	if (core_begin(a->core, err) < 0 ||
		repos_add(core_store(a->core), &in, &who, &a->repo, err) < 0 ||
		seed_vars(a, err) < 0 || seed_gates(a, err) < 0)
		return -1;
	return seed_event(a, err);
}

static void plan(struct app *a)
{
	struct core_file *files = xcalloc(a->e.files_len + 1, sizeof(*files));
	size_t n = 0;

	for (size_t i = 0; i < a->e.files_len; i++) {
		const struct run_file *f = &a->e.files[i];

		files[n++] =
			(struct core_file){ f->path, f->shown, f->data.buf, f->data.len };
	}
	core_plan_files(a->core, a->event, files, n);
	free(files);
}

static int set_up(struct app *a, struct err *err)
{
	struct core_run_hooks hooks = { .planned = on_planned,
		.spec = on_spec,
		.secrets = on_secrets,
		.source = on_source,
		.data = a };

	a->helper = helper_path(err);
	if (!a->helper)
		return -1;
	fill_core_options(a);
	if (start_spawner(a, err) < 0 || loop_new(&a->loop, err) < 0 ||
		core_new(a->loop, &a->co, NULL, &a->core, err) < 0)
		return -1;
	hooks.plan = a->o.jobs.len > 0 ? on_plan : NULL;
	hooks.expansion = a->o.matrix.len > 0 ? on_expansion : NULL;
	core_set_run_hooks(a->core, &hooks);
	if (run_event_fill(&a->o, &a->e, err) < 0)
		return -1;
	(void)loop_add_turn(a->loop, on_turn, a);
	(void)loop_add_signal(a->loop, SIGINT, on_signal, a);
	(void)loop_add_signal(a->loop, SIGTERM, on_signal, a);
	(void)loop_add_timer(a->loop, TICK_MS, on_tick, a);
	return 0;
}

static void set_up_view(struct app *a)
{
	struct run_view *v = &a->view;

	v->o = &a->o;
	v->e = &a->e;
	v->data_dir = a->place.dir;
	v->profile = a->co.profile;
	v->network = a->co.network;
	v->began_ms = clock_boot_ms();
	v->width = (int)strlen("sluice");
	v->log_path = a->place.keeps ? path_join(a->place.dir, "log") : NULL;
	v->whole = v->log_path ? fopen(v->log_path, "we") : NULL;
	if (a->o.is_json)
		v->show = &run_show_json;
	else
		v->show = cli_is_terminal(stdout) ? &run_show_live : &run_show_text;
}

/* ---- the end ----------------------------------------------------------------------- */

/* Executors remove what they made before they leave: give them the time for it. */
static void wait_for_leaving(struct app *a)
{
	int64_t end = clock_boot_ms() + LEAVE_MS;
	struct err err = ERR_INIT;

	while (a->core && core_live_count(a->core) > 0 && clock_boot_ms() < end)
		if (loop_once(a->loop, 50, &err) < 0)
			break;
}

static void end_spawner(struct app *a)
{
	int64_t end = clock_boot_ms() + LEAVE_MS;

	if (a->spawner <= 0)
		return;
	while (waitpid(a->spawner, NULL, WNOHANG) == 0) {
		if (clock_boot_ms() > end) {
			(void)kill(a->spawner, SIGKILL); /* our own child */
			(void)waitpid(a->spawner, NULL, 0);
			break;
		}
		(void)poll(NULL, 0, 2);
	}
}

static int finish(struct app *a)
{
	bool is_good =
		a->view.conclusion && (str_eq(a->view.conclusion, "success") ||
					      str_eq(a->view.conclusion, "skipped"));

	if (a->view.show && a->has_begun && a->view.show->end)
		a->view.show->end(&a->view);
	if (fflush(stdout) != 0 || ferror(stdout))
		return CLI_NO;
	return is_good ? CLI_OK : CLI_NO;
}

static void app_done(struct app *a)
{
	if (a->prompt)
		prompt_end(a);
	core_free(a->core);
	loop_free(a->loop);
	if (!a->core && a->co.spawner_chan >= 0 && a->spawner > 0)
		(void)close(a->co.spawner_chan);
	end_spawner(a);
	run_view_done(&a->view);
	run_place_done(&a->place);
	run_event_done(&a->e);
	options_done(&a->o);
	strvec_foreach (s, &a->secrets)
		explicit_bzero(*s, strlen(*s));
	strvec_done(&a->secrets);
	strvec_done(&a->refused);
	strvec_done(&a->co.labels);
	strvec_done(&a->co.network_allow);
	strvec_done(&a->co.network_relay);
	config_free(a->config);
	free(a->helper);
}

static int run_here(struct app *a)
{
	struct err err = ERR_INIT;
	int status = CLI_NO;

	if (run_place_open(&a->place, &err) < 0 || set_up(a, &err) < 0)
		return cli_fail(a->o.args, &err);
	set_up_view(a);
	if (core_start(a->core, &err) < 0 || seed(a, &err) < 0)
		return cli_fail(a->o.args, &err);
	plan(a);
	if (loop_run(a->loop, &err) < 0)
		return cli_fail(a->o.args, &err);
	wait_for_leaving(a);
	status = finish(a);
	return status;
}

static int run_listing(struct app *a)
{
	struct err err = ERR_INIT;

	if (run_event_fill(&a->o, &a->e, &err) < 0)
		return cli_fail(a->o.args, &err);
	return cli_has(a->o.args, "list") ? run_list(&a->o, &a->e)
					  : run_dry(&a->o, &a->e);
}

static int run_run(const struct cli_args *args)
{
	struct app a = { .co = { .spawner_chan = -1,
				 .labels = STRVEC_INIT,
				 .network_allow = STRVEC_INIT,
				 .network_relay = STRVEC_INIT },
		.place = RUN_PLACE_INIT,
		.secrets = STRVEC_INIT,
		.refused = STRVEC_INIT,
		.view = { .weaker = STRVEC_INIT, .talked = STRVEC_INIT },
		.answer = STRBUF_INIT };
	struct err err = ERR_INIT;
	int status, sig;

	log_open("run", LOG_ERR);
	if (take_options(args, &a.o, &err) < 0)
		status = cli_error(args, CLI_USAGE, "%s", err.msg);
	else if (a.o.in_place && geteuid() == 0)
		status = cli_error(args, CLI_NO,
			"--in-place: steps never run as root, so they could not write here; run "
			"it as the owner of the tree, or without --in-place");
	else if (config_load(NULL, NULL, stderr, &a.config, &err) < 0 ||
		 run_event_open(&a.o, &a.e, &err) < 0)
		status = cli_fail(args, &err);
	else if (cli_has(args, "list") || cli_has(args, "dry-run"))
		status = run_listing(&a);
	else if (take_secrets(&a, &err) < 0)
		status = cli_error(args, CLI_USAGE, "%s", err.msg);
	else
		status = run_here(&a);
	sig = a.interrupts ? a.status : 0;
	app_done(&a);
	if (sig) {
		/* Whoever waits for us is to see what ended us. */
		sigset_t set;

		(void)signal(sig, SIG_DFL);
		(void)sigemptyset(&set);
		(void)sigaddset(&set, sig);
		(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
		(void)raise(sig);
	}
	return status;
}

const struct cli_verb verb_run = { "run", "here", "[FLAGS] [DIR]",
	"Run workflows of a tree on this machine, confined", run_opts,
	"sluice run -W .github/workflows/ci.yml -j test", "0 success, 1 failure, 2 usage",
	0, 1, run_run, NULL };

int cmd_run(int argc, char **argv)
{
	return cli_run(&verb_run, argc, argv);
}
