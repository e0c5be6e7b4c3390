/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GitLab: another shape altogether, translated so that `github.event` reads as a workflow
 * expects it. The body names its own kind, which has to agree with the header.
 * https://docs.gitlab.com/user/project/integrations/webhook_events/
 */
#include <string.h>

#include "webhooks/event-internal.h"

static void copy(
	struct json *to, const char *key, const struct json *from, const char *path)
{
	struct json *v = json_path(from, path);

	json_set(to, key, json_share(v)); /* absent is null, as in GitHub's payloads */
}

/* "group/sub/name": the owner is all before the last slash. */
static struct json *owner_of(const char *full_name)
{
	struct json *owner = json_new_object();
	const char *slash = strrchr(full_name, '/');
	_cleanup_free_ char *login = xstrndup(
		full_name, slash ? (size_t)(slash - full_name) : strlen(full_name));

	json_set_str(owner, "login", login);
	json_set_str(owner, "name", login);
	return owner;
}

static struct json *repository_of(const struct json *project)
{
	struct json *r = json_new_object();
	const char *full = json_get_str(project, "path_with_namespace", "");
	const char *slash = strrchr(full, '/');

	copy(r, "id", project, "id");
	json_set_str(r, "name", slash ? slash + 1 : full);
	json_set_str(r, "full_name", full);
	json_set(r, "owner", owner_of(full));
	json_set_bool(r, "private", json_get_int(project, "visibility_level", 0) != 20);
	copy(r, "html_url", project, "web_url");
	copy(r, "clone_url", project, "git_http_url");
	copy(r, "ssh_url", project, "git_ssh_url");
	copy(r, "git_url", project, "git_http_url");
	copy(r, "description", project, "description");
	copy(r, "default_branch", project, "default_branch");
	return r;
}

static struct json *user_of(const struct json *from, const char *id, const char *login,
	const char *name, const char *email)
{
	struct json *u = json_new_object();

	copy(u, "id", from, id);
	copy(u, "login", from, login);
	copy(u, "name", from, name);
	copy(u, "email", from, email);
	json_set_str(u, "type", "User");
	return u;
}

/* ---- push -------------------------------------------------------------------------- */

static struct json *commit_of(const struct json *c)
{
	struct json *r = json_new_object();
	static const char *const same[] = { "id", "message", "timestamp", "url", "author",
		"added", "removed", "modified" };

	for (size_t i = 0; i < ARRAY_SIZE(same); i++)
		copy(r, same[i], c, same[i]);
	copy(r, "committer", c, "author");
	json_set_bool(r, "distinct", true);
	return r;
}

static struct json *find_commit(struct json *commits, const char *id)
{
	for (size_t i = 0; i < json_count(commits); i++)
		if (str_eq(json_get_str(json_at(commits, i), "id", ""), id))
			return json_at(commits, i);
	return NULL;
}

static int shape_push(const struct json *body, struct hook_shape *ret, struct err *err)
{
	static const struct hook_member members[] = { { "ref", JSON_KIND_STRING },
		{ "before", JSON_KIND_STRING }, { "after", JSON_KIND_STRING },
		{ "project", JSON_KIND_OBJECT }, { "project.id", JSON_KIND_INT },
		{ "project.path_with_namespace", JSON_KIND_STRING },
		{ NULL, JSON_KIND_NULL } };
	const struct json *list = json_get(body, "commits");
	struct json *p, *commits, *pusher;
	const char *sha;

	if (hook_need(body, "push", members, err))
		return -1;
	p = json_new_object();
	ret->name = "push";
	ret->payload = p;
	copy(p, "ref", body, "ref");
	copy(p, "before", body, "before");
	copy(p, "after", body, "after");
	/* An annotated tag's own object is no commit; "checkout_sha" is what it names. */
	sha = json_get_str(body, "checkout_sha", NULL);
	if (sha && !hook_sha_is_zero(json_get_str(body, "after", "")))
		json_set_str(p, "after", sha);
	commits = json_new_array();
	for (size_t i = 0; i < json_count(list); i++)
		json_push(commits, commit_of(json_at(list, i)));
	json_set(p, "commits", commits);
	json_set(p, "head_commit",
		json_share(find_commit(commits, json_get_str(p, "after", ""))));
	json_set(p, "repository", repository_of(json_get(body, "project")));
	json_set(p, "sender",
		user_of(body, "user_id", "user_username", "user_name", "user_email"));
	pusher = json_new_object();
	copy(pusher, "name", body, "user_username");
	copy(pusher, "email", body, "user_email");
	json_set(p, "pusher", pusher);
	hook_fill_push(p);
	ret->names_all_commits = json_get_int(body, "total_commits_count", -1) ==
				 (int64_t)json_count(list);
	return 0;
}

/* ---- merge requests ---------------------------------------------------------------- */

static const struct {
	const char *from;
	const char *to;
	bool with_commits; /* only when new commits came: "oldrev" is there */
} actions[] = {
	{ "open", "opened", false },
	{ "reopen", "reopened", false },
	{ "close", "closed", false },
	{ "merge", "closed", false },
	{ "update", "synchronize", true },
	{ "update", "edited", false },
};

