/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What arrived, and what it means. A delivery and its event are written in one transaction
 * and only then answered; the caller opens one transaction for all that are waiting.
 *
 * A delivery is a duplicate when its hook already accepted the same delivery id, or the
 * same body within LIMIT_DEDUPE_MS. A duplicate writes no row but a counter; a duplicate
 * of a failed event makes it pending again.
 */
#ifndef STORE_DELIVERIES_H
#define STORE_DELIVERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/crypto.h"
#include "base/json.h"
#include "store/state.h"

struct delivery_new {
	int64_t hook; /* 0: no hook (dispatch by API, `sluice run`) */
	int64_t repo;
	const char *forge;
	const char *key;   /* the forge's id of the delivery; "" if it has none */
	const char *event; /* name of the event as the forge said it */
	uint8_t body_sha256[SHA256_LEN];
	int64_t body_len;
	const char *peer; /* address, for people */
	const char *request;
};

enum trust { TRUST_UNTRUSTED, TRUST_TRUSTED };
const char *trust_name(enum trust t);

/* The neutral event as the store keeps it; webhooks/event.h makes one. */
struct event_new {
	const char *kind; /* "push" "tag" "delete" "pull_request" "dispatch" "schedule" */
	const char *name; /* github.event_name */
	const char *action; /* "opened"; "" if it has none */
	const char *ref;    /* full: refs/heads/main */
	const char *head_sha;
	const char *base_sha;
	const char *merge_sha;
	const char *title;
	const char *actor;    /* login, display only */
	const char *actor_id; /* the forge's number */
	enum trust trust;
	struct json *document; /* the whole neutral event; github.event its last member */
	const char *payload;   /* github.event as text, when that is at hand; or NULL */
	size_t payload_len;
	const char *ignore; /* a reason: the event is born ignored; NULL: pending */
};

enum accept_outcome {
	ACCEPT_NEW,
	ACCEPT_DUPLICATE,
	ACCEPT_REPLANNED, /* a duplicate of a failed event, which is pending again */
};

struct accept_result {
	enum accept_outcome outcome;
	int64_t delivery;
	int64_t event;
};

int deliveries_accept(struct store *s, const struct delivery_new *d,
	const struct event_new *e, struct accept_result *ret, struct err *err);
/* Writes down one that led to nothing. STATE is ignored or rejected, with its REASON. */
int deliveries_note(struct store *s, const struct delivery_new *d,
	enum delivery_state state, const char *reason, int64_t *ret_id, struct err *err);

struct event {
	int64_t id;
	int64_t repo;
	int64_t delivery;
	enum event_state state;
	enum trust trust;
	char *kind;
	char *name;
	char *action;
	char *ref;
	char *head_sha;
	char *base_sha;
	char *merge_sha;
	char *title;
	char *actor;
	char *actor_id;
	char *reason; /* why ignored or failed */
	int64_t created_at;
	int tries; /* how often planning was begun */
	struct json *document;
};
void event_done(struct event *e);

int events_get(struct store *s, int64_t id, struct event *ret, struct err *err);
/* Ids of pending events, oldest first; returns how many (at most MAX), or -1. */
int events_pending(struct store *s, int64_t *ids, size_t max, struct err *err);
#define LIMIT_EVENT_TRIES 5
/* Counts a try before the planner is asked; after LIMIT_EVENT_TRIES it fails instead. */
int events_note_try(struct store *s, int64_t id, struct err *err);
/* pending -> failed or ignored, with the words a person reads. DETAIL may be NULL. */
int events_fail(struct store *s, int64_t id, const char *reason,
	const struct json *detail, struct err *err);
int events_ignore(struct store *s, int64_t id, const char *reason, struct err *err);
/* failed -> pending, by a person. */
int events_replan(struct store *s, int64_t id, const struct actor *who, struct err *err);

#endif
