/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of an executor: lock, journal, control socket; set-up to READY; GO; the steps;
 * the exit record; bye. Nothing of the user's runs before GO is durable in the journal,
 * and no secret is here before GO: init, agent and proxy were forked earlier.
 */
#include "executor/executor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "executor/action.h"
#include "executor/agent.h"
#include "executor/confine.h"
#include "executor/containers.h"
#include "executor/ends.h"
#include "executor/env.h"
#include "executor/eval.h"
#include "executor/hold.h"
#include "executor/job.h"
#include "executor/link.h"
#include "executor/matchers.h"
#include "executor/process.h"
#include "executor/shell.h"
#include "executor/step.h"
#include "executor/usage.h"
#include "executor/wayout.h"

enum exit_status {
	EXIT_DONE = 0,
	EXIT_BROKEN = 1,
	EXIT_NOT_RELEASED = 3,
	EXIT_LOCKED = 4
};

#define RESERVE_FILE "reserve"
#define RESERVE_SIZE (64 * 1024)

/* ---- what core asks ---- */

static void fill_hello(struct link_hello *ret, void *data)
{
	const struct jobrun *job = data;
	const struct spec *s = job->spec;

	*ret = (struct link_hello)
	{
		.job = s ? s->job_id : 0, .attempt = s ? s->attempt : 0, .try = s ? s->
		try:
			0, .epoch = s ? s->epoch : 0, .state = job_phase_name(job->phase),
			   .frames = journal_seq(job->journal),
			   .log = joblog_written(job->log),
	};
}

static struct json *ready_facts(void *data)
{
	const struct jobrun *job = data;

	return job->phase == PHASE_READY && !job->has_go ? json_clone(job->ready_facts)
							 : NULL;
}

static int on_go(int64_t epoch, const struct json *body, void *data, struct err *err)
{
	struct jobrun *job = data;

	if (job->has_go || job->phase > PHASE_READY)
		return 0; /* said twice */
	if (job->phase != PHASE_READY)
		return err_set(err, ERR_CONFLICT, "the job is not ready yet");
	if (epoch != job->spec->epoch) {
		/* Somebody else owns this job by now: nothing has run, nothing will. */
		job->is_aborted = true;
		return err_set(err, ERR_CONFLICT, "this is epoch %lld, not %lld",
			(long long)job->spec->epoch, (long long)epoch);
	}
	job->go_body = json_clone(body);
	job->has_go = true;
	return 0;
}

static int on_abort(const char *reason, void *data, struct err *err)
{
	struct jobrun *job = data;

	if (job->has_go || job->is_released)
		return err_set(err, ERR_CONFLICT, "the job was released: cancel it");
	log_info("aborted: %s", reason);
	job->is_aborted = true;
	return 0;
}

static int on_cancel(const char *reason, bool force, void *data, struct err *err)
{
	(void)err; /* a cancel is never refused */
	job_cancel(data, reason, force);
	return 0;
}

static int on_bye(void *data, struct err *err)
{
	struct jobrun *job = data;

	if (job->phase != PHASE_EXITED)
		return err_set(err, ERR_CONFLICT, "the job has not ended");
	job->is_over = true;
	return 0;
}

static void on_gone(void *data)
{
	struct jobrun *job = data;

	if (!job->opt->cancel_on_eof)
		return;
	if (job->phase == PHASE_EXITED)
		job->is_over = true;
	else if (job->phase <= PHASE_READY && !job->has_go)
		job->is_aborted = true;
	else
		job_cancel(job, "sluice run has ended", false);
}

static const struct control_hooks hooks = {
	.hello = fill_hello,
	.ready = ready_facts,
	.go = on_go,
	.abort = on_abort,
	.cancel = on_cancel,
	.bye = on_bye,
	.gone = on_gone,
	.usage = usage_now,
};

/* ---- opening ---- */

