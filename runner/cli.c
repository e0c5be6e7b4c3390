/* SPDX-License-Identifier: Apache-2.0 */
/* The parser of the command line, its errors and the words all verbs share. */
#include "runner/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"

struct cli_value {
	const struct cli_opt *opt;
	const char *value; /* NULL for a switch; lent by argv */
};

struct cli_args {
	const struct cli_verb *verb;
	struct cli_value *values;
	size_t len, alloc;
	const char **rest;
	size_t rest_len, rest_alloc;
};

/* Understood by every verb of ours, so not repeated in its table. */
static const struct cli_opt global_opts[] = {
	{ "help", 'h', NULL, "this page" },
	{ "quiet", 'q', NULL, "errors and the verdict only" },
	{ "verbose", 'v', NULL, "every line, every case, ids" },
	{ "color", 0, "WHEN", "always, never or auto" },
	{ NULL, 0, NULL, NULL },
};

static const struct cli_opt *find_opt(const struct cli_opt *opts, const char *name,
	size_t len)
{
	for (; opts && opts->name; opts++)
		if (strlen(opts->name) == len && memcmp(opts->name, name, len) == 0)
			return opts;
	return NULL;
}

static const struct cli_opt *find_letter(const struct cli_opt *opts, char letter)
{
	for (; opts && opts->name; opts++)
		if (opts->letter == letter)
			return opts;
	return NULL;
}

static void add_value(struct cli_args *a, const struct cli_opt *opt, const char *value)
{
	GROW(a->values, a->alloc, a->len + 1);
	a->values[a->len].opt = opt;
	a->values[a->len].value = value;
	a->len++;
}

static int unknown_flag(const struct cli_args *a, const char *arg)
{
	const char *names[128];
	size_t n = 0;
	const char *near;
	_cleanup_free_ char *word = NULL;

	for (const struct cli_opt *o = a->verb->opts; o && o->name && n < 120; o++)
		names[n++] = o->name;
	for (const struct cli_opt *o = global_opts; o->name && n < 126; o++)
		names[n++] = o->name;
	names[n] = NULL;
	word = xstrndup(arg + strspn(arg, "-"), strcspn(arg + strspn(arg, "-"), "="));
	near = str_nearest(word, names);
	if (near)
		return cli_error(a, CLI_USAGE, "unknown flag '%s'; did you mean '--%s'?", arg,
			near);
	return cli_error(a, CLI_USAGE, "unknown flag '%s'; see: sluice %s --help", arg,
		a->verb->name);
}

/* One argument that begins with '-'; *I moves on when the value is the next one. */
static int parse_flag(struct cli_args *a, int argc, char **argv, int *i)
{
	const char *arg = argv[*i];
	const char *value = NULL;
	const struct cli_opt *opt;

	if (arg[1] == '-') {
		size_t len = strcspn(arg + 2, "=");

		opt = find_opt(a->verb->opts, arg + 2, len);
		if (!opt)
			opt = find_opt(global_opts, arg + 2, len);
		if (arg[2 + len] == '=')
			value = arg + 2 + len + 1;
	} else {
		opt = find_letter(a->verb->opts, arg[1]);
		if (!opt)
			opt = find_letter(global_opts, arg[1]);
		if (arg[2])
			value = arg + 2;
	}
	if (!opt)
		return unknown_flag(a, arg);
	if (!opt->arg && value)
		return cli_error(a, CLI_USAGE, "flag '--%s' takes no value", opt->name);
	if (opt->arg && !value) {
		if (*i + 1 >= argc)
			return cli_error(a, CLI_USAGE, "flag '--%s' needs a value: %s",
				opt->name, opt->arg);
		value = argv[++*i];
	}
	add_value(a, opt, value);
	return 0;
}

static int parse(struct cli_args *a, int argc, char **argv)
{
	bool flags = true;

	for (int i = 1; i < argc; i++) {
		if (flags && strcmp(argv[i], "--") == 0) {
			flags = false;
		} else if (flags && argv[i][0] == '-' && argv[i][1]) {
			int r = parse_flag(a, argc, argv, &i);

			if (r)
				return r;
		} else {
			GROW(a->rest, a->rest_alloc, a->rest_len + 1);
			a->rest[a->rest_len++] = argv[i];
		}
	}
	return 0;
}

