/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spec document into a struct. Core is not hostile, but the members below "job" come
 * from the planner, which is: counts and kinds are checked here, once, so that the rest of
 * the executor may take them as they stand.
 */
#include "executor/spec.h"

#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "executor/link.h"

struct json *spec_member(const struct json *obj, const char *dashed)
{
	struct json *j = json_get(obj, dashed);
	char name[64];

	if (j || !strchr(dashed, '-') || strlen(dashed) >= sizeof(name))
		return j;
	(void)snprintf(name, sizeof(name), "%s", dashed);
	for (char *p = name; *p; p++)
		if (*p == '-')
			*p = '_';
	return json_get(obj, name);
}

/* A text, or NULL when it is absent, null, or empty. Numbers are not texts. */
static int read_text(
	const struct json *obj, const char *key, const char **ret, struct err *err)
{
	const struct json *j = spec_member(obj, key);

	if (!j || json_is(j, JSON_KIND_NULL))
		return 0;
	if (!json_is(j, JSON_KIND_STRING))
		return err_set(err, ERR_INPUT, "'%s' is not a string", key);
	if (json_str_len(j) != strlen(json_as_str(j, "")))
		return err_set(err, ERR_INPUT, "'%s' holds a NUL byte", key);
	*ret = json_as_str(j, NULL);
	return 0;
}

static int read_object(
	const struct json *obj, const char *key, const struct json **ret, struct err *err)
{
	const struct json *j = spec_member(obj, key);

	if (!j || json_is(j, JSON_KIND_NULL))
		return 0;
	if (!json_is(j, JSON_KIND_OBJECT))
		return err_set(err, ERR_INPUT, "'%s' is not an object", key);
	*ret = j;
	return 0;
}

/* Keys of a step that are legal but not built yet: naming them beats ignoring them. */
static const char *const step_refused[] = { "background", "wait", "wait-all", "parallel",
	"cancel" };

static bool is_asked(const struct json *j)
{
	return j && !json_is(j, JSON_KIND_NULL) && json_as_bool(j, true);
}

/* "__run", "__actions_checkout": as the runner makes them, from the kind alone. */
static char *generated_id(const struct spec_step *s, size_t index)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;

	strbuf_adds(&sb, "__");
	if (s->uses) {
		for (const char *p = s->uses; *p && *p != '@'; p++)
			strbuf_addc(&sb, strchr("./:", *p) ? '_' : *p);
	} else {
		strbuf_adds(&sb, "run");
	}
	if (index)
		strbuf_addf(&sb, "_%zu", index + 1);
	return strbuf_take(&sb);
}

int spec_step_read(
	const struct json *j, size_t index, struct spec_step *ret, struct err *err)
{
	struct spec_step s = { .line = json_get_int(j, "line", 0) };
	const char *id = NULL;

	if (!json_is(j, JSON_KIND_OBJECT))
		return err_set(err, ERR_INPUT, "is not an object");
	if (read_text(j, "id", &id, err) < 0 || read_text(j, "name", &s.name, err) < 0 ||
		read_text(j, "run", &s.run, err) < 0 ||
		read_text(j, "uses", &s.uses, err) < 0 ||
		read_text(j, "shell", &s.shell, err) < 0 ||
		read_text(j, "working-directory", &s.working_directory, err) < 0 ||
		read_object(j, "with", &s.with, err) < 0 ||
		read_object(j, "env", &s.env, err) < 0)
		return -1;
	/* `if: true` is a boolean in YAML. */
	if (json_is(spec_member(j, "if"), JSON_KIND_BOOL))
		s.condition = json_get_bool(j, "if", true) ? "true" : "false";
	else if (read_text(j, "if", &s.condition, err) < 0)
		return -1;
	if (!s.line)
		s.line = json_as_int(json_path(j, "mark.line"), 0);
	s.continue_on_error = spec_member(j, "continue-on-error");
	s.timeout_minutes = spec_member(j, "timeout-minutes");
	for (size_t i = 0; i < ARRAY_SIZE(step_refused); i++)
		if (is_asked(spec_member(j, step_refused[i])))
			s.refused = step_refused[i];
	if (!s.refused && !s.run == !s.uses)
		return err_set(err, ERR_INPUT, "needs either 'run' or 'uses'");
	s.is_generated = !id || !*id || str_starts(id, "__") ||
			 json_get_bool(j, "generated_id", false);
	s.id = id && *id ? xstrdup(id) : generated_id(&s, index);
	*ret = s;
	return 0;
}

void spec_step_done(struct spec_step *s)
{
	free(s->id);
	*s = (struct spec_step){ 0 };
}

/* A member of the row, or of the part of it that is shared between rows. */
static struct json *job_member(const struct spec *s, const char *dashed)
{
	struct json *j = spec_member(s->job, dashed);

