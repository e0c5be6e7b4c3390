/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec.json of one try (executor/spec.h): the row as it was expanded, and what core knows
 * from its own tables: trust, profile, network, limits, the commit, results of needs.
 * Nothing of the workflow can loosen what is decided here, and no secret is in it.
 */
#include "runner/core-internal.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "executor/rootstore.h"
#include "executor/spec.h"
#include "runner/labels.h"
#include "runner/network.h"
#include "store/query.h"

/* ---- github ------------------------------------------------------------------------ */

static void set_default(struct json *j, const char *key, const char *value)
{
	if (!json_get(j, key) && value)
		json_set_str(j, key, value);
}

static void set_ref(struct json *g, const char *ref)
{
	static const struct {
		const char *prefix, *type;
	} kinds[] = {
		{ "refs/heads/", "branch" },
		{ "refs/tags/", "tag" },
		{ "refs/pull/", "branch" },
	};

	set_default(g, "ref", ref);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!str_starts(ref, kinds[i].prefix))
			continue;
		set_default(g, "ref_type", kinds[i].type);
		set_default(g, "ref_name",
			ref + (i == 2 ? strlen("refs/pull/") : strlen(kinds[i].prefix)));
	}
	set_default(g, "ref_name", ref);
	set_default(g, "ref_type", "branch");
}

int spec_github(struct core *c, const struct run *r, struct json **ret, struct err *err)
{
	struct event e = { 0 };
	const char *slash = strchr(r->repo_name, '/');
	_cleanup_free_ char *owner =
		slash ? xstrndup(r->repo_name, (size_t)(slash - r->repo_name))
		      : xstrdup(r->repo_name);
	_cleanup_free_ char *ref = NULL;
	char number[32];
	struct json *g;

	if (events_get(c->store, r->event, &e, err) < 0)
		return -1;
	g = json_get(e.document, "github") ? json_clone(json_get(e.document, "github"))
					   : json_new_object();
	set_default(g, "event_name", e.name);
	set_default(g, "actor", e.actor);
	set_default(g, "triggering_actor", json_get_str(g, "actor", e.actor));
	event_done(&e);
	set_default(g, "sha", r->sha);
	set_ref(g, r->ref);
	set_default(g, "repository", r->repo_name);
	set_default(g, "repository_owner", owner);
	set_default(
		g, "server_url", c->o->base_url ? c->o->base_url : "https://github.com");
	set_default(g, "api_url", "https://api.github.com");
	set_default(g, "graphql_url", "https://api.github.com/graphql");
	set_default(g, "workflow", r->workflow_name);
	ref = xasprintf("%s/%s@%s", r->repo_name, r->workflow_path, r->ref);
	set_default(g, "workflow_ref", ref);
	set_default(g, "workflow_sha", r->sha);
	(void)snprintf(number, sizeof(number), "%" PRId64, r->id);
	json_set_str(g, "run_id", number);
	(void)snprintf(number, sizeof(number), "%" PRId64, r->number);
	json_set_str(g, "run_number", number);
	(void)snprintf(number, sizeof(number), "%" PRId64, r->attempt);
	json_set_str(g, "run_attempt", number);
	*ret = g;
	return 0;
}

/* ---- which secrets ----------------------------------------------------------------- */

static bool is_word(char ch)
{
	return isalnum((unsigned char)ch) || ch == '_' || ch == '-';
}

