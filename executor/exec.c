/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program of a step: fresh command files before it starts, and what they say when it has
 * ended, also when it failed.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/agent.h"
#include "executor/env.h"
#include "executor/envfile.h"
#include "executor/hold.h"
#include "executor/matchers.h"
#include "executor/step.h"

/* ---- command files ---- */

enum file {
	FILE_ENV,
	FILE_OUTPUT,
	FILE_PATH,
	FILE_STATE,
	FILE_SUMMARY,
	FILES,
	SCRIPT = FILES
};

static const struct {
	const char *prefix;  /* as the runner names them */
	const char *context; /* github.* and GITHUB_* */
	size_t max;
} files[FILES] = {
	[FILE_ENV] = { "set_env", "env", LIMIT_ENV_FILE },
	[FILE_OUTPUT] = { "set_output", "output", LIMIT_ENV_FILE },
	[FILE_PATH] = { "add_path", "path", LIMIT_ENV_FILE },
	[FILE_STATE] = { "save_state", "state", LIMIT_ENV_FILE },
	/* One byte over the limit is enough to know that it is too large. */
	[FILE_SUMMARY] = { "step_summary", "step_summary", LIMIT_SUMMARY_STEP },
};

struct session {
	struct steprun *st;
	struct output *output;
	struct agent_file files[FILES + 1]; /* the script last */
	char *paths[FILES + 1];		    /* beneath temp/ */
	bool has_script;
};

static char *inside_path(const struct session *s, int i)
{
	return path_join(INSIDE_TEMP, s->paths[i]);
}

/* Our own kinds of secrets are in scripts: unreadable names, removed afterwards. */
static int make_files(struct session *s, const struct step_program *p, struct err *err)
{
	_cleanup_free_ char *id = crypto_random_hex(16);
	size_t len = FILES;

	for (int i = 0; i < FILES; i++) {
		s->paths[i] =
			xasprintf("_runner_file_commands/%s_%s", files[i].prefix, id);
		s->files[i] = (struct agent_file){ .dir = DIR_TEMP,
			.path = s->paths[i],
			.mode = 0644,
			.text = STRBUF_INIT };
	}
	if (p->script) {
		s->paths[SCRIPT] = xasprintf("%s%s", id, p->script_ext);
		s->files[SCRIPT] = (struct agent_file){ .dir = DIR_TEMP,
			.path = s->paths[SCRIPT],
			.mode = 0755,
			.data = p->script,
			.len = strlen(p->script),
			.text = STRBUF_INIT };
		s->has_script = true;
		len++;
	}
	if (agent_put(s->st->job, s->files, len, err) < 0)
		return err_wrap(err, "cannot write the files of the step");
	for (int i = 0; i < FILES; i++) {
		_cleanup_free_ char *path = inside_path(s, i);

		contexts_set_github(s->st->job, files[i].context, path);
	}
	return 0;
}

static void session_done(struct session *s)
{
	for (int i = 0; i <= FILES; i++) {
		strbuf_done(&s->files[i].text);
		free(s->paths[i]);
	}
	output_free(s->output);
}

/* ---- what the files say ---- */

static void file_error(struct steprun *st, const char *context, const char *message)
{
	step_error(st, "Unable to process file command '%s' successfully.", context);
	step_error(st, "%s", message);
	st->command_failed = true;
}

static int take_env(
	const char *name, const char *value, size_t len, void *ctx, struct err *err)
{
	struct steprun *st = ctx;

	/* Shown, and the step goes on, as with the runner. */
	if (strcasecmp(name, "NODE_OPTIONS") == 0) {
		step_error(st,
			"Can't store NODE_OPTIONS output parameter using '$GITHUB_ENV' "
			"command.");
		return 0;
	}
	return step_set_env(st, name, value, err);
}

static int take_output(
	const char *name, const char *value, size_t len, void *ctx, struct err *err)
{
	return step_set_output(ctx, name, value, len, err);
}

static int take_state(
	const char *name, const char *value, size_t len, void *ctx, struct err *err)
{
	return step_set_state(ctx, name, value, err);
}

