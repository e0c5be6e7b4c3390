/* SPDX-License-Identifier: Apache-2.0 */
/* From a payload in GitHub's shape to the neutral event. */
#include "webhooks/event.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "webhooks/event-internal.h"

#define TITLE_MAX      256
#define REF_MAX	       1024
#define IDENTITIES_MAX 60
#define COMMITS_MAX    2048   /* GitHub's own limit; more are not looked at for names */
#define VALUES_MAX     500000 /* of one body: each costs some 100 bytes of memory */
#define DEPTH_MAX      60     /* the event's document is deeper, and JSON ends at 64 */

static const char *const kinds[] = { "ping", "push", "tag", "delete", "pull_request",
	"dispatch", "other" };

const char *hook_kind_name(enum hook_kind k)
{
	return kinds[k];
}

/* ---- helpers of the forges --------------------------------------------------------- */

void hook_shape_done(struct hook_shape *s)
{
	json_free(s->payload);
	json_free(s->refs);
	free(s->key);
	free(s->ignore);
	*s = (struct hook_shape){ 0 };
}

const char *hook_header(const struct json *headers, const char *name)
{
	const struct json *v = json_get(headers, name);
	const char *text = json_as_str(v, NULL);

	return text && strlen(text) == json_str_len(v) ? text : NULL;
}

int hook_shape_other(const char *name, struct json *body, struct hook_shape *ret)
{
	ret->name = name;
	ret->payload = json_share(body);
	ret->ignore = xasprintf("'%.64s' starts nothing here", name);
	return 0;
}

static const char *const kind_names[] = { "null", "boolean", "number", "number", "string",
	"array", "object" };

int hook_need(const struct json *body, const char *event,
	const struct hook_member *members, struct err *err)
{
	for (; members->path; members++)
		if (!json_is(json_path(body, members->path), members->kind))
			return err_set(err, ERR_INPUT,
				"this is no '%s' event: '%s' is no %s", event,
				members->path, kind_names[members->kind]);
	return 0;
}

bool hook_sha_is_valid(const char *sha)
{
	size_t len = strlen(sha);

	return (len == 40 || len == 64) && strspn(sha, "0123456789abcdef") == len;
}

bool hook_sha_is_zero(const char *sha)
{
	return *sha && strspn(sha, "0") == strlen(sha);
}

static bool part_is_valid(const char *part)
{
	return *part && *part != '.' && !str_ends(part, ".lock") && !str_ends(part, ".");
}

