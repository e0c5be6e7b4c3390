/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The neutral event: what a delivery says, whatever forge it came from. Its document is
 * kept by the store and is all that core and planner see:
 *
 *	{"kind", "name", "action", "forge", "ref", "head_sha", "base_sha", "merge_sha",
 *	 "title", "actor": {"login", "id"}, "trust": "trusted" | "untrusted",
 *	 "repository": {"full_name", "id", "default_branch"},
 *	 "github": {event_name, ref, ref_name, ref_type, sha, head_ref, base_ref, actor,
 *	            repository ..., "event": payload in GitHub's shape},
 *	 "refs": [what to fetch, in the forge's own names],
 *	 "workflow_sha": which commit's workflow files count, when it is not the one built,
 *	 "identities": [logins and addresses that had a part: none may open a gate of it],
 *	 "changed": [paths], only when the payload is known to name them all,
 *	 "workflow", "inputs": of a dispatch}
 *
 * Trust and repository come from the forge's ids in the signed envelope; names and
 * addresses of commits are for display alone (SECURITY WH06).
 */
#ifndef WEBHOOKS_EVENT_H
#define WEBHOOKS_EVENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json.h"
#include "store/deliveries.h"

enum hook_kind {
	HOOK_PING,
	HOOK_PUSH,
	HOOK_TAG,
	HOOK_DELETE, /* of a branch or tag: starts nothing */
	HOOK_PULL_REQUEST,
	HOOK_DISPATCH,
	HOOK_OTHER, /* well-formed, but nothing we run */
};
const char *hook_kind_name(enum hook_kind k);

struct hook_event {
	enum hook_kind kind;
	char *name;   /* github.event_name; for HOOK_OTHER as the forge said it */
	char *action; /* all strings: never NULL */
	char *key;    /* the forge's id of the delivery, "" if it has none */
	char *ref;
	char *head_sha;
	char *base_sha;
	char *merge_sha;
	char *title;
	char *actor;
	char *actor_id;
	char *repo;	      /* "owner/name" as the body says */
	char *repo_id;	      /* the forge's number of it, "" if it has none */
	char *default_branch; /* "" when it does not say */
	char *ignore;	      /* why it starts nothing; NULL: it may */
	enum trust trust;
	struct json *document;
	const char *payload; /* github.event as it was sent, lent by the body; or NULL */
	size_t payload_len;
};
void hook_event_done(struct hook_event *e);

/*
 * Reads BODY of FORGE with HEADERS (lower-case names). Only after its signature matched.
 * ERR_INPUT: no JSON, or not the shape that the event named in the headers has (WH04).
 */
int hook_event_read(const char *forge, const struct json *headers, const void *body,
	size_t len, struct hook_event *ret, struct err *err);

/* What E lends for deliveries_accept, until it is done. */
struct event_new hook_event_lend(const struct hook_event *e);

#endif
