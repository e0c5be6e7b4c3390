/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building a plan: the file, the workflows it calls (inlined, at most LIMIT_CALL_DEPTH
 * deep), what their jobs may do, and the digest of all bytes that had a say.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/crypto.h"
#include "base/limits.h"
#include "base/mem.h"
#include "workflows/action.h"
#include "workflows/plan-internal.h"
#include "workflows/trigger.h"

/* A called workflow or local action, read once whoever names it. */
struct called {
	char *name; /* as messages name it: path, or owner/repo/path@ref */
	char *repository, *ref;
	struct strbuf data;
	struct workflow *w; /* NULL: an action, or no YAML */
	bool is_parsed, has_errors;
};

struct build {
	const struct plan_request *req;
	struct diagnostics *diags;
	struct json *jobs, *files; /* NULL: nothing is made, only checked */
	struct called **called;
	size_t called_len, called_alloc;
	struct sha256 *digest;
	size_t nodes, values, bytes; /* jobs; what the plan holds of the files */
	bool is_full;
};

/* The workflow whose jobs are being added. */
struct scope {
	const struct workflow *w;
	const char *repository, *ref; /* NULL: the workflow's own */
	const char *prefix;	      /* of ids */
	struct json *parent;	      /* node of the caller, or NULL */
	struct json *env;	      /* of W; shared by its jobs */
	struct permissions allowed;
	bool is_limited; /* ALLOWED was said by someone */
	unsigned depth;
};

/* What a node, a step and a declared input have beside what is written in the file. */
#define NODE_VALUES	  40
#define STEP_VALUES	  6
#define CALL_INPUT_VALUES 15

static struct diag *error_at(struct build *b, const char *file, struct mark mark,
	const char *code, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static struct diag *error_at(struct build *b, const char *file, struct mark mark,
	const char *code, const char *fmt, ...)
{
	struct diag *d;
	va_list ap;

	va_start(ap, fmt);
	d = diag_vadd(b->diags, file, mark, SEVERITY_ERROR, code, fmt, ap);
	va_end(ap);
	return d;
}

/* ---- files ------------------------------------------------------------------------ */

static void note_file(struct build *b, const char *path, const char *repository,
	const char *ref, const void *data, size_t len)
{
	struct json *f;
	char hex[SHA256_HEX_MAX];

	if (!b->files)
		return;
	f = json_new_object();
	crypto_sha256_hex(data, len, hex);
	json_set_str(f, "path", path);
	json_set_str(f, "repository", repository);
	json_set_str(f, "ref", ref);
	json_set_str(f, "sha256", hex);
	json_push(b->files, f);
	/* Digest and name of each file, in the order in which they were met. */
	sha256_add(b->digest, hex, strlen(hex));
	sha256_add(b->digest, path, strlen(path) + 1);
	if (repository)
		sha256_add(b->digest, repository, strlen(repository));
	sha256_add(b->digest, "\n", 1);
}

static void called_free(struct called *c)
{
	workflow_free(c->w);
	strbuf_done(&c->data);
	free(c->name);
	free(c->repository);
	free(c->ref);
	free(c);
}

static struct called *find_called(struct build *b, const char *name)
{
	for (size_t i = 0; i < b->called_len; i++)
		if (strcmp(b->called[i]->name, name) == 0)
			return b->called[i];
	return NULL;
}

static char *source_name(const struct source *s)
{
	if (!s->repository)
		return xstrdup(s->path);
	return xasprintf("%s/%s@%s", s->repository, s->path, s->ref);
}

/* Bytes of a file, from memory the second time. *RET is NULL when they cannot be had. */
static int load_file(
	struct build *b, const struct source *src, struct called **ret, struct err *err)
{
	_cleanup_free_ char *name = source_name(src);
	struct called *c = find_called(b, name);

	*ret = c;
	if (c)
		return 0;
	if (!b->req->load)
		return err_set(err, ERR_UNAVAILABLE, "no files can be read here");
	c = xcalloc(1, sizeof(*c));
	strbuf_init(&c->data);
	if (b->req->load(src, &c->data, err, b->req->load_data) < 0) {
		strbuf_done(&c->data);
		free(c);
		return -1;
	}
	c->name = take_ptr(name);
	c->repository = xstrdup_null(src->repository);
	c->ref = xstrdup_null(src->ref);
	GROW(b->called, b->called_alloc, b->called_len + 1);
	b->called[b->called_len++] = c;
	note_file(b, src->path, src->repository, src->ref, c->data.buf, c->data.len);
	*ret = c;
	return 0;
}

/* ---- local actions: only their bytes count here ------------------------------------ */

static void note_local_action(struct build *b, const char *path, unsigned depth);

static void note_nested(struct build *b, const struct called *c, unsigned depth)
{
	_cleanup_(action_freep) struct action *a = NULL;
	struct diagnostics ignored = DIAGNOSTICS_INIT;
	struct err err = ERR_INIT;

	/* A faulty action fails its step, not the plan. */
	if (action_parse(c->name, c->data.buf, c->data.len, &a, &ignored, &err) == 0)
		for (size_t i = 0; i < json_count(a->steps); i++) {
			const char *uses = json_get_str(json_at(a->steps, i), "uses", "");

			if (str_starts(uses, "./"))
				note_local_action(b, uses + 2, depth + 1);
		}
	diagnostics_done(&ignored);
}

static void note_local_action(struct build *b, const char *path, unsigned depth)
{
	static const char *const names[] = { "action.yml", "action.yaml" };
	size_t len = strlen(path);

	while (len > 0 && path[len - 1] == '/')
		len--;
	if (!b->req->load || depth > LIMIT_COMPOSITE_DEPTH)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup_free_ char *file =
			len ? xasprintf("%.*s/%s", (int)len, path, names[i])
			    : xstrdup(names[i]);
		struct source src = { NULL, NULL, file };
		struct err err = ERR_INIT;
		struct called *c;

		if (find_called(b, file))
			return;
		if (load_file(b, &src, &c, &err) < 0)
			continue;
		note_nested(b, c, depth);
		return;
	}
}

