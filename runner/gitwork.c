/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Core's questions to the git worker (executor/helper.h, mode `git`). Its answers come from
 * a process that read strangers' objects: sizes and kinds are checked here.
 */
#include "runner/ingest.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"

enum {
	FILES_BYTES = 16 * MiB,
	KEPT = 8, /* commits whose workflow files are remembered */
};

struct git_call {
	struct git_call *next;
	struct core *core;
	git_done_fn *done;
	void *data;
	/* What a reading of the answer needs. */
	int (*read)(struct git_call *g, const struct chan_msg *m, struct json **ret,
		struct err *err);
	int64_t repo;
	char *sha, *ref;
	struct json *extra;
};

struct kept_files {
	int64_t repo;
	char *sha, *ref;
	struct json *files;
	unsigned long used;
};

struct git_state {
	struct git_call *calls;
	struct kept_files kept[KEPT];
	unsigned long clock;
};

static struct git_state *state_of(struct core *c)
{
	if (!c->git_state)
		c->git_state = xcalloc(1, sizeof(*c->git_state));
	return c->git_state;
}

static void call_free(struct git_call *g)
{
	free(g->sha);
	free(g->ref);
	json_free(g->extra);
	free(g);
}

void git_calls_done(struct core *c)
{
	struct git_state *s = c->git_state;

	if (!s)
		return;
	while (s->calls) {
		struct git_call *g = s->calls;

		s->calls = g->next;
		call_free(g);
	}
	for (size_t i = 0; i < KEPT; i++) {
		free(s->kept[i].sha);
		free(s->kept[i].ref);
		json_free(s->kept[i].files);
	}
	free(s);
	c->git_state = NULL;
}

static struct git_call *call_new(struct core *c, git_done_fn *done, void *data)
{
	struct git_state *s = state_of(c);
	struct git_call *g = xcalloc(1, sizeof(*g));

	g->core = c;
	g->done = done;
	g->data = data;
	g->next = s->calls;
	s->calls = g;
	return g;
}

static void call_end(struct git_call *g, struct json *result, const struct err *why)
{
	struct git_call **at;

	for (at = &state_of(g->core)->calls; *at != g; at = &(*at)->next)
		;
	*at = g->next;
	g->done(result, why, g->data);
	call_free(g);
}

static void on_answer(
	struct chan_msg *answer, const struct err *why, const char *hint, void *data)
{
	struct git_call *g = data;
	struct json *result = NULL;
	struct err err = ERR_INIT;

	if (!answer) {
		size_t len;

		err = *why;
		len = strlen(err.msg);
		/* The helper's hint is for the same reader as its message. */
		if (hint && len + strlen(hint) + 3 < sizeof(err.msg))
			snprintf(err.msg + len, sizeof(err.msg) - len, "; %s", hint);
		call_end(g, NULL, &err);
		return;
	}
	if (g->read && g->read(g, answer, &result, &err) < 0) {
		call_end(g, NULL, &err);
		return;
	}
	if (!g->read)
		result = json_share(answer->head);
	call_end(g, result, NULL);
}

static void send_call(struct git_call *g, struct json *head, const void *body, size_t len,
	int64_t deadline_ms)
{
	struct err err = ERR_INIT;

	if (!g->core->git) {
		json_free(head);
		(void)err_set(&err, ERR_UNAVAILABLE, "there is no git worker here");
		call_end(g, NULL, &err);
		return;
	}
	(void)worker_call(g->core->git, head, body, len, deadline_ms, on_answer, g);
}

void git_ask(struct core *c, struct json *head, const void *body, size_t len,
	int64_t deadline_ms, git_done_fn *done, void *data)
{
	send_call(call_new(c, done, data), head, body, len, deadline_ms);
}

struct json *git_head(const char *op, int64_t repo)
{
	struct json *head = json_new_object();
	char name[32];

