/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place where a job's secrets are opened: together with the compare-and-set that
 * releases it, in the same transaction, for exactly the names its own text asks for.
 * Which names these are is read from the store, never from what the executor holds.
 */
#include "runner/core-internal.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strvec.h"
#include "store/secrets.h"

void secrets_wipe(struct strbuf *body)
{
	if (body->alloc)
		explicit_bzero(body->buf, body->alloc);
	strbuf_done(body);
}

static void add_list(struct json *secrets, const struct secret_list *list)
{
	for (size_t i = 0; i < list->len; i++)
		json_set(secrets, list->v[i].name,
			json_new_strn(list->v[i].value, list->v[i].len));
}

static int open_values(struct core *c, const struct job *j, const struct run *r,
	const struct strvec *names, bool again, struct secret_list *ret, struct err *err)
{
	const char *const *list = (const char *const *)names->v;
	const struct job_release release = { j->id, j->epoch, list };

	if (!again)
		return jobs_release(c->store, &release, ret, err);
	/* Its release stands in the store, with its audit row; the executor never got it. */
	if (r->trust != TRUST_TRUSTED || names->len == 0)
		return 0;
	return secrets_open(c->store, j->repo, j->environment, list, ret, err);
}

static int release_job(struct core *c, const struct job *j, bool again,
	struct strbuf *ret_body, struct err *err)
{
	_cleanup_(json_freep) struct json *row = NULL, *names = NULL;
	struct json *body, *secrets;
	struct secret_list list = SECRET_LIST_INIT;
	struct strvec vec = STRVEC_INIT;
	struct run r = { 0 };
	int rc;

	if (jobs_spec(c->store, j->id, &row, err) < 0 ||
		spec_secret_names(c, j, row, &names, err) < 0 ||
		runs_get(c->store, j->run, &r, err) < 0)
		return -1;
	/* Those of the command line are in no store. */
	for (size_t i = 0; i < json_count(names) && !c->run.secrets; i++)
		(void)strvec_push(&vec, json_as_str(json_at(names, i), ""));
	rc = open_values(c, j, &r, &vec, again, &list, err);
	strvec_done(&vec);
	run_done(&r);
	if (rc < 0)
		return -1;
	body = json_new_object();
	secrets = json_new_object();
	add_list(secrets, &list);
	secret_list_done(&list);
	if (c->run.secrets)
		c->run.secrets(j->id, names, secrets, c->run.data);
	json_set(body, "secrets", secrets);
	json_set(body, "masks", json_new_array());
	json_write(body, 0, ret_body);
	json_free(body);
	return 0;
}

int secrets_release(struct core *c, int64_t job, int64_t epoch, bool again,
	struct strbuf *ret_body, struct err *err)
{
	struct job j = { 0 };
	int rc = jobs_get(c->store, job, &j, err);

	if (rc == 0 && j.epoch != epoch)
		rc = err_set(err, ERR_CONFLICT, "another epoch has the job");
	if (rc == 0 && again && j.state != JOB_RELEASED && j.state != JOB_RUNNING &&
		j.state != JOB_CANCELLING)
		rc = err_set(err, ERR_CONFLICT, "the job is %s",
			state_name(MACHINE_JOB, (int)j.state));
	if (rc == 0)
		rc = release_job(c, &j, again, ret_body, err);
	job_done(&j);
	return rc;
}
