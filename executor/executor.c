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
#include "executor/env.h"
#include "executor/eval.h"
#include "executor/job.h"
#include "executor/link.h"
#include "executor/matchers.h"
#include "executor/process.h"
#include "executor/step.h"

enum exit_status { EXIT_DONE = 0, EXIT_BROKEN = 1, EXIT_NOT_RELEASED = 3, EXIT_LOCKED = 4 };

#define RESERVE_FILE "reserve"
#define RESERVE_SIZE (64 * 1024)

/* ---- what core asks ---- */

static void fill_hello(struct link_hello *ret, void *data)
{
	const struct jobrun *job = data;
	const struct spec *s = job->spec;

	*ret = (struct link_hello){
		.job = s ? s->job_id : 0,
		.attempt = s ? s->attempt : 0,
		.try = s ? s->try : 0,
		.epoch = s ? s->epoch : 0,
		.state = job_phase_name(job->phase),
		.frames = journal_seq(job->journal),
		.log = joblog_written(job->log),
	};
}

static struct json *ready_facts(void *data)
{
	const struct jobrun *job = data;

	return job->phase == PHASE_READY && !job->has_go ? json_clone(job->ready_facts) : NULL;
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
	return link_holder_self(&holder, err) < 0 ?
		-1 :
		link_holder_write(job->lock_fd, &holder, err);
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
	job->control = control_new(job->loop, job->opt->listener, &hooks, job);
	job->mask = mask_new();
	job->next_n = (int)job->spec->steps_len + 1;
	job->artifacts = job->spec->artifacts ? json_clone(job->spec->artifacts) :
						json_new_object();
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
	job_sync(job);
	FP("executor.ready.after");
	job_set_phase(job, PHASE_READY, NULL);
	control_ready(job->control);
}

static int set_up(struct jobrun *job, struct err *err)
{
	const struct spec *s = job->spec;

	job_set_phase(job, PHASE_SETUP, NULL);
	job_frame(job, JOURNAL_STEPS, steps_describe(job));
	frame_own_step(job, 0, "Set up job", false, RESULT_NONE, NULL);
	if (s->refused)
		return err_set(err, ERR_UNSUPPORTED,
			"jobs with '%s' need a container engine, which this build has not yet",
			s->refused);
	if (confine_dirs(job, err) < 0 || actions_resolve(job, err) < 0 ||
		confine_open(job, err) < 0 || actions_place(job, err) < 0)
		return -1;
	env_base(job);
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

	json_set_int(j, "epoch", job->spec->epoch);
	FP("executor.go.before");
	job_frame(job, JOURNAL_GO, j);
	job_sync(job);
	FP("executor.go.after");
	job->is_released = !job->is_broken;
}

/* ---- secrets ---- */

static void mask_all(struct jobrun *job, const struct json *secrets)
{
	json_foreach(it, secrets)
	{
		const char *v = json_as_str(it.value, "");

		if (*v)
			job_mask(job, v, json_str_len(it.value), 0);
	}
}

/* Secrets of a called workflow: made of the caller's, level by level. */
static int map_secrets(struct jobrun *job, struct err *err)
{
	const struct json *maps = job->spec->secret_maps;

	for (size_t i = 0; i < json_count(maps); i++) {
		struct eval_at at = { .job = job, .scope = &job->root, .key = EVAL_JOB_ENV };
		_cleanup_(strvec_done) struct strvec pairs = STRVEC_INIT;
		struct value *next;

		if (!json_is(json_at(maps, i), JSON_KIND_OBJECT))
			continue;
		if (eval_map(&at, json_at(maps, i), &pairs, err) < 0)
			return err_wrap(err, "secrets");
		next = value_new_object();
		strvec_foreach (p, &pairs) {
			size_t n = strcspn(*p, "=");

			value_setn(next, *p, n, value_new_str((*p) + n + 1));
			if ((*p)[n + 1])
				job_mask(job, *p + n + 1, strlen(*p + n + 1), 0);
		}
		/* The token is there at every level. */
		if (value_get(job->secrets, "GITHUB_TOKEN") && !value_get(next, "GITHUB_TOKEN"))
			value_set(next, "GITHUB_TOKEN",
				value_ref(value_get(job->secrets, "GITHUB_TOKEN")));
		value_unref(job->secrets);
		job->secrets = next;
	}
	return 0;
}

