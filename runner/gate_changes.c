/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies between the commit an environment runs and the one that waits at its gate: paths
 * and commits, as the mirror has them. Asked for by pages, which show what it cannot tell.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runner/ingest.h"
#include "runner/verbs.h"
#include "store/gates.h"
#include "store/query.h"

#define PATHS_MAX   3000
#define COMMITS_MAX 50

struct between {
	struct verb_call *v;
	struct json *result;
	int64_t repo;
	char *from; /* NULL: nothing runs there yet */
	char *to;
};

static void between_end(struct between *b, const struct err *why)
{
	if (why)
		verb_fail(b->v, why, "the page of the forge may still show it");
	else
		verb_ok(b->v, json_share(b->result));
	json_free(b->result);
	free(b->from);
	free(b->to);
	free(b);
}

/* Newest first, without what the page has no use for. */
static void on_commits(struct json *answer, const struct err *why, void *data)
{
	struct between *b = data;
	_cleanup_(json_freep) struct json *owned = answer;
	const struct json *commits = json_get(owned, "commits");
	struct json *list = json_new_array();

	for (size_t i = json_count(commits); !why && i-- > 0;) {
		const struct json *c = json_at(commits, i);
		const char *message = json_get_str(c, "message", "");
		struct json *o = json_new_object();

		json_set_str(o, "sha", json_get_str(c, "sha", ""));
		json_set(o, "subject", json_new_strn(message, strcspn(message, "\r\n")));
		json_set_str(o, "author", json_as_str(json_path(c, "author.name"), ""));
		json_set_int(o, "at", json_as_int(json_path(c, "author.time_ms"), 0));
		json_push(list, o);
	}
	json_set(b->result, "commits", list);
	json_set_bool(
		b->result, "more_commits", json_get_bool(owned, "truncated", false));
	between_end(b, why);
}

static void on_paths(struct json *answer, const struct err *why, void *data)
{
	struct between *b = data;
	_cleanup_(json_freep) struct json *owned = answer;
	struct json *head;

	if (why) {
		between_end(b, why);
		return;
	}
	json_set(b->result, "paths", json_share(json_get(owned, "paths")));
	json_set_bool(b->result, "more_paths", json_get_bool(owned, "truncated", false));
	if (!b->from) { /* all of the history is no change */
		json_set(b->result, "commits", json_new_array());
		between_end(b, NULL);
		return;
	}
	head = git_head("commits", b->repo);
	json_set_str(head, "from", b->from);
	json_set_str(head, "to", b->to);
	json_set_int(head, "max", COMMITS_MAX);
	git_ask(b->v->core, head, NULL, 0, 0, on_commits, b);
}

void gate_changes(struct verb_call *v)
{
	_cleanup_(json_freep) struct json *shown = NULL;
	_cleanup_(gate_done) struct gate gate = { 0 };
	struct between *b;
	struct json *head;
	struct err err = ERR_INIT;
	int64_t id = json_get_int(v->args, "gate", 0);

	if (gates_get(v->core->store, id, &gate, &err) < 0 ||
		query_gate(v->core->store, id, &shown, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	b = xcalloc(1, sizeof(*b));
	b->v = v;
	b->result = json_new_object();
	b->repo = gate.repo;
	b->from = xstrdup_null(json_as_str(json_path(shown, "before.sha"), NULL));
	b->to = xstrdup(gate.sha);
	head = git_head("changes", b->repo);
	json_set_str(head, "from", b->from);
	json_set_str(head, "to", b->to);
	json_set_int(head, "max", PATHS_MAX);
	git_ask(v->core, head, NULL, 0, 0, on_paths, b);
}