bool hook_ref_is_valid(const char *ref)
{
	_cleanup_(strvec_done) struct strvec parts = STRVEC_INIT;

	if (strlen(ref) > REF_MAX || !str_starts(ref, "refs/") || strstr(ref, "..") ||
		strstr(ref, "@{") || strpbrk(ref, " ~^:?*[\\"))
		return false;
	for (const char *c = ref; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return false;
	strvec_split(&parts, ref, '/');
	strvec_foreach (part, &parts)
		if (!part_is_valid(*part))
			return false;
	return parts.len >= 3;
}

const struct hook_member hook_push_members[] = {
	{ "ref", JSON_KIND_STRING },
	{ "before", JSON_KIND_STRING },
	{ "after", JSON_KIND_STRING },
	{ "repository", JSON_KIND_OBJECT },
	{ "repository.full_name", JSON_KIND_STRING },
	{ NULL, JSON_KIND_NULL },
};

const struct hook_member hook_pull_members[] = {
	{ "action", JSON_KIND_STRING },
	{ "number", JSON_KIND_INT },
	{ "pull_request", JSON_KIND_OBJECT },
	{ "pull_request.head.sha", JSON_KIND_STRING },
	{ "pull_request.head.ref", JSON_KIND_STRING },
	{ "pull_request.base.ref", JSON_KIND_STRING },
	{ "repository", JSON_KIND_OBJECT },
	{ "repository.full_name", JSON_KIND_STRING },
	{ NULL, JSON_KIND_NULL },
};

bool hook_fill_push(struct json *p)
{
	bool is_new = hook_sha_is_zero(json_get_str(p, "before", ""));
	bool is_gone = hook_sha_is_zero(json_get_str(p, "after", ""));
	const struct json *commits = json_get(p, "commits");
	size_t n = json_count(commits), before = json_count(p);

	if (!json_get(p, "created"))
		json_set_bool(p, "created", is_new);
	if (!json_get(p, "deleted"))
		json_set_bool(p, "deleted", is_gone);
	if (!json_get(p, "forced"))
		json_set_bool(p, "forced", false);
	if (!json_get(p, "base_ref"))
		json_set(p, "base_ref", NULL);
	if (!json_get(p, "commits"))
		json_set(p, "commits", json_new_array());
	if (!json_get(p, "head_commit"))
		json_set(
			p, "head_commit", n ? json_share(json_at(commits, n - 1)) : NULL);
	return json_count(p) == before;
}

/* ---- text -------------------------------------------------------------------------- */

/* The first line, cut at a character. */
static char *first_line(const char *s)
{
	size_t len = strcspn(s, "\r\n");

	if (len > TITLE_MAX) {
		len = TITLE_MAX;
		while (len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80)
			len--;
	}
	return xstrndup(s, len);
}

static bool has_word(const char *message, const char *word)
{
	size_t n = strlen(word);

	for (; *message; message++)
		if (strncasecmp(message, word, n) == 0)
			return true;
	return false;
}

/* GitHub's: a word anywhere, or the trailer `skip-checks: true` after two empty lines. */
static const char *skip_word(const char *message)
{
	static const char *const words[] = { "[skip ci]", "[ci skip]", "[no ci]",
		"[skip actions]", "[actions skip]" };
	const char *trailer = strstr(message, "\n\n\nskip-checks:");

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (has_word(message, words[i]))
			return words[i];
	if (!trailer)
		return NULL;
	trailer += strlen("\n\n\nskip-checks:");
	trailer += strspn(trailer, " ");
	return str_starts(trailer, "true") ? "skip-checks: true" : NULL;
}

/* Ids are numbers in JSON; as text they compare whatever the forge. */
static char *id_text(const struct json *v)
{
	if (json_is(v, JSON_KIND_INT))
		return xasprintf("%lld", (long long)json_as_int(v, 0));
	return xstrdup(json_as_str(v, ""));
}

/* ---- the event --------------------------------------------------------------------- */

void hook_event_done(struct hook_event *e)
{
	char *const texts[] = { e->name, e->action, e->key, e->ref, e->head_sha,
		e->base_sha, e->merge_sha, e->title, e->actor, e->actor_id, e->repo,
		e->repo_id, e->default_branch, e->ignore };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i]);
	json_free(e->document);
	*e = (struct hook_event){ 0 };
}

/* Takes VALUE for a member that holds a string already. */
static void put(char **at, char *value)
{
	free(*at);
	*at = value;
}

static void init(struct hook_event *e)
{
	char **const texts[] = { &e->action, &e->ref, &e->head_sha, &e->base_sha,
		&e->merge_sha, &e->title };

	*e = (struct hook_event){ .kind = HOOK_OTHER, .trust = TRUST_UNTRUSTED };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		*texts[i] = xstrdup("");
}

static const char *first_str(const struct json *j, const char *const *paths)
{
	for (; *paths; paths++) {
		const char *v = json_as_str(json_path(j, *paths), NULL);

		if (v && *v)
			return v;
	}
	return "";
}

static const char *const actor_paths[] = { "sender.login", "sender.username",
	"pusher.login", "pusher.name", NULL };

static void read_envelope(const struct hook_shape *s, struct hook_event *e)
{
	const struct json *p = s->payload;

	e->name = xstrdup(s->name);
	e->key = xstrdup(s->key ? s->key : "");
	e->repo = xstrdup(json_as_str(json_path(p, "repository.full_name"), ""));
	e->repo_id = id_text(json_path(p, "repository.id"));
	e->default_branch =
		xstrdup(json_as_str(json_path(p, "repository.default_branch"), ""));
	e->actor = first_line(first_str(p, actor_paths));
	e->actor_id = id_text(json_path(p, "sender.id"));
	e->ignore = xstrdup_null(s->ignore);
}

