/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contexts of an evaluation are put together when it is made: references only, so
 * that costs little, and nothing can be stale.
 */
#include "executor/eval.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/limits.h"
#include "base/mem.h"
#include "executor/action.h"
#include "executor/agent.h"
#include "workflows/expr.h"

/* ---- which names are legal where (GitHub's "contexts" page) ---- */

static const char *const in_job_env[] = { "github", "needs", "strategy", "matrix", "vars",
	"secrets", "inputs", NULL };
static const char *const in_step_if[] = { "github", "needs", "strategy", "matrix", "job",
	"runner", "env", "vars", "steps", "inputs", NULL };
static const char *const in_step[] = { "github", "needs", "strategy", "matrix", "job",
	"runner", "env", "vars", "secrets", "steps", "inputs", NULL };
static const char *const in_defaults[] = { "github", "needs", "strategy", "matrix", "env",
	"vars", "inputs", NULL };
static const char *const in_composite[] = { "github", "strategy", "matrix", "job",
	"runner", "env", "steps", "inputs", NULL };
static const char *const in_input[] = { "github", "strategy", "matrix", "job", "runner",
	NULL };

static const struct expr_rules rules_of[] = {
	[EVAL_JOB_ENV] = { in_job_env, 0 },
	[EVAL_STEP_IF] = { in_step_if, EXPR_FN_STATUS | EXPR_FN_HASHFILES },
	[EVAL_STEP] = { in_step, EXPR_FN_HASHFILES },
	[EVAL_JOB_OUTPUTS] = { in_step, 0 },
	[EVAL_DEPLOY_URL] = { in_step_if, 0 },
	[EVAL_DEFAULTS] = { in_defaults, 0 },
	[EVAL_COMPOSITE] = { in_composite, EXPR_FN_HASHFILES },
	[EVAL_COMPOSITE_IF] = { in_composite, EXPR_FN_STATUS | EXPR_FN_HASHFILES },
	[EVAL_INPUT_DEFAULT] = { in_input, EXPR_FN_HASHFILES },
	[EVAL_ACTION_IF] = { in_composite, EXPR_FN_STATUS | EXPR_FN_HASHFILES },
};

/* ---- the contexts ---- */

static struct value *env_value(const struct strvec *env)
{
	struct value *v = value_new_object_cs();

	for (size_t i = 0; env && i < env->len; i++) {
		const char *eq = strchr(env->v[i], '=');

		value_setn(v, env->v[i], (size_t)(eq - env->v[i]), value_new_str(eq + 1));
	}
	return v;
}

static struct value *build_contexts(const struct eval_at *at)
{
	struct jobrun *job = at->job;
	const struct expr_rules *rules = &rules_of[at->key];
	struct value *root = value_new_object();
	const struct {
		const char *name;
		struct value *value;
	} all[] = {
		{ "github", job->github },
		{ "needs", job->needs },
		{ "strategy", job->strategy },
		{ "matrix", job->matrix },
		{ "job", job->job_context },
		{ "runner", job->runner },
		{ "vars", job->vars },
		{ "secrets", job->secrets },
		{ "steps", at->scope->steps },
		{ "inputs", at->scope->inputs },
	};

	for (size_t i = 0; rules->contexts[i]; i++) {
		if (str_eq(rules->contexts[i], "env")) {
			value_set(root, "env", env_value(at->env));
			continue;
		}
		for (size_t k = 0; k < ARRAY_SIZE(all); k++)
			if (str_eq(rules->contexts[i], all[k].name))
				value_set(root, all[k].name,
					all[k].value ? value_ref(all[k].value)
						     : value_new_null());
	}
	return root;
}

/*
 * In the main steps of a composite action success() and failure() look at that action
 * alone, cancelled() at the job (R:Runner.Worker/Expressions/SuccessFunction.cs).
 */
static bool status_is(
	const char *name, const char *const *args, size_t args_len, void *data)
{
	const struct eval_at *at = data;
	enum result status = job_status(at->job);

	if (str_eq(name, "always"))
		return true;
	if (str_eq(name, "cancelled"))
		return status == RESULT_CANCELLED;
	if (at->scope->parent && !at->uses_job_status)
		status = at->scope->status;
	return status == (str_eq(name, "success") ? RESULT_SUCCESS : RESULT_FAILURE);
}

static int hash_in_workspace(const char *const *patterns, size_t len, struct strbuf *out,
	struct err *err, void *data)
{
	const struct eval_at *at = data;

	return agent_hash(at->job, patterns, len, out, err);
}

static void env_open(const struct eval_at *at, struct expr_env *env)
{
	*env = (struct expr_env){
		.contexts = build_contexts(at),
		.status = status_is,
		.hash_files = hash_in_workspace,
		.data = (void *)at, /* the callbacks only read it */
	};
}

/* ---- evaluation ---- */

