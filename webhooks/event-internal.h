/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A forge's file turns its body into GitHub's shape and says which event that is; event.c
 * makes the neutral event of it, one way for all.
 */
#ifndef WEBHOOKS_EVENT_INTERNAL_H
#define WEBHOOKS_EVENT_INTERNAL_H

#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strvec.h"
#include "webhooks/event.h"

struct hook_shape {
	const char
		*name; /* "ping" "push" "pull_request" "workflow_dispatch"; else other */
	struct json *payload; /* owned; github.event */
	struct json *refs;    /* owned; what to fetch, NULL: the event's ref */
	char *key;	      /* owned; NULL: none */
	char *ignore; /* owned; NULL: nothing of the forge's own to ignore it for */
	bool names_all_commits;
	bool is_as_sent; /* the payload is the body, nothing had to be added */
};
void hook_shape_done(struct hook_shape *s);

typedef int hook_shape_fn(const struct json *headers, struct json *body,
	struct hook_shape *ret, struct err *err);
hook_shape_fn github_shape, gitea_shape, gitlab_shape, generic_shape;

/* A header as text; NULL when absent, doubled or with a NUL in it. */
const char *hook_header(const struct json *headers, const char *name);
/* Keeps an event we do not run: its name as other, with no further look at the body. */
int hook_shape_other(const char *name, struct json *body, struct hook_shape *ret);

/* Members of the wanted kinds, or ERR_INPUT naming the first that is not. NULL-ended. */
struct hook_member {
	const char *path; /* dotted */
	enum json_kind kind;
};
int hook_need(const struct json *body, const char *event,
	const struct hook_member *members, struct err *err);

bool hook_sha_is_valid(const char *sha); /* 40 or 64 lower-case digits */
bool hook_sha_is_zero(const char *sha);
bool hook_ref_is_valid(const char *ref); /* full, as git check-ref-format has it */

/* The members every push has in GitHub's shape, from those that are there. */
extern const struct hook_member hook_push_members[];
extern const struct hook_member hook_pull_members[];
bool hook_fill_push(struct json *payload); /* true: nothing was missing */

#endif
