/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order: sandbox, files to the job's id, attach, shell, kill, files back to the service,
 * and only then the file `slot` goes, which says that an id is needed for them.
 */
#include "executor/shell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/agent.h"
#include "executor/confine.h"
#include "executor/env.h"
#include "executor/hold.h"
#include "executor/link.h"
#include "executor/wayout.h"

#define ATTACH_MS   (30 * 1000)
#define HELPER_DIR  "_sluice"
#define HELPER_NAME HELPER_DIR "/run-step"

struct shell_session {
	struct json *state, *steps; /* held.json, steps.json */
	struct json *asked; /* attach, as it came */
	struct loop_source *late;
	int id; /* of the shell; 0: not started */
	int code;
	bool has_ended; /* the shell, by itself */
	bool is_heard;	/* asked for, or over */
	bool is_over;	/* any reason to go on to the end */
};

/* ---- what is said to whoever attaches ---- */

static void fill_hello(struct link_hello *ret, void *data)
{
	const struct jobrun *job = data;
	const struct spec *s = job->spec;

	*ret = (struct link_hello){
		.job = s->job_id,
		.attempt = s->attempt,
		.try = s->try,
		.epoch = s->epoch,
		.state = "held",
	};
}

static struct json *no_ready(void *data)
{
	return NULL;
}

static int refuse_go(int64_t epoch, const struct json *body, void *data, struct err *err)
{
	return err_set(err, ERR_CONFLICT, "this job is held, it does not run");
}

static int on_abort(const char *reason, void *data, struct err *err)
{
	struct jobrun *job = data;

	job->shell->is_over = job->shell->is_heard = true;
	return 0;
}

static int on_cancel(const char *reason, bool force, void *data, struct err *err)
{
	return on_abort(reason, data, err);
}

static int on_bye(void *data, struct err *err)
{
	return on_abort("", data, err);
}

static void on_gone(void *data)
{
	struct jobrun *job = data;

	job->shell->is_over = job->shell->is_heard = true;
}

static void on_attach(const struct json *head, void *data)
{
	struct jobrun *job = data;

	if (job->shell->asked)
		return; /* once only */
	job->shell->asked = json_clone(head);
	job->shell->is_heard = true;
}

const struct control_hooks shell_hooks = {
	.hello = fill_hello,
	.ready = no_ready,
	.go = refuse_go,
	.abort = on_abort,
	.cancel = on_cancel,
	.bye = on_bye,
	.gone = on_gone,
	.attach = on_attach,
};

/* ---- which step, and what of it ---- */

static const struct json *pick_step(const struct shell_session *sh,
	const struct json *head, int *ret_n, const char **ret_why, struct err *err)
{
	bool is_asked = json_is(json_get(head, "step"), JSON_KIND_INT);
	int n = (int)json_get_int(head, "step", json_get_int(sh->state, "step", -1));
	const struct json *step;
	char key[16];

	(void)snprintf(key, sizeof(key), "%d", n);
	step = json_get(sh->steps, key);
	*ret_n = n;
	*ret_why = step ? json_get_str(step, "unsaved", NULL)
			: "it ran no program of its own";
	if (is_asked && *ret_why) {
		(void)err_set(err, ERR_NOT_FOUND,
			"step %d cannot be entered: %s; give the job alone", n, *ret_why);
		return NULL;
	}
	return step ? step : sh->state;
}

/* Its variables, secrets as nothing; the names of those go to EMPTY. */
static void step_env(const struct json *step, struct strvec *env, struct json *empty)
{
	const struct json *list = json_get(step, "env");

	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *e = json_at(list, i);
		const char *name = json_get_str(e, "name", "");
		bool had = false;
		_cleanup_free_ char *value = hold_text(json_get(e, "value"), &had);

		strvec_setenv(env, name, value);
		if (had)
			json_push_str(empty, name);
	}
}

static void plain_env(struct jobrun *job, struct strvec *env)
{
	env_base(job);
	strvec_foreach (v, &job->base_env)
		(void)strvec_push(env, *v);
}