int eval_value(
	const struct eval_at *at, const char *text, struct value **ret, struct err *err)
{
	struct expr_env env;
	int result;

	if (!template_has_expr(text, strlen(text))) {
		*ret = value_new_str(text);
		return 0;
	}
	env_open(at, &env);
	result = template_eval(text, strlen(text), &rules_of[at->key], &env, ret, err);
	value_unref(env.contexts);
	return result;
}

int eval_string(const struct eval_at *at, const char *text, char **ret, struct err *err)
{
	_cleanup_(value_unrefp) struct value *v = NULL;

	if (eval_value(at, text, &v, err) < 0)
		return -1;
	*ret = value_text(v);
	return 0;
}

/* A literal of the document, or the value of the text it holds. */
static int eval_json(const struct eval_at *at, const struct json *j, struct value **ret,
	struct err *err)
{
	if (json_is(j, JSON_KIND_STRING))
		return eval_value(at, json_as_str(j, ""), ret, err);
	*ret = value_from_json(j);
	return 0;
}

int eval_bool(const struct eval_at *at, const struct json *j, bool otherwise, bool *ret,
	struct err *err)
{
	_cleanup_(value_unrefp) struct value *v = NULL;
	_cleanup_free_ char *text = NULL;

	if (!j || json_is(j, JSON_KIND_NULL)) {
		*ret = otherwise;
		return 0;
	}
	if (eval_json(at, j, &v, err) < 0)
		return -1;
	if (value_kind_of(v) == VALUE_BOOL) {
		*ret = value_bool(v);
		return 0;
	}
	text = value_text(v);
	if (!str_eq(text, "true") && !str_eq(text, "false") && *text)
		return err_set(err, ERR_INPUT, "'%s' is not a boolean", text);
	*ret = str_eq(text, "true");
	return 0;
}

int eval_number(const struct eval_at *at, const struct json *j, double otherwise,
	double *ret, struct err *err)
{
	_cleanup_(value_unrefp) struct value *v = NULL;
	double n;

	if (!j || json_is(j, JSON_KIND_NULL)) {
		*ret = otherwise;
		return 0;
	}
	if (eval_json(at, j, &v, err) < 0)
		return -1;
	n = value_to_number(v);
	if (!(n >= 0))
		return err_set(err, ERR_INPUT, "is not a number of minutes");
	*ret = n;
	return 0;
}

int eval_condition(const struct eval_at *at, const char *text, bool *ret, struct err *err)
{
	struct expr_env env;
	int result;

	env_open(at, &env);
	result = condition_eval(text ? text : "", text ? strlen(text) : 0,
		&rules_of[at->key], &env, ret, err);
	value_unref(env.contexts);
	return result;
}

static int check_pair(const char *name, const char *value, struct err *err)
{
	if (!*name || strchr(name, '='))
		return err_set(err, ERR_INPUT, "'%s' cannot be a name", name);
	if (strlen(name) + strlen(value) >= (size_t)LIMIT_ENV_VALUE)
		return err_set(err, ERR_LIMIT,
			"the value of '%s' is longer than %lld bytes", name,
			LIMIT_ENV_VALUE);
	return 0;
}

static int add_pair(
	const char *name, struct value *v, struct strvec *ret, struct err *err)
{
	_cleanup_free_ char *text = value_text(v);

	if (check_pair(name, text, err) < 0)
		return -1;
	strvec_setenv(ret, name, text);
	return 0;
}

static int eval_object(
	const struct eval_at *at, const char *text, struct strvec *ret, struct err *err)
{
	_cleanup_(value_unrefp) struct value *v = NULL;

	if (eval_value(at, text, &v, err) < 0)
		return -1;
	if (value_kind_of(v) == VALUE_NULL)
		return 0;
	if (value_kind_of(v) != VALUE_OBJECT)
		return err_set(err, ERR_INPUT, "is not a mapping");
	for (size_t i = 0; i < value_count(v); i++)
		if (add_pair(value_key_at(v, i), value_member_at(v, i), ret, err) < 0)
			return -1;
	return 0;
}

int eval_map(const struct eval_at *at, const struct json *map, struct strvec *ret,
	struct err *err)
{
	if (json_is(map, JSON_KIND_STRING))
		return eval_object(at, json_as_str(map, ""), ret, err);
	if (json_count(map) > LIMIT_ENV_KEYS)
		return err_set(err, ERR_LIMIT, "more than %d names", LIMIT_ENV_KEYS);
	json_foreach (it, map) {
		_cleanup_(value_unrefp) struct value *v = NULL;

		if (eval_json(at, it.value, &v, err) < 0)
			return err_wrap(err, "'%s'", it.key);
		if (add_pair(it.key, v, ret, err) < 0)
			return -1;
	}
	return 0;
}