static void read_pairs(struct session *s, enum file i, size_t max, envfile_pair_fn *fn)
{
	struct err err = ERR_INIT;
	const struct strbuf *text = &s->files[i].text;

	if (envfile_parse(text->buf, text->len, max, fn, s->st, &err) < 0)
		file_error(s->st, files[i].context, err.msg);
}

static void read_paths(struct session *s)
{
	_cleanup_(strvec_done) struct strvec paths = STRVEC_INIT;
	struct jobrun *job = s->st->job;
	struct err err = ERR_INIT;
	const struct strbuf *text = &s->files[FILE_PATH].text;

	if (envfile_parse_paths(text->buf, text->len, &paths, &err) < 0) {
		file_error(s->st, "path", err.msg);
		return;
	}
	strvec_foreach (p, &paths) {
		if (job->paths.len >= LIMIT_ENV_KEYS) {
			file_error(s->st, "path", "too many entries");
			return;
		}
		envfile_path_add(&job->paths, *p);
	}
}

static void read_summary(struct session *s)
{
	struct steprun *st = s->st;
	_cleanup_(strbuf_done) struct strbuf masked = STRBUF_INIT;
	const struct strbuf *text = &s->files[FILE_SUMMARY].text;
	struct err err = ERR_INIT;
	char hex[SHA256_HEX_MAX];
	struct json *frame;

	if (text->len == 0)
		return;
	mask_text(st->job->mask, text->buf, text->len, &masked);
	if (agent_store(st->job, masked.buf, masked.len, hex, &err) < 0) {
		if (err.code != ERR_UNSUPPORTED)
			step_warning(st, "the step summary is lost: %s", err.msg);
		return;
	}
	frame = json_new_object();
	json_set_int(frame, "n", st->n);
	json_set_str(frame, "sha256", hex);
	json_set_int(frame, "size", (int64_t)masked.len);
	job_frame(st->job, JOURNAL_SUMMARY, frame);
}

static void unreadable(struct session *s, int i)
{
	const struct err *err = &s->files[i].err;

	if (i == FILE_SUMMARY && err->code == ERR_LIMIT) {
		/* Over 1 MiB: an error is shown, the step is not affected. */
		step_error(s->st,
			"$GITHUB_STEP_SUMMARY upload aborted, supports content up to "
			"a size of %lldk",
			LIMIT_SUMMARY_STEP / KiB);
		return;
	}
	/* A step may remove the file; then it says nothing. */
	if (err->code == ERR_NOT_FOUND)
		return;
	file_error(s->st, files[i].context, err->msg);
}

static void read_files(struct session *s)
{
	struct err err = ERR_INIT;
	char *reason = s->st->reason;

	for (int i = 0; i < FILES; i++) {
		s->files[i].max = files[i].max;
		s->files[i].unlink = true;
	}
	if (s->has_script) {
		s->files[SCRIPT].max = 0;
		s->files[SCRIPT].unlink = true;
	}
	if (agent_get(s->st->job, s->files, s->has_script ? FILES + 1 : FILES, &err) <
		0) {
		step_error(s->st, "cannot read the step's command files: %s", err.msg);
		s->st->command_failed = true;
		return;
	}
	for (int i = 0; i < FILES; i++)
		if (s->files[i].err.code)
			unreadable(s, i);
	read_pairs(s, FILE_ENV, LIMIT_ENV_VALUE, take_env);
	read_pairs(s, FILE_OUTPUT, LIMIT_OUTPUT_TOTAL, take_output);
	read_pairs(s, FILE_STATE, LIMIT_ENV_VALUE, take_state);
	read_paths(s);
	read_summary(s);
	if (!s->st->command_failed && s->st->reason != reason) {
		free(s->st->reason);
		s->st->reason = NULL;
	}
}

/* ---- running ---- */

static void on_command(const struct command *c, const char *line, size_t len, void *data)
{
	struct session *s = data;

	step_command(s->st, s->output, c, line, len);
}

static void expand_argv(
	const struct session *s, const struct step_program *p, struct strvec *argv)
{
	_cleanup_free_ char *script = s->has_script ? inside_path(s, SCRIPT) : NULL;

	for (size_t i = 0; p->argv[i]; i++) {
		const char *at = script ? strstr(p->argv[i], "{0}") : NULL;
		_cleanup_(strbuf_done) struct strbuf arg = STRBUF_INIT;
		const char *from = p->argv[i];

		for (; at; from = at + 3, at = strstr(from, "{0}")) {
			strbuf_add(&arg, from, (size_t)(at - from));
			strbuf_adds(&arg, script);
		}
		strbuf_adds(&arg, from);
		(void)strvec_push(argv, arg.buf);
	}
}

