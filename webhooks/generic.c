/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own form, for the push hook of a bare repository and for whatever can sign:
 *
 *	X-Sluice-Event: push | ping | workflow_dispatch
 *	{"event": the same, "repository": {"full_name": "acme/archive"}, "ref": "refs/...",
 *	 "before": SHA, "after": SHA, "commits": [{"id", "message", "author": {"name",
 *	 "email"}}], "commits_complete": false, "pusher": {"name"}, "workflow", "inputs",
 *	 "nonce": text, "time": seconds since 1970}
 *
 * "nonce" makes equal pushes different deliveries; "time" closes the window beyond which a
 * captured body is no longer known as a duplicate.
 */
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "webhooks/event-internal.h"

#define FUTURE_MS (5 * 60 * 1000LL)

static const struct hook_member common[] = {
	{ "event", JSON_KIND_STRING },
	{ "repository.full_name", JSON_KIND_STRING },
	{ "nonce", JSON_KIND_STRING },
	{ "time", JSON_KIND_INT },
	{ NULL, JSON_KIND_NULL },
};

static const struct hook_member dispatch[] = {
	{ "ref", JSON_KIND_STRING },
	{ "after", JSON_KIND_STRING },
	{ "workflow", JSON_KIND_STRING },
	{ NULL, JSON_KIND_NULL },
};

static const struct hook_member nothing[] = { { NULL, JSON_KIND_NULL } };

static const struct {
	const char *name;
	const struct hook_member *members;
} kinds[] = {
	{ "push", hook_push_members },
	{ "workflow_dispatch", dispatch },
	{ "ping", nothing },
};

static int check_time(const struct json *body, struct err *err)
{
	int64_t seconds = json_get_int(body, "time", 0);
	int64_t now = clock_wall_ms();

	/* Compared in seconds: the number is a stranger's, a product could overflow. */
	if (seconds < (now - LIMIT_DEDUPE_MS) / 1000 ||
		seconds > (now + FUTURE_MS) / 1000)
		return err_set(err, ERR_INPUT,
			"its 'time' is not of the last 24 hours: look at "
			"the clock of the sender");
	if (strlen(json_get_str(body, "nonce", "")) < 8)
		return err_set(
			err, ERR_INPUT, "its 'nonce' is shorter than 8 characters");
	return 0;
}

/* Takes VALUE; RET_IS_SAME turns false unless the member is that already. */
static void put(
	struct json *object, const char *key, struct json *value, bool *ret_is_same)
{
	*ret_is_same = *ret_is_same && json_same(json_get(object, key), value);
	json_set(object, key, value);
}

/* True when nothing was missing. */
static bool fill(struct json *body)
{
	struct json *sender = json_new_object();
	const char *full = json_as_str(json_path(body, "repository.full_name"), "");
	struct json *repo = json_get(body, "repository");
	const char *slash = strrchr(full, '/');
	struct json *owner = json_new_object();
	bool is_same = true;
	_cleanup_free_ char *login =
		xstrndup(full, slash ? (size_t)(slash - full) : strlen(full));

	json_set_str(owner, "login", login);
	json_set_str(owner, "name", login);
	json_set_str(sender, "login", json_as_str(json_path(body, "pusher.name"), ""));
	put(repo, "owner", owner, &is_same);
	put(repo, "name", json_new_str(slash ? slash + 1 : full), &is_same);
	put(body, "sender", sender, &is_same);
	return is_same;
}

int generic_shape(const struct json *headers, struct json *body, struct hook_shape *ret,
	struct err *err)
{
	const char *header = hook_header(headers, "x-sluice-event");
	const char *name = json_get_str(body, "event", "");

	if (!header)
		return err_set(err, ERR_INPUT, "the header X-Sluice-Event is missing");
	if (hook_need(body, header, common, err) || check_time(body, err))
		return -1;
	if (!str_eq(header, name))
		return err_set(err, ERR_INPUT,
			"the header says '%.32s', the body '%.32s'", header, name);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!str_eq(kinds[i].name, name))
			continue;
		if (hook_need(body, name, kinds[i].members, err))
			return -1;
		ret->is_as_sent = fill(body);
		if (str_eq(name, "push"))
			ret->is_as_sent = hook_fill_push(body) && ret->is_as_sent;
		ret->name = kinds[i].name;
		ret->payload = json_share(body);
		ret->key = xstrdup_null(hook_header(headers, "x-sluice-delivery"));
		ret->names_all_commits = json_get_bool(body, "commits_complete", false);
		return 0;
	}
	return hook_shape_other(name, body, ret);
}