int env_merge(struct strvec *to, const struct strvec *from, struct err *err)
{
	for (size_t i = 0; i < from->len; i++) {
		const char *eq = strchr(from->v[i], '=');
		_cleanup_free_ char *name =
			xstrndup(from->v[i], (size_t)(eq - from->v[i]));

		strvec_setenv(to, name, eq + 1);
	}
	if (to->len > LIMIT_ENV_KEYS)
		return err_set(err, ERR_LIMIT, "more than %d environment variables",
			LIMIT_ENV_KEYS);
	return 0;
}

/* ---- what does not change ---- */

static const char *arch_name(void)
{
	static const struct {
		const char *machine, *name;
	} names[] = {
		{ "x86_64", "X64" },
		{ "aarch64", "ARM64" },
		{ "armv7l", "ARM" },
		{ "i686", "X86" },
	};
	static struct utsname u;

	(void)uname(&u); /* it cannot fail with a good pointer */
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(u.machine, names[i].machine))
			return names[i].name;
	return "X64";
}

static struct value *runner_context(const struct jobrun *job)
{
	struct value *v = value_new_object();

	value_set_str(v, "name", job->spec->runner_name);
	value_set_str(v, "os", "Linux");
	value_set_str(v, "arch", arch_name());
	value_set_str(v, "temp", INSIDE_TEMP);
	value_set_str(v, "tool_cache", INSIDE_TOOL);
	value_set_str(v, "workspace", INSIDE_WORK);
	value_set_str(v, "environment", "self-hosted");
	if (job->spec->debug)
		value_set_str(v, "debug", "1");
	return v;
}

/* Numbers of the run are strings in the github context. */
static void set_number(struct value *obj, const char *key, int64_t n)
{
	char buf[32];

	(void)snprintf(buf, sizeof(buf), "%lld", (long long)n);
	value_set_str(obj, key, buf);
}

static struct value *github_context(const struct jobrun *job, const char *token)
{
	const struct spec *s = job->spec;
	struct value *v = s->github ? value_from_json(s->github) : value_new_object();

	if (!value_get(v, "event"))
		value_set(v, "event", value_new_object());
	set_number(v, "run_id", s->run);
	set_number(v, "run_number", s->run_number);
	set_number(v, "run_attempt", s->attempt);
	value_set_str(v, "job", s->key);
	value_set_str(v, "workspace", job->workspace);
	value_set_str(v, "event_path", INSIDE_TEMP "/_github_workflow/event.json");
	value_set_str(v, "token", token ? token : "");
	value_set_str(v, "action", "");
	return v;
}

static struct value *object_of(const struct json *j)
{
	return j ? value_from_json(j) : value_new_object();
}

/* A job without a matrix still has the strategy context, with its defaults. */
static struct value *strategy_context(const struct spec *s)
{
	static const struct {
		const char *key;
		double value;
	} numbers[] = { { "job-index", 0 }, { "job-total", 1 }, { "max-parallel", 1 } };
	struct value *v = object_of(s->strategy);

	if (!value_get(v, "fail-fast"))
		value_set(v, "fail-fast", value_new_bool(true));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!value_get(v, numbers[i].key))
			value_set(v, numbers[i].key, value_new_number(numbers[i].value));
	return v;
}

void contexts_open(struct jobrun *job, const struct json *secrets, const char *token)
{
	const struct spec *s = job->spec;

	contexts_done(job);
	job->github = github_context(job, token);
	job->runner = runner_context(job);
	job->job_context = value_new_object();
	value_set_str(job->job_context, "status", "success");
	job->secrets = object_of(secrets);
	if (token && !value_get(job->secrets, "GITHUB_TOKEN"))
		value_set_str(job->secrets, "GITHUB_TOKEN", token);
	job->vars = object_of(s->vars);
	job->needs = object_of(s->needs);
	job->matrix = s->matrix ? value_from_json(s->matrix) : value_new_null();
	job->strategy = strategy_context(s);
	job->root.steps = value_new_object();
	job->root.inputs = object_of(s->inputs);
	job->root.status = RESULT_SUCCESS;
}

void contexts_done(struct jobrun *job)
{
	struct value **all[] = { &job->github, &job->runner, &job->job_context,
		&job->secrets, &job->vars, &job->strategy, &job->matrix, &job->needs,
		&job->root.steps, &job->root.inputs };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		value_unref(*all[i]);
		*all[i] = NULL;
	}
}

void contexts_set_step(struct scope *sc, const char *id, struct value *outputs,
	enum result outcome, enum result conclusion)
{
	struct value *v = value_new_object();

	value_set(v, "outputs", outputs ? value_ref(outputs) : value_new_object());
	value_set_str(v, "outcome", result_name(outcome));
	value_set_str(v, "conclusion", result_name(conclusion));
	value_set(sc->steps, id, v);
}

void contexts_set_github(struct jobrun *job, const char *key, const char *value)
{
	if (value)
		value_set_str(job->github, key, value);
	else
		value_unset(job->github, key);
}