	(void)snprintf(name, sizeof(name), "%" PRId64, repo);
	json_set_str(head, "op", op);
	json_set_str(head, "repo", name);
	return head;
}

/* ---- files, remembered by commit --------------------------------------------------- */

static struct kept_files *kept_find(
	struct core *c, int64_t repo, const char *sha, const char *ref)
{
	struct git_state *s = state_of(c);

	for (size_t i = 0; i < KEPT; i++) {
		struct kept_files *k = &s->kept[i];

		if (!k->files || k->repo != repo || !str_eq(k->sha, sha) ||
			(ref && !str_eq(k->ref, ref)))
			continue;
		k->used = ++s->clock;
		return k;
	}
	return NULL;
}

static void keep_files(struct core *c, int64_t repo, const char *sha, struct json *files)
{
	struct git_state *s = state_of(c);
	struct kept_files *oldest = &s->kept[0];

	if (kept_find(c, repo, sha, NULL))
		return;
	for (size_t i = 1; i < KEPT; i++)
		if (s->kept[i].used < oldest->used)
			oldest = &s->kept[i];
	free(oldest->sha);
	free(oldest->ref);
	json_free(oldest->files);
	*oldest = (struct kept_files){ repo, xstrdup(sha), NULL, json_share(files),
		++s->clock };
}

/* The texts stand one after another in the body; each must lie within it. */
static int read_texts(const struct chan_msg *m, struct json **ret, struct err *err)
{
	const struct json *files = json_get(m->head, "files");
	_cleanup_(json_freep) struct json *out = json_new_array();

	for (size_t i = 0; i < json_count(files); i++) {
		const struct json *f = json_at(files, i);
		int64_t at = json_get_int(f, "offset", -1),
			size = json_get_int(f, "size", -1);
		const char *error = json_get_str(f, "error", NULL);
		struct json *o;

		if (error)
			return err_set(err, ERR_LIMIT, "'%s': %s",
				json_get_str(f, "path", ""), error);
		if (at < 0 || size < 0 || (uint64_t)at + (uint64_t)size > m->body.len)
			return err_set(
				err, ERR_CORRUPT, "the git worker's answer is not whole");
		o = json_new_object();
		json_set_str(o, "path", json_get_str(f, "path", ""));
		json_set(o, "text", json_new_strn(m->body.buf + at, (size_t)size));
		json_push(out, o);
	}
	*ret = take_ptr(out);
	return 0;
}

static int read_files(
	struct git_call *g, const struct chan_msg *m, struct json **ret, struct err *err)
{
	if (json_get_bool(m->head, "truncated", false))
		return err_set(err, ERR_LIMIT,
			"more than %d workflow files, or over %d MB of them",
			LIMIT_WORKFLOW_FILES, (int)(FILES_BYTES / MiB));
	if (read_texts(m, ret, err) < 0)
		return -1;
	keep_files(g->core, g->repo, g->sha, *ret);
	return 0;
}

void git_files(
	struct core *c, int64_t repo, const char *sha, git_done_fn *done, void *data)
{
	struct kept_files *k = kept_find(c, repo, sha, NULL);
	struct json *head, *list;
	struct git_call *g;

	if (k) {
		done(json_share(k->files), NULL, data);
		return;
	}
	head = git_head("files", repo);
	json_set_str(head, "sha", sha);
	list = json_new_array();
	json_push_str(list, ".github/workflows");
	json_set(head, "dirs", list);
	list = json_new_array();
	json_push_str(list, ".yml");
	json_push_str(list, ".yaml");
	json_set(head, "suffixes", list);
	json_set_int(head, "max_files", LIMIT_WORKFLOW_FILES);
	json_set_int(head, "max_bytes", FILES_BYTES);
	g = call_new(c, done, data);
	g->repo = repo;
	g->sha = xstrdup(sha);
	g->read = read_files;
	send_call(g, head, NULL, 0, 0);
}

