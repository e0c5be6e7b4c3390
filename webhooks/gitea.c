/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gitea and Forgejo: nearly GitHub's shape. What differs: actions are "synchronized" and
 * "label_updated", the pusher is a whole user, a list of commits says how many there are.
 * https://docs.gitea.com/usage/repository/webhooks
 */
#include <string.h>

#include "webhooks/event-internal.h"

static void fill_pusher(struct json *body)
{
	struct json *pusher = json_get(body, "pusher");
	const char *login =
		json_get_str(pusher, "login", json_get_str(pusher, "username", NULL));

	if (login && !json_get(pusher, "name"))
		json_set_str(pusher, "name", login);
	if (!json_get(body, "compare") && json_get(body, "compare_url"))
		json_set(body, "compare", json_share(json_get(body, "compare_url")));
}

static int shape_push(struct json *body, struct hook_shape *ret, struct err *err)
{
	int64_t listed = (int64_t)json_count(json_get(body, "commits"));

	if (hook_need(body, "push", hook_push_members, err))
		return -1;
	if (json_get(body, "pull_request"))
		return err_set(
			err, ERR_INPUT, "this is no 'push' event: it has 'pull_request'");
	fill_pusher(body);
	(void)hook_fill_push(body);
	/* Newest first, and only so many of them: "total_commits" tells. */
	ret->names_all_commits = json_get_int(body, "total_commits", -1) == listed;
	return 0;
}

static const struct {
	const char *from;
	const char *to;
} actions[] = {
	{ "synchronized", "synchronize" },
	{ "label_updated", "labeled" },
	{ "label_cleared", "unlabeled" },
};

static int shape_pull(struct json *body, struct hook_shape *ret, struct err *err)
{
	_cleanup_free_ char *head = xasprintf(
		"refs/pull/%lld/head", (long long)json_get_int(body, "number", 0));

	if (hook_need(body, "pull_request", hook_pull_members, err))
		return -1;
	if (json_get(body, "commits"))
		return err_set(err, ERR_INPUT,
			"this is no 'pull_request' event: it has 'commits'");
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		if (str_eq(json_get_str(body, "action", ""), actions[i].from))
			json_set_str(body, "action", actions[i].to);
	/* No ref for the trial merge: what is built is the head. */
	json_unset(json_get(body, "pull_request"), "merge_commit_sha");
	ret->refs = json_new_array();
	json_push_str(ret->refs, head);
	return 0;
}

static const char *event_of(const struct json *headers)
{
	const char *name = hook_header(headers, "x-gitea-event");

	return name ? name : hook_header(headers, "x-forgejo-event");
}

int gitea_shape(const struct json *headers, struct json *body, struct hook_shape *ret,
	struct err *err)
{
	const char *name = event_of(headers);
	const char *key = hook_header(headers, "x-gitea-delivery");

	if (!name)
		return err_set(err, ERR_INPUT,
			"the header X-Gitea-Event or X-Forgejo-Event is missing");
	ret->key = xstrdup_null(key ? key : hook_header(headers, "x-forgejo-delivery"));
	if (!str_eq(name, "push") && !str_eq(name, "pull_request"))
		return hook_shape_other(name, body, ret);
	ret->name = str_eq(name, "push") ? "push" : "pull_request";
	ret->payload = json_share(body);
	return str_eq(name, "push") ? shape_push(body, ret, err)
				    : shape_pull(body, ret, err);
}
