/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of a job, read while it grows and turned into updates of the store. Frames
 * are collected until they are applied in one transaction with their sequence, so a
 * reading may be thrown away and repeated at any time. What the journal says is the
 * executor's word on its own job: words and numbers are stored, nothing is obeyed.
 */
#include "runner/core-internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

void frames_init(struct frames *f)
{
	*f = (struct frames){ .first = 1 };
}

static void clear_pending(struct frames *f)
{
	for (size_t i = 0; i < f->docs_len; i++)
		json_free(f->docs[i]);
	f->docs_len = f->len = f->artifacts_len = 0;
}

void frames_done(struct frames *f)
{
	clear_pending(f);
	free(f->updates);
	free(f->artifacts);
	free(f->docs);
	frames_init(f);
}

void frames_applied(struct frames *f)
{
	clear_pending(f);
	f->first = f->seq + 1;
	f->last = 0;
}

static struct job_update *add(struct frames *f, enum job_update_kind kind, int64_t at);

void frames_strip(struct frames *f, const char *why)
{
	struct job_update *u;

	clear_pending(f);
	if (!f->has_exit)
		return;
	(void)snprintf(f->reason, sizeof(f->reason),
		"its journal cannot be stored: %.180s", why);
	f->conclusion = CONCLUSION_FAILURE;
	u = add(f, JOB_UPDATE_EXIT, clock_wall_ms());
	u->conclusion = f->conclusion;
	u->value = f->reason;
}

static struct job_update *add(struct frames *f, enum job_update_kind kind, int64_t at)
{
	struct job_update *u;

	GROW(f->updates, f->cap, f->len + 1);
	u = &f->updates[f->len++];
	*u = (struct job_update){ .kind = kind, .at = at };
	return u;
}

static const char *text(const struct json *p, const char *key)
{
	return json_get_str(p, key, "");
}

/* STEPS: the plan of steps, none of which has begun. */
static void on_steps(struct frames *f, const struct json *p, int64_t at)
{
	const struct json *steps = json_get(p, "steps");

	for (size_t i = 0; i < json_count(steps) && i < LIMIT_STEPS * 4; i++) {
		const struct json *s = json_at(steps, i);
		struct job_update *u = add(f, JOB_UPDATE_STEP, at);

		u->step = (struct job_step){ .number = json_get_int(s, "n", 0),
			.key = text(s, "id"),
			.name = text(s, "name"),
			.state = STEP_PENDING,
			.exit_code = -1,
			.reason = "",
			.log_end = -1 };
	}
}

static void on_step(struct frames *f, const struct json *p, int64_t at)
{
	bool is_done = str_eq(text(p, "state"), "completed");
	struct job_update *u = add(f, JOB_UPDATE_STEP, at);
	int64_t log = json_get_int(p, "log", 0);

	u->step = (struct job_step){ .number = json_get_int(p, "n", 0),
		.key = text(p, "id"),
		.name = text(p, "name"),
		.state = is_done ? STEP_COMPLETED : STEP_RUNNING,
		.outcome = conclusion_parse(text(p, "outcome")),
		.conclusion = conclusion_parse(text(p, "conclusion")),
		.exit_code = json_get_int(p, "exit_code", -1),
		.reason = text(p, "reason"),
		.started_at = json_get_int(p, "started", is_done ? 0 : at),
		.completed_at = is_done ? json_get_int(p, "ended", at) : 0,
		.log_start = is_done ? -1 : log,
		.log_end = is_done ? log : -1 };
}

static void on_note(struct frames *f, const struct json *p, int64_t at)
{
	struct job_update *u = add(f, JOB_UPDATE_ANNOTATION, at);

	u->annotation = (struct job_annotation){ .step = json_get_int(p, "n", 0),
		.level = text(p, "level"),
		.title = text(p, "title"),
		.message = text(p, "message"),
		.file = text(p, "file"),
		.line = json_get_int(p, "line", 0),
		.end_line = json_get_int(p, "end_line", 0),
		.column = json_get_int(p, "col", 0),
		.end_column = json_get_int(p, "end_col", 0) };
}