static int check_sha(const char *what, const char *sha, struct err *err)
{
	return hook_sha_is_valid(sha)
		       ? 0
		       : err_set(err, ERR_INPUT, "'%s' is no commit: '%.80s'", what, sha);
}

static int check_ref(const char *ref, struct err *err)
{
	return hook_ref_is_valid(ref) ? 0
				      : err_set(err, ERR_INPUT, "'%.80s' is no ref", ref);
}

static void ignore(struct hook_event *e, char *why)
{
	if (e->ignore)
		free(why);
	else
		e->ignore = why;
}

static void read_message(struct hook_event *e, const char *message)
{
	const char *word = skip_word(message);

	put(&e->title, first_line(message));
	if (word)
		ignore(e, xasprintf("'%s' in its message", word));
}

static int read_push(const struct hook_shape *s, struct hook_event *e, struct err *err)
{
	const struct json *p = s->payload;
	const char *ref = json_get_str(p, "ref", ""),
		   *after = json_get_str(p, "after", "");
	const char *before = json_get_str(p, "before", "");
	bool is_tag = str_starts(ref, "refs/tags/");

	if (check_ref(ref, err) || check_sha("before", before, err) ||
		check_sha("after", after, err))
		return -1;
	if (!is_tag && !str_starts(ref, "refs/heads/"))
		ignore(e, xasprintf("'%.80s' is neither branch nor tag", ref));
	e->kind = is_tag ? HOOK_TAG : HOOK_PUSH;
	e->trust =
		TRUST_TRUSTED; /* whoever pushes to the repository itself has its trust */
	put(&e->ref, xstrdup(ref));
	put(&e->head_sha, xstrdup(after));
	put(&e->base_sha, xstrdup(hook_sha_is_zero(before) ? "" : before));
	read_message(e, json_as_str(json_path(p, "head_commit.message"), ""));
	if (hook_sha_is_zero(after)) {
		e->kind = HOOK_DELETE;
		put(&e->head_sha, xstrdup(""));
		ignore(e, xasprintf("'%.80s' was deleted", ref));
	}
	return 0;
}

/* From a fork, or from where nobody can tell (the fork is gone): no trust. */
static bool is_fork(const struct json *pull)
{
	_cleanup_free_ char *head = id_text(json_path(pull, "head.repo.id"));
	_cleanup_free_ char *base = id_text(json_path(pull, "base.repo.id"));

	return !*head || !*base || !str_eq(head, base);
}

static int read_pull(const struct hook_shape *s, struct hook_event *e, struct err *err)
{
	const struct json *p = s->payload, *pull = json_get(p, "pull_request");
	const char *head = json_as_str(json_path(pull, "head.sha"), "");
	const char *base = json_as_str(json_path(pull, "base.sha"), "");
	const char *merge = json_get_str(pull, "merge_commit_sha", "");
	int64_t number = json_get_int(p, "number", 0);

	if (number < 1)
		return err_set(err, ERR_INPUT, "a pull request has a number from 1 up");
	if (check_sha("head.sha", head, err) ||
		(*base && check_sha("base.sha", base, err)))
		return -1;
	e->kind = HOOK_PULL_REQUEST;
	e->trust = is_fork(pull) ? TRUST_UNTRUSTED : TRUST_TRUSTED;
	put(&e->action, xstrdup(json_get_str(p, "action", "")));
	put(&e->ref, xasprintf("refs/pull/%lld/merge", (long long)number));
	put(&e->head_sha, xstrdup(head));
	put(&e->base_sha, xstrdup(base));
	/* Before the forge has tried the merge, the commit named is the one of the last try. */
	if (json_get_bool(pull, "mergeable", false) &&
		!json_get_bool(pull, "merged", false) && hook_sha_is_valid(merge))
		put(&e->merge_sha, xstrdup(merge));
	put(&e->title, first_line(json_get_str(pull, "title", "")));
	if (skip_word(json_as_str(json_path(p, "head_commit.message"), "")))
		ignore(e, xstrdup("its last commit asks to be skipped"));
	return 0;
}

