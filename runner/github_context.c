/* SPDX-License-Identifier: Apache-2.0 */
/* From a payload in GitHub's shape to the context made of it. */
#include "runner/github_context.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/strbuf.h"

/* Over LIMIT_CHANGED_FILES the names no longer matter, only that they are many. */
#define FILES_ENOUGH (LIMIT_CHANGED_FILES + 1)

/* Where in the payload each member is; the first that is there counts. */
static const struct {
	const char *name;
	const char *paths[4];
} members[] = {
	{ "repository", { "repository.full_name", NULL } },
	{ "repository_owner", { "repository.owner.login", "repository.owner.name",
				      "organization.login" } },
	{ "repository_id", { "repository.id", NULL } },
	{ "actor", { "sender.login", "pusher.name", NULL } },
	{ "triggering_actor", { "sender.login", "pusher.name", NULL } },
	{ "ref", { "ref", NULL } },
	{ "sha", { "after", "head_commit.id", "pull_request.merge_commit_sha", NULL } },
	{ "head_ref", { "pull_request.head.ref", NULL } },
	{ "base_ref", { "pull_request.base.ref", NULL } },
};

static void add_ref_parts(struct json *github)
{
	const char *ref = json_get_str(github, "ref", NULL);
	bool is_tag = ref && str_starts(ref, "refs/tags/");

	if (!ref)
		return;
	json_set_str(github, "ref_type", is_tag ? "tag" : "branch");
	if (is_tag)
		json_set_str(github, "ref_name", ref + strlen("refs/tags/"));
	else if (str_starts(ref, "refs/heads/"))
		json_set_str(github, "ref_name", ref + strlen("refs/heads/"));
	else
		json_set_str(github, "ref_name",
			str_starts(ref, "refs/") ? ref + strlen("refs/") : ref);
}

static void add_pull_ref(
	struct json *github, const char *event, const struct json *payload)
{
	int64_t number = json_as_int(json_path(payload, "number"),
		json_as_int(json_path(payload, "pull_request.number"), 0));
	_cleanup_free_ char *ref = NULL;
	const char *base = json_get_str(github, "base_ref", NULL);

	if (json_get(github, "ref") || !str_starts(event, "pull_request"))
		return;
	if (strcmp(event, "pull_request_target") == 0 && base)
		ref = xasprintf("refs/heads/%s", base);
	else if (number > 0)
		ref = xasprintf("refs/pull/%lld/merge", (long long)number);
	if (ref)
		json_set_str(github, "ref", ref);
}

struct json *github_context_of(const char *event, const struct json *payload)
{
	struct json *github = json_new_object();

	json_set_str(github, "event_name", event);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		for (size_t k = 0; k < 4 && members[i].paths[k]; k++) {
			struct json *v = json_path(payload, members[i].paths[k]);

			if (!v || json_get(github, members[i].name) ||
				json_is(v, JSON_KIND_NULL))
				continue;
			json_set(github, members[i].name, json_share(v));
		}
	add_pull_ref(github, event, payload);
	add_ref_parts(github);
	json_set(github, "event",
		payload ? json_share((struct json *)payload) : json_new_object());
	return github;
}

bool github_changed_files(const struct json *payload, struct strvec *ret)
{
	static const char *const kinds[] = { "added", "modified", "removed" };
	const struct json *commits = json_get(payload, "commits");

	if (!json_is(commits, JSON_KIND_ARRAY))
		return false;
	for (size_t i = 0; i < json_count(commits); i++)
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
			const struct json *list = json_get(json_at(commits, i), kinds[k]);

			for (size_t n = 0; n < json_count(list); n++) {
				const char *s = json_as_str(json_at(list, n), NULL);

				if (s && ret->len < FILES_ENOUGH && !strvec_has(ret, s))
					strvec_push(ret, s);
			}
		}
	return true;
}