static void note_actions(struct build *b, const struct step *steps, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		const struct yaml_node *uses = yaml_get(steps[i].node, "uses");

		if (yaml_is_scalar(uses) && str_starts(uses->str, "./"))
			note_local_action(b, uses->str + 2, 0);
		note_actions(b, steps[i].members, steps[i].members_len);
	}
}

/* ---- what a caller gives ----------------------------------------------------------- */

static const struct input_decl *find_input(const struct workflow *w, const char *name)
{
	const struct name_entry *e = names_find(&w->call_input_names, name, strlen(name));

	return e ? &w->call_inputs[e->value] : NULL;
}

static const struct secret_decl *find_secret(const struct workflow *w, const char *name)
{
	const struct name_entry *e =
		names_find(&w->call_secret_names, name, strlen(name));

	return e ? &w->call_secrets[e->value] : NULL;
}

/* The keys of a mapping; one with an expression may be any. */
struct given {
	struct names names;
	bool is_any;
};

static struct given keys_of(const struct scope *s, const struct yaml_node *map)
{
	struct given g = { NAMES_INIT, false };

	for (size_t i = 0; yaml_is(map, YAML_MAPPING) && i < map->len; i++) {
		const char *key = map->pairs[i].key->str;

		g.is_any = g.is_any || strstr(key, "${{");
		names_add(&g.names, s->w->doc->arena, key, (uint32_t)i, NULL);
	}
	return g;
}

static bool gives(const struct given *g, const char *name)
{
	return g->is_any || names_find(&g->names, name, strlen(name));
}

static void near_input(struct diag *d, const struct workflow *w, const char *name)
{
	_cleanup_free_ const char **names = NULL;

	if (!d)
		return;
	names = xcalloc(w->call_inputs_len + 1, sizeof(*names));
	for (size_t i = 0; w->call_inputs && i < w->call_inputs_len; i++)
		names[i] = w->call_inputs[i].name;
	diag_nearest(d, name, names);
}

static void check_input_type(struct build *b, const struct scope *s,
	const struct input_decl *in, const struct yaml_node *v)
{
	_cleanup_(json_freep) struct json *given = NULL, *typed = NULL;

	if (!yaml_is_scalar(v) || strstr(v->str, "${{") || v->kind == YAML_NULL)
		return;
	given = yaml_to_json(v);
	if (trigger_input_value(in->type, given, true, &typed) < 0)
		(void)error_at(b, s->w->path, v->mark, "wrong-type",
			"input '%s' must be a %s, not '%.40s'", in->name,
			input_type_name(in->type), v->str);
}

