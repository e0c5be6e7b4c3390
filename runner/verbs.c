/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a verb, checking who may, answering after the commit. */
#include "runner/verbs.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

struct owned_call {
	struct verb_call v;
	struct core_principal who;
	char *kind, *name, *request;
	struct json *args, *result;
};

static void call_free(struct owned_call *c)
{
	free(c->kind);
	free(c->name);
	free(c->request);
	json_free(c->args);
	json_free(c->result);
	free(c);
}

static const struct verb *find(const char *name)
{
	static const struct verb *const tables[] = { verbs_work, verbs_admin, verbs_network,
		verbs_held };

	for (size_t t = 0; t < ARRAY_SIZE(tables); t++)
		for (const struct verb *v = tables[t]; v->name; v++)
			if (strcmp(v->name, name) == 0)
				return v;
	return NULL;
}

static void on_commit(struct core *core, const struct err *why, void *data)
{
	struct owned_call *c = data;

	(void)core;
	if (why)
		c->v.done(NULL, why, "nothing was changed", c->v.data);
	else
		c->v.done(take_ptr(c->result), NULL, NULL, c->v.data);
	call_free(c);
}

void verb_ok(struct verb_call *v, struct json *result)
{
	struct owned_call *c = (struct owned_call *)v;

	c->result = result ? result : json_new_object();
	core_after(v->core, on_commit, c);
}

void verb_fail(struct verb_call *v, const struct err *why, const char *hint)
{
	struct owned_call *c = (struct owned_call *)v;

	v->done(NULL, why, hint, v->data);
	call_free(c);
}

/* A one-time link of a gate may see and decide that gate, nothing else. */
static bool link_may(const struct core_principal *who, const char *verb,
	const struct json *args)
{
	return !who->gate ||
		((strcmp(verb, "gate.decide") == 0 || strcmp(verb, "gate.changes") == 0) &&
			json_get_int(args, "gate", 0) == who->gate);
}

static int check_scope(const struct verb *verb, const struct core_principal *who,
	const struct json *args, struct err *err)
{
	char words[64];

	if (scopes_have(who->scopes, verb->scope) && link_may(who, verb->name, args))
		return 0;
	return err_set(err, ERR_DENIED, "'%s' may not do this: '%s' takes the scope %s",
		who->name ? who->name : "nobody", verb->name, scopes_text(verb->scope, words));
}

void core_verb(struct core *c, const char *name, const struct core_principal *who,
	const struct json *args, core_verb_fn *done, void *data)
{
	const struct verb *verb = find(name);
	struct owned_call *call;
	struct err err = ERR_INIT;

	if (!verb) {
		err_set(&err, ERR_NOT_FOUND, "there is no verb '%.64s'", name);
		done(NULL, &err, "docs/api.md lists them", data);
		return;
	}
	if (check_scope(verb, who, args, &err) < 0) {
		done(NULL, &err, NULL, data);
		return;
	}
	if (verb->changes && core_begin(c, &err) < 0) {
		done(NULL, &err, "try again in a moment", data);
		return;
	}
	call = xcalloc(1, sizeof(*call));
	call->kind = xstrdup(who->kind ? who->kind : "user");
	call->name = xstrdup(who->name ? who->name : "");
	call->request = xstrdup_null(who->request);
	call->who = (struct core_principal){ call->kind, call->name, who->scopes, who->gate,
		call->request };
	call->args = json_is(args, JSON_KIND_OBJECT) ? json_clone(args) : json_new_object();
	call->v = (struct verb_call){ .core = c, .who = &call->who,
		.actor = { call->kind, call->name, call->request }, .args = call->args,
		.done = done, .data = data };
	verb->run(&call->v);
}

/* ---- arguments ---- */

bool verb_arg_str(struct verb_call *v, const char *name, const char **ret)
{
	const char *s = json_get_str(v->args, name, NULL);
	struct err err = ERR_INIT;

	if (s && s[0]) {
		*ret = s;
		return true;
	}
	err_set(&err, ERR_INPUT, "the argument '%s' is missing", name);
	verb_fail(v, &err, NULL);
	return false;
}

bool verb_arg_run(struct verb_call *v, int64_t *ret)
{
	const struct json *j = json_get(v->args, "run");
	struct err err = ERR_INIT;
	char number[32];
	const char *text = json_as_str(j, NULL);

	if (json_is(j, JSON_KIND_INT)) {
		snprintf(number, sizeof(number), "%lld", (long long)json_as_int(j, 0));
		text = number;
	}
	if (!text || !text[0])
		err_set(&err, ERR_INPUT, "the argument 'run' is missing");
	else if (runs_resolve(v->core->store, text, ret, &err) == 0)
		return true;
	verb_fail(v, &err, "sluice runs lists them");
	return false;
}

bool verb_arg_repo(struct verb_call *v, struct repo *ret)
{
	const char *name;
	struct err err = ERR_INIT;

	if (!verb_arg_str(v, "repo", &name))
		return false;
	if (repos_find(v->core->store, name, ret, &err) == 0)
		return true;
	verb_fail(v, &err, "sluice repo list shows them");
	return false;
}

bool verb_arg_scope(struct verb_call *v, int64_t *ret)
{
	struct repo r;

	*ret = 0;
	if (!json_get_str(v->args, "repo", "")[0])
		return true;
	memset(&r, 0, sizeof(r));
	if (!verb_arg_repo(v, &r))
		return false;
	*ret = r.id;
	repo_done(&r);
	return true;
}
