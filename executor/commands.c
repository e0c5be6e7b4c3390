/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the workflow commands in a step's output do
 * (R:Runner.Worker/ActionCommandManager.cs). One table; each entry shows its own line.
 */
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "executor/envfile.h"
#include "executor/matchers.h"
#include "executor/output.h"
#include "executor/step.h"

struct cmd {
	struct steprun *st;
	struct output *out;
	const struct command *c;
};

/* "##[KIND]DATA" in the place of the command's line; each line of DATA is one of the log. */
static void show(const struct cmd *x, const char *kind)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	strbuf_addf(&text, "##[%s]", kind);
	strbuf_add(&text, x->c->data, x->c->data_len);
	output_say(x->out, text.buf, text.len);
}

static void fail(const struct cmd *x, const char *message)
{
	_cleanup_free_ char *text = xasprintf("##[error]%s", message);
	struct job_note note = { .level = "error", .message = message };

	output_say(x->out, text, strlen(text));
	step_note(x->st, NOTE_ERROR, &note);
	x->st->command_failed = true;
	if (!x->st->reason)
		x->st->reason = xstrdup(message);
}

static void fail_err(const struct cmd *x, const char *name, const struct err *err)
{
	_cleanup_free_ char *text = xasprintf(
		"Unable to process command '%s' successfully. %s", name, err->msg);

	fail(x, text);
}

static void warn(const struct cmd *x, const char *message)
{
	_cleanup_free_ char *text = xasprintf("##[warning]%s", message);
	struct job_note note = { .level = "warning", .message = message };

	output_say(x->out, text, strlen(text));
	step_note(x->st, NOTE_WARNING, &note);
}

/* The property `name`, or a failed step. */
static const char *need_name(const struct cmd *x, const char *command)
{
	const char *name = command_prop(x->c, "name");
	_cleanup_free_ char *text = NULL;

	if (name && *name)
		return name;
	text = xasprintf("Required field 'name' is missing in ##[%s] command.", command);
	fail(x, text);
	return NULL;
}

/*
 * set-env and add-path let any text that is printed change later steps (CVE-2020-15228).
 * As the runner: refused unless the env says so; never for untrusted work.
 */
static bool may_be_unsecure(const struct cmd *x, const char *command)
{
	static const char name[] = "ACTIONS_ALLOW_UNSECURE_COMMANDS";
	const char *set = strvec_getenv(&x->st->env, name);
	_cleanup_free_ char *text = NULL;

	if (!set)
		set = strvec_getenv(&x->st->job->env, name);
	if (set && strcasecmp(set, "true") == 0 && x->st->job->spec->trusted) {
		text = xasprintf(
			"The `%s` command is obeyed because %s is true; write to "
			"$GITHUB_%s instead",
			command, name, str_eq(command, "set-env") ? "ENV" : "PATH");
		warn(x, text);
		return true;
	}
	text = xasprintf(
		"Unable to process command '::%s' successfully. The `%s` command is "
		"disabled. Please upgrade to using Environment Files or opt into "
		"unsecure command execution by setting the `%s` environment variable "
		"to `true`. For more information see: "
		"https://github.blog/changelog/"
		"2020-10-01-github-actions-deprecating-set-env-and-add-path-commands/",
		command, command, name);
	fail(x, text);
	return false;
}

/* ---- one function a command ---- */

static void do_set_env(const struct cmd *x)
{
	const char *name;
	struct err err = ERR_INIT;

	if (!may_be_unsecure(x, "set-env"))
		return;
	name = need_name(x, "set-env");
	if (!name)
		return;
	if (strcasecmp(name, "NODE_OPTIONS") == 0) {
		fail(x, "Can't update NODE_OPTIONS environment variable using "
			"::set-env:: "
			"command.");
		x->st->command_failed = false; /* shown, and the step goes on */
		return;
	}
	if (x->c->data_len >= (size_t)LIMIT_ENV_VALUE)
		(void)err_set(&err, ERR_LIMIT, "the value of '%s' is too long", name);
	if (err.code || step_set_env(x->st, name, x->c->data, &err) < 0)
		fail_err(x, "set-env", &err);
}

static void do_add_path(const struct cmd *x)
{
	if (!may_be_unsecure(x, "add-path"))
		return;
	if (x->c->data_len == 0)
		fail(x, "Required field 'path' is missing in ##[add-path] command.");
	else if (x->st->job->paths.len < LIMIT_ENV_KEYS)
		envfile_path_add(&x->st->job->paths, x->c->data);
}

static void do_set_output(const struct cmd *x)
{
	const char *name = need_name(x, "set-output");
	struct err err = ERR_INIT;

	if (name && step_set_output(x->st, name, x->c->data, x->c->data_len, &err) < 0)
		fail_err(x, "set-output", &err);
}

static void do_save_state(const struct cmd *x)
{
	const char *name = need_name(x, "save-state");
	struct err err = ERR_INIT;

	if (name && step_set_state(x->st, name, x->c->data, &err) < 0)
		fail_err(x, "save-state", &err);
}

