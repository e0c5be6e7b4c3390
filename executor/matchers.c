/* SPDX-License-Identifier: Apache-2.0 */
/*
 * At most one batch of lines is under way; what comes meanwhile waits, and is dropped when
 * a step prints faster than its matchers can read (the log is not affected).
 */
#include "executor/matchers.h"

#include <string.h>
#include <strings.h>
#include <sys/epoll.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "executor/agent.h"
#include "executor/assist.h"
#include "executor/step.h"

#define BATCH_MAX (4u << 20)
#define FILE_MAX  (256u * 1024)
#define SETTLE_MS 10000
#define LOAD_MS	  10000

struct matcher_client {
	struct jobrun *job;
	struct helper helper;
	bool is_dead;
	struct strvec wanted, unwanted;
	size_t owners;
	struct strbuf batch;
	bool is_busy, is_idle; /* is_idle: what matchers_settle waits for */
	struct loop_source *source, *timer;
};

static void ask(struct matcher_client *m);

static struct matcher_client *client(struct jobrun *job)
{
	if (!job->matchers) {
		struct matcher_client *m = xcalloc(1, sizeof(*m));

		m->job = job;
		m->helper = (struct helper)HELPER_INIT;
		m->wanted = m->unwanted = (struct strvec)STRVEC_INIT;
		strbuf_init(&m->batch);
		job->matchers = m;
	}
	return job->matchers;
}

int matchers_want(struct jobrun *job, const char *file, struct err *err)
{
	_cleanup_free_ char *path = NULL;
	enum job_dir dir;

	if (agent_place(job, file, &dir, &path, err) < 0)
		return -1;
	if (client(job)->wanted.len >= 64)
		return err_set(err, ERR_LIMIT, "too many problem matchers");
	(void)strvec_push(&job->matchers->wanted, file);
	return 0;
}

void matchers_remove(struct jobrun *job, const char *owner)
{
	if (job->matchers)
		(void)strvec_push(&job->matchers->unwanted, owner);
}

bool matchers_active(const struct jobrun *job)
{
	const struct matcher_client *m = job->matchers;

	return m && !m->is_dead && (m->owners || m->wanted.len);
}

void matchers_lines(struct jobrun *job, int n, const char *data, size_t len)
{
	struct matcher_client *m = job->matchers;

	if (m->batch.len + len < BATCH_MAX)
		strbuf_add(&m->batch, data, len);
	if (!m->wanted.len)
		ask(m);
}

/* ---- answers ---- */

static void give_up(struct matcher_client *m, const char *why)
{
	log_warnx("problem matchers are off: %s", why);
	m->is_dead = m->is_idle = true;
	m->is_busy = false;
	loop_remove(m->source);
	m->source = NULL;
}

/* The groups of an expression are texts, whatever they hold. */
static int64_t number_of(const struct json *j, const char *key)
{
	long long n = 0;

	if (str_to_int(json_get_str(j, key, ""), 1, 1LL << 40, &n) < 0)
		n = json_get_int(j, key, 0);
	return n;
}

static void note_issue(struct matcher_client *m, const struct json *j)
{
	static const char *const levels[] = { "error", "warning", "notice" };
	const char *severity = json_get_str(j, "severity", "error");
	struct job_note note = {
		.message = json_get_str(j, "message", ""),
		.file = json_get_str(j, "file", NULL),
		.code = json_get_str(j, "code", NULL),
		.line = number_of(j, "line_number"),
		.col = number_of(j, "column"),
	};

	for (int i = 0; i < NOTE_KINDS; i++) {
		if (strcasecmp(severity, levels[i]) != 0)
			continue;
		note.level = levels[i];
		if (m->job->step)
			step_note(m->job->step, (enum note_kind)i, &note);
	}
}

static void on_issues(struct loop *l, int fd, uint32_t events, void *data)
{
	struct matcher_client *m = data;
	_cleanup_(chan_msg_done) struct chan_msg msg = CHAN_MSG_INIT;
	struct err err = ERR_INIT;
	const struct json *issues;

	loop_remove(m->source);
	m->source = NULL;
	if (chan_recv(fd, &msg, &err) <= 0 || helper_answer_err(msg.head, &err) < 0) {
		give_up(m, err.code ? err.msg : "the helper ended");
		return;
	}
	issues = json_get(msg.head, "issues");
	for (size_t i = 0; i < json_count(issues); i++)
		note_issue(m, json_at(issues, i));
	m->is_busy = false;
	ask(m);
}