static void check_with(struct build *b, const struct scope *s, const struct job *job,
	const struct workflow *called)
{
	const struct yaml_node *with = yaml_get(job->node, "with");
	struct given given = keys_of(s, with);

	for (size_t i = 0; yaml_is(with, YAML_MAPPING) && i < with->len; i++) {
		const struct yaml_node *key = with->pairs[i].key;
		const struct input_decl *in = find_input(called, key->str);

		if (strstr(key->str, "${{"))
			continue;
		if (in)
			check_input_type(b, s, in, with->pairs[i].value);
		else
			near_input(error_at(b, s->w->path, key->mark, "unknown-input",
					   "the workflow '%s' has no input '%.60s'",
					   called->path, key->str),
				called, key->str);
	}
	if (with && !yaml_is(with, YAML_MAPPING))
		return;
	for (size_t i = 0; i < called->call_inputs_len; i++) {
		const struct input_decl *in = &called->call_inputs[i];

		if (in->is_required && !gives(&given, in->name))
			diag_hint(
				error_at(b, s->w->path, job->uses->mark, "missing-input",
					"the workflow '%s' requires input '%s'",
					called->path, in->name),
				"add it under 'with'");
	}
}

static void check_secrets(struct build *b, const struct scope *s, const struct job *job,
	const struct workflow *called)
{
	const struct yaml_node *secrets = yaml_get(job->node, "secrets");
	struct given given = keys_of(s, secrets);

	if (secrets && !yaml_is(secrets, YAML_MAPPING))
		return; /* inherit */
	for (size_t i = 0; secrets && i < secrets->len; i++) {
		const struct yaml_node *key = secrets->pairs[i].key;

		if (!strstr(key->str, "${{") && !find_secret(called, key->str) &&
			!b->req->is_own)
			(void)error_at(b, s->w->path, key->mark, "unknown-secret",
				"the workflow '%s' has no secret '%.60s'", called->path,
				key->str);
	}
	for (size_t i = 0; i < called->call_secrets_len; i++) {
		const struct secret_decl *sec = &called->call_secrets[i];

		if (sec->is_required && !gives(&given, sec->name))
			diag_hint(
				error_at(b, s->w->path, job->uses->mark, "missing-secret",
					"the workflow '%s' requires secret '%s'",
					called->path, sec->name),
				"add it under 'secrets', or write 'secrets: inherit'");
	}
}

/* ---- permissions ------------------------------------------------------------------- */

static void check_permissions(struct build *b, const struct scope *s,
	const struct job *job, const struct yaml_node *asked_node,
	const struct permissions *allowed, const char *who, const char *name)
{
	struct permissions asked = permissions_of(asked_node);
	struct strbuf more = STRBUF_INIT, less = STRBUF_INIT;

	if (asked_node && permissions_exceed(&asked, allowed, &more, &less))
		diag_hint(
			error_at(b, s->w->path, job->key->mark, "permissions",
				"%s '%s' asks for '%.120s' but is only allowed '%.120s'",
				who, name, more.buf, less.buf),
			"a called workflow can only lower what its caller has");
	strbuf_done(&more);
	strbuf_done(&less);
}

/* What JOB's own work may do: its own word, its workflow's, what the caller left. */
static struct permissions job_permissions(
	const struct scope *s, const struct job *job, bool *ret_is_said)
{
	const struct yaml_node *own = yaml_get(job->node, "permissions");
	const struct yaml_node *all = yaml_get(s->w->root, "permissions");

	*ret_is_said = own || all || s->is_limited;
	if (own || all)
		return permissions_of(own ? own : all);
	return s->allowed;
}

/* ---- calls ------------------------------------------------------------------------- */

static void add_jobs(struct build *b, const struct scope *s);

static struct json *inputs_to_json(const struct workflow *w)
{
	struct json *list = json_new_array();

	for (size_t i = 0; i < w->call_inputs_len; i++) {
		const struct input_decl *in = &w->call_inputs[i];
		struct json *j = json_new_object();

		json_set_str(j, "name", in->name);
		json_set_str(j, "type", input_type_name(in->type));
		json_set_bool(j, "required", in->is_required);
		json_set(j, "default", yaml_to_json(in->otherwise));
		json_push(list, j);
	}
	return list;
}

