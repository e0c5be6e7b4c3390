/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions against fixed contexts. Whatever compiles must print as text that compiles
 * to the same text again, and both must evaluate alike, with a trace and without; the
 * limits hold; as a template and as a condition nothing breaks either.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "workflows/expr.h"

static const char contexts_json[] =
	"{\"github\":{\"ref\":\"refs/heads/"
	"main\",\"event\":{\"labels\":[{\"name\":\"a\"},"
	"{\"name\":\"B\"},{}],\"n\":1.5}},\"env\":{\"X\":\"\xC3\xBC\",\"E\":\"\"},"
	"\"a\":[[1,[2,3]],[\"x\"],{}],\"s\":\"text\",\"t\":true,\"z\":null}";

static bool status(const char *name, const char *const *args, size_t len, void *data)
{
	(void)data; /* the same answer for all */
	return len == 0 && name[0] == 's';
}

static int hash_files(const char *const *patterns, size_t len, struct strbuf *out,
	struct err *err, void *data)
{
	(void)data; /* no files here */
	if (patterns[0][0] == '!')
		return err_set(err, ERR_INPUT, "no");
	strbuf_addf(out, "%zu", len);
	return 0;
}

static const struct expr_rules rules = { NULL,
	EXPR_FN_STATUS | EXPR_FN_JOB_STATUS | EXPR_FN_HASHFILES };

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* The value as JSON, or the words of the error. */
static void answer(const struct expr *e, struct expr_env *env, struct strbuf *out)
{
	struct value *v = NULL;
	struct err err = ERR_INIT;

	if (expr_eval(e, env, &v, &err) < 0) {
		must(err.msg[0] != '\0' && v == NULL);
		strbuf_adds(out, err.msg);
		return;
	}
	value_write_json(v, false, out);
	value_unref(v);
}

static void check_expr(const char *text, size_t len, struct expr_env *env)
{
	struct strbuf print = STRBUF_INIT, again = STRBUF_INIT, first = STRBUF_INIT,
		      second = STRBUF_INIT, traced = STRBUF_INIT;
	struct expr *e = NULL, *copy = NULL;
	struct expr_trace trace = { 0 };
	struct expr_error error = { 0 };

	if (expr_compile(text, len, &rules, &e, &error) < 0) {
		must(error.msg[0] != '\0' && error.offset <= len && error.len > 0);
		return;
	}
	expr_print(e, &print);
	answer(e, env, &first);
	env->trace = &trace;
	answer(e, env, &traced);
	env->trace = NULL;
	must(trace.len > 0);
	must(strcmp(first.buf, traced.buf) == 0);
	/* Printing spells out what was short: only then may the limit be passed. */
	if (expr_compile(print.buf, print.len, &rules, &copy, &error) == 0) {
		expr_print(copy, &again);
		must(strcmp(print.buf, again.buf) == 0);
		answer(copy, env, &second);
		must(strcmp(first.buf, second.buf) == 0);
		must(expr_calls_status(e) == expr_calls_status(copy));
	} else {
		must(strstr(error.msg, "longer than") != NULL);
	}
	expr_free(e);
	expr_free(copy);
	expr_trace_done(&trace);
	strbuf_done(&print);
	strbuf_done(&again);
	strbuf_done(&first);
	strbuf_done(&second);
	strbuf_done(&traced);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct value *contexts;
	struct expr_env env = {
		.status = status, .hash_files = hash_files, .memory_max = 64 * 1024
	};
	const char *text = (const char *)data;
	struct value *v = NULL;
	struct err err = ERR_INIT;
	bool holds;

	if (!contexts) { /* once for the whole run */
		struct json *j = NULL;

		must(json_parse(contexts_json, strlen(contexts_json), &j, &err) == 0);
		contexts = value_from_json(j);
		json_free(j);
	}
	env.contexts = contexts;
	check_expr(text, size, &env);
	if (template_eval(text, size, &rules, &env, &v, &err) == 0)
		value_unref(v);
	(void)condition_eval(text, size, &rules, &env, &holds, &err); /* either is fine */
	return 0;
}