/* ---- single files ------------------------------------------------------------------ */

static int read_sources(
	struct git_call *g, const struct chan_msg *m, struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *found = NULL;
	struct json *out;

	if (read_texts(m, &found, err) < 0)
		return -1;
	out = json_new_array();
	for (size_t i = 0; i < json_count(g->extra); i++) {
		struct json *o = json_clone(json_at(g->extra, i));
		const char *path = json_get_str(o, "path", "");

		json_set(o, "text", NULL);
		for (size_t k = 0; k < json_count(found); k++)
			if (!json_get(o, "repository") &&
				str_eq(json_get_str(json_at(found, k), "path", ""), path))
				json_set(o, "text",
					json_share(json_get(json_at(found, k), "text")));
		if (json_get(o, "repository"))
			json_set_str(o, "error",
				"workflows of other repositories cannot be called yet");
		json_push(out, o);
	}
	*ret = out;
	return 0;
}

void git_sources(struct core *c, int64_t repo, const char *sha, const struct json *wanted,
	git_done_fn *done, void *data)
{
	struct json *head = git_head("files", repo), *paths = json_new_array();
	struct git_call *g;

	for (size_t i = 0; i < json_count(wanted); i++)
		if (!json_get(json_at(wanted, i), "repository"))
			json_push_str(
				paths, json_get_str(json_at(wanted, i), "path", ""));
	json_set_str(head, "sha", sha);
	json_set(head, "dirs", json_new_array());
	json_set(head, "paths", paths);
	json_set_int(head, "max_bytes", FILES_BYTES);
	g = call_new(c, done, data);
	g->extra = json_clone(wanted);
	g->read = read_sources;
	send_call(g, head, NULL, 0, 0);
}

/* ---- changes ----------------------------------------------------------------------- */

static int read_changes(
	struct git_call *g, const struct chan_msg *m, struct json **ret, struct err *err)
{
	struct json *paths = json_get(m->head, "paths");

	(void)g;
	(void)err;
	*ret = json_get_bool(m->head, "truncated", false) ||
			       !json_is(paths, JSON_KIND_ARRAY)
		       ? NULL
		       : json_share(paths);
	return 0;
}

static void ask_changes(
	struct git_call *g, const char *from, const char *to, bool three_dot)
{
	struct json *head = git_head("changes", g->repo);

	json_set_str(head, "from", from);
	json_set_str(head, "to", to);
	json_set_int(head, "max", LIMIT_CHANGED_FILES);
	if (three_dot)
		json_set_bool(head, "three_dot", true);
	g->read = read_changes;
	send_call(g, head, NULL, 0, 0);
}

/* A new branch: the answer to "where is the default branch?" leads to the question. */
static void on_default_branch(struct json *result, const struct err *why, void *data)
{
	struct git_call *g = data;
	_cleanup_(json_freep) struct json *r = result;

	if (why)
		call_end(g, NULL, why);
	else
		ask_changes(g, json_get_str(r, "sha", ""), g->sha, true);
}

static bool is_zero(const char *sha)
{
	return !sha || strspn(sha, "0") == strlen(sha);
}

void git_changes(struct core *c, int64_t repo, const char *from, const char *to,
	const char *default_branch, bool from_merge_base, git_done_fn *done, void *data)
{
	struct git_call *g = call_new(c, done, data);
	struct json *head;

	g->repo = repo;
	g->sha = xstrdup(to);
	if (!is_zero(from)) {
		ask_changes(g, from, to, from_merge_base);
		return;
	}
	head = git_head("resolve", repo);
	json_set_str(head, "ref", default_branch);
	git_ask(c, head, NULL, 0, 0, on_default_branch, g);
}

/* ---- fetch ------------------------------------------------------------------------- */