static int open_contexts(struct jobrun *job, struct err *err)
{
	_cleanup_(json_freep) struct json *body = take_ptr(job->go_body);
	const struct json *masks = json_get(body, "masks");
	const char *token = json_get_str(body, "token", NULL);

	mask_all(job, json_get(body, "secrets"));
	for (size_t i = 0; i < json_count(masks); i++)
		job_mask(job, json_as_str(json_at(masks, i), ""),
			json_str_len(json_at(masks, i)), 0);
	if (token && *token)
		job_mask(job, token, strlen(token), 0);
	contexts_open(job, json_get(body, "secrets"), token);
	return map_secrets(job, err);
}

static int open_env(struct jobrun *job, struct err *err)
{
	struct eval_at at = { .job = job, .scope = &job->root, .key = EVAL_JOB_ENV };

	for (size_t i = 0; i < ARRAY_SIZE(job->spec->env_layers); i++) {
		_cleanup_(strvec_done) struct strvec layer = STRVEC_INIT;

		if (!job->spec->env_layers[i])
			continue;
		if (eval_map(&at, job->spec->env_layers[i], &layer, err) < 0)
			return err_wrap(err, "env of the job");
		if (env_merge(&job->env, &layer, err) < 0)
			return -1;
	}
	return 0;
}

static int write_event(struct jobrun *job, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct agent_file f = { .dir = DIR_TEMP, .path = "_github_workflow/event.json",
		.mode = 0644, .text = STRBUF_INIT };

	value_write_json(value_get(job->github, "event"), true, &text);
	f.data = text.buf;
	f.len = text.len;
	return agent_put(job, &f, 1, err);
}

/* ---- the job's timeout ---- */

static void on_job_timeout(struct loop *l, void *data)
{
	struct jobrun *job = data;
	double minutes = json_as_real(job->spec->timeout_minutes, LIMIT_JOB_MINUTES);
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	int n = job->step ? job->step->n : 0;

	job->timeout_timer = NULL;
	strbuf_adds(&text, "The job running on runner ");
	strbuf_addf(&text, "%s has exceeded the maximum execution time of ",
		job->spec->runner_name);
	number_to_text(minutes, &text);
	strbuf_adds(&text, " minutes.");
	job_say(job, n, "##[error]%s", text.buf);
	{
		struct job_note note = { .level = "error", .message = text.buf };

		job_annotate(job, n, &note);
	}
	job_cancel(job, text.buf, false);
}

static int arm_timeout(struct jobrun *job, struct err *err)
{
	struct eval_at at = { .job = job, .scope = &job->root, .key = EVAL_JOB_ENV };
	double minutes;

	if (eval_number(&at, job->spec->timeout_minutes, LIMIT_JOB_MINUTES, &minutes, err) < 0)
		return err_wrap(err, "timeout-minutes of the job");
	if (minutes > 0 && minutes < 1e7)
		job->timeout_timer = loop_add_timer(job->loop, (int64_t)(minutes * 60000.0),
			on_job_timeout, job);
	return 0;
}

/* ---- after the last step ---- */

static bool is_secret(struct jobrun *job, const char *text)
{
	return mask_contains(job->mask, text, strlen(text));
}