static struct json *call_to_json(
	const struct job *job, const struct uses *u, const struct called *c)
{
	struct json *call = json_new_object(), *names = json_new_array();
	struct json *outputs = json_new_object();
	const struct workflow *w = c ? c->w : NULL;

	json_set_str(call, "uses", job->uses->str);
	json_set_str(call, "path", u->path);
	json_set_str(call, "repository", c ? c->repository : NULL);
	json_set_str(call, "ref", c ? c->ref : u->ref);
	json_set(call, "with",
		schema_to_json(yaml_get(job->node, "with"),
			schema_prop(&schema_job, "with")->def));
	json_set(call, "secrets",
		schema_to_json(yaml_get(job->node, "secrets"),
			schema_prop(&schema_job, "secrets")->def));
	json_set(call, "inputs", w ? inputs_to_json(w) : json_new_array());
	for (size_t i = 0; w && i < w->call_secrets_len; i++)
		json_push_str(names, w->call_secrets[i].name);
	for (size_t i = 0; w && i < w->call_outputs_len; i++)
		if (yaml_is_scalar(w->call_outputs[i].value))
			json_set_str(outputs, w->call_outputs[i].name,
				w->call_outputs[i].value->str);
	json_set(call, "secret_names", names);
	json_set(call, "outputs", outputs);
	json_set(call, "children", json_new_array());
	return call;
}

/* Reads and parses what JOB calls; NULL when that is refused or cannot be had. */
static struct called *load_call(struct build *b, const struct scope *s,
	const struct job *job, const struct uses *u)
{
	_cleanup_free_ char *repository =
		u->owner ? xasprintf("%s/%s", u->owner, u->repo) : NULL;
	struct source src = { repository ? repository : s->repository,
		u->ref ? u->ref : s->ref, u->path };
	struct err err = ERR_INIT;
	struct called *c;
	struct diag *d;

	if (load_file(b, &src, &c, &err) < 0) {
		if (b->req->allow_missing && err.code == ERR_UNAVAILABLE)
			return NULL;
		(void)error_at(b, s->w->path, job->uses->mark, "called-workflow",
			"cannot read the called workflow '%.80s': %s", job->uses->str,
			err.msg);
		return NULL;
	}
	if (!c->is_parsed) {
		size_t before = b->diags->len + b->diags->dropped;

		/* A faulty one is gone through all the same: its caller may be wrong too. */
		workflow_parse_lenient(
			c->name, c->data.buf, c->data.len, &c->w, b->diags);
		c->is_parsed = true;
		c->has_errors = b->diags->len + b->diags->dropped > before;
	}
	if (c->has_errors)
		(void)error_at(b, s->w->path, job->uses->mark, "called-workflow",
			"the called workflow '%.80s' has errors", job->uses->str);
	if (!c->w)
		return NULL;
	if (workflow_find_trigger(c->w, "workflow_call"))
		return c;
	d = error_at(b, s->w->path, job->uses->mark, "called-workflow",
		"the workflow '%.80s' cannot be called", job->uses->str);
	diag_hint(d, "it has no 'on: workflow_call'");
	return NULL;
}

static void add_call(
	struct build *b, const struct scope *s, const struct job *job, struct json *node)
{
	struct uses u = uses_parse(job->uses->str, s->w->doc->arena);
	_cleanup_free_ char *prefix = xasprintf("%s%s/", s->prefix, job->id);
	struct scope inner = { .prefix = prefix, .parent = node, .depth = s->depth + 1 };
	struct called *c;

	if (inner.depth > LIMIT_CALL_DEPTH) {
		(void)error_at(b, s->w->path, job->uses->mark, "limit",
			"workflows call each other more than %d levels deep",
			LIMIT_CALL_DEPTH);
		return;
	}
	c = load_call(b, s, job, &u);
	if (c && c->w)
		b->values += CALL_INPUT_VALUES * c->w->call_inputs_len +
			     c->w->call_secrets_len + 2 * c->w->call_outputs_len;
	if (node && b->values <= LIMIT_PLAN_VALUES)
		json_set(node, "call", call_to_json(job, &u, c));
	if (!c)
		return;
	inner.w = c->w;
	inner.repository = c->repository;
	inner.ref = c->ref;
	inner.allowed = job_permissions(s, job, &inner.is_limited);
	check_with(b, s, job, c->w);
	check_secrets(b, s, job, c->w);
	check_permissions(b, s, job, yaml_get(c->w->root, "permissions"), &inner.allowed,
		"the called workflow", c->w->path);
	for (size_t i = 0; i < c->w->jobs_len; i++) {
		const struct job *j = &c->w->jobs[i];

		check_permissions(b, s, job, yaml_get(j->node, "permissions"),
			&inner.allowed, "the called workflow's job", j->id);
	}
	inner.env = b->jobs ? workflow_env_to_json(inner.w) : NULL;
	add_jobs(b, &inner);
	json_free(inner.env);
}