static int take_lock(struct jobrun *job, struct err *err)
{
	struct link_holder holder;
	int got;

	job->lock_fd = openat(job->opt->job_dir, JOB_FILE_LOCK,
		O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (job->lock_fd < 0)
		return err_sys(err, "cannot open the lock");
	got = fd_lock(job->lock_fd);
	if (got < 0)
		return err_sys(err, "cannot take the lock");
	if (got == 0)
		return err_set(err, ERR_CONFLICT, "another executor holds the lock");
	return link_holder_self(&holder, err) < 0
		       ? -1
		       : link_holder_write(job->lock_fd, &holder, err);
}

/* Blocks that are given back when the disk is full, so that the end can be written. */
static void make_reserve(const struct jobrun *job)
{
	_cleanup_close_ int fd = openat(job->opt->job_dir, RESERVE_FILE,
		O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || posix_fallocate(fd, 0, RESERVE_SIZE) != 0)
		log_warnx("no reserve for the end of the journal");
}

static void on_turn(struct loop *l, void *data)
{
	struct jobrun *job = data;
	uint64_t before = joblog_written(job->log);
	struct err err = ERR_INIT;

	if (joblog_flush(job->log, &err) < 0)
		job_break(job, &err);
	if (joblog_written(job->log) != before)
		control_ring(job->control);
}

static int open_job(struct jobrun *job, struct err *err)
{
	uint64_t log_max;

	if (spec_load(job->opt->job_dir, &job->spec, err) < 0)
		return -1;
	log_max = (uint64_t)json_get_int(job->spec->limits, "log", 0);
	if (joblog_open(job->opt->job_dir, job->journal, log_max, &job->log, err) < 0)
		return -1;
	make_reserve(job);
	if (loop_new(&job->loop, err) < 0)
		return -1;
	(void)loop_add_turn(job->loop, on_turn, job);
	if (!job->opt->is_shell) /* which has its own, when there is something to enter */
		job->control =
			control_new(job->loop, job->opt->listener, &hooks, job);
	job->mask = mask_new();
	job->next_n = (int)job->spec->steps_len + 1;
	job->artifacts = job->spec->artifacts ? json_clone(job->spec->artifacts)
					      : json_new_object();
	return 0;
}

static void frame_start(struct jobrun *job)
{
	struct json *j = json_new_object();
	struct link_holder h = { .boot_id = "" };

	(void)link_holder_self(&h, NULL); /* it worked for the lock */
	json_set_int(j, "job", job->spec->job_id);
	json_set_int(j, "attempt", job->spec->attempt);
	json_set_int(j, "try", job->spec->try);
	json_set_int(j, "epoch", job->spec->epoch);
	json_set_str(j, "boot_id", h.boot_id);
	json_set_int(j, "pid", h.pid);
	json_set_int(j, "starttime", h.starttime);
	job_frame(job, JOURNAL_START, j);
}

/* ---- set-up ---- */

static void frame_own_step(struct jobrun *job, int n, const char *name, bool is_over,
	enum result r, const char *reason)
{
	struct json *j = json_new_object();

	json_set_int(j, "n", n);
	json_set_str(j, "name", name);
	json_set_str(j, "state", is_over ? "completed" : "running");
	json_set_int(j, "log", (int64_t)joblog_size(job->log));
	if (!is_over)
		json_set_int(j, "started", clock_wall_ms());
	if (is_over) {
		json_set_int(j, "ended", clock_wall_ms());
		json_set_str(j, "outcome", result_name(r));
		json_set_str(j, "conclusion", result_name(r));
	}
	if (reason)
		json_set_str(j, "reason", reason);
	job_frame(job, JOURNAL_STEP, j);
}

static void say_place(struct jobrun *job, const struct json *facts)
{
	const struct json *weaker = json_get(facts, "weaker");

	job_say(job, 0, "sluice %s", SLUICE_VERSION);
	job_say(job, 0, "##[group]Confinement");
	job_say(job, 0, "profile %s, network %s", job->spec->profile, job->spec->network);
	for (size_t i = 0; i < json_count(weaker); i++)
		job_say(job, 0, "weaker here: %s", json_as_str(json_at(weaker, i), ""));
	job_say(job, 0, "##[endgroup]");
	for (size_t i = 0; i < job->actions_len; i++)
		if (job->actions[i]->kind == USED_REMOTE)
			job_say(job, 0, "Download action repository '%s@%s' (SHA:%s)",
				job->actions[i]->repository, job->actions[i]->ref,
				job->actions[i]->sha);
	job_say(job, 0, "Complete job name: %s", job->spec->name);
}

static void ready(struct jobrun *job)
{
	struct json *facts = confine_facts(job), *frame, *list = json_new_array();
	struct err err = ERR_INIT;

	say_place(job, facts);
	json_set_int(facts, "epoch", job->spec->epoch);
	for (size_t i = 0; i < job->actions_len; i++) {
		const struct used_action *a = job->actions[i];
		struct json *e = json_new_object();

		json_set_str(e, "uses", a->uses);
		if (a->kind == USED_REMOTE)
			json_set_str(e, "sha", a->sha);
		json_set_str(e, "from", a->kind == USED_REMOTE ? "actions" : "built in");
		json_push(list, e);
	}
	json_set(facts, "actions", list);
	json_set_int(facts, "elapsed_ms", clock_boot_ms() - job->began_ms);
	frame = json_clone(facts);
	job->ready_facts = facts;
	FP("executor.ready.before");
	job_frame(job, JOURNAL_READY, frame);
	frame_own_step(job, 0, "Set up job", true, RESULT_SUCCESS, NULL);
	/* Not synced: nothing has run, and the fsync of GO is for all frames before it. */
	FP("executor.ready.after");
	job_set_phase(job, PHASE_READY, NULL);
	control_ready(job->control);
	/* While core releases: the loop has not turned, so no GO can have been read. */
	if (way_out_launch(job, &err) < 0 || journal_sync_name(job->journal, &err) < 0)
		job_break(job, &err);
}

static int set_up(struct jobrun *job, struct err *err)
{
	const struct spec *s = job->spec;

	job_set_phase(job, PHASE_SETUP, NULL);
	job_frame(job, JOURNAL_STEPS, steps_describe(job));
	frame_own_step(job, 0, "Set up job", false, RESULT_NONE, NULL);
	if (s->refused)
		return err_set(err, ERR_UNSUPPORTED,
			"jobs with '%s' need a container engine, which this build has "
			"not yet",
			s->refused);
	if (confine_dirs(job, err) < 0 || actions_resolve(job, err) < 0 ||
		confine_open(job, err) < 0 || actions_place(job, err) < 0)
		return -1;
	env_base(job);
	if (containers_wanted(job) && containers_up(job, err) < 0)
		return -1;
	ready(job);
	return 0;
}

static void set_up_failed(struct jobrun *job, const struct err *err)
{
	struct job_note note = { .level = "error", .message = err->msg };

	job_say(job, 0, "##[error]%s", err->msg);
	job_annotate(job, 0, &note);
	job_fail(job, err->msg);
	frame_own_step(job, 0, "Set up job", true, RESULT_FAILURE, err->msg);
	job_sync(job);
}

/* ---- waiting for go ---- */

static void wait_for_go(struct jobrun *job)
{
	struct err err = ERR_INIT;

	while (!job->has_go && !job->is_aborted && !job->is_cancelled && !job->is_broken)
		if (loop_once(job->loop, -1, &err) < 0)
			job_break(job, &err);
}

static void frame_go(struct jobrun *job)
{
	struct json *j = json_new_object();
	struct err err = ERR_INIT;

	json_set_int(j, "epoch", job->spec->epoch);
	FP("executor.go.before");
	job_frame(job, JOURNAL_GO, j);
	/* The log has nothing of the user's yet: it is synced with the first of that. */
	if (journal_sync(job->journal, &err) < 0)
		job_break(job, &err);
	control_ring(job->control);
	FP("executor.go.after");
	job->is_released = !job->is_broken;
}

/* ---- running ---- */

static void complete(struct jobrun *job)
{
	int n = job->next_n++;

	frame_own_step(job, n, "Complete job", false, RESULT_NONE, NULL);
	/* What was written inside is evaluated while the agent still answers. */
	ends_outputs(job, n);
	ends_deploy(job, n);
	confine_kill(job);
	if (job->orphans > 0)
		job_say(job, n, "Cleaned up processes that steps had left running");
	frame_own_step(job, n, "Complete job", true, RESULT_SUCCESS, NULL);
}

static void run(struct jobrun *job)
{
	struct err err = ERR_INIT;

	/* Secrets are in this memory from here on. Not earlier: a plain user cannot write the
	 * id maps of a process that is not dumpable. */
	(void)prctl(PR_SET_DUMPABLE, 0);
	job->go_ms = clock_boot_ms();
	job->hold = hold_new(job);
	job_set_phase(job, PHASE_RUNNING, NULL);
	if (ends_open_contexts(job, &err) < 0 || ends_open_env(job, &err) < 0 ||
		ends_arm_timeout(job, &err) < 0) {
		struct job_note note = { .level = "error", .message = err.msg };

		job_say(job, 0, "##[error]%s", err.msg);
		job_annotate(job, 0, &note);
		job_fail(job, err.msg);
		return;
	}
	steps_run_all(job);
	complete(job);
}

/* ---- the end ---- */

static enum result conclusion_of(const struct jobrun *job)
{
	if (job->is_broken || job->broken.code)
		return RESULT_FAILURE;
	return job_status(job);
}

static const char *reason_of(const struct jobrun *job)
{
	if (job->broken.code)
		return job->broken.msg;
	return job->is_cancelled ? job->cancel_reason : job->fail_reason;
}

static int write_exit(struct jobrun *job, struct err *err)
{
	struct json *j = json_new_object();
	_cleanup_free_ char *reason = mask_str(job->mask, reason_of(job));
	char digest[SHA256_HEX_MAX];

	(void)unlinkat(job->opt->job_dir, RESERVE_FILE, 0); /* its blocks are for this */
	if (joblog_sync(job->log, err) < 0)
		log_warnx("the end of the log is lost: %s", err->msg);
	joblog_digest(job->log, digest);
	json_set_str(j, "conclusion", result_name(conclusion_of(job)));
	if (reason)
		json_set_str(j, "reason", reason);
	json_set_int(j, "elapsed_ms", clock_boot_ms() - job->began_ms);
	if (job->go_ms)
		json_set_int(j, "run_ms", clock_boot_ms() - job->go_ms);
	json_set_int(j, "log", (int64_t)joblog_written(job->log));
	json_set_str(j, "digest", digest);
	json_set_int(j, "orphans", job->orphans);
	json_set_bool(j, "released", job->is_released);
	json_set_bool(j, "truncated", joblog_is_truncated(job->log));
	usage_peaks(job, j);
	FP("executor.exit.before");
	if (journal_add(job->journal, JOURNAL_EXIT, j, err) < 0 ||
		journal_sync(job->journal, err) < 0)
		return -1;
	FP("executor.exit.after");
	return 0;
}

static void on_bye_late(struct loop *l, void *data)
{
	struct jobrun *job = data;

	job->is_over = true;
}

static void wait_for_bye(struct jobrun *job)
{
	struct err err = ERR_INIT;

	if (job->opt->cancel_on_eof && !control_is_connected(job->control))
		return;
	if (job->opt->bye_wait_ms > 0)
		(void)loop_add_timer(job->loop, job->opt->bye_wait_ms, on_bye_late, job);
	while (!job->is_over)
		if (loop_once(job->loop, -1, &err) < 0)
			return;
}

static enum exit_status finish(struct jobrun *job)
{
	struct err err = ERR_INIT;

	job_set_phase(job, PHASE_FINISHING, NULL);
	/* From here on waiting is possible again: only the end is left to do. */
	job->is_broken = false;
	confine_kill(job);
	matchers_done(job);
	if (write_exit(job, &err) < 0) {
		log_err("the exit record cannot be written: %s", err.msg);
		return EXIT_BROKEN;
	}
	job_set_phase(job, PHASE_EXITED, NULL);
	control_ring(job->control);
	job_turn(job);
	confine_clean(job, hold_take(job));
	wait_for_bye(job);
	return EXIT_DONE;
}

static void close_job(struct jobrun *job)
{
	confine_kill(job);
	matchers_done(job);
	confine_close(job);
	contexts_done(job);
	actions_done(job);
	control_free(job->control);
	(void)unlinkat(
		job->opt->job_dir, JOB_FILE_SOCK, 0); /* nobody is to connect again */
	mask_free(job->mask);
	joblog_free(job->log);
	journal_free(job->journal);
	json_free(job->ready_facts);
	json_free(job->go_body);
	json_free(job->artifacts);
	hold_free(job->hold);
	json_free(job->usage);
	strvec_done(&job->env);
	strvec_done(&job->base_env);
	strvec_done(&job->paths);
	spec_free(job->spec);
	free(job->repo_name);
	free(job->workspace);
	free(job->workspace_rel);
	free(job->containers_weaker);
	free(job->cancel_reason);
	free(job->fail_reason);
	for (int i = 0; i < DIRS; i++)
		if (i != DIR_STORE)
			cleanup_closep(&job->dirs[i]);
	loop_free(job->loop);
	cleanup_closep(&job->lock_fd); /* last: whoever gets it finds all of this done */
}

static enum exit_status run_job(struct jobrun *job)
{
	struct err err = ERR_INIT;

	frame_start(job);
	if (set_up(job, &err) < 0)
		set_up_failed(job, &err);
	else
		wait_for_go(job);
	if (job->is_aborted) {
		confine_kill(job);
		confine_clean(job, false);
		return EXIT_NOT_RELEASED;
	}
	if (job->has_go && !job->is_broken && !job->is_failed) {
		frame_go(job);
		if (job->is_released)
			run(job);
	}
	return finish(job);
}

/* What the last visit said is of no use to the next. */
static void forget_visit(int dir)
{
	static const char *const names[] = { JOB_FILE_JOURNAL, JOB_FILE_LOG,
		JOB_FILE_INDEX };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlinkat(dir, names[i], 0); /* one that stays is found again */
}

static enum exit_status run_shell(struct jobrun *job)
{
	struct err err = ERR_INIT;

	if (shell_serve(job, &err) == 0)
		return EXIT_DONE;
	log_err("the held job is not as it was: %s", err.msg);
	return EXIT_BROKEN;
}

/* Core must learn of a job whose spec or log it cannot use. */
static enum exit_status refuse_job(struct jobrun *job, const struct err *why)
{
	struct err err = ERR_INIT;
	struct json *j = json_new_object();

	log_err("the job cannot start: %s", why->msg);
	json_set_str(j, "conclusion", "failure");
	json_set_str(j, "reason", why->msg);
	json_set_int(j, "log", 0);
	json_set_bool(j, "released", false);
	return journal_add(job->journal, JOURNAL_EXIT, j, &err) < 0 ||
			       journal_sync(job->journal, &err) < 0
		       ? EXIT_BROKEN
		       : EXIT_DONE;
}

int executor_main(const struct executor_options *opt)
{
	struct jobrun job = { .opt = opt,
		.lock_fd = -1,
		.prepared = ROOTSTORE_ROOT_INIT,
		.root_fd = -1,
		.proxy_chan = -1,
		.began_ms = clock_boot_ms(),
		.env = STRVEC_INIT,
		.base_env = STRVEC_INIT,
		.paths = STRVEC_INIT,
		.refused = STRVEC_INIT,
		.root = { .overrides = STRVEC_INIT } };
	struct err err = ERR_INIT;
	enum exit_status status;

	for (int i = 0; i < DIRS; i++)
		job.dirs[i] = -1;
	(void)umask(022); /* what helpers make for the job must be readable to it */
	(void)signal(SIGPIPE, SIG_IGN); /* a core that goes away is an error of a write */
	if (take_lock(&job, &err) < 0) {
		log_err("cannot run the job: %s", err.msg);
		return err.code == ERR_CONFLICT ? EXIT_LOCKED : EXIT_BROKEN;
	}
	if (opt->is_shell)
		forget_visit(opt->job_dir);
	if (journal_open(opt->job_dir, JOB_FILE_JOURNAL, &job.journal, &err) < 0) {
		log_err("cannot run the job: %s", err.msg);
		return EXIT_BROKEN;
	}
	/* A journal that has frames is another try's: this one must not go on with it. */
	if (journal_seq(job.journal) > 0)
		(void)err_set(&err, ERR_CONFLICT, "this try was run before");
	if (err.code || open_job(&job, &err) < 0)
		status = refuse_job(&job, &err);
	else
		status = opt->is_shell ? run_shell(&job) : run_job(&job);
	if (job.loop)
		close_job(&job);
	return (int)status;
}