	return j ? j : spec_member(json_get(s->job, "spec"), dashed);
}

static int read_steps(struct spec *s, struct err *err)
{
	const struct json *list = job_member(s, "steps");
	size_t n = json_count(list);

	if (!json_is(list, JSON_KIND_ARRAY))
		return err_set(err, ERR_INPUT, "'steps' is not a list");
	if (n > LIMIT_STEPS)
		return err_set(
			err, ERR_LIMIT, "%zu steps are more than %d", n, LIMIT_STEPS);
	s->steps = xcalloc(n ? n : 1, sizeof(*s->steps));
	for (size_t i = 0; i < n; i++) {
		if (spec_step_read(json_at(list, i), i, &s->steps[i], err) < 0)
			return err_wrap(err, "step %zu", i + 1);
		s->steps_len = i + 1;
	}
	return 0;
}

static int job_object(
	const struct spec *s, const char *key, const struct json **ret, struct err *err)
{
	const struct json *j = job_member(s, key);

	if (!j || json_is(j, JSON_KIND_NULL))
		return 0;
	if (!json_is(j, JSON_KIND_OBJECT))
		return err_set(err, ERR_INPUT, "'%s' is not an object", key);
	*ret = j;
	return 0;
}

/* A mapping, or one expression that will give a mapping. */
static int read_layer(
	const char *key, const struct json *j, const struct json **ret, struct err *err)
{
	if (!j || json_is(j, JSON_KIND_NULL))
		return 0;
	if (!json_is(j, JSON_KIND_OBJECT) && !json_is(j, JSON_KIND_STRING))
		return err_set(err, ERR_INPUT, "'%s' is not an object", key);
	*ret = j;
	return 0;
}

static int read_env(struct spec *s, struct err *err)
{
	return read_layer("env", json_get(s->doc, "env"), &s->env_layers[0], err) < 0 ||
			       read_layer("workflow-env", job_member(s, "workflow-env"),
				       &s->env_layers[1], err) < 0
		       ? -1
		       : read_layer("env", job_member(s, "env"), &s->env_layers[2], err);
}

/* Either {"shell", "working-directory"}, or the same below "run". */
static int read_defaults(struct spec *s, struct err *err)
{
	const struct json *d = NULL, *run = NULL;

	if (job_object(s, "defaults", &d, err) < 0 ||
		read_object(d, "run", &run, err) < 0)
		return -1;
	if (run)
		d = run;
	return read_text(d, "shell", &s->default_shell, err) < 0
		       ? -1
		       : read_text(d, "working-directory", &s->default_directory, err);
}

static int read_environment(struct spec *s, struct err *err)
{
	const struct json *env = job_member(s, "environment");

	if (json_is(env, JSON_KIND_STRING)) {
		s->environment_name = json_as_str(env, NULL);
		return 0;
	}
	return read_text(env, "name", &s->environment_name, err) < 0
		       ? -1
		       : read_text(env, "url", &s->environment_url, err);
}

static bool has_content(const struct json *j)
{
	return j && !json_is(j, JSON_KIND_NULL) &&
	       !(json_is(j, JSON_KIND_OBJECT) && json_count(j) == 0);
}

static int read_job(struct spec *s, struct err *err)
{
	if (!json_is(s->job, JSON_KIND_OBJECT))
		return err_set(err, ERR_INPUT, "'job' is not an object");
	s->key = json_get_str(s->job, "job_id", json_get_str(s->job, "id", NULL));
	s->name = json_get_str(s->job, "name", s->key);
	if (!s->key)
		return err_set(err, ERR_INPUT, "the job has no 'id'");
	if (read_steps(s, err) < 0 || read_env(s, err) < 0 || read_defaults(s, err) < 0 ||
		read_environment(s, err) < 0 ||
		job_object(s, "outputs", &s->outputs, err) < 0 ||
		job_object(s, "matrix", &s->matrix, err) < 0 ||
		job_object(s, "strategy", &s->strategy, err) < 0 ||
		job_object(s, "inputs", &s->inputs, err) < 0)
		return err_wrap(err, "job '%s'", s->key);
	s->timeout_minutes = job_member(s, "timeout-minutes");
	s->secret_maps = job_member(s, "secrets-map");
	if (has_content(job_member(s, "container")))
		s->refused = "container";
	else if (has_content(job_member(s, "services")))
		s->refused = "services";
	return 0;
}