/* What it calls is a word that names a workflow (a faulty file is told of elsewhere). */
static bool can_call(struct build *b, const struct scope *s, const struct job *job)
{
	struct uses u;

	if (!yaml_is_scalar(job->uses))
		return false;
	if (strstr(job->uses->str, "${{")) {
		if (!b->req->allow_missing)
			(void)error_at(b, s->w->path, job->uses->mark, "bad-uses",
				"'uses' of a job cannot be an expression");
		return false;
	}
	u = uses_parse(job->uses->str, s->w->doc->arena);
	return u.kind != USES_INVALID && u.kind != USES_DOCKER && u.path;
}

/*
 * The environment of a workflow and a called workflow stand in the plan as often as they
 * are used: a small file could ask for gigabytes.
 */
static bool fits(struct build *b, const struct scope *s, const struct job *job)
{
	const struct yaml_node *env = yaml_get(s->w->root, "env");

	b->values += NODE_VALUES + job->node->weight + STEP_VALUES * job->steps_len +
		     (env ? env->weight : 0);
	b->bytes += job->node->bytes + (env ? env->bytes : 0);
	if (b->values <= LIMIT_PLAN_VALUES && b->bytes <= LIMIT_PLAN_TEXT)
		return true;
	if (!b->is_full)
		diag_hint(error_at(b, s->w->path, job->key->mark, "limit",
				  "the jobs up to '%s' make a plan of more than %d "
				  "values or %d MiB",
				  job->id, LIMIT_PLAN_VALUES,
				  (int)(LIMIT_PLAN_TEXT / MiB)),
			"each job carries the 'env' of its workflow, each call the "
			"whole of what it calls: make these smaller, or split the file");
	b->is_full = true;
	return false;
}

static struct json *add_node(
	struct build *b, const struct scope *s, const struct job *job)
{
	struct permissions p;
	struct json *node;
	bool is_said;

	if (!b->jobs)
		return NULL;
	node = job_to_json(s->w, job, s->prefix);
	p = job_permissions(s, job, &is_said);
	json_set_str(node, "parent", json_get_str(s->parent, "id", NULL));
	json_set(node, "permissions", is_said ? permissions_to_json(&p) : NULL);
	json_set(node, "workflow_env", json_share(s->env));
	json_set(node, "call", NULL);
	json_push(b->jobs, node);
	if (s->parent)
		json_push_str(json_get(json_get(s->parent, "call"), "children"),
			json_get_str(node, "id", ""));
	return node;
}

static void add_jobs(struct build *b, const struct scope *s)
{
	for (size_t i = 0; i < s->w->jobs_len && !b->is_full; i++) {
		const struct job *job = &s->w->jobs[i];
		struct json *node;

		if (++b->nodes > LIMIT_JOBS) {
			(void)error_at(b, s->w->path, job->key->mark, "limit",
				"the run has more than %d jobs", LIMIT_JOBS);
			return;
		}
		if (!fits(b, s, job))
			return;
		node = add_node(b, s, job);
		if (can_call(b, s, job))
			add_call(b, s, job, node);
		else if (b->files)
			note_actions(b, job->steps, job->steps_len);
	}
}

/* ---- the plan ---------------------------------------------------------------------- */

static struct json *workflow_to_json(
	const struct plan_request *r, const struct workflow *w)
{
	const struct yaml_node *run_name = yaml_get(w->root, "run-name");
	struct json *j = json_new_object();

	json_set_str(j, "path", r->path);
	json_set_str(j, "name", w->name == w->path ? r->path : w->name);
	json_set(j, "run_name",
		yaml_is_scalar(run_name) && run_name->str_len
			? json_new_str(run_name->str)
			: json_new_null());
	return j;
}

static struct json *declared_inputs(const struct workflow *w)
{
	const struct trigger *t = workflow_find_trigger(w, "workflow_dispatch");
	const struct yaml_node *inputs = t ? yaml_get(t->config, "inputs") : NULL;
	struct json *list = json_new_array();