static int add_credential(struct core *c, const struct repo *r, struct json *head,
	struct strbuf *body, struct err *err)
{
	static const struct {
		const char *stored, *kind;
	} kinds[] = { { "ssh-key", "ssh" }, { "token", "token" } };
	_cleanup_(strbuf_done) struct strbuf host_key = STRBUF_INIT;

	if (!store_has_key(c->store))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct err why = ERR_INIT;

		if (repos_credential(c->store, r->id, kinds[i].stored, body, &why) == 0) {
			json_set_str(head, "kind", kinds[i].kind);
			break;
		}
		if (why.code != ERR_NOT_FOUND) {
			*err = why;
			return -1;
		}
	}
	if (repos_credential(c->store, r->id, "host-key", &host_key, NULL) == 0)
		json_set_str(head, "host_key", host_key.buf);
	return 0;
}

int git_fetch_head(struct core *c, const struct repo *r, struct json *refs,
	const char *sha, struct json **ret, struct strbuf *body, struct err *err)
{
	struct json *head = git_head("fetch", r->id);

	json_set_str(head, "url", r->url);
	json_set(head, "refs", refs);
	if (sha && *sha)
		json_set_str(head, "sha", sha);
	/* A path on this machine only where an administrator registered one (GIT03). */
	if (r->url[0] == '/' || str_starts(r->url, "file://"))
		json_set_bool(head, "local", true);
	if (add_credential(c, r, head, body, err) < 0) {
		json_free(head);
		return -1;
	}
	*ret = head;
	return 0;
}

static int read_fetched(
	struct git_call *g, const struct chan_msg *m, struct json **ret, struct err *err)
{
	if (!json_get_bool(m->head, "reachable", false))
		return err_set(err, ERR_NOT_FOUND, "commit %.12s is not in '%s'", g->sha,
			g->ref);
	*ret = NULL;
	return 0;
}

/* Already in the mirror, in one of the event's refs: nothing to fetch. */
static void on_reachable(struct json *result, const struct err *why, void *data)
{
	struct git_call *g = data;
	_cleanup_(json_freep) struct json *r = result;
	_cleanup_(strbuf_done) struct strbuf body = STRBUF_INIT;
	struct repo repo = { 0 };
	struct json *head = NULL;
	struct err err = ERR_INIT;
	int rc;

	if (!why && json_get_bool(r, "reachable", false)) {
		call_end(g, NULL, NULL);
		return;
	}
	rc = repos_get(g->core->store, g->repo, &repo, &err);
	if (rc == 0)
		rc = git_fetch_head(
			g->core, &repo, json_share(g->extra), g->sha, &head, &body, &err);
	repo_done(&repo);
	if (rc < 0) {
		call_end(g, NULL, &err);
		return;
	}
	g->read = read_fetched;
	send_call(g, head, body.buf, body.len, 0);
	if (body.alloc)
		explicit_bzero(body.buf, body.alloc);
}

static struct json *refs_of(const struct event *e)
{
	struct json *refs = json_get(e->document, "refs");

	if (json_count(refs) > 0)
		return json_share(refs);
	refs = json_new_array();
	json_push_str(refs, e->ref);
	return refs;
}

void git_fetch_event(struct core *c, const struct event *e, const struct repo *r,
	git_done_fn *done, void *data)
{
	const char *sha = *e->merge_sha ? e->merge_sha : e->head_sha;
	struct json *head, *refs = refs_of(e);
	struct git_call *g;

	/* Its workflow files were read at this commit before, so it is here. */
	if (kept_find(c, r->id, sha, NULL)) {
		json_free(refs);
		done(NULL, NULL, data);
		return;
	}
	g = call_new(c, done, data);
	g->repo = r->id;
	g->sha = xstrdup(sha);
	g->ref = xstrdup(e->ref);
	g->extra = refs;
	head = git_head("reachable", r->id);
	json_set_str(head, "sha", sha);
	json_set(head, "refs", json_share(refs));
	git_ask(c, head, NULL, 0, 0, on_reachable, g);
}
