/* SPDX-License-Identifier: Apache-2.0 */
/* From the payload of an event to the few facts that filters look at. */
#include "workflows/trigger.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "workflows/value.h"

/* Where in `github.event` each event keeps what filters want. */
static const struct {
	const char *event;
	const char *base; /* the branch a change goes into */
	const char *head;
} places[] = {
	{ "pull_request", "event.pull_request.base.ref", NULL },
	{ "pull_request_target", "event.pull_request.base.ref", NULL },
	{ "merge_group", "event.merge_group.base_ref", NULL },
	{ "workflow_run", NULL, "event.workflow_run.head_branch" },
};

static const char *text_at(const struct json *github, const char *path)
{
	return path ? json_as_str(json_path(github, path), NULL) : NULL;
}

static const char *short_ref(const char *ref)
{
	static const char *const prefixes[] = { "refs/heads/", "refs/tags/" };

	for (size_t i = 0; ref && i < ARRAY_SIZE(prefixes); i++)
		if (str_starts(ref, prefixes[i]))
			return ref + strlen(prefixes[i]);
	return ref;
}

static void fill_ref(struct filter_event *e, const struct json *github)
{
	const char *ref = json_get_str(github, "ref", text_at(github, "event.ref"));

	if (strcmp(e->event, "push") != 0 || !ref)
		return;
	e->ref_kind = str_starts(ref, "refs/tags/") ? FILTER_REF_TAG : FILTER_REF_BRANCH;
	e->ref = short_ref(ref);
	e->is_delete = json_as_bool(json_path(github, "event.deleted"), false);
}

static void fill_event(struct filter_event *e, const char *event,
	const struct json *github, const struct trigger_change *change)
{
	*e = (struct filter_event){ .event = event,
		.action = text_at(github, "event.action") };
	fill_ref(e, github);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		if (strcmp(places[i].event, event) != 0)
			continue;
		e->base = short_ref(text_at(github, places[i].base));
		e->head = text_at(github, places[i].head);
	}
	if (!e->base && str_starts(event, "pull_request"))
		e->base = json_get_str(github, "base_ref", NULL);
	e->workflow = text_at(github, "event.workflow_run.name");
	if (!e->workflow)
		e->workflow = text_at(github, "event.workflow.name");
	e->files_known = change && change->files && change->len <= LIMIT_CHANGED_FILES;
	if (e->files_known) {
		e->files = change->files;
		e->files_len = change->len;
	}
}

/* A schedule names which of its times it is. */
static bool cron_matches(const struct trigger *t, const struct json *github)
{
	const char *want = text_at(github, "event.schedule");

	if (!want)
		return true;
	for (size_t i = 0; i < t->crons_len; i++)
		if (strcmp(t->crons[i].cron->str, want) == 0)
			return true;
	return false;
}

int trigger_match(const struct workflow *w, const char *event, const struct json *github,
	const struct trigger_change *change, bool *ret, struct strbuf *reason,
	struct err *err)
{
	const struct trigger *t = workflow_find_trigger(w, event);
	struct filter_event e;

	if (!t) {
		strbuf_addf(reason, "the workflow has no 'on: %s'", event);
		*ret = false;
		return 0;
	}
	if (strcmp(event, "schedule") == 0 && !cron_matches(t, github)) {
		strbuf_adds(reason, "no 'cron' of the workflow is the one that is due");
		*ret = false;
		return 0;
	}
	fill_event(&e, event, github, change);
	if (filter_match(&t->rules, &e, ret, reason, err) < 0)
		return err_wrap(
			err, "%s:%u:%u", w->path, t->key->mark.line, t->key->mark.column);
	return 0;
}

/* ---- inputs ----------------------------------------------------------------------- */

static bool to_boolean(const struct json *given, bool is_exact, struct json **ret)
{
	const char *s = json_as_str(given, NULL);

	if (json_is(given, JSON_KIND_BOOL)) {
		*ret = json_new_bool(json_as_bool(given, false));
		return true;
	}
	if (is_exact || !s || (strcmp(s, "true") != 0 && strcmp(s, "false") != 0))
		return false;
	*ret = json_new_bool(s[0] == 't');
	return true;
}

static bool to_number(const struct json *given, bool is_exact, struct json **ret)
{
	_cleanup_(value_unrefp) struct value *v = NULL;
	double d;

	if (json_is(given, JSON_KIND_INT) || json_is(given, JSON_KIND_REAL)) {
		*ret = json_clone(given);
		return true;
	}
	if (is_exact || !json_is(given, JSON_KIND_STRING))
		return false;
	v = value_new_str(json_as_str(given, ""));
	d = value_to_number(v);
	if (isnan(d) || value_str_len(v) == 0)
		return false;
	*ret = d == floor(d) && fabs(d) < 1e15 ? json_new_int((int64_t)d)
					       : json_new_real(d);
	return true;
}