static void on_net(struct frames *f, const struct json *p, int64_t at)
{
	struct job_update *u = add(f, JOB_UPDATE_NET, at);

	u->net = (struct job_net){ .host = text(p, "host"),
		.port = json_get_int(p, "port", 0),
		.verdict = text(p, "verdict"),
		.rule = text(p, "rule"),
		.step = json_get_int(p, "n", 0),
		.count = json_get_int(p, "count", 1),
		.bytes_in = json_get_int(p, "bytes_in", 0),
		.bytes_out = json_get_int(p, "bytes_out", 0),
		.allow = text(p, "allow") };
}

static void on_outputs(struct frames *f, const struct json *p, int64_t at)
{
	json_foreach (it, json_get(p, "outputs")) {
		struct job_update *u = add(f, JOB_UPDATE_OUTPUT, at);

		u->name = it.key;
		u->value = json_as_str(it.value, "");
	}
}

static void on_artifact(struct frames *f, const struct json *p, int64_t at)
{
	struct artifact_new *a;
	int64_t days = json_get_int(p, "expires_days", 0);

	/* Deleted again by the job itself: the row of its name simply ends early. */
	if (str_eq(text(p, "state"), "deleted"))
		return;
	GROW(f->artifacts, f->artifacts_cap, f->artifacts_len + 1);
	a = &f->artifacts[f->artifacts_len++];
	*a = (struct artifact_new){ .name = text(p, "name"),
		.digest = text(p, "sha256"),
		.media_type = "application/vnd.sluice.manifest+json",
		.size = json_get_int(p, "size", 0),
		.files = json_get_int(p, "files", 0),
		.expires_at = days > 0 && days <= 400 ? at + days * 86400000LL : 0,
		.overwrites = json_get_bool(p, "overwrite", false) };
}

static void on_ready(struct frames *f, struct json *p, int64_t at)
{
	const struct json *weaker = json_get(p, "weaker");

	f->is_ready = true;
	f->ready_epoch = json_get_int(p, "epoch", -1);
	for (size_t i = 0; i < json_count(weaker) && i < 32; i++) {
		struct job_update *u = add(f, JOB_UPDATE_NOTE, at);

		u->name = "weaker";
		u->value = json_as_str(json_at(weaker, i), "");
	}
	if (json_get_str(p, "profile", NULL)) {
		struct job_update *u = add(f, JOB_UPDATE_NOTE, at);

		u->name = "profile";
		u->value = text(p, "profile");
	}
	if (json_get_str(p, "network", NULL)) {
		struct job_update *u = add(f, JOB_UPDATE_NOTE, at);

		u->name = "network";
		u->value = text(p, "network");
	}
	if (json_get_str(p, "root", NULL)) {
		struct job_update *u = add(f, JOB_UPDATE_NOTE, at);

		u->name = "root";
		u->value = text(p, "root");
	}
}

static void on_exit_frame(struct frames *f, const struct json *p, int64_t at)
{
	struct job_update *u = add(f, JOB_UPDATE_EXIT, at);

	f->has_exit = true;
	f->conclusion = conclusion_parse(text(p, "conclusion"));
	if (f->conclusion == CONCLUSION_NONE)
		f->conclusion = CONCLUSION_FAILURE;
	f->was_released = json_get_bool(p, "released", f->has_go);
	f->log_size = json_get_int(p, "log", f->log_size);
	(void)snprintf(f->reason, sizeof(f->reason), "%s", text(p, "reason"));
	(void)snprintf(f->log_digest, sizeof(f->log_digest), "%s", text(p, "digest"));
	u->conclusion = f->conclusion;
	u->value = text(p, "reason");
	u->memory_peak = json_get_int(p, "memory_peak", 0);
	u->pids_peak = json_get_int(p, "pids_peak", 0);
	u->cpu_us = json_get_int(p, "cpu_us", 0);
}

static void on_plain(struct frames *f, unsigned type, struct json *p, int64_t at)
{
	struct job_update *u;

	switch (type) {
	case JOURNAL_GO:
		f->has_go = true;
		(void)add(f, JOB_UPDATE_STARTED, at);
		break;
	case JOURNAL_SUMMARY:
		u = add(f, JOB_UPDATE_SUMMARY, at);
		u->step.number = json_get_int(p, "n", 0);
		u->digest = text(p, "sha256");
		u->size = json_get_int(p, "size", 0);
		break;
	case JOURNAL_DEPLOY:
		u = add(f, JOB_UPDATE_URL, at);
		u->value = text(p, "url");
		break;
	case JOURNAL_LOG:
		f->log_size = json_get_int(p, "to", f->log_size);
		break;
	case JOURNAL_EXIT:
		on_exit_frame(f, p, at);
		break;
	}
}

