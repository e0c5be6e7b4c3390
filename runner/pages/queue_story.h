/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the page of the queue says beside the bare rows: how long a job usually takes, which
 * slot is free next, who holds a concurrency group, who used the slots of the last hour. All of
 * it is estimated from the last QUERY_RECENT jobs that ran and changes nothing.
 */
#ifndef RUNNER_PAGES_QUEUE_STORY_H
#define RUNNER_PAGES_QUEUE_STORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "store/store.h"

struct queue_story;

/*
 * QUEUE (of query_queue) is lent and has to outlive the story, SLOTS is the capacity. Never
 * NULL: what the store cannot tell is not told.
 */
struct queue_story *queue_story_new(struct store *s, const struct json *queue, int64_t slots);
void queue_story_free(struct queue_story *q);
DEFINE_CLEANUP(struct queue_story, queue_story_free);

/* Of the active ones: a lost job holds none, since nothing of it runs. */
bool queue_holds_slot(const struct json *job);
/* The median of what the same job of that repository took, milliseconds; 0: it never ran. */
int64_t queue_usual(const struct queue_story *q, const struct json *job);
/* What is left of it for a job that runs, 0 when it is over it; -1: nobody knows. */
int64_t queue_left(const struct queue_story *q, const struct json *job, int64_t now);
/* The running job whose end gives a slot to the one at PLACE (0 first); NULL: one is free. */
const struct json *queue_ends_nth(const struct queue_story *q, size_t place, int64_t now);
/* A running row of the same matrix when that is at its max-parallel, else NULL. */
const struct json *queue_parallel(const struct queue_story *q, const struct json *job);

/* A pending gate by its id, NULL; who waits in a group as job JOB, NULL. */
const struct json *queue_gate(const struct queue_story *q, int64_t gate);
const struct json *queue_group(const struct queue_story *q, int64_t job);
const struct json *queue_groups(const struct queue_story *q);
size_t queue_runs_held(const struct queue_story *q); /* whole runs among the groups */

struct queue_share {
	const char *repo; /* lent by the story */
	double percent;	  /* of all slot time of the last hour */
	int64_t used_ms, slots_now;
	int64_t wait_ms; /* the median; -1: nothing ended */
};
/* At most MAX, who used most first. */
size_t queue_shares(
	const struct queue_story *q, struct queue_share *ret, size_t max, int64_t now);
/* How long the jobs that ended in the last hour had waited; false: there is none. */
bool queue_waits(
	const struct queue_story *q, int64_t now, int64_t *ret_median, int64_t *ret_worst);

#endif
