/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/pages/queue_story.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/query.h"

#define HOUR_MS	     3600000
#define ESTIMATE_OF  20 /* the last so many of a job; older ones say little */

struct queue_story {
	const struct json *active; /* lent */
	struct json *story, *gates;
	int64_t slots;
};

struct queue_story *queue_story_new(struct store *s, const struct json *queue, int64_t slots)
{
	struct queue_story *q = xcalloc(1, sizeof(*q));
	struct err err = ERR_INIT;

	q->active = json_get(queue, "active");
	q->slots = slots;
	if (query_queue_story(s, &q->story, &err) < 0 ||
		query_gates_pending(s, &q->gates, &err) < 0)
		log_warnx("cannot explain the queue: %s", err.msg);
	return q;
}

void queue_story_free(struct queue_story *q)
{
	if (!q)
		return;
	json_free(q->story);
	json_free(q->gates);
	free(q);
}

static const char *text(const struct json *j, const char *key)
{
	return json_get_str(j, key, "");
}

static int by_number(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Sorts V. */
static int64_t median(int64_t *v, size_t len)
{
	qsort(v, len, sizeof(*v), by_number);
	return v[len / 2];
}

static const struct json *recent(const struct queue_story *q)
{
	return json_get(q->story, "recent");
}

int64_t queue_usual(const struct queue_story *q, const struct json *job)
{
	const struct json *list = recent(q);
	int64_t took[ESTIMATE_OF];
	size_t n = 0;

	for (size_t i = 0; i < json_count(list) && n < ESTIMATE_OF; i++) {
		const struct json *r = json_at(list, i);

		if (str_eq(text(r, "node"), text(job, "node")) &&
			str_eq(text(r, "repo"), text(job, "repo")) &&
			str_eq(text(r, "conclusion"), "success"))
			took[n++] = json_get_int(r, "completed_at", 0) -
				    json_get_int(r, "claimed_at", 0);
	}
	return n ? median(took, n) : 0;
}

int64_t queue_left(const struct queue_story *q, const struct json *job, int64_t now)
{
	int64_t usual = queue_usual(q, job);
	int64_t left = usual - (now - json_get_int(job, "claimed_at", now));

	return !usual ? -1 : left > 0 ? left : 0;
}

bool queue_holds_slot(const struct json *job)
{
	return !str_eq(text(job, "state"), "lost");
}

struct ending {
	const struct json *job;
	int64_t left;
};

static int by_left(const void *a, const void *b)
{
	int64_t x = ((const struct ending *)a)->left, y = ((const struct ending *)b)->left;

	/* Those of which nobody knows (-1) come last. */
	if ((x < 0) != (y < 0))
		return x < 0 ? 1 : -1;
	return (x > y) - (x < y);
}

const struct json *queue_ends_nth(const struct queue_story *q, size_t place, int64_t now)
{
	size_t n = 0, count = json_count(q->active), room;
	_cleanup_free_ struct ending *list = xcalloc(count + 1, sizeof(*list));

	for (size_t i = 0; i < count; i++) {
		const struct json *job = json_at(q->active, i);

		if (queue_holds_slot(job))
			list[n++] = (struct ending){ job, queue_left(q, job, now) };
	}
	room = q->slots > (int64_t)n ? (size_t)q->slots - n : 0;
	if (place < room || n == 0)
		return NULL;
	qsort(list, n, sizeof(*list), by_left);
	return list[(place - room) % n].job;
}

const struct json *queue_parallel(const struct queue_story *q, const struct json *job)
{
	const struct json *found = NULL;
	int64_t max = json_get_int(job, "max_parallel", 0), n = 0;

	for (size_t i = 0; max && i < json_count(q->active); i++) {
		const struct json *a = json_at(q->active, i);

		if (!queue_holds_slot(a) || !str_eq(text(a, "node"), text(job, "node")) ||
			json_get_int(a, "run_id", 0) != json_get_int(job, "run_id", 0))
			continue;
		found = found ? found : a;
		n++;
	}
	return max && n >= max ? found : NULL;
}

const struct json *queue_gate(const struct queue_story *q, int64_t gate)
{
	const struct json *items = json_get(q->gates, "items");

	for (size_t i = 0; gate && i < json_count(items); i++)
		if (json_get_int(json_at(items, i), "id", 0) == gate)
			return json_at(items, i);
	return NULL;
}

const struct json *queue_groups(const struct queue_story *q)
{
	return json_get(q->story, "groups");
}

const struct json *queue_group(const struct queue_story *q, int64_t job)
{
	const struct json *list = queue_groups(q);

	for (size_t i = 0; i < json_count(list); i++)
		if (str_eq(text(json_at(list, i), "kind"), "job") &&
			json_get_int(json_at(list, i), "owner_id", 0) == job)
			return json_at(list, i);
	return NULL;
}

size_t queue_runs_held(const struct queue_story *q)
{
	const struct json *list = queue_groups(q);
	size_t n = 0;

	for (size_t i = 0; i < json_count(list); i++)
		n += str_eq(text(json_at(list, i), "kind"), "run");
	return n;
}

/* ---- the last hour ---- */

struct tally {
	struct queue_share share;
	int64_t waits[QUERY_RECENT];
	size_t waits_len;
};

static struct tally *tally_of(struct tally *list, size_t *len, const char *repo)
{
	for (size_t i = 0; i < *len; i++)
		if (str_eq(list[i].share.repo, repo))
			return &list[i];
	list[*len].share.repo = repo;
	return &list[(*len)++];
}

static int by_use(const void *a, const void *b)
{
	int64_t x = ((const struct queue_share *)a)->used_ms;
	int64_t y = ((const struct queue_share *)b)->used_ms;

	return (x < y) - (x > y);
}

/* What of FROM..TO lies in the hour before NOW. */
static int64_t within(int64_t from, int64_t to, int64_t now)
{
	int64_t start = from > now - HOUR_MS ? from : now - HOUR_MS;

	return to > start ? to - start : 0;
}

size_t queue_shares(
	const struct queue_story *q, struct queue_share *ret, size_t max, int64_t now)
{
	const struct json *list = recent(q);
	size_t n = 0, active = json_count(q->active);
	int64_t all = 0;
	_cleanup_free_ struct queue_share *shares = NULL;
	_cleanup_free_ struct tally *t = xcalloc(json_count(list) + active + 1, sizeof(*t));

	for (size_t i = 0; i < active; i++) {
		const struct json *j = json_at(q->active, i);
		struct tally *of;

		if (!queue_holds_slot(j))
			continue;
		of = tally_of(t, &n, text(j, "repo"));
		of->share.slots_now++;
		of->share.used_ms += within(json_get_int(j, "claimed_at", now), now, now);
	}
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *j = json_at(list, i);
		int64_t from = json_get_int(j, "claimed_at", 0);
		int64_t to = json_get_int(j, "completed_at", 0);
		struct tally *of;

		if (to < now - HOUR_MS)
			continue;
		of = tally_of(t, &n, text(j, "repo"));
		of->share.used_ms += within(from, to, now);
		of->waits[of->waits_len++] = from - json_get_int(j, "queued_at", from);
	}
	shares = xcalloc(n + 1, sizeof(*shares));
	for (size_t i = 0; i < n; i++) {
		shares[i] = t[i].share;
		shares[i].wait_ms = t[i].waits_len ? median(t[i].waits, t[i].waits_len) : -1;
		all += shares[i].used_ms;
	}
	qsort(shares, n, sizeof(*shares), by_use);
	for (size_t i = 0; i < n && i < max; i++) {
		ret[i] = shares[i];
		ret[i].percent = all ? 100.0 * (double)shares[i].used_ms / (double)all : 0;
	}
	return n < max ? n : max;
}

bool queue_waits(
	const struct queue_story *q, int64_t now, int64_t *ret_median, int64_t *ret_worst)
{
	const struct json *list = recent(q);
	int64_t waits[QUERY_RECENT];
	size_t n = 0;

	for (size_t i = 0; i < json_count(list) && n < QUERY_RECENT; i++) {
		const struct json *j = json_at(list, i);

		if (json_get_int(j, "completed_at", 0) >= now - HOUR_MS)
			waits[n++] = json_get_int(j, "claimed_at", 0) -
				     json_get_int(j, "queued_at", 0);
	}
	if (n == 0)
		return false;
	*ret_median = median(waits, n);
	*ret_worst = waits[n - 1];
	return true;
}