static int read_dispatch(
	const struct hook_shape *s, struct hook_event *e, struct err *err)
{
	const struct json *p = s->payload;
	const char *sha = json_get_str(p, "after", "");

	if (check_ref(json_get_str(p, "ref", ""), err) || check_sha("after", sha, err))
		return -1;
	e->kind = HOOK_DISPATCH;
	e->trust = TRUST_TRUSTED;
	put(&e->ref, xstrdup(json_get_str(p, "ref", "")));
	put(&e->head_sha, xstrdup(sha));
	put(&e->title, first_line(json_get_str(p, "workflow", "")));
	return 0;
}

static int read_ping(const struct hook_shape *s, struct hook_event *e, struct err *err)
{
	e->kind = HOOK_PING;
	ignore(e, xstrdup("ping"));
	return 0;
}

static const struct {
	const char *name;
	int (*read)(const struct hook_shape *s, struct hook_event *e, struct err *err);
} readers[] = {
	{ "push", read_push },
	{ "pull_request", read_pull },
	{ "workflow_dispatch", read_dispatch },
	{ "ping", read_ping },
};

static int read_kind(const struct hook_shape *s, struct hook_event *e, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
		if (str_eq(readers[i].name, s->name))
			return readers[i].read(s, e, err);
	ignore(e, xasprintf("'%.64s' starts nothing here", s->name));
	return 0;
}

/* ---- its document ------------------------------------------------------------------ */

static void copy_str(
	struct json *to, const char *key, const struct json *from, const char *path)
{
	const struct json *v = json_path(from, path);

	if (json_is(v, JSON_KIND_STRING))
		json_set_str(to, key, json_as_str(v, ""));
	else if (json_is(v, JSON_KIND_INT)) {
		_cleanup_free_ char *text = id_text(v);

		json_set_str(to, key, text);
	}
}

/* "https://git.example.com" of an address, or nothing. */
static void put_server_url(struct json *github, const char *html_url)
{
	const char *rest = str_starts(html_url, "https://")  ? html_url + 8
			   : str_starts(html_url, "http://") ? html_url + 7
							     : NULL;
	size_t n = rest ? strcspn(rest, "/?#") : 0;
	_cleanup_free_ char *server = NULL;

	if (n == 0)
		return;
	server = xstrndup(html_url, (size_t)(rest - html_url) + n);
	json_set_str(github, "server_url", server);
}

static void put_ref(struct json *github, const struct hook_event *e)
{
	static const struct {
		const char *prefix;
		const char *type;
	} types[] = { { "refs/heads/", "branch" }, { "refs/tags/", "tag" },
		{ "refs/pull/", "branch" } };

	json_set_str(github, "ref", e->ref);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (!str_starts(e->ref, types[i].prefix))
			continue;
		json_set_str(github, "ref_name", e->ref + strlen(types[i].prefix));
		json_set_str(github, "ref_type", types[i].type);
	}
}

static struct json *github_of(const struct hook_event *e, const struct json *payload)
{
	struct json *g = json_new_object();
	const char *slash = strchr(e->repo, '/');
	_cleanup_free_ char *owner =
		xstrndup(e->repo, slash ? (size_t)(slash - e->repo) : strlen(e->repo));

	json_set_str(g, "event_name", e->name);
	put_ref(g, e);
	json_set_str(g, "sha", *e->merge_sha ? e->merge_sha : e->head_sha);
	json_set_str(g, "head_ref", "");
	json_set_str(g, "base_ref", "");
	copy_str(g, "head_ref", payload, "pull_request.head.ref");
	copy_str(g, "base_ref", payload, "pull_request.base.ref");
	json_set_str(g, "actor", e->actor);
	json_set_str(g, "triggering_actor", e->actor);
	json_set_str(g, "actor_id", e->actor_id);
	json_set_str(g, "repository", e->repo);
	json_set_str(g, "repository_id", e->repo_id);
	json_set_str(g, "repository_owner", owner);
	copy_str(g, "repository_owner_id", payload, "repository.owner.id");
	copy_str(g, "repositoryUrl", payload, "repository.git_url");
	put_server_url(g, json_as_str(json_path(payload, "repository.html_url"), ""));
	json_set(g, "event", json_share((struct json *)payload));
	return g;
}