/* An empty output is left out, one that may hold a secret is dropped and said so. */
static void frame_outputs(struct jobrun *job, int n)
{
	struct eval_at at = { .job = job, .scope = &job->root, .env = &job->env,
		.key = EVAL_JOB_OUTPUTS };
	struct json *frame = json_new_object(), *outputs = json_new_object();
	struct json *dropped = json_new_array();
	size_t total = 0;

	json_foreach(it, job->spec->outputs)
	{
		_cleanup_free_ char *value = NULL;
		struct err err = ERR_INIT;

		if (eval_string(&at, json_as_str(it.value, ""), &value, &err) < 0) {
			job_say(job, n, "##[error]output '%s': %s", it.key, err.msg);
			job_fail(job, err.msg);
			continue;
		}
		if (!*value)
			continue;
		if (is_secret(job, value)) {
			job_say(job, n,
				"##[warning]Skip output '%s' since it may contain secret.", it.key);
			json_push_str(dropped, it.key);
			continue;
		}
		total += strlen(value);
		if (total > (size_t)LIMIT_OUTPUT_TOTAL) {
			job_say(job, n, "##[error]the outputs of the job are over %lld bytes",
				LIMIT_OUTPUT_TOTAL);
			job_fail(job, "the outputs of the job are too large");
			break;
		}
		json_set_str(outputs, it.key, value);
	}
	json_set(frame, "outputs", outputs);
	json_set(frame, "dropped", dropped);
	job_frame(job, JOURNAL_OUTPUTS, frame);
}

static void frame_deploy(struct jobrun *job, int n)
{
	struct eval_at at = { .job = job, .scope = &job->root, .env = &job->env,
		.key = EVAL_DEPLOY_URL };
	_cleanup_free_ char *url = NULL;
	struct err err = ERR_INIT;
	struct json *frame;

	if (!job->spec->environment_url)
		return;
	if (eval_string(&at, job->spec->environment_url, &url, &err) < 0) {
		job_say(job, n, "##[error]environment.url: %s", err.msg);
		return;
	}
	if (!*url || is_secret(job, url)) {
		if (*url)
			job_say(job, n, "##[warning]the environment's URL may contain a secret "
					"and is dropped");
		return;
	}
	frame = json_new_object();
	json_set_str(frame, "url", url);
	job_frame(job, JOURNAL_DEPLOY, frame);
}

static void complete(struct jobrun *job)
{
	int n = job->next_n++;

	frame_own_step(job, n, "Complete job", false, RESULT_NONE, NULL);
	/* What was written inside is evaluated while the agent still answers. */
	frame_outputs(job, n);
	frame_deploy(job, n);
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
	job_set_phase(job, PHASE_RUNNING, NULL);
	if (open_contexts(job, &err) < 0 || open_env(job, &err) < 0 ||
		write_event(job, &err) < 0 || arm_timeout(job, &err) < 0) {
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
	confine_clean(job);
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
	(void)unlinkat(job->opt->job_dir, JOB_FILE_SOCK, 0); /* nobody is to connect again */
	mask_free(job->mask);
	joblog_free(job->log);
	journal_free(job->journal);
	json_free(job->ready_facts);
	json_free(job->go_body);
	json_free(job->artifacts);
	strvec_done(&job->env);
	strvec_done(&job->base_env);
	strvec_done(&job->paths);
	spec_free(job->spec);
	free(job->repo_name);
	free(job->workspace);
	free(job->workspace_rel);
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
		confine_clean(job);
		return EXIT_NOT_RELEASED;
	}
	if (job->has_go && !job->is_broken && !job->is_failed) {
		frame_go(job);
		if (job->is_released)
			run(job);
	}
	return finish(job);
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
			journal_sync(job->journal, &err) < 0 ?
		EXIT_BROKEN :
		EXIT_DONE;
}

int executor_main(const struct executor_options *opt)
{
	struct jobrun job = { .opt = opt, .lock_fd = -1, .proxy_chan = -1,
		.began_ms = clock_boot_ms(), .env = STRVEC_INIT, .base_env = STRVEC_INIT,
		.paths = STRVEC_INIT, .root = { .overrides = STRVEC_INIT } };
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
		status = run_job(&job);
	if (job.loop)
		close_job(&job);
	return (int)status;
}