static int read_source(struct spec *s, struct err *err)
{
	static const char *const kinds[] = {
		[SPEC_SOURCE_NONE] = "none",
		[SPEC_SOURCE_MIRROR] = "mirror",
		[SPEC_SOURCE_TREE] = "tree",
	};
	const char *kind;

	if (read_object(s->doc, "source", &s->source_doc, err) < 0)
		return -1;
	kind = json_get_str(s->source_doc, "kind", "none");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (str_eq(kind, kinds[i])) {
			s->source = (enum spec_source_kind)i;
			break;
		}
		if (i + 1 == ARRAY_SIZE(kinds))
			return err_set(err, ERR_INPUT, "unknown source '%s'", kind);
	}
	if (s->source == SPEC_SOURCE_MIRROR &&
		(!path_is_name(json_get_str(s->source_doc, "mirror", "")) ||
			!*json_get_str(s->source_doc, "sha", "")))
		return err_set(
			err, ERR_INPUT, "the mirror's name or the commit is missing");
	if (s->source == SPEC_SOURCE_TREE &&
		json_get_str(s->source_doc, "path", "")[0] != '/')
		return err_set(err, ERR_INPUT, "the path of the tree is not absolute");
	return 0;
}

static int read_facts(struct spec *s, struct err *err)
{
	const struct json *network = NULL, *root = NULL;

	if (read_object(s->doc, "github", &s->github, err) < 0 ||
		read_object(s->doc, "vars", &s->vars, err) < 0 ||
		read_object(s->doc, "needs", &s->needs, err) < 0 ||
		read_object(s->doc, "artifacts", &s->artifacts, err) < 0 ||
		read_object(s->doc, "limits", &s->limits, err) < 0 ||
		read_object(s->doc, "network", &network, err) < 0 ||
		read_object(s->doc, "root", &root, err) < 0 ||
		read_text(s->doc, "actions_dir", &s->actions_dir, err) < 0 ||
		read_text(s->doc, "actions_url", &s->actions_url, err) < 0 ||
		read_text(s->doc, "profile", &s->profile, err) < 0)
		return -1;
	if (!s->inputs && read_object(s->doc, "inputs", &s->inputs, err) < 0)
		return -1;
	s->actions = json_get(s->doc, "actions");
	s->trusted = json_get_bool(s->doc, "trusted", false);
	s->hold = s->trusted && json_is(json_get(s->doc, "hold"), JSON_KIND_OBJECT);
	s->hold_bytes = json_get_int(json_get(s->doc, "hold"), "bytes", 0);
	s->debug = json_get_bool(s->doc, "debug", false);
	/* What is not said is the strictest. */
	if (!s->profile)
		s->profile = s->trusted ? "standard" : "strict";
	s->network = json_get_str(network, "level", "none");
	s->network_rules = network;
	if (str_eq(json_get_str(root, "kind", "host"), "dir"))
		s->root_path = json_get_str(root, "path", NULL);
	if (str_eq(json_get_str(root, "kind", "host"), "image")) {
		s->root_name = json_get_str(root, "name", "");
		s->root_digest = json_get_str(root, "digest", "");
	}
	s->runner_name = json_as_str(json_path(s->doc, "runner.name"), "sluice");
	if (s->actions_dir && s->actions_dir[0] != '/')
		return err_set(err, ERR_INPUT, "'actions_dir' is not absolute");
	return 0;
}

static int read_ids(struct spec *s, struct err *err)
{
	const struct {
		const char *name;
		int64_t *to;
	} ids[] = {
		{ "run", &s->run },
		{ "run_number", &s->run_number },
		{ "job_id", &s->job_id },
		{ "attempt", &s->attempt },
		{ "epoch", &s->epoch },
		{ "try", &s->try },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		*ids[i].to = json_get_int(s->doc, ids[i].name, -1);
		if (*ids[i].to < 0)
			return err_set(err, ERR_INPUT, "'%s' is missing", ids[i].name);
	}
	return 0;
}

int spec_parse(const char *data, size_t len, struct spec **ret, struct err *err)
{
	_cleanup_(spec_freep) struct spec *s = xcalloc(1, sizeof(*s));

	if (json_parse(data, len, &s->doc, err) < 0)
		return err_wrap(err, "the spec");
	if (json_get_int(s->doc, "version", 0) != SPEC_VERSION)
		return err_set(
			err, ERR_INPUT, "the spec is not of version %d", SPEC_VERSION);
	s->job = json_get(s->doc, "job");
	if (read_ids(s, err) < 0 || read_job(s, err) < 0 || read_facts(s, err) < 0 ||
		read_source(s, err) < 0)
		return err_wrap(err, "the spec");
	*ret = take_ptr(s);
	return 0;
}

int spec_load(int job_dir, struct spec **ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	if (fd_read_file(job_dir, JOB_FILE_SPEC, SPEC_SIZE_MAX, &text, err) < 0)
		return err_wrap(err, "the spec");
	return spec_parse(text.buf, text.len, ret, err);
}

void spec_free(struct spec *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->steps_len; i++)
		spec_step_done(&s->steps[i]);
	free(s->steps);
	json_free(s->doc);
	free(s);
}