static bool to_string(const struct json *given, struct json **ret)
{
	_cleanup_(value_unrefp) struct value *v = NULL;
	struct strbuf text = STRBUF_INIT;

	if (json_is(given, JSON_KIND_ARRAY) || json_is(given, JSON_KIND_OBJECT))
		return false;
	v = value_from_json(given);
	value_to_text(v, &text);
	*ret = json_new_strn(text.buf, text.len);
	strbuf_done(&text);
	return true;
}

int trigger_input_value(
	enum input_type type, const struct json *given, bool is_exact, struct json **ret)
{
	switch (type) {
	case INPUT_BOOLEAN:
		return to_boolean(given, is_exact, ret) ? 0 : -1;
	case INPUT_NUMBER:
		return to_number(given, is_exact, ret) ? 0 : -1;
	case INPUT_STRING:
	case INPUT_CHOICE:
	case INPUT_ENVIRONMENT:
		break;
	}
	return to_string(given, ret) ? 0 : -1;
}

static struct json *default_of(const struct input_decl *in)
{
	_cleanup_(json_freep) struct json *j = NULL;
	struct json *typed;

	if (in->otherwise && in->otherwise->kind != YAML_NULL) {
		j = yaml_to_json(in->otherwise);
		if (trigger_input_value(in->type, j, false, &typed) == 0)
			return typed;
	}
	switch (in->type) {
	case INPUT_BOOLEAN:
		return json_new_bool(false);
	case INPUT_NUMBER:
		return json_new_int(0);
	case INPUT_CHOICE:
		if (in->options && in->options->len > 0)
			return json_new_str(in->options->items[0]->str);
		break;
	case INPUT_STRING:
	case INPUT_ENVIRONMENT:
		break;
	}
	return json_new_str("");
}

static const struct json *find_given(const struct json *given, const char *name)
{
	json_foreach (it, given)
		if (strcasecmp(it.key, name) == 0)
			return it.value;
	return NULL;
}

static int check_names(const struct input_decl *decls, size_t len,
	const struct json *given, struct err *err)
{
	json_foreach (it, given) {
		const char *near;
		bool is_known = false;
		_cleanup_free_ const char **names = xcalloc(len + 1, sizeof(*names));

		for (size_t i = 0; i < len; i++) {
			names[i] = decls[i].name;
			is_known = is_known || strcasecmp(decls[i].name, it.key) == 0;
		}
		if (is_known)
			continue;
		near = str_nearest(it.key, names);
		if (near)
			return err_set(err, ERR_INPUT,
				"the workflow has no input '%.60s'; did you mean '%s'?",
				it.key, near);
		return err_set(
			err, ERR_INPUT, "the workflow has no input '%.60s'", it.key);
	}
	return 0;
}

static bool is_option(const struct input_decl *in, const char *text)
{
	for (size_t i = 0; in->options && i < in->options->len; i++)
		if (strcmp(in->options->items[i]->str, text) == 0)
			return true;
	return false;
}

static int type_input(const struct input_decl *in, const struct json *given,
	struct json *out, struct err *err)
{
	struct json *v = NULL;

	if (!given) {
		if (in->is_required && !in->otherwise)
			return err_set(
				err, ERR_INPUT, "input '%s' is required", in->name);
		json_set(out, in->name, default_of(in));
		return 0;
	}
	if (trigger_input_value(in->type, given, false, &v) < 0)
		return err_set(err, ERR_INPUT, "input '%s' must be a %s", in->name,
			input_type_name(in->type));
	json_set(out, in->name, v);
	if (in->type == INPUT_CHOICE && !is_option(in, json_as_str(v, "")))
		return err_set(err, ERR_INPUT,
			"'%.60s' is not one of the options of input '%s'",
			json_as_str(v, ""), in->name);
	return 0;
}

int trigger_inputs(const struct input_decl *decls, size_t len, const struct json *given,
	struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *out = json_new_object();

	if (check_names(decls, len, given, err) < 0)
		return -1;
	for (size_t i = 0; i < len; i++)
		if (type_input(&decls[i], find_given(given, decls[i].name), out, err) < 0)
			return -1;
	*ret = take_ptr(out);
	return 0;
}