static void add_name(struct json *list, const char *name)
{
	if (!name || !*name || strlen(name) > 255 || json_count(list) >= IDENTITIES_MAX)
		return;
	for (size_t i = 0; i < json_count(list); i++)
		if (str_eq(json_as_str(json_at(list, i), ""), name))
			return;
	json_push_str(list, name);
}

/* Everybody who had a part. Names of commits are no proof, but here they only forbid. */
static struct json *identities_of(const struct json *p)
{
	static const char *const people[] = { "sender.login", "sender.username",
		"sender.email", "pusher.login", "pusher.name", "pusher.email",
		"pull_request.user.login", "pull_request.head.user.login", NULL };
	static const char *const parts[] = { "author.username", "author.email",
		"author.name", "committer.username", "committer.email", "committer.name",
		NULL };
	struct json *list = json_new_array();
	const struct json *commits = json_get(p, "commits");

	for (size_t i = 0; people[i]; i++)
		add_name(list, json_as_str(json_path(p, people[i]), NULL));
	for (size_t i = 0; i < json_count(commits) && i < COMMITS_MAX; i++)
		for (size_t k = 0; parts[k]; k++)
			add_name(list,
				json_as_str(
					json_path(json_at(commits, i), parts[k]), NULL));
	return list;
}

static void add_paths(struct json *paths, const struct json *list)
{
	for (size_t i = 0;
		i < json_count(list) && json_count(paths) <= LIMIT_CHANGED_FILES; i++) {
		const char *path = json_as_str(json_at(list, i), NULL);
		bool is_known = false;

		for (size_t k = 0; path && k < json_count(paths); k++)
			is_known = is_known ||
				   str_eq(json_as_str(json_at(paths, k), ""), path);
		if (path && !is_known)
			json_push_str(paths, path);
	}
}

/*
 * The changed paths, when the payload surely names them all: an ordinary push, every
 * commit listed with its files, and not more than path filters look at. Else NULL: core
 * asks git.
 */
static struct json *changed_of(const struct hook_shape *s, const struct hook_event *e)
{
	static const char *const lists[] = { "added", "removed", "modified" };
	const struct json *commits = json_get(s->payload, "commits");
	_cleanup_(json_freep) struct json *paths = NULL;
	size_t n = json_count(commits);

	if (e->kind != HOOK_PUSH || !s->names_all_commits || n == 0 || !*e->base_sha ||
		json_get_bool(s->payload, "forced", false) ||
		!str_eq(json_get_str(json_at(commits, n - 1), "id", ""), e->head_sha))
		return NULL;
	paths = json_new_array();
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < ARRAY_SIZE(lists); k++) {
			const struct json *list = json_get(json_at(commits, i), lists[k]);

			if (!json_is(list, JSON_KIND_ARRAY))
				return NULL;
			add_paths(paths, list);
			if (json_count(paths) > LIMIT_CHANGED_FILES)
				return NULL;
		}
	}
	return take_ptr(paths);
}

