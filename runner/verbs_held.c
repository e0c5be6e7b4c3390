/* SPDX-License-Identifier: Apache-2.0 */
/* Entering a held job, what a running one uses, and what is kept no longer. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "executor/link.h"
#include "runner/verbs.h"
#include "store/holds.h"
#include "store/query.h"

/* ---- shell ------------------------------------------------------------------------- */

struct entering {
	struct verb_call *v;
	struct hold_row hold;
	int64_t step; /* -1: the one that failed */
};

static void on_shell(const struct json *answer, const struct err *why, void *data)
{
	struct entering *e = data;
	struct verb_call *v = e->v;
	struct json *ret;
	char path[96];

	(void)answer;
	if (why) {
		verb_fail(v, why,
			why->code == ERR_CONFLICT ? "somebody is in there: one at a time"
						  : NULL);
		free(e);
		return;
	}
	(void)snprintf(path, sizeof(path), "held/%" PRId64 "-%" PRId64 "/" JOB_FILE_SOCK,
		e->hold.job, e->hold.try);
	ret = json_new_object();
	json_set_str(ret, "data", v->core->o->data_dir);
	json_set_str(ret, "socket", path);
	json_set_int(ret, "run", e->hold.run);
	json_set_int(ret, "job", e->hold.job);
	if (e->step >= 0)
		json_set_int(ret, "step", e->step);
	json_set_int(ret, "expires_at", e->hold.expires_at);
	verb_ok(v, ret);
	free(e);
}

/* JOB or JOB/STEP: the longest prefix that is a job wins. */
static int find_job(struct store *s, int64_t run, const char *text, int64_t *ret_job,
	int64_t *ret_step, struct err *err)
{
	const char *slash = strrchr(text, '/');
	_cleanup_free_ char *job = NULL;
	struct err own = ERR_INIT;
	long long n;

	*ret_step = -1;
	if (jobs_resolve(s, run, text, ret_job, &own) == 0)
		return 0;
	if (slash && str_to_int(slash + 1, 0, 100000, &n) == 0) {
		job = xstrndup(text, (size_t)(slash - text));
		*ret_step = n;
		return jobs_resolve(s, run, job, ret_job, err);
	}
	*err = own;
	return -1;
}

static int check_trust(struct store *s, int64_t run, struct err *err)
{
	_cleanup_(run_done) struct run r = { 0 };

	if (runs_get(s, run, &r, err) < 0)
		return -1;
	if (r.trust == TRUST_TRUSTED)
		return 0;
	return err_set(err, ERR_DENIED,
		"run %" PRId64 " is untrusted (%s): such jobs are never held; reproduce "
		"it with: sluice run",
		run,
		str_starts(r.event_name, "pull_request") ? "pull request from a fork"
							 : r.event_name);
}

/* Why there is nothing to enter: of some profiles no job ever is held (hold_new). */
static const char *not_held_hint(struct store *s, int64_t job)
{
	_cleanup_(json_freep) struct json *j = NULL;
	const struct json *notes;

	if (query_job(s, job, &j, NULL) == 0) {
		notes = json_get(j, "notes");
		for (size_t i = 0; i < json_count(notes); i++) {
			const char *note = json_as_str(json_at(notes, i), "");

			if (str_eq(note, "root") || str_eq(note, "build"))
				return "jobs of the profiles root and build are not held, for whose "
				       "file was whose would be lost; reproduce it with: sluice run";
		}
	}
	return "failed jobs of trusted runs are held, for keep.held: see the page of the job";
}

static void shell_open(struct verb_call *v)
{
	struct core *c = v->core;
	struct entering e = { .v = v }, *heap;
	_cleanup_(json_freep) struct json *detail = json_new_object();
	struct err err = ERR_INIT;
	const char *text;
	struct json *head;
	int64_t run, job = 0;

	if (!verb_arg_str(v, "job", &text) || !verb_arg_run(v, &run))
		return;
	if (check_trust(c->store, run, &err) < 0 ||
		find_job(c->store, run, text, &job, &e.step, &err) < 0 ||
		holds_get(c->store, job, &e.hold, &err) < 0) {
		verb_fail(v, &err,
			err.code == ERR_NOT_FOUND && job ? not_held_hint(c->store, job) : NULL);
		return;
	}
	if (!spawn_is_up(c->spawn)) {
		(void)err_set(&err, ERR_UNAVAILABLE, "the spawner is not there");
		verb_fail(v, &err, "is the server running?");
		return;
	}
	if (e.step >= 0)
		json_set_int(detail, "step", e.step);
	if (audit_add(c->store, &v->actor, "job.shell", "job", job, run, detail, &err) <
		0) {
		verb_fail(v, &err, NULL);
		return;
	}
	heap = xcalloc(1, sizeof(*heap));
	*heap = e;
	head = json_new_object();
	json_set_str(head, "op", "shell");
	json_set_int(head, "job", job);
	json_set_int(head, "try", e.hold.try);
	spawn_call(c->spawn, head, on_shell, heap);
}

/* ---- gc ---------------------------------------------------------------------------- */

static void collect(struct verb_call *v)
{
	bool is_dry = json_get_bool(v->args, "dry_run", false);
	struct keep_found f = { 0 };
	struct json *ret;
	struct err err = ERR_INIT;

	if (!is_dry)
		held_sweep(v->core);
	if (keep_collect(v->core, is_dry, &v->actor, &f, &err) < 0) {
		verb_fail(v, &err, NULL);
		return;
	}
	ret = json_new_object();
	json_set_bool(ret, "dry_run", is_dry);
	json_set_int(ret, "bytes", f.bytes);
	json_set_int(ret, "logs", f.logs);
	json_set_int(ret, "logs_days", v->core->o->keep_logs_ms / 86400000);
	json_set_int(ret, "artifacts", f.artifacts);
	json_set_int(ret, "blobs", f.blobs);
	json_set_int(ret, "held", f.held);
	json_set_int(ret, "deployments", f.deployments);
	json_set_bool(ret, "is_more", f.is_more);
	verb_ok(v, ret);
}

const struct verb verbs_held[] = {
	{ "shell.open", SCOPE_ADMIN, true, shell_open },
	{ "job.usage", SCOPE_READ, false, usage_ask },
	{ "gc", SCOPE_ADMIN, true, collect },
	{ NULL, 0, false, NULL },
};