static void add_shell_env(struct strvec *env, const char *term)
{
	_cleanup_free_ char *path = xasprintf("%s/" HELPER_DIR ":%s", INSIDE_TEMP,
		strvec_getenv(env, "PATH") ? strvec_getenv(env, "PATH") : INSIDE_PATH);

	strvec_setenv(env, "PATH", path);
	strvec_setenv(env, "TERM", term);
	strvec_setenv(env, "PS1", "\\u@\\h:\\w\\$ ");
	strvec_setenv(env, "HISTFILE", "");
}

static void add_quoted(struct strbuf *b, const char *text)
{
	strbuf_addc(b, '\'');
	for (; *text; text++) {
		if (*text == '\'')
			strbuf_adds(b, "'\\''");
		else
			strbuf_addc(b, *text);
	}
	strbuf_addc(b, '\'');
}

/* The step's command files were taken away when it ended: its script wants to write them. */
static void helper_text(const struct json *step, const char *cwd, struct strbuf *b)
{
	const struct json *argv = json_get(step, "argv");

	strbuf_adds(b,
		"#!/bin/sh\n"
		"# Runs the step's program again, in its folder, with this shell's variables.\n"
		"for f in \"$GITHUB_ENV\" \"$GITHUB_OUTPUT\" \"$GITHUB_PATH\" "
		"\"$GITHUB_STATE\" \"$GITHUB_STEP_SUMMARY\"; do\n"
		"\t[ -z \"$f\" ] || [ -e \"$f\" ] || { mkdir -p \"${f%/*}\" && : >\"$f\"; }\n"
		"done\n"
		"cd ");
	add_quoted(b, cwd);
	strbuf_adds(b, " || exit\nexec");
	for (size_t i = 0; i < json_count(argv); i++) {
		bool had;
		_cleanup_free_ char *word = hold_text(json_at(argv, i), &had);

		strbuf_addc(b, ' ');
		add_quoted(b, word);
	}
	strbuf_addc(b, '\n');
}

static int replace_file(struct jobrun *job, const char *path, mode_t mode,
	const struct strbuf *text, struct err *err)
{
	struct agent_file f = { .dir = DIR_TEMP,
		.path = path,
		.mode = mode,
		.data = text->buf,
		.len = text->len,
		.unlink = true,
		.text = STRBUF_INIT };

	/* One of an earlier visit, or what somebody put in its place. */
	(void)agent_get(job, &f, 1, NULL);
	strbuf_done(&f.text);
	return agent_put(job, &f, 1, err);
}

/* The script where it was, and run-step. Both anew: the folder is anybody's who was in it. */
static int write_helper(struct jobrun *job, const struct json *step, const char *cwd,
	struct json *empty, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	const char *path = json_get_str(step, "script_path", NULL);
	size_t skip = strlen(INSIDE_TEMP "/");

	if (path && strlen(path) > skip) {
		_cleanup_(strbuf_done) struct strbuf script = STRBUF_INIT;
		bool had = false;
		_cleanup_free_ char *body = hold_text(json_get(step, "script"), &had);

		strbuf_adds(&script, body);
		if (had)
			json_push_str(empty, "in its script");
		if (replace_file(job, path + skip, 0755, &script, err) < 0)
			return -1;
	}
	helper_text(step, cwd, &text);
	return replace_file(job, HELPER_NAME, 0755, &text, err);
}

/* ---- the terminal ---- */