static int run_parsed(struct cli_args *a, int argc, char **argv)
{
	const struct cli_verb *verb = a->verb;
	int r = parse(a, argc, argv);

	if (r)
		return r;
	cli_set_color(cli_get(a, "color"));
	if (cli_has(a, "help")) {
		cli_print_help(verb, stdout);
		return CLI_OK;
	}
	if ((int)a->rest_len < verb->args_min)
		return cli_error(a, CLI_USAGE, "an argument is missing; usage: sluice %s %.*s",
			verb->name, (int)strcspn(verb->usage, "\n"), verb->usage);
	if (verb->args_max >= 0 && (int)a->rest_len > verb->args_max)
		return cli_error(a, CLI_USAGE, "unexpected argument '%s'",
			a->rest[verb->args_max]);
	return verb->run(a);
}

int cli_run(const struct cli_verb *verb, int argc, char **argv)
{
	struct cli_args a = { .verb = verb };
	int r;

	if (verb->main) {
		for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
			if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
				cli_print_help(verb, stdout);
				return CLI_OK;
			}
		return verb->main(argc, argv);
	}
	r = run_parsed(&a, argc, argv);
	free(a.values);
	free(a.rest);
	return r;
}

const char *cli_nth(const struct cli_args *a, const char *name, size_t nth)
{
	for (size_t i = 0; i < a->len; i++)
		if (strcmp(a->values[i].opt->name, name) == 0 && nth-- == 0)
			return a->values[i].value;
	return NULL;
}

const char *cli_get(const struct cli_args *a, const char *name)
{
	for (size_t i = a->len; i > 0; i--)
		if (strcmp(a->values[i - 1].opt->name, name) == 0)
			return a->values[i - 1].value;
	return NULL;
}

bool cli_has(const struct cli_args *a, const char *name)
{
	for (size_t i = 0; i < a->len; i++)
		if (strcmp(a->values[i].opt->name, name) == 0)
			return true;
	return false;
}

size_t cli_count(const struct cli_args *a)
{
	return a->rest_len;
}

const char *cli_arg(const struct cli_args *a, size_t i)
{
	return i < a->rest_len ? a->rest[i] : NULL;
}

bool cli_quiet(const struct cli_args *a)
{
	return cli_has(a, "quiet");
}

bool cli_verbose(const struct cli_args *a)
{
	return cli_has(a, "verbose");
}

bool cli_json(const struct cli_args *a)
{
	return str_eq(cli_get(a, "format"), "json");
}

static void print_error(const struct cli_args *a, const char *code, const char *text)
{
	const char *hint = strstr(text, "; ");

	if (!cli_json(a)) {
		fprintf(stderr, "%s: ", a->verb->name);
		cli_put(stderr, text);
		fputc('\n', stderr);
		return;
	}
	_cleanup_(json_freep) struct json *root = json_new_object();
	struct json *e = json_new_object();
	_cleanup_free_ char *line = NULL;

	json_set_str(e, "code", code);
	json_set(e, "message",
		json_new_strn(text, hint ? (size_t)(hint - text) : strlen(text)));
	json_set_str(e, "hint", hint ? hint + 2 : NULL);
	json_set(root, "error", e);
	line = json_text(root);
	fprintf(stderr, "%s\n", line);
}

static const char *const exit_codes[] = {
	[CLI_OK] = "none",
	[CLI_NO] = "refused",
	[CLI_USAGE] = "usage",
	[CLI_UNREACHABLE] = "unreachable",
	[CLI_DENIED] = "denied",
};

int cli_error(const struct cli_args *a, enum cli_exit status, const char *fmt, ...)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&text, fmt, ap);
	va_end(ap);
	print_error(a, exit_codes[status], text.buf);
	return status;
}

int cli_fail(const struct cli_args *a, const struct err *err)
{
	print_error(a, err_code_name(err->code), err->msg);
	if (err->code == ERR_DENIED)
		return CLI_DENIED;
	if (err->code == ERR_UNAVAILABLE)
		return CLI_UNREACHABLE;
	return CLI_NO;
}
