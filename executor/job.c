/* SPDX-License-Identifier: Apache-2.0 */
/* What all modules of a running job say and wait through. */
#include "executor/job.h"

#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "executor/assist.h"
#include "executor/matchers.h"
#include "executor/process.h"
#include "executor/step.h"

#define SYNC_EVERY_MS 1000
#define CANCEL_TOTAL_MS \
	(5 * 60 * 1000) /* GitHub: a cancelled job has five minutes in all */

const char *result_name(enum result r)
{
	static const char *const names[] = {
		[RESULT_NONE] = "",
		[RESULT_SUCCESS] = "success",
		[RESULT_FAILURE] = "failure",
		[RESULT_CANCELLED] = "cancelled",
		[RESULT_SKIPPED] = "skipped",
	};

	return names[r];
}

const char *job_phase_name(enum job_phase phase)
{
	static const char *const names[] = {
		[PHASE_SETUP] = "setup",
		[PHASE_READY] = "ready",
		[PHASE_RUNNING] = "running",
		[PHASE_CANCELLING] = "cancelling",
		[PHASE_FINISHING] = "finishing",
		[PHASE_EXITED] = "exited",
	};

	return names[phase];
}

/* ---- the disk ---- */

static void on_sync(struct loop *l, void *data)
{
	struct jobrun *job = data;

	job->sync_timer = NULL;
	job_sync(job);
}

static void arm_sync(struct jobrun *job)
{
	if (!job->sync_timer)
		job->sync_timer = loop_add_timer(job->loop, SYNC_EVERY_MS, on_sync, job);
}

void job_sync(struct jobrun *job)
{
	struct err err = ERR_INIT;

	if (joblog_sync(job->log, &err) < 0 || journal_sync(job->journal, &err) < 0)
		job_break(job, &err);
	control_ring(job->control);
}

void job_frame(struct jobrun *job, enum journal_type type, struct json *payload)
{
	struct err err = ERR_INIT;

	/* Log first, then the frame that speaks of it. */
	if (joblog_flush(job->log, &err) < 0) {
		json_free(payload);
		job_break(job, &err);
		return;
	}
	if (journal_add(job->journal, type, payload, &err) < 0)
		job_break(job, &err);
	arm_sync(job);
	control_ring(job->control);
}

/* ---- the log ---- */

void job_log_raw(struct jobrun *job, int n, enum joblog_stream stream, const char *data,
	size_t len)
{
	struct err err = ERR_INIT;

	if (joblog_add(job->log, n, stream, data, len, &err) < 0)
		job_break(job, &err);
	arm_sync(job);
}

void job_say_text(struct jobrun *job, int n, const char *text, size_t len)
{
	_cleanup_(strbuf_done) struct strbuf masked = STRBUF_INIT;

	mask_text(job->mask, text, len, &masked);
	job_log_raw(job, n, JOBLOG_SYS, masked.buf, masked.len);
}

void job_say(struct jobrun *job, int n, const char *fmt, ...)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&text, fmt, ap);
	va_end(ap);
	strbuf_addc(&text, '\n');
	job_say_text(job, n, text.buf, text.len);
}

static void set_masked(
	struct jobrun *job, struct json *j, const char *key, const char *text)
{
	_cleanup_free_ char *masked = mask_str(job->mask, text);

	if (masked && *masked)
		json_set_str(j, key, masked);
}

static void set_positive(struct json *j, const char *key, int64_t n)
{
	if (n > 0)
		json_set_int(j, key, n);
}

void job_annotate(struct jobrun *job, int n, const struct job_note *note)
{
	struct json *j = json_new_object();
	size_t len = strlen(note->message);
	/* A page shows a few lines of it; a megabyte is nobody's message. */
	_cleanup_free_ char *message = xstrndup(note->message, len > 65536 ? 65536 : len);

	json_set_int(j, "n", n);
	json_set_str(j, "level", note->level);
	set_masked(job, j, "message", message);
	set_masked(job, j, "title", note->title);
	set_masked(job, j, "file", note->file);
	set_masked(job, j, "code", note->code);
	set_positive(j, "line", note->line);
	set_positive(j, "end_line", note->end_line);
	set_positive(j, "col", note->col);
	set_positive(j, "end_col", note->end_col);
	job_frame(job, JOURNAL_NOTE, j);
}

void job_mask(struct jobrun *job, const char *value, size_t len, int warn_n)
{
	enum mask_verdict verdict = MASK_ADDED;
	struct err err = ERR_INIT;

	if (mask_add(job->mask, value, len, &verdict, &err) < 0)
		job_break(job, &err);
	else if (verdict == MASK_SHORT && warn_n >= 0 && job->mask_warned++ == 0)
		job_say(job, warn_n,
			"##[warning]a secret is shorter than %d characters and is not "
			"masked",
			LIMIT_MASK_MIN);
}

/* ---- states ---- */

void job_set_phase(struct jobrun *job, enum job_phase phase, const char *reason)
{
	struct json *j;

	job->phase = phase;
	if (phase == PHASE_EXITED)
		return; /* the exit record is the last frame */
	j = json_new_object();
	json_set_str(j, "state", job_phase_name(phase));
	if (reason)
		json_set_str(j, "reason", reason);
	job_frame(job, JOURNAL_STATE, j);
}

enum result job_status(const struct jobrun *job)
{
	if (job->is_cancelled)
		return RESULT_CANCELLED;
	return job->is_failed ? RESULT_FAILURE : RESULT_SUCCESS;
}

void job_fail(struct jobrun *job, const char *reason)
{
	job->is_failed = true;
	if (!job->fail_reason)
		job->fail_reason = xstrdup(reason);
}

void job_break(struct jobrun *job, const struct err *err)
{
	if (job->is_broken)
		return;
	log_err("job breaks job=%lld: %s", job->spec ? (long long)job->spec->job_id : 0,
		err->msg);
	job->is_broken = true;
	job->broken = *err;
	job_fail(job, err->msg);
	process_cancel(job, true);
}

static void on_cancel_over(struct loop *l, void *data)
{
	struct jobrun *job = data;

	job->cancel_timer = NULL;
	job_cancel(job, "it did not end within five minutes of being cancelled", true);
}

void job_cancel(struct jobrun *job, const char *reason, bool force)
{
	if (job->phase >= PHASE_FINISHING)
		return;
	if (!job->is_cancelled) {
		job->is_cancelled = true;
		job->cancel_reason = xstrdup(reason && *reason ? reason : "cancelled");
		if (job->phase == PHASE_RUNNING)
			job_set_phase(job, PHASE_CANCELLING, reason);
		job->cancel_timer =
			loop_add_timer(job->loop, CANCEL_TOTAL_MS, on_cancel_over, job);
	}
	job->is_forced |= force;
	assist_interrupt(job);
	steps_cancelled(job);
	if (force)
		process_cancel(job, true);
}

/* ---- waiting ---- */

void job_wait(struct jobrun *job, const bool *done)
{
	struct err err = ERR_INIT;

	while (!*done && !job->is_broken) {
		if (loop_once(job->loop, -1, &err) < 0) {
			job_break(job, &err);
			return;
		}
		/* Only a running process wants new matchers now; loading waits by itself. */
		if (job->process && !job->is_loading) {
			job->is_loading = true;
			matchers_load(job);
			job->is_loading = false;
		}
	}
}

void job_turn(struct jobrun *job)
{
	struct err err = ERR_INIT;

	if (loop_once(job->loop, 0, &err) < 0)
		job_break(job, &err);
}