static const char *action_of(const struct json *mr)
{
	const char *from = json_get_str(mr, "action", "");
	bool has_commits = json_get_str(mr, "oldrev", NULL) != NULL;

	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (str_eq(actions[i].from, from) &&
			(!actions[i].with_commits || has_commits))
			return actions[i].to;
	return NULL;
}

static struct json *side_of(
	const struct json *mr, const char *project, const char *id, const char *branch)
{
	struct json *side = json_new_object();
	struct json *repo = repository_of(json_get(mr, project));

	copy(side, "ref", mr, branch);
	copy(repo, "id", mr, id);
	json_set(side, "repo", repo);
	return side;
}

static struct json *pull_of(const struct json *body, const struct json *mr)
{
	struct json *pull = json_new_object();
	struct json *head = side_of(mr, "source", "source_project_id", "source_branch");
	struct json *base = side_of(mr, "target", "target_project_id", "target_branch");
	bool merged = str_eq(json_get_str(mr, "state", ""), "merged");

	copy(head, "sha", mr, "last_commit.id");
	copy(pull, "id", mr, "id");
	copy(pull, "number", mr, "iid");
	copy(pull, "title", mr, "title");
	copy(pull, "body", mr, "description");
	copy(pull, "html_url", mr, "url");
	json_set_str(pull, "state",
		str_eq(json_get_str(mr, "state", ""), "opened") ? "open" : "closed");
	json_set_bool(pull, "draft",
		json_get_bool(mr, "draft", json_get_bool(mr, "work_in_progress", false)));
	json_set_bool(pull, "merged", merged);
	json_set(pull, "user",
		user_of(body, "object_attributes.author_id", "user.username", "user.name",
			"user.email"));
	json_set(pull, "head", head);
	json_set(pull, "base", base);
	return pull;
}

static int shape_merge_request(
	const struct json *body, struct hook_shape *ret, struct err *err)
{
	static const struct hook_member members[] = { { "project", JSON_KIND_OBJECT },
		{ "project.path_with_namespace", JSON_KIND_STRING },
		{ "object_attributes", JSON_KIND_OBJECT },
		{ "object_attributes.iid", JSON_KIND_INT },
		{ "object_attributes.source_project_id", JSON_KIND_INT },
		{ "object_attributes.target_project_id", JSON_KIND_INT },
		{ "object_attributes.source_branch", JSON_KIND_STRING },
		{ "object_attributes.target_branch", JSON_KIND_STRING },
		{ "object_attributes.last_commit.id", JSON_KIND_STRING },
		{ NULL, JSON_KIND_NULL } };
	const struct json *mr = json_get(body, "object_attributes");
	_cleanup_free_ char *head = xasprintf(
		"refs/merge-requests/%lld/head", (long long)json_get_int(mr, "iid", 0));
	const char *action = action_of(mr);
	struct json *p;

	if (hook_need(body, "merge_request", members, err))
		return -1;
	p = json_new_object();
	ret->name = "pull_request";
	ret->payload = p;
	json_set_str(p, "action", action ? action : json_get_str(mr, "action", ""));
	copy(p, "number", mr, "iid");
	json_set(p, "pull_request", pull_of(body, mr));
	json_set(p, "repository", repository_of(json_get(body, "project")));
	json_set(p, "sender",
		user_of(body, "user.id", "user.username", "user.name", "user.email"));
	copy(p, "head_commit", mr, "last_commit");
	ret->refs = json_new_array();
	json_push_str(ret->refs, head);
	if (!action)
		ret->ignore = xasprintf("a merge request that is '%.32s' starts nothing",
			json_get_str(mr, "action", ""));
	return 0;
}

/* ---- kinds ------------------------------------------------------------------------- */

static const struct {
	const char *header;
	const char *kind;
	int (*shape)(const struct json *body, struct hook_shape *ret, struct err *err);
} kinds[] = {
	{ "Push Hook", "push", shape_push },
	{ "Tag Push Hook", "tag_push", shape_push },
	{ "Merge Request Hook", "merge_request", shape_merge_request },
};

int gitlab_shape(const struct json *headers, struct json *body, struct hook_shape *ret,
	struct err *err)
{
	const char *header = hook_header(headers, "x-gitlab-event");
	const char *kind = json_get_str(body, "object_kind", "");

	if (!header)
		return err_set(err, ERR_INPUT, "the header X-Gitlab-Event is missing");
	/* X-Gitlab-Event-UUID is shared by hooks that set each other off: no id of a delivery. */
	ret->key = xstrdup_null(hook_header(headers, "idempotency-key"));
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!str_eq(kinds[i].header, header) && !str_eq(kinds[i].kind, kind))
			continue;
		if (!str_eq(kinds[i].header, header) || !str_eq(kinds[i].kind, kind))
			return err_set(err, ERR_INPUT,
				"the header says '%.32s', the body '%.32s'", header,
				kind);
		return kinds[i].shape(body, ret, err);
	}
	return hook_shape_other(*kind ? kind : "unknown", body, ret);
}
