/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to be told to others: at least once, in order per context, the last one wins.
 * Rows are written by state_move in the transaction of the change they tell about.
 */
#ifndef STORE_OUTBOX_H
#define STORE_OUTBOX_H

#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "store/store.h"

struct outbox_row {
	int64_t id;
	int64_t repo;
	int64_t tries;
	char *topic;   /* "status" */
	char *context; /* what it replaces: "status/SHA/WORKFLOW PATH[/JOB]" */
	struct json *payload;
};
void outbox_row_done(struct outbox_row *r);

/* An older unsent row of the same context is dropped: the last one wins. */
int outbox_add(struct store *s, int64_t repo, const char *topic, const char *context,
	const struct json *payload, struct err *err);
/* The next row that is due; 1, 0 (none; *RET_NEXT when one will be, 0 never), -1. */
int outbox_next(
	struct store *s, struct outbox_row *ret, int64_t *ret_next, struct err *err);
int outbox_sent(struct store *s, int64_t id, struct err *err);
/* Tries again later, with growing pauses; after a day it is given up and kept as failed. */
int outbox_failed(struct store *s, int64_t id, const char *why, struct err *err);

#endif
