/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What stands around the steps: before them secrets become masks and contexts, the job's
 * env is evaluated and its clock starts; after them its outputs are told.
 */
#include "executor/ends.h"

#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "executor/agent.h"
#include "executor/eval.h"
#include "executor/step.h"

/* ---- secrets ---- */

static void mask_all(struct jobrun *job, const struct json *secrets)
{
	json_foreach (it, secrets) {
		const char *v = json_as_str(it.value, "");

		if (*v)
			job_mask(job, v, json_str_len(it.value), 0);
	}
}

/* The contexts of the calling job stand in for ours while its texts are evaluated. */
static void swap_contexts(struct jobrun *job, struct value *with[4])
{
	struct value **ours[4] = { &job->root.inputs, &job->needs, &job->matrix,
		&job->strategy };

	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		struct value *was = *ours[i];

		*ours[i] = with[i];
		with[i] = was;
	}
}

static int eval_level(struct jobrun *job, const struct json *level, struct strvec *pairs,
	struct err *err)
{
	static const char *const names[4] = { "inputs", "needs", "matrix", "strategy" };
	struct eval_at at = { .job = job, .scope = &job->root, .key = EVAL_JOB_ENV };
	struct value *with[4];
	int result;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		with[i] =
			value_from_json(json_get(json_get(level, "contexts"), names[i]));
	swap_contexts(job, with);
	result = eval_map(&at, json_get(level, "secrets"), pairs, err);
	swap_contexts(job, with);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		value_unref(with[i]);
	return result < 0 ? err_wrap(err, "secrets") : 0;
}

/* Secrets of a called workflow: made of the caller's, level by level. */
static int map_secrets(struct jobrun *job, struct err *err)
{
	const struct json *maps = job->spec->secret_maps;

	for (size_t i = 0; i < json_count(maps); i++) {
		_cleanup_(strvec_done) struct strvec pairs = STRVEC_INIT;
		struct value *token = value_get(job->secrets, "GITHUB_TOKEN"), *next;

		if (eval_level(job, json_at(maps, i), &pairs, err) < 0)
			return -1;
		next = value_new_object();
		/* The token is there at every level. */
		if (token)
			value_set(next, "GITHUB_TOKEN", value_ref(token));
		strvec_foreach (p, &pairs) {
			size_t n = strcspn(*p, "=");

			value_setn(next, *p, n, value_new_str(*p + n + 1));
			if ((*p)[n + 1])
				job_mask(job, *p + n + 1, strlen(*p + n + 1), 0);
		}
		value_unref(job->secrets);
		job->secrets = next;
	}
	return 0;
}

int ends_open_contexts(struct jobrun *job, struct err *err)
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

int ends_open_env(struct jobrun *job, struct err *err)
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

int ends_write_event(struct jobrun *job, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct agent_file f = { .dir = DIR_TEMP,
		.path = "_github_workflow/event.json",
		.mode = 0644,
		.text = STRBUF_INIT };
	struct value *event;

	event = value_from_json(json_get(job->spec->github, "event"));
	value_write_json(event, true, &text);
	value_unref(event);
	f.data = text.buf;
	f.len = text.len;
	return agent_post_put(job, &f, 1, err);
}

/* ---- the job's timeout ---- */

static void on_job_timeout(struct loop *l, void *data)
{
	struct jobrun *job = data;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	int n = job->step ? job->step->n : 0;

	job->timeout_timer = NULL;
	strbuf_adds(&text, "The job running on runner ");
	strbuf_addf(&text, "%s has exceeded the maximum execution time of ",
		job->spec->runner_name);
	number_to_text(job->timeout_minutes, &text);
	strbuf_adds(&text, " minutes.");
	job_say(job, n, "##[error]%s", text.buf);
	{
		struct job_note note = { .level = "error", .message = text.buf };

		job_annotate(job, n, &note);
	}
	job_cancel(job, text.buf, false);
}

int ends_arm_timeout(struct jobrun *job, struct err *err)
{
	struct eval_at at = { .job = job, .scope = &job->root, .key = EVAL_JOB_ENV };
	double minutes;

	if (eval_number(&at, job->spec->timeout_minutes, LIMIT_JOB_MINUTES, &minutes,
		    err) < 0)
		return err_wrap(err, "timeout-minutes of the job");
	job->timeout_minutes = minutes;
	if (minutes > 0 && minutes < 1e7)
		job->timeout_timer = loop_add_timer(
			job->loop, (int64_t)(minutes * 60000.0), on_job_timeout, job);
	return 0;
}

/* ---- after the last step ---- */

static bool is_secret(struct jobrun *job, const char *text)
{
	return mask_contains(job->mask, text, strlen(text));
}

/* An empty output is left out, one that may hold a secret is dropped and said so. */
void ends_outputs(struct jobrun *job, int n)
{
	struct eval_at at = {
		.job = job, .scope = &job->root, .env = &job->env, .key = EVAL_JOB_OUTPUTS
	};
	struct json *frame = json_new_object(), *outputs = json_new_object();
	struct json *dropped = json_new_array();
	size_t total = 0;

	json_foreach (it, job->spec->outputs) {
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
				"##[warning]Skip output '%s' since it may contain "
				"secret.",
				it.key);
			json_push_str(dropped, it.key);
			continue;
		}
		total += strlen(value);
		if (total > (size_t)LIMIT_OUTPUT_TOTAL) {
			job_say(job, n,
				"##[error]the outputs of the job are over %lld bytes",
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

void ends_deploy(struct jobrun *job, int n)
{
	struct eval_at at = {
		.job = job, .scope = &job->root, .env = &job->env, .key = EVAL_DEPLOY_URL
	};
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
			job_say(job, n,
				"##[warning]the environment's URL may contain a secret "
				"and is dropped");
		return;
	}
	frame = json_new_object();
	json_set_str(frame, "url", url);
	job_frame(job, JOURNAL_DEPLOY, frame);
}