static int open_terminal(
	const struct json *head, int *ret_near, int *ret_far, struct err *err)
{
	_cleanup_close_ int near = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	_cleanup_close_ int far = -1;
	struct winsize size = {
		.ws_row = (unsigned short)json_get_int(head, "rows", 24),
		.ws_col = (unsigned short)json_get_int(head, "cols", 80),
	};

	if (near < 0 || grantpt(near) < 0 || unlockpt(near) < 0)
		return err_sys(err, "cannot make a terminal");
	/* By the near end: no path of /dev is looked up. */
	far = ioctl(near, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (far < 0)
		return err_sys(err, "cannot open the terminal");
	(void)ioctl(near, TIOCSWINSZ, &size); /* else it has no size yet */
	*ret_near = take_fd(&near);
	*ret_far = take_fd(&far);
	return 0;
}

static int spawn_at(struct jobrun *job, const struct strvec *env, const char *cwd,
	int far, struct err *err)
{
	static const char *const shells[][5] = {
		{ "bash", "--noprofile", "--norc", "-i", NULL },
		{ "sh", "-i", NULL },
	};
	int rc = -1;

	for (size_t i = 0; i < ARRAY_SIZE(shells) && rc < 0; i++) {
		struct sandbox_command cmd = SANDBOX_COMMAND_INIT;

		cmd.argv = shells[i];
		cmd.env = (const char *const *)env->v;
		cmd.cwd = cwd;
		cmd.in = cmd.out = cmd.errfd = far;
		cmd.has_terminal = true;
		err_clear(err);
		rc = sandbox_spawn(job->sandbox, &cmd, &job->shell->id, err);
		if (rc < 0 && err->code != ERR_NOT_FOUND)
			break;
	}
	return rc;
}

static int spawn_shell(struct jobrun *job, const struct strvec *env, const char *cwd,
	int far, struct err *err)
{
	struct err own = ERR_INIT;

	if (spawn_at(job, env, cwd, far, &own) == 0)
		return 0;
	if (spawn_at(job, env, job->workspace, far, &own) == 0)
		return 0; /* the step's folder is gone */
	*err = own;
	return -1;
}

/* ---- attaching ---- */

static struct json *describe(struct jobrun *job, const struct json *step, int n,
	const char *why, struct json *empty)
{
	struct shell_session *sh = job->shell;
	struct json *j = confine_facts(job);

	json_set_int(j, "step", n);
	json_set_str(j, "name", json_get_str(step, "name", ""));
	json_set_bool(j, "run_step", why == NULL);
	if (why)
		json_set_str(j, "why", why);
	json_set(j, "empty", empty);
	json_set(j, "removed", json_share(json_get(sh->state, "removed")));
	json_set_int(j, "more", json_get_int(sh->state, "more", 0));
	return j;
}

static bool is_terminal_name(const char *s)
{
	return *s && strlen(s) <= 64 &&
	       strspn(s,
		       "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.") ==
		       strlen(s);
}

static int start_shell(struct jobrun *job, const struct json *head,
	const struct json *step, const char *why, struct json *empty, int *ret_fd,
	struct err *err)
{
	_cleanup_(strvec_done) struct strvec env = STRVEC_INIT;
	_cleanup_close_ int near = -1, far = -1;
	_cleanup_free_ char *cwd = NULL;
	const char *term = json_get_str(head, "term", "");
	bool had;

	cwd = why ? xstrdup(job->workspace) : hold_text(json_get(step, "cwd"), &had);
	if (why)
		plain_env(job, &env);
	else
		step_env(step, &env, empty);
	add_shell_env(&env, is_terminal_name(term) ? term : "dumb");
	if (!why && write_helper(job, step, cwd, empty, err) < 0)
		return -1;
	if (open_terminal(head, &near, &far, err) < 0 ||
		spawn_shell(job, &env, cwd, far, err) < 0)
		return -1;
	*ret_fd = take_fd(&near);
	return 0;
}

static int attach(struct jobrun *job, struct json **ret, int *ret_fd, struct err *err)
{
	_cleanup_(json_freep) struct json *empty = json_new_array();
	const struct json *head = job->shell->asked, *step;
	const char *why = NULL;
	int n = -1;

	step = pick_step(job->shell, head, &n, &why, err);
	if (!step || start_shell(job, head, step, why, empty, ret_fd, err) < 0)
		return -1;
	*ret = describe(job, step, n, why, take_ptr(empty));
	return 0;
}

/* ---- its life ---- */

static void on_sandbox(struct loop *l, int fd, uint32_t events, void *data)
{
	struct jobrun *job = data;
	struct shell_session *sh = job->shell;
	struct sandbox_event e;
	int got;

	while ((got = sandbox_next_event(job->sandbox, &e, NULL)) == 1) {
		if (e.kind == SANDBOX_EVENT_EXIT && e.id == sh->id) {
			sh->has_ended = sh->is_over = true;
			sh->code = e.signal ? 128 + e.signal : e.code;
		}
		if (e.kind != SANDBOX_EVENT_GONE)
			continue;
		sh->is_over = true;
		break;
	}
	if (got == 0)
		return;
	loop_remove(job->sandbox_source);
	job->sandbox_source = NULL;
	sh->is_over = true;
}

static void on_late(struct loop *l, void *data)
{
	struct jobrun *job = data;

	job->shell->late = NULL;
	job->shell->is_over = job->shell->is_heard = true;
}

static int read_json(
	int dir, const char *name, size_t max, struct json **ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	if (fd_read_file(dir, name, max, &text, err) < 0 ||
		json_parse(text.buf, text.len, ret, err) < 0)
		return err_wrap(err, "what is known of the held job");
	return 0;
}

static int read_state(struct jobrun *job, struct err *err)
{
	int dir = job->opt->job_dir;

	if (read_json(dir, HELD_FILE_STATE, HELD_STATE_MAX, &job->shell->state, err) < 0)
		return -1;
	return read_json(dir, HELD_FILE_STEPS, HELD_STEPS_MAX, &job->shell->steps, err);
}

static int open_up(struct jobrun *job, struct err *err)
{
	if (!job->spec->trusted)
		return err_set(err, ERR_DENIED, "an untrusted job is never held");
	if (read_state(job, err) < 0 || confine_dirs(job, err) < 0 ||
		confine_open(job, err) < 0 || way_out_launch(job, err) < 0)
		return -1;
	for (enum job_dir i = 0; i < DIR_STAGE; i++)
		if (job->dirs[i] >= 0 && agent_give(job, i, err) < 0)
			return err_wrap(err, "the held files");
	loop_remove(job->sandbox_source);
	job->sandbox_source = loop_add_fd(
		job->loop, sandbox_fd(job->sandbox), EPOLLIN, on_sandbox, job);
	return 0;
}

/* As they lay before: nobody's but the service's. */
static int close_down(struct jobrun *job, struct err *err)
{
	if (!job->sandbox)
		return 0;
	confine_kill(job);
	if (hold_settle(job, err) < 0)
		return -1;
	confine_clean(job, true);
	if (unlinkat(job->opt->job_dir, JOB_FILE_SLOT, 0) < 0 && errno != ENOENT)
		return err_sys(err, "cannot give the job id back");
	return 0;
}

static void say_end(struct jobrun *job)
{
	_cleanup_(json_freep) struct json *head = json_new_object();

	if (!job->shell->has_ended)
		return;
	json_set_str(head, "op", "exit");
	json_set_int(head, "code", job->shell->code);
	control_say(job->control, head);
}

/* WHY: there is nothing to enter, which whoever comes is told. */
static void serve(struct jobrun *job, const struct err *why)
{
	struct shell_session *sh = job->shell;
	_cleanup_(json_freep) struct json *facts = NULL;
	_cleanup_close_ int near = -1;
	struct err err = *why;

	job->control = control_new(job->loop, job->opt->listener, &shell_hooks, job);
	sh->late = loop_add_timer(job->loop, ATTACH_MS, on_late, job);
	job_wait(job, &sh->is_heard);
	loop_remove(sh->late);
	if (!sh->asked)
		return;
	if (err.code || attach(job, &facts, &near, &err) < 0)
		sh->is_over = true;
	control_answer(job->control, json_get_int(sh->asked, "seq", 0),
		err.code ? &err : NULL, facts, near);
	cleanup_closep(&near); /* who asked has it: the terminal ends with him */
	job_wait(job, &sh->is_over);
}

int shell_serve(struct jobrun *job, struct err *err)
{
	struct shell_session sh = { .code = -1 };
	struct err why = ERR_INIT;
	int rc;

	job->shell = &sh;
	(void)open_up(job, &why);
	serve(job, &why);
	job->is_broken = false; /* what follows waits as well */
	rc = close_down(job, err);
	say_end(job);
	json_free(sh.state);
	json_free(sh.steps);
	json_free(sh.asked);
	job->shell = NULL;
	return rc;
}