	for (size_t i = 0; i < w->dispatch_inputs_len; i++) {
		const struct input_decl *in = &w->dispatch_inputs[i];
		const struct yaml_node *n = yaml_get(inputs, in->name);
		struct json *j = json_new_object();

		json_set_str(j, "name", in->name);
		json_set_str(j, "type", input_type_name(in->type));
		json_set_bool(j, "required", in->is_required);
		json_set(j, "default", yaml_to_json(in->otherwise));
		json_set(j, "options", yaml_to_json(in->options));
		json_set(j, "description", yaml_to_json(yaml_get(n, "description")));
		json_push(list, j);
	}
	return list;
}

static int set_trigger(
	struct build *b, const struct workflow *w, struct json *plan, struct err *err)
{
	const struct plan_request *r = b->req;
	struct trigger_change change = { r->changed_files, r->changed_files_len };
	struct strbuf reason = STRBUF_INIT;
	bool is_triggered = true;
	int rc = 0;

	if (r->event)
		rc = trigger_match(
			w, r->event, r->github, &change, &is_triggered, &reason, err);
	if (r->event && rc == 0 && r->is_own && workflow_find_trigger(w, r->event))
		is_triggered = true;
	if (!r->event)
		strbuf_adds(&reason, "no event was named");
	json_set_str(plan, "event",
		r->event	  ? r->event
		: w->triggers_len ? w->triggers[0].event
				  : NULL);
	json_set_bool(plan, "triggered", is_triggered);
	json_set_str(plan, "reason", reason.buf);
	strbuf_done(&reason);
	return rc;
}

/* Those of GIVEN that somebody declared: the others are seen in github.event alone. */
static struct json *declared_of(
	const struct input_decl *decls, size_t len, const struct json *given)
{
	struct json *j = json_new_object();

	json_foreach (it, given) {
		for (size_t i = 0; i < len; i++)
			if (strcasecmp(decls[i].name, it.key) == 0)
				json_set(j, it.key, json_share(it.value));
	}
	return j;
}

static int set_inputs(
	struct build *b, const struct workflow *w, struct json *plan, struct err *err)
{
	const char *event = json_get_str(plan, "event", "");
	struct json *inputs = NULL, *given;
	const struct input_decl *decls = NULL;
	size_t len = 0;
	int rc;

	if (strcmp(event, "workflow_dispatch") == 0) {
		decls = w->dispatch_inputs;
		len = w->dispatch_inputs_len;
	} else if (strcmp(event, "workflow_call") == 0) {
		decls = w->call_inputs;
		len = w->call_inputs_len;
	}
	if (!decls || !b->req->inputs || !json_get_bool(plan, "triggered", false)) {
		json_set(plan, "inputs", json_new_object());
		if (!decls)
			return 0;
		/* Nothing was given yet: the defaults, and nothing is missing. */
		inputs = json_get(plan, "inputs");
		for (size_t i = 0; i < len; i++) {
			struct input_decl in = decls[i];
			struct json *one = NULL;

			in.is_required = false;
			if (trigger_inputs(&in, 1, NULL, &one, err) < 0)
				return -1;
			json_set(inputs, in.name, json_share(json_get(one, in.name)));
			json_free(one);
		}
		return 0;
	}
	given = b->req->is_own ? declared_of(decls, len, b->req->inputs)
			       : json_share((struct json *)b->req->inputs);
	rc = trigger_inputs(decls, len, given, &inputs, err);
	json_free(given);
	if (rc < 0)
		return err_wrap(err, "%s", w->path);
	json_set(plan, "inputs", inputs);
	return 0;
}

static struct json *request_contexts(
	const struct plan_request *r, const struct json *plan)
{
	struct json *j = json_new_object();

	json_set(j, "github",
		r->github ? json_share((struct json *)r->github) : json_new_object());
	json_set(j, "vars",
		r->vars ? json_share((struct json *)r->vars) : json_new_object());
	json_set(j, "inputs", json_share(json_get(plan, "inputs")));
	return j;
}

