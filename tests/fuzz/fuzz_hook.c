/* SPDX-License-Identifier: Apache-2.0 */
/*
 * F2, F17: deliveries. The first byte picks forge and event, the rest is the body. What is
 * read has valid shas and refs, and says what its document says; nothing unsigned matches.
 * Bodies of approvals are read as well.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "webhooks/approval.h"
#include "webhooks/event.h"
#include "webhooks/signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	const char *forge;
	const char *header;
	const char *event;
} kinds[] = {
	{ "github", "x-github-event", "push" },
	{ "github", "x-github-event", "pull_request" },
	{ "github", "x-github-event", "ping" },
	{ "gitea", "x-gitea-event", "push" },
	{ "gitea", "x-gitea-event", "pull_request" },
	{ "gitlab", "x-gitlab-event", "Push Hook" },
	{ "gitlab", "x-gitlab-event", "Tag Push Hook" },
	{ "gitlab", "x-gitlab-event", "Merge Request Hook" },
	{ "generic", "x-sluice-event", "push" },
	{ "generic", "x-sluice-event", "workflow_dispatch" },
};

static void need(bool is_true)
{
	if (!is_true)
		abort();
}

static bool is_sha(const char *s)
{
	size_t n = strlen(s);

	return (n == 40 || n == 64) && strspn(s, "0123456789abcdef") == n;
}

static void look_at(const struct hook_event *e)
{
	_cleanup_free_ char *text = json_text(e->document);
	struct json *again = NULL;

	need(e->document && e->name && e->ref && e->title);
	need(!*e->head_sha || is_sha(e->head_sha));
	need(!*e->base_sha || is_sha(e->base_sha));
	need(!*e->merge_sha || is_sha(e->merge_sha));
	need(!*e->ref || (str_starts(e->ref, "refs/") && !strstr(e->ref, "..")));
	/* What may start something says what is to be built. */
	need(e->ignore || (*e->ref && *e->head_sha));
	need(str_eq(json_get_str(e->document, "head_sha", NULL), e->head_sha));
	need(strlen(e->title) <= 256);
	need(json_parse(text, strlen(text), &again, NULL) == 0);
	need(json_same(again, e->document));
	json_free(again);
	again = NULL;
	if (!e->payload)
		return;
	/* The bytes that are kept instead are the same event. */
	need(json_parse(e->payload, e->payload_len, &again, NULL) == 0);
	need(json_same(again, json_path(e->document, "github.event")));
	json_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(json_freep) struct json *headers = NULL;
	_cleanup_(hook_event_done) struct hook_event e = { 0 };
	struct approval a;
	struct err err = ERR_INIT;
	size_t kind;

	if (size == 0)
		return 0;
	kind = data[0] % ARRAY_SIZE(kinds);
	data++;
	size--;
	headers = json_new_object();
	json_set_str(headers, kinds[kind].header, kinds[kind].event);
	need(!signature_matches(kinds[kind].forge, headers, data, size, "secret", 6));
	if (hook_event_read(kinds[kind].forge, headers, data, size, &e, &err) == 0)
		look_at(&e);
	else
		need(err.code == ERR_INPUT || err.code == ERR_LIMIT);
	if (approval_read(data, size, &a, &err) == 0)
		need(a.gate > 0 && *a.digest && strlen(a.comment) <= 1024);
	return 0;
}