/* Sends what has gathered, unless an answer is awaited. */
static void ask(struct matcher_client *m)
{
	_cleanup_(json_freep) struct json *head = NULL;
	struct err err = ERR_INIT;

	if (m->is_busy || m->is_dead)
		return;
	if (m->batch.len == 0) {
		m->is_idle = true;
		return;
	}
	head = json_new_object();
	json_set_str(head, "op", "lines");
	json_set_int(head, "seq", 1);
	if (chan_send(m->helper.chan, head, m->batch.buf, m->batch.len, NULL, 0, &err) <
		0) {
		give_up(m, err.msg);
		return;
	}
	strbuf_clear(&m->batch);
	m->is_busy = true;
	m->is_idle = false;
	m->source = loop_add_fd(m->job->loop, m->helper.chan, EPOLLIN, on_issues, m);
}

/* ---- loading ---- */

static void wait_idle(struct matcher_client *m);

static int start(struct matcher_client *m, struct err *err)
{
	return m->helper.pid > 0
		       ? 0
		       : assist_start(m->job, "match", NULL, 0, &m->helper, err);
}

static int load_one(struct matcher_client *m, const char *file, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg answer = CHAN_MSG_INIT;
	_cleanup_free_ char *path = NULL;
	struct agent_file f = { .max = FILE_MAX, .text = STRBUF_INIT };
	int result = -1;

	if (agent_place(m->job, file, &f.dir, &path, err) < 0)
		return -1;
	f.path = path;
	if (agent_get(m->job, &f, 1, err) == 0) {
		json_set_str(head, "op", "add");
		if (f.err.code)
			(void)err_set(err, f.err.code, "%s", f.err.msg);
		else if (start(m, err) == 0)
			result = assist_call(m->job, &m->helper, head, f.text.buf,
				f.text.len, -1, LOAD_MS, &answer, err);
	}
	strbuf_done(&f.text);
	if (result == 0)
		m->owners += json_count(json_get(answer.head, "owners"));
	return result;
}

static void remove_one(struct matcher_client *m, const char *owner)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg answer = CHAN_MSG_INIT;

	json_set_str(head, "op", "remove");
	json_set_str(head, "owner", owner);
	if (m->helper.pid > 0 &&
		assist_call(m->job, &m->helper, head, NULL, 0, -1, LOAD_MS, &answer,
			NULL) == 0 &&
		json_get_bool(answer.head, "removed", false) && m->owners)
		m->owners--;
}

void matchers_load(struct jobrun *job)
{
	struct matcher_client *m = job->matchers;

	if (!m || m->is_dead || (!m->wanted.len && !m->unwanted.len))
		return;
	wait_idle(m);
	for (size_t i = 0; i < m->wanted.len && !m->is_dead; i++) {
		struct err err = ERR_INIT;

		if (load_one(m, m->wanted.v[i], &err) < 0 && job->step)
			step_warning(job->step,
				"cannot load the problem matchers of '%s': %s",
				m->wanted.v[i], err.msg);
	}
	for (size_t i = 0; i < m->unwanted.len && !m->is_dead; i++)
		remove_one(m, m->unwanted.v[i]);
	strvec_clear(&m->wanted);
	strvec_clear(&m->unwanted);
	if (m->owners)
		ask(m);
	else
		strbuf_clear(&m->batch);
}

static void on_settle_late(struct loop *l, void *data)
{
	struct matcher_client *m = data;

	m->timer = NULL;
	give_up(m, "it did not answer in time");
}

static void wait_idle(struct matcher_client *m)
{
	if (!m->is_busy)
		return;
	m->is_idle = false;
	m->timer = loop_add_timer(m->job->loop, SETTLE_MS, on_settle_late, m);
	job_wait(m->job, &m->is_idle);
	loop_remove(m->timer);
	m->timer = NULL;
}

void matchers_settle(struct jobrun *job)
{
	matchers_load(job);
	if (job->matchers)
		wait_idle(job->matchers);
}

void matchers_done(struct jobrun *job)
{
	struct matcher_client *m = job->matchers;

	if (!m)
		return;
	loop_remove(m->source);
	loop_remove(m->timer);
	helper_done(&m->helper, 100);
	strvec_done(&m->wanted);
	strvec_done(&m->unwanted);
	strbuf_done(&m->batch);
	free(m);
	job->matchers = NULL;
}