/* The group of the run, for the queue: known at once, or left as written. */
static void set_concurrency(struct build *b, const struct workflow *w, struct json *plan)
{
	const struct yaml_node *n = yaml_get(w->root, "concurrency");
	const struct schema_def *def = schema_prop(&schema_workflow, "concurrency")->def;
	_cleanup_(json_freep) struct json *contexts = request_contexts(b->req, plan);
	_cleanup_(value_unrefp) struct value *v = NULL;
	struct json *j = NULL;
	struct err ignored = ERR_INIT;
	struct plan_eval ev;

	if (n && yaml_is_scalar(n) && n->str_len > 0) {
		j = json_new_object();
		json_set(j, "group", schema_to_json(n, def));
	} else if (yaml_is(n, YAML_MAPPING))
		j = schema_to_json(n, def);
	if (j && json_get(j, "cancel-in-progress")) {
		json_set(j, "cancel_in_progress",
			json_share(json_get(j, "cancel-in-progress")));
		json_unset(j, "cancel-in-progress");
	}
	json_set(plan, "concurrency", j);
	if (!j || !b->req->event)
		return;
	plan_eval_init(&ev, plan, contexts, SCOPE_GITHUB | SCOPE_INPUTS | SCOPE_VARS);
	if (plan_eval_knows_json(&ev, j) &&
		plan_eval_json(&ev, j, "concurrency", &v, &ignored) == 0) {
		struct value *inner = value_get(v, "group");

		json_set(plan, "concurrency",
			value_to_json(value_kind_of(inner) == VALUE_OBJECT ? inner : v));
	}
	plan_eval_done(&ev);
}

static int build(
	struct build *b, const struct workflow *w, struct json *plan, struct err *err)
{
	struct scope top = {
		.w = w, .prefix = "", .allowed = permissions_all(PERMISSION_WRITE)
	};
	const struct yaml_node *permissions = yaml_get(w->root, "permissions");
	size_t before = b->diags->len + b->diags->dropped;
	struct permissions p = permissions_of(permissions);
	uint8_t sum[SHA256_LEN];
	char hex[SHA256_HEX_MAX];

	json_set_int(plan, "version", PLAN_VERSION);
	json_set(plan, "workflow", workflow_to_json(b->req, w));
	json_set(plan, "declared_inputs", declared_inputs(w));
	json_set(plan, "files", json_share(b->files));
	if (set_trigger(b, w, plan, err) < 0 || set_inputs(b, w, plan, err) < 0)
		return -1;
	json_set(plan, "permissions", permissions ? permissions_to_json(&p) : NULL);
	set_concurrency(b, w, plan);
	json_set(plan, "jobs", json_share(b->jobs));
	top.env = workflow_env_to_json(w);
	add_jobs(b, &top);
	json_free(top.env);
	if (b->diags->len + b->diags->dropped > before)
		return diagnostics_to_err(b->diags, err);
	sha256_end(b->digest, sum);
	hex_encode(sum, sizeof(sum), hex);
	json_set_str(json_get(plan, "workflow"), "digest", hex);
	return 0;
}

static void build_init(
	struct build *b, const struct plan_request *req, struct diagnostics *d)
{
	*b = (struct build){ .req = req, .diags = d };
}

static void build_done(struct build *b)
{
	for (size_t i = 0; i < b->called_len; i++)
		called_free(b->called[i]);
	free(b->called);
	json_free(b->jobs);
	json_free(b->files);
	if (b->digest)
		sha256_free(b->digest);
}

int plan_build(const struct plan_request *req, struct json **ret_plan,
	struct diagnostics *d, struct err *err)
{
	_cleanup_(json_freep) struct json *plan = json_new_object();
	_cleanup_(workflow_freep) struct workflow *w = NULL;
	const char *shown = req->shown ? req->shown : req->path;
	struct build b;
	int rc;

	if (workflow_parse(shown, req->data, req->len, &w, d) < 0)
		return diagnostics_to_err(d, err);
	build_init(&b, req, d);
	b.jobs = json_new_array();
	b.files = json_new_array();
	b.digest = sha256_new();
	note_file(&b, req->path, NULL, NULL, req->data, req->len);
	rc = build(&b, w, plan, err);
	build_done(&b);
	if (rc < 0)
		return -1;
	*ret_plan = take_ptr(plan);
	return 0;
}

void plan_check(
	const struct plan_request *req, const struct workflow *w, struct diagnostics *d)
{
	struct scope top = {
		.w = w, .prefix = "", .allowed = permissions_all(PERMISSION_WRITE)
	};
	struct build b;

	build_init(&b, req, d);
	add_jobs(&b, &top);
	build_done(&b);
}
