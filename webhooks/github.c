/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GitHub: its payloads are the shape itself. The name of the event stands in a header that
 * no signature covers, so the body has to be of that shape and of no other.
 * https://docs.github.com/webhooks/webhook-events-and-payloads
 */
#include <string.h>

#include "webhooks/event-internal.h"

static int only_one_shape(
	const struct json *body, const char *event, const char *other, struct err *err)
{
	if (!json_get(body, other))
		return 0;
	return err_set(
		err, ERR_INPUT, "this is no '%s' event: it has '%s'", event, other);
}

static int shape_push(struct json *body, struct hook_shape *ret, struct err *err)
{
	if (hook_need(body, "push", hook_push_members, err) ||
		only_one_shape(body, "push", "pull_request", err) ||
		only_one_shape(body, "push", "zen", err))
		return -1;
	ret->is_as_sent = hook_fill_push(body);
	/* GitHub lists at most 2048 commits; then it is git that knows. */
	ret->names_all_commits = json_count(json_get(body, "commits")) < 2048;
	return 0;
}

static int shape_pull(struct json *body, struct hook_shape *ret, struct err *err)
{
	long long number = json_get_int(body, "number", 0);
	_cleanup_free_ char *head = xasprintf("refs/pull/%lld/head", number);
	_cleanup_free_ char *merge = xasprintf("refs/pull/%lld/merge", number);

	if (hook_need(body, "pull_request", hook_pull_members, err) ||
		only_one_shape(body, "pull_request", "commits", err))
		return -1;
	ret->is_as_sent = true;
	ret->refs = json_new_array();
	json_push_str(ret->refs, head);
	if (json_as_bool(json_path(body, "pull_request.mergeable"), false))
		json_push_str(ret->refs, merge);
	return 0;
}

static int shape_ping(struct json *body, struct hook_shape *ret, struct err *err)
{
	static const struct hook_member members[] = { { "zen", JSON_KIND_STRING },
		{ "hook_id", JSON_KIND_INT }, { NULL, JSON_KIND_NULL } };

	return hook_need(body, "ping", members, err);
}

static const struct {
	const char *name;
	int (*shape)(struct json *body, struct hook_shape *ret, struct err *err);
} shapes[] = {
	{ "push", shape_push },
	{ "pull_request", shape_pull },
	{ "ping", shape_ping },
};

int github_shape(const struct json *headers, struct json *body, struct hook_shape *ret,
	struct err *err)
{
	const char *name = hook_header(headers, "x-github-event");

	if (!name)
		return err_set(err, ERR_INPUT, "the header X-GitHub-Event is missing");
	ret->key = xstrdup_null(hook_header(headers, "x-github-delivery"));
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		if (!str_eq(shapes[i].name, name))
			continue;
		ret->name = shapes[i].name;
		ret->payload = json_share(body);
		return shapes[i].shape(body, ret, err);
	}
	return hook_shape_other(name, body, ret);
}
