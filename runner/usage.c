/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a running job uses: asked of its executor when somebody wants to know, and of one
 * that does not answer at once there is no news.
 */
#include "runner/core-internal.h"

#include "base/mem.h"
#include "executor/link.h"
#include "runner/verbs.h"

#define ANSWER_MS 700

struct usage_wait {
	struct usage_wait *next;
	struct core *core;
	int64_t job;
	struct verb_call *v;
	struct loop_source *timer;
};

static struct verb_call *wait_free(struct usage_wait *w)
{
	struct verb_call *v = w->v;

	loop_remove(w->timer);
	free(w);
	return v;
}

static void on_late(struct loop *l, void *data)
{
	struct usage_wait *w = data, **at = &w->core->usage_waits;
	struct err err = ERR_INIT;

	(void)l;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	w->timer = NULL;
	(void)err_set(&err, ERR_UNAVAILABLE, "the job's executor does not answer");
	verb_fail(wait_free(w), &err, NULL);
}

void usage_answered(struct core *c, int64_t job, const struct json *usage)
{
	for (struct usage_wait **at = &c->usage_waits; *at;) {
		struct usage_wait *w = *at;

		if (w->job != job) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		verb_ok(wait_free(w), json_clone(usage));
	}
}

void usage_ask(struct verb_call *v)
{
	struct core *c = v->core;
	int64_t job = json_get_int(v->args, "job", 0);
	struct live *live = attend_find(c, job);
	struct usage_wait *w;
	struct json *head;
	struct err err = ERR_INIT;

	if (!live || live->state != LIVE_RUNNING || live->fd < 0) {
		(void)err_set(
			&err, ERR_CONFLICT, "job %lld does not run now", (long long)job);
		verb_fail(v, &err, NULL);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	*w = (struct usage_wait){ .core = c, .job = job, .v = v };
	w->timer = loop_add_timer(c->loop, ANSWER_MS, on_late, w);
	w->next = c->usage_waits;
	c->usage_waits = w;
	head = json_new_object();
	json_set_str(head, "op", "usage");
	json_set_int(head, "seq", 0);
	attend_say(live, head);
}

void usage_done(struct core *c)
{
	struct usage_wait *list = take_ptr(c->usage_waits), *next;
	struct err err = ERR_INIT;

	(void)err_set(&err, ERR_UNAVAILABLE, "the server stops");
	for (; list; list = next) {
		next = list->next;
		verb_fail(wait_free(list), &err, NULL);
	}
}