static void push_name(struct json *names, const char *s, size_t len)
{
	_cleanup_free_ char *name = xstrndup(s, len);

	for (char *p = name; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	for (size_t i = 0; i < json_count(names); i++)
		if (str_eq(json_as_str(json_at(names, i), ""), name))
			return;
	json_push_str(names, name);
}

/* One `${{ }}` of a text: names after `secrets`; false when it cannot be told which. */
static bool names_in(const char *s, const char *end, struct json *names)
{
	for (; s < end; s++) {
		const char *at = s + strlen("secrets"), *from;

		if (strncasecmp(s, "secrets", strlen("secrets")) != 0 ||
			(is_word(s[-1])) || s[-1] == '.' || is_word(*at))
			continue;
		while (at < end && *at == ' ')
			at++;
		if (*at == '.') {
			for (from = ++at; at < end && is_word(*at); at++)
				;
			if (at == from)
				return false; /* secrets.* */
			push_name(names, from, (size_t)(at - from));
		} else if (*at == '[') {
			for (at++; at < end && *at == ' '; at++)
				;
			if (*at != '\'')
				return false;
			for (from = ++at; at < end && *at != '\''; at++)
				;
			push_name(names, from, (size_t)(at - from));
		} else {
			return false; /* toJSON(secrets) */
		}
		s = at;
	}
	return true;
}

static bool scan(const char *text, struct json *names)
{
	const char *open = text, *close;

	while ((open = strstr(open, "${{"))) {
		close = strstr(open, "}}");
		if (!close)
			break;
		if (!names_in(open + 3, close, names))
			return false;
		open = close;
	}
	return true;
}

static int all_names(struct core *c, int64_t repo, struct json *names, struct err *err)
{
	_cleanup_(json_freep) struct json *list = NULL;
	const struct json *items;

	if (query_secrets(c->store, repo, &list, err) < 0)
		return -1;
	items = json_get(list, "items") ? json_get(list, "items") : list;
	for (size_t i = 0; i < json_count(items); i++) {
		const char *name = json_get_str(json_at(items, i), "name", "");

		push_name(names, name, strlen(name));
	}
	return 0;
}

int spec_secret_names(struct core *c, const struct job *j, const struct json *row,
	struct json **ret, struct err *err)
{
	/* With `secrets:` of a caller only the outermost map speaks of the run's own. */
	const struct json *maps = json_get(row, "secrets_map");
	const struct json *outer = json_count(maps) > 0 ? json_at(maps, 0) : NULL;
	_cleanup_free_ char *text =
		json_text(outer && !json_is(outer, JSON_KIND_NULL) ? outer : row);
	_cleanup_(json_freep) struct json *names = json_new_array();

	if (!scan(text, names)) {
		json_free(names);
		names = json_new_array();
		if (c->o->is_run)
			json_push_str(names, "*"); /* those of the command line */
		else if (all_names(c, j->repo, names, err) < 0)
			return -1;
	}
	*ret = take_ptr(names);
	return 0;
}

/* ---- the document ------------------------------------------------------------------ */

static struct json *limits_of(const struct core *c)
{
	struct json *l = json_new_object();

	json_set_int(l, "memory", c->o->job_memory);
	json_set_int(l, "pids", c->o->job_pids);
	json_set_real(l, "cpus", (double)c->o->job_cpu_percent / 100.0);
	json_set_int(l, "disk", c->o->job_disk);
	json_set_int(l, "files", c->o->job_files);
	return l;
}

static struct json *source_of(const struct run *r, const struct repo *repo)
{
	struct json *s = json_new_object();
	char name[32];

	(void)snprintf(name, sizeof(name), "%" PRId64 ".git", r->repo);
	json_set_str(s, "kind", "mirror");
	json_set_str(s, "mirror", name);
	json_set_str(s, "ref", r->ref);
	json_set_str(s, "sha", r->sha);
	json_set_str(s, "clone_url", repo->url);
	return s;
}

static int artifacts_of(
	struct core *c, const struct run *r, struct json **ret, struct err *err)
{
	struct artifact *list = NULL;
	size_t len = 0;
	struct json *j;

	if (artifacts_list(c->store, r->id, r->attempt, &list, &len, err) < 0)
		return -1;
	j = json_new_object();
	for (size_t i = 0; i < len; i++)
		json_set_str(j, list[i].name, list[i].digest);
	artifacts_free(list, len);
	*ret = j;
	return 0;
}

/* Only direct needs, by the names the job itself uses. */
static int needs_of(
	struct core *c, const struct job *j, struct json **ret, struct err *err)
{
	return scheduler_needs(c, j->run, j->id, j->node, ret, err);
}

static void set_numbers(
	struct json *doc, const struct job *j, const struct run *r, int64_t try)
{
	json_set_int(doc, "version", SPEC_VERSION);
	json_set_int(doc, "run", j->run);
	json_set_int(doc, "run_number", r->number);
	json_set_int(doc, "job_id", j->id);
	json_set_int(doc, "attempt", j->attempt);
	json_set_int(doc, "epoch", j->epoch);
	json_set_int(doc, "try", try);
}

static int set_network(struct core *c, struct json *doc, const struct job *j,
	const struct run *r, const struct repo *repo, struct err *err)
{
	struct network_asked asked = { .repo = repo,
		.environment = j->environment,
		.node = j->node,
		.is_trusted = r->trust == TRUST_TRUSTED };
	struct json *n;

	if (network_rules(c, &asked, &n, err) < 0)
		return -1;
	json_set(doc, "network", n);
	return 0;
}

/* What the job's labels stand for; "profile" is set by it for trusted work alone. */
static int set_root(struct core *c, struct json *doc, const struct job *j, bool is_trusted,
	struct err *err)
{
	_cleanup_(json_freep) struct json *labels = NULL, *image = NULL;
	_cleanup_(label_root_done) struct label_root r = { 0 };
	_cleanup_close_ int roots = -1;
	struct json *root = json_new_object();

	json_set(doc, "root", root);
	json_set_str(root, "kind", "host");
	if (json_parse(j->labels, strlen(j->labels), &labels, err) < 0 ||
		labels_root(&c->o->labels, labels, &r, err) < 0)
		return -1;
	if (r.dir) {
		json_set_str(root, "kind", "dir");
		json_set_str(root, "path", r.dir);
	}
	if (!r.image)
		return 0;
	roots = openat(c->data, ROOTSTORE_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (roots < 0)
		return err_sys(err, "cannot open '" ROOTSTORE_DIR "'");
	if (rootstore_find(roots, r.image, &image, err) < 0)
		return -1;
	json_set_str(root, "kind", "image");
	json_set_str(root, "name", r.image);
	json_set_str(root, "digest", json_get_str(image, "digest", ""));
	if (r.is_root && is_trusted)
		json_set_str(doc, "profile", "root");
	return 0;
}

static int set_policy(struct core *c, struct json *doc, const struct job *j,
	const struct run *r, const struct repo *repo, struct err *err)
{
	/* A fork's pull request that a maintainer let run is still no trusted work. */
	bool is_trusted = r->trust == TRUST_TRUSTED;
	struct json *runner = json_new_object();

	json_set_bool(doc, "trusted", is_trusted);
	if (is_trusted && c->o->has_git && held_ms(c, repo) > 0) {
		struct json *hold = json_new_object();

		json_set_int(hold, "bytes", c->o->keep_held_size);
		json_set(doc, "hold", hold);
	}
	/* What an administrator granted this repository; no workflow can ask for it. */
	json_set_str(doc, "profile",
		is_trusted ? json_get_str(repo->settings, "profile", c->o->profile) : "strict");
	json_set(doc, "limits", limits_of(c));
	json_set_str(runner, "name", "sluice");
	json_set_str(runner, "environment", "self-hosted");
	json_set(doc, "runner", runner);
	if (c->o->actions_dir)
		json_set_str(doc, "actions_dir", c->o->actions_dir);
	if (c->o->actions_url)
		json_set_str(doc, "actions_url", c->o->actions_url);
	return set_root(c, doc, j, is_trusted, err);
}

static int fill(struct core *c, struct json *doc, const struct job *j,
	const struct run *r, struct err *err)
{
	struct json *row = NULL, *vars = NULL, *needs = NULL, *artifacts = NULL,
		    *names = NULL;
	struct json *github = scheduler_github(c, j->run, err);

	if (!github)
		return -1;
	json_set(doc, "github", json_share(github));
	if (jobs_spec(c->store, j->id, &row, err) < 0)
		return -1;
	json_set(doc, "job", row);
	if (vars_context(c->store, j->repo, j->environment, &vars, err) < 0)
		return -1;
	json_set_bool(doc, "debug",
		str_eq(json_get_str(vars, "ACTIONS_STEP_DEBUG", ""), "true"));
	json_set(doc, "vars", vars);
	if (needs_of(c, j, &needs, err) < 0)
		return -1;
	json_set(doc, "needs", needs);
	if (artifacts_of(c, r, &artifacts, err) < 0)
		return -1;
	json_set(doc, "artifacts", artifacts);
	if (spec_secret_names(c, j, row, &names, err) < 0)
		return -1;
	json_set(doc, "secret_names", names);
	return 0;
}

int spec_doc(struct core *c, const struct job *j, int64_t try, struct json **ret,
	struct err *err)
{
	_cleanup_(json_freep) struct json *doc = json_new_object();
	struct repo repo = { 0 };
	struct run r = { 0 };
	int rc = runs_get(c->store, j->run, &r, err);

	if (rc == 0)
		rc = repos_get(c->store, j->repo, &repo, err);
	if (rc == 0) {
		set_numbers(doc, j, &r, try);
		json_set(doc, "source", source_of(&r, &repo));
		rc = set_policy(c, doc, j, &r, &repo, err);
	}
	if (rc == 0)
		rc = set_network(c, doc, j, &r, &repo, err);
	if (rc == 0)
		rc = fill(c, doc, j, &r, err);
	run_done(&r);
	repo_done(&repo);
	if (rc < 0)
		return err_wrap(
			err, "cannot write the specification of job %" PRId64, j->id);
	if (c->run.spec)
		c->run.spec(j->id, doc, c->run.data);
	*ret = take_ptr(doc);
	return 0;
}
