/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sluice eval`: one expression against contexts from a JSON file, its value as one line
 * of JSON. What may be named is exactly what the file has at its top.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/mem.h"
#include "executor/hash_files.h"
#include "runner/cmd.h"
#include "workflows/expr.h"

static const char eval_help[] =
	"usage: sluice eval [--context FILE.json] [--] EXPRESSION\n"
	"\n"
	"Evaluate an expression of the workflow language and print its value as JSON.\n"
	"\n"
	"  --context FILE   an object whose members are the contexts (github, env, "
	"...);\n"
	"                   '-' reads it from the standard input\n"
	"  --format json    the only format there is\n"
	"  --help           print this\n"
	"\n"
	"hashFiles looks below $GITHUB_WORKSPACE, else below the working directory;\n"
	"success() and its kin look at job.status.\n"
	"\n"
	"  sluice eval --context event.json \"contains(github.ref, 'main')\"\n";

struct eval_options {
	const char *context; /* NULL: no contexts */
	const char *text;
	bool wants_help;
};

static int usage_error(const char *fmt, const char *what)
{
	(void)fputs("sluice eval: ", stderr); /* nothing helps when stderr is gone */
	(void)fprintf(stderr, fmt, what);
	(void)fputs("; see: sluice eval --help\n", stderr);
	return -1;
}

static int set_format(const char *value)
{
	return strcmp(value, "json") == 0 ? 0 : usage_error("no format '%s'", value);
}

/* The value of option NAME at argv[*i], as --name=value or --name value; else NULL. */
static const char *option_value(const char *name, int argc, char **argv, int *i)
{
	const char *arg = argv[*i];
	size_t len = strlen(name);

	if (!arg || strncmp(arg, name, len) != 0)
		return NULL;
	if (arg[len] == '=')
		return arg + len + 1;
	if (arg[len] == '\0' && *i + 1 < argc)
		return argv[++*i];
	return NULL;
}

static int read_option(struct eval_options *opt, int argc, char **argv, int *i)
{
	const char *arg = argv[*i], *value;

	if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
		opt->wants_help = true;
		return 0;
	}
	value = option_value("--context", argc, argv, i);
	if (value) {
		opt->context = value;
		return 0;
	}
	value = option_value("--format", argc, argv, i);
	if (value)
		return set_format(value);
	return usage_error("unknown option '%s', or one without its value", arg);
}

static int read_arguments(struct eval_options *opt, int argc, char **argv)
{
	bool options_end = false;

	for (int i = 1; i < argc; i++) {
		if (!options_end && strcmp(argv[i], "--") == 0) {
			options_end = true;
		} else if (!options_end && argv[i][0] == '-' && argv[i][1] != '\0') {
			if (read_option(opt, argc, argv, &i) < 0)
				return -1;
		} else if (opt->text) {
			return usage_error("more than one expression: '%s'", argv[i]);
		} else {
			opt->text = argv[i];
		}
	}
	if (!opt->text && !opt->wants_help)
		return usage_error("%s is missing", "the expression");
	return 0;
}

static int read_contexts(const char *path, struct value **ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_close_ int fd = -1;
	bool is_stdin = strcmp(path, "-") == 0;

	if (!is_stdin)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (!is_stdin && fd < 0)
		return err_sys(err, "cannot open '%s'", path);
	if (fd_read_to_end(is_stdin ? STDIN_FILENO : fd, LIMIT_HOOK_BODY, &sb, err) < 0 ||
		json_parse(sb.buf, sb.len, &j, err) < 0)
		return err_wrap(err, "'%s'", path);
	if (!json_is(j, JSON_KIND_OBJECT))
		return err_set(err, ERR_INPUT, "'%s' holds no JSON object", path);
	*ret = value_from_json(j);
	return 0;
}

/* ---- what expressions ask of the world ---- */

static bool job_status(
	const char *name, const char *const *args, size_t args_len, void *data)
{
	const struct value *job = value_get(data, "job");
	const struct value *status = job ? value_get(job, "status") : NULL;
	_cleanup_free_ char *now = value_text(status);

	if (strcmp(name, "always") == 0)
		return true;
	return strcmp(*now ? now : "success", name) == 0;
}

static int hash_workspace(const char *const *patterns, size_t len, struct strbuf *out,
	struct err *err, void *data)
{
	const char *root = getenv("GITHUB_WORKSPACE");
	_cleanup_free_ char *cwd = NULL;
	_cleanup_close_ int fd = -1;
	struct hash_files_options opt = { 0 };

	if (!root || !*root) {
		cwd = getcwd(NULL, 0);
		root = cwd;
	}
	if (!root)
		return err_sys(err, "hashFiles: no working directory");
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "hashFiles: cannot open '%s'", root);
	opt.root_path = root;
	return hash_files_in(fd, &opt, patterns, len, out, err);
}

/* ---- the answer ---- */

/* The line of the expression with a mark below the place. */
static void show_place(const char *text, const struct expr_error *e)
{
	const char *from = text, *end;
	size_t len, at;

	if (e->offset > strlen(text))
		return;
	for (const char *s = text; s < text + e->offset; s++)
		if (*s == '\n')
			from = s + 1;
	end = strchr(from, '\n');
	len = end ? (size_t)(end - from) : strlen(from);
	at = (size_t)(text + e->offset - from);
	if (len > 120)
		return;
	(void)fprintf(stderr, "  %.*s\n  ", (int)len, from); /* stderr: best effort */
	for (size_t i = 0; i < at; i++)
		if (((unsigned char)from[i] & 0xC0) != 0x80)
			(void)fputc(from[i] == '\t' ? '\t' : ' ', stderr);
	(void)fputs("^\n", stderr);
}

static int print_value(const struct value *v)
{
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;

	value_write_json(v, false, &out);
	strbuf_addc(&out, '\n');
	if (fwrite(out.buf, 1, out.len, stdout) != out.len || fflush(stdout) != 0) {
		(void)fprintf(
			stderr, "sluice eval: cannot write: %s\n", err_sys_text(errno));
		return CLI_NO;
	}
	return CLI_OK;
}

static const char **context_names(const struct value *contexts)
{
	size_t len = value_count(contexts);
	const char **names = xcalloc(len + 1, sizeof(*names));

	for (size_t i = 0; i < len; i++)
		names[i] = value_key_at(contexts, i);
	return names;
}

static int eval_text(const char *text, struct value *contexts)
{
	_cleanup_(expr_freep) struct expr *e = NULL;
	_cleanup_(value_unrefp) struct value *v = NULL;
	_cleanup_free_ const char **names = context_names(contexts);
	struct expr_rules rules = { names, EXPR_FN_STATUS | EXPR_FN_HASHFILES };
	struct expr_env env = {
		.contexts = contexts,
		.status = job_status,
		.hash_files = hash_workspace,
		.data = contexts,
	};
	struct expr_error where;
	struct err err = ERR_INIT;

	if (expr_compile(text, strlen(text), &rules, &e, &where) < 0) {
		(void)fprintf(stderr, "sluice eval: %s\n", where.msg); /* best effort */
		show_place(text, &where);
		return CLI_NO;
	}
	if (expr_eval(e, &env, &v, &err) < 0) {
		(void)fprintf(stderr, "sluice eval: %s\n", err.msg); /* best effort */
		return CLI_NO;
	}
	return print_value(v);
}

int cmd_eval(int argc, char **argv)
{
	_cleanup_(value_unrefp) struct value *contexts = NULL;
	struct eval_options opt = { 0 };
	struct err err = ERR_INIT;

	if (read_arguments(&opt, argc, argv) < 0)
		return CLI_USAGE;
	if (opt.wants_help)
		return fputs(eval_help, stdout) < 0 ? CLI_NO : CLI_OK;
	if (opt.context && read_contexts(opt.context, &contexts, &err) < 0) {
		(void)fprintf(stderr, "sluice eval: %s\n", err.msg); /* best effort */
		return CLI_NO;
	}
	if (!contexts)
		contexts = value_new_object();
	return eval_text(opt.text, contexts);
}