static void note_program(const struct session *s, const struct step_program *p,
	const struct strvec *argv, const struct strvec *env)
{
	_cleanup_free_ char *path = s->has_script ? inside_path(s, SCRIPT) : NULL;
	struct hold_program h = { argv, env, p->cwd, p->script, path };

	hold_note(s->st, &h);
}

static int run(struct session *s, const struct step_program *p,
	struct process_result *ret, struct err *err)
{
	struct steprun *st = s->st;
	_cleanup_(strvec_done) struct strvec argv = STRVEC_INIT, env = STRVEC_INIT;
	struct process_options o = { .cwd = p->cwd, .output = s->output };
	int result;

	/* A cancel may have come before there was a process to tell. */
	if (step_is_stopped(st)) {
		ret->cancelled = true;
		ret->code = -1;
		return 0;
	}
	expand_argv(s, p, &argv);
	env_for_step(st, p->extra, &env);
	o.env = (const char *const *)env.v;
	o.timeout_ms = step_time_left(st);
	for (;;) {
		o.argv = (const char *const *)argv.v;
		result = process_run(st->job, &o, ret, err);
		if (result == 0 || !p->fallback || err->code != ERR_NOT_FOUND ||
			str_eq(argv.v[0], p->fallback))
			break;
		free(argv.v[0]);
		argv.v[0] = xstrdup(p->fallback);
		err_clear(err);
	}
	note_program(s, p, &argv, &env);
	return result;
}

static void say_hint(struct steprun *st, const struct process_result *r)
{
	if (r->hint[0])
		job_say(st->job, st->n, "##[warning]%s", r->hint);
}

static void say_oom(struct steprun *st)
{
	int64_t limit = json_get_int(st->job->spec->limits, "memory", 0);

	if (limit > 0)
		step_error(st,
			"the job ran out of memory: its limit is %lld MiB "
			"(limits.memory), its processes were killed (OOM)",
			(long long)(limit / MiB));
	else
		step_error(st,
			"the job ran out of memory: its processes were killed (OOM)");
}

/* How it ended becomes the step's outcome. */
static void judge(struct steprun *st, const struct process_result *r)
{
	st->code = r->code;
	st->signal = r->signal;
	st->has_code = true;
	if (r->timed_out) {
		st->is_timed_out = true;
		st->outcome = RESULT_FAILURE;
		return; /* worded by who set the deadline */
	}
	if (r->cancelled || st->is_cancelled) {
		st->outcome = RESULT_CANCELLED;
		step_error(st, "The operation was canceled.");
		return;
	}
	if (r->oom) {
		st->outcome = RESULT_FAILURE;
		say_oom(st);
		return;
	}
	if (r->signal) {
		st->outcome = RESULT_FAILURE;
		step_error(st, "Process was ended by signal %d (%s).", r->signal,
			strsignal(r->signal));
		return;
	}
	if (r->code != 0) {
		st->outcome = RESULT_FAILURE;
		step_error(st, "Process completed with exit code %d.", r->code);
	}
}

int step_exec(struct steprun *st, const struct step_program *p, struct err *err)
{
	_cleanup_(session_done) struct session s = { .st = st };
	struct process_result r = { 0 };
	int result;

	for (int i = 0; i <= FILES; i++)
		strbuf_init(&s.files[i].text);
	if (make_files(&s, p, err) < 0)
		return -1;
	s.output = output_new(st->job, st->n, on_command, &s);
	result = run(&s, p, &r, err);
	if (result == 0) {
		if (r.output_taken)
			s.output = NULL; /* the job reads on */
		else
			output_flush(s.output);
		matchers_settle(st->job);
		say_hint(st, &r);
		judge(st, &r);
	}
	read_files(&s);
	if (result == 0 && st->command_failed && st->outcome == RESULT_SUCCESS)
		st->outcome = RESULT_FAILURE;
	return result;
}