static void do_add_mask(const struct cmd *x)
{
	enum mask_verdict verdict = MASK_ADDED;
	struct err err = ERR_INIT;

	if (mask_add(x->st->job->mask, x->c->data, x->c->data_len, &verdict, &err) < 0) {
		/* What it prints next could not be masked: the job cannot go on. */
		job_break(x->st->job, &err);
		return;
	}
	if (verdict == MASK_BLANK)
		warn(x, "Can't add secret mask for empty string in ##[add-mask] "
			"command.");
	else if (verdict == MASK_SHORT)
		warn(x, "a value given to ##[add-mask] is too short to be masked");
}

static void do_debug(const struct cmd *x)
{
	if (x->st->job->spec->debug)
		show(x, "debug");
}

static void do_group(const struct cmd *x)
{
	show(x, "group");
}

static void do_endgroup(const struct cmd *x)
{
	output_say(x->out, "##[endgroup]", strlen("##[endgroup]"));
}

static void do_echo(const struct cmd *x)
{
	if (strcasecmp(x->c->data, "on") == 0)
		x->st->echo = true;
	else if (strcasecmp(x->c->data, "off") == 0)
		x->st->echo = false;
	else
		fail(x, "Invalid echo command value. Possible values can be: 'on', "
			"'off'.");
}

static int64_t number_prop(const struct command *c, const char *name)
{
	const char *text = command_prop(c, name);
	long long n = 0;

	return text && str_to_int(text, 1, 1LL << 40, &n) == 0 ? n : 0;
}

/* Columns without a line, or an end before its beginning, are dropped, not the message. */
static void check_place(struct job_note *note)
{
	if (!note->line)
		note->line = note->end_line;
	if (note->end_line && note->end_line < note->line)
		note->end_line = 0;
	if (!note->line || (note->end_line && note->end_line != note->line))
		note->col = note->end_col = 0;
	if (!note->col)
		note->col = note->end_col;
	if (note->end_col && note->end_col < note->col)
		note->end_col = 0;
}

static void issue(const struct cmd *x, enum note_kind kind, const char *level)
{
	struct job_note note = { .level = level, .message = x->c->data };

	note.title = command_prop(x->c, "title");
	note.file = command_prop(x->c, "file");
	note.line = number_prop(x->c, "line");
	note.end_line = number_prop(x->c, "endLine");
	note.col = number_prop(x->c, "col");
	if (!note.col)
		note.col = number_prop(x->c, "column");
	note.end_col = number_prop(x->c, "endColumn");
	check_place(&note);
	show(x, level);
	step_note(x->st, kind, &note);
}

static void do_error(const struct cmd *x)
{
	issue(x, NOTE_ERROR, "error");
}

static void do_warning(const struct cmd *x)
{
	issue(x, NOTE_WARNING, "warning");
}

static void do_notice(const struct cmd *x)
{
	issue(x, NOTE_NOTICE, "notice");
}

static void do_stop(const struct cmd *x)
{
	struct err err = ERR_INIT;

	if (command_stop(output_commands(x->out), x->c, &err) < 0)
		fail(x, err.msg);
	else if (x->c->data_len > COMMAND_TOKEN_MASK)
		job_mask(x->st->job, x->c->data, x->c->data_len, -1);
}

static void do_resume(const struct cmd *x)
{
	command_resume(output_commands(x->out));
}

static void do_too_long(const struct cmd *x)
{
	fail(x, "a workflow command is too long and was dropped");
}

static void do_add_matcher(const struct cmd *x)
{
	struct err err = ERR_INIT;

	if (matchers_want(x->st->job, x->c->data, &err) < 0)
		warn(x, err.msg);
}

static void do_remove_matcher(const struct cmd *x)
{
	const char *owner = command_prop(x->c, "owner");

	if (owner && *owner)
		matchers_remove(x->st->job, owner);
}

static void do_nothing(const struct cmd *x)
{
}

static void (*const handlers[])(const struct cmd *x) = {
	[COMMAND_ADD_MASK] = do_add_mask,
	[COMMAND_ADD_MATCHER] = do_add_matcher,
	[COMMAND_ADD_PATH] = do_add_path,
	[COMMAND_DEBUG] = do_debug,
	[COMMAND_ECHO] = do_echo,
	[COMMAND_ENDGROUP] = do_endgroup,
	[COMMAND_ERROR] = do_error,
	[COMMAND_GROUP] = do_group,
	[COMMAND_REPO_PATH] = do_nothing,
	[COMMAND_NOTICE] = do_notice,
	[COMMAND_REMOVE_MATCHER] = do_remove_matcher,
	[COMMAND_SAVE_STATE] = do_save_state,
	[COMMAND_SET_ENV] = do_set_env,
	[COMMAND_SET_OUTPUT] = do_set_output,
	[COMMAND_STOP] = do_stop,
	[COMMAND_WARNING] = do_warning,
	[COMMAND_RESUME] = do_resume,
	[COMMAND_TOO_LONG] = do_too_long,
};

void step_command(struct steprun *st, struct output *out, const struct command *c,
	const char *line, size_t len)
{
	struct cmd x = { .st = st, .out = out, .c = c };

	/* The mask first: its own line would be shown with the value in it. */
	if (st->echo && !command_omits_echo(c->kind))
		output_say(out, line, len && line[len - 1] == '\n' ? len - 1 : len);
	handlers[c->kind](&x);
}