static void make_document(
	const char *forge, const struct hook_shape *s, struct hook_event *e)
{
	struct json *d = json_new_object(), *actor = json_new_object(),
		    *repo = json_new_object();
	struct json *changed = changed_of(s, e);
	const char *const members[][2] = { { "kind", hook_kind_name(e->kind) },
		{ "name", e->name }, { "action", e->action }, { "forge", forge },
		{ "ref", e->ref }, { "head_sha", e->head_sha },
		{ "base_sha", e->base_sha }, { "merge_sha", e->merge_sha },
		{ "title", e->title }, { "trust", trust_name(e->trust) } };

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		json_set_str(d, members[i][0], members[i][1]);
	json_set_str(actor, "login", e->actor);
	json_set_str(actor, "id", e->actor_id);
	json_set(d, "actor", actor);
	json_set_str(repo, "full_name", e->repo);
	json_set_str(repo, "id", e->repo_id);
	json_set_str(repo, "default_branch", e->default_branch);
	json_set(d, "repository", repo);
	if (s->refs)
		json_set(d, "refs", json_share(s->refs));
	json_set(d, "identities", identities_of(s->payload));
	if (changed)
		json_set(d, "changed", changed);
	if (e->kind == HOOK_DISPATCH) {
		copy_str(d, "workflow", s->payload, "workflow");
		json_set(d, "inputs",
			json_is(json_get(s->payload, "inputs"), JSON_KIND_OBJECT)
				? json_share(json_get(s->payload, "inputs"))
				: json_new_object());
	}
	json_set(d, "github", github_of(e, s->payload));
	e->document = d;
}

static const struct {
	const char *forge;
	hook_shape_fn *shape;
} forges[] = {
	{ "github", github_shape },
	{ "gitea", gitea_shape },
	{ "gitlab", gitlab_shape },
	{ "generic", generic_shape },
};

static hook_shape_fn *shape_of(const char *forge)
{
	for (size_t i = 0; i < ARRAY_SIZE(forges); i++)
		if (str_eq(forges[i].forge, forge))
			return forges[i].shape;
	return NULL;
}

static int check_content_type(const struct json *headers, struct err *err)
{
	const char *type = hook_header(headers, "content-type");

	if (!type || strncasecmp(type, "application/json", 16) == 0)
		return 0;
	return err_set(err, ERR_INPUT,
		"the body is '%.64s': choose application/json at the forge", type);
}

static int parse_body(const void *body, size_t len, struct json **ret, struct err *err)
{
	size_t values;
	const char *deep;

	if (len > LIMIT_HOOK_BODY)
		return err_set(err, ERR_LIMIT, "the body has more than 25 MiB");
	deep = json_look(body, len, DEPTH_MAX, &values);
	if (values > VALUES_MAX)
		return err_set(
			err, ERR_LIMIT, "the body has more than %d values", VALUES_MAX);
	if (deep)
		return err_set(
			err, ERR_INPUT, "the body is nested deeper than %d", DEPTH_MAX);
	return json_parse(body, len, ret, err);
}

int hook_event_read(const char *forge, const struct json *headers, const void *body,
	size_t len, struct hook_event *ret, struct err *err)
{
	_cleanup_(json_freep) struct json *j = NULL;
	_cleanup_(hook_shape_done) struct hook_shape s = { 0 };
	_cleanup_(hook_event_done) struct hook_event e = { 0 };
	hook_shape_fn *shape = shape_of(forge);

	if (!shape)
		return err_set(err, ERR_INPUT, "no forge '%.32s'", forge);
	if (check_content_type(headers, err) || parse_body(body, len, &j, err))
		return -1;
	if (!json_is(j, JSON_KIND_OBJECT))
		return err_set(err, ERR_INPUT, "the body is no JSON object");
	if (shape(headers, j, &s, err))
		return -1;
	init(&e);
	read_envelope(&s, &e);
	if (read_kind(&s, &e, err))
		return -1;
	make_document(forge, &s, &e);
	if (s.is_as_sent) {
		e.payload = body;
		e.payload_len = len;
	}
	*ret = e;
	e = (struct hook_event){ 0 };
	return 0;
}

struct event_new hook_event_lend(const struct hook_event *e)
{
	return (struct event_new){
		.kind = hook_kind_name(e->kind),
		.name = e->name,
		.action = e->action,
		.ref = e->ref,
		.head_sha = e->head_sha,
		.base_sha = e->base_sha,
		.merge_sha = e->merge_sha,
		.title = e->title,
		.actor = e->actor,
		.actor_id = e->actor_id,
		.trust = e->trust,
		.document = e->document,
		.payload = e->payload,
		.payload_len = e->payload_len,
		.ignore = e->ignore,
	};
}