static void take(struct frames *f, const struct journal_frame *fr)
{
	struct json *p = json_share(fr->payload);
	int64_t at = json_get_int(p, "t", clock_wall_ms());

	GROW(f->docs, f->docs_cap, f->docs_len + 1);
	f->docs[f->docs_len++] = p;
	switch (fr->type) {
	case JOURNAL_STEPS:
		on_steps(f, p, at);
		break;
	case JOURNAL_STEP:
		on_step(f, p, at);
		break;
	case JOURNAL_NOTE:
		on_note(f, p, at);
		break;
	case JOURNAL_NET:
		on_net(f, p, at);
		break;
	case JOURNAL_OUTPUTS:
		on_outputs(f, p, at);
		break;
	case JOURNAL_ARTIFACT:
		on_artifact(f, p, at);
		break;
	case JOURNAL_READY:
		on_ready(f, p, at);
		break;
	default: /* also types of a later version */
		on_plain(f, fr->type, p, at);
	}
	f->seq = f->last = fr->seq;
	if (fr->seq <= f->skip)
		frames_applied(f);
}

struct reading {
	struct frames *f;
	int64_t job;
	void (*fn)(int64_t job, const struct journal_frame *fr, void *data);
	void *data;
};

static int on_frame(const struct journal_frame *fr, void *data, struct err *err)
{
	struct reading *r = data;

	(void)err;
	take(r->f, fr);
	if (r->fn)
		r->fn(r->job, fr, r->data);
	return 0;
}

int frames_read(struct frames *f, int journal, int64_t job,
	void (*fn)(int64_t job, const struct journal_frame *fr, void *data), void *data,
	struct err *err)
{
	struct reading r = { f, job, fn, data };
	uint64_t end = f->at;

	if (journal_each(journal, f->at, f->seq, on_frame, &r, &end, err) < 0)
		return -1;
	f->at = end;
	return 0;
}

static int publish(struct core *c, const struct frames *f, int64_t job, int64_t epoch,
	struct err *err)
{
	for (size_t i = 0; i < f->artifacts_len; i++) {
		struct artifact_new a = f->artifacts[i];
		struct err why = ERR_INIT;
		int64_t id;

		a.job = job;
		a.epoch = epoch;
		if (!a.expires_at && c->o->keep_artifacts_ms)
			a.expires_at = clock_wall_ms() + c->o->keep_artifacts_ms;
		if (artifacts_publish(c->store, &a, &id, &why) == 0)
			continue;
		/* A name that is taken is the job's own mistake, and it was told so. */
		if (why.code != ERR_CONFLICT && why.code != ERR_INPUT) {
			*err = why;
			return -1;
		}
		log_warnx("job=%" PRId64 " artifact '%s' is not kept: %s", job, a.name,
			why.msg);
	}
	return 0;
}

int frames_apply(struct core *c, struct frames *f, int64_t job, int64_t epoch,
	bool with_exit, struct err *err)
{
	struct job_frames jf = { .job = job,
		.epoch = epoch,
		.first = (int64_t)f->first,
		.last = (int64_t)f->last,
		.log_size = f->log_size,
		.updates = f->updates,
		.len = f->len };
	struct store_tx tx = STORE_TX_INIT;
	int rc;

	if (!f->last)
		return 0;
	/* A job that was never released has nothing to finalise: it is failed instead. */
	if (!with_exit && jf.len && f->updates[jf.len - 1].kind == JOB_UPDATE_EXIT)
		jf.len--;
	if (store_begin(&tx, c->store, err) < 0)
		return -1;
	/* Artifacts first: their writer must still own the job. */
	rc = publish(c, f, job, epoch, err);
	if (rc == 0)
		rc = jobs_apply(c->store, &jf, err);
	if (rc == 0)
		rc = store_commit(&tx, err);
	store_end(&tx);
	return rc;
}
