/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One claimed job from its folder to its end: spawn, hello, ready, release, go, frames,
 * exit, bye; and what to think of an executor that fell silent. Only a proof of death
 * (lock free, processes gone) gives a job back; until then it is connected to again.
 */
#include "runner/core-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/link.h"

enum {
	FLUSH_MS = 20, /* frames of a running job are stored this much later at most */
	CONNECT_RETRY_MS = 10, /* the executor is there but does not listen yet */
	PROVE_RETRY_MS = 50,
	SPAWNER_RETRY_MS = 200,
	LEAVE_MS = 30 * 1000, /* an executor that was told to go */
	PREPARE_RETRY_MS = 500,
};

/* Callbacks that come later name a job and its epoch: the live one may be gone by then. */
struct ref {
	struct core *core;
	int64_t job, epoch;
	struct strbuf body;
};

static void prove_later(struct live *v, int64_t ms);
static void read_and_act(struct live *v);

static struct ref *ref_new(const struct live *v)
{
	struct ref *r = xcalloc(1, sizeof(*r));

	r->core = v->core;
	r->job = v->job;
	r->epoch = v->epoch;
	strbuf_init(&r->body);
	return r;
}

struct live *attend_find(struct core *c, int64_t job)
{
	for (struct live *v = c->lives; v; v = v->next)
		if (v->job == job && !v->is_stray)
			return v;
	return NULL;
}

static struct live *ref_live(const struct ref *r)
{
	struct live *v = attend_find(r->core, r->job);

	return v && v->epoch == r->epoch ? v : NULL;
}

static void set_state(struct live *v, enum live_state state)
{
	v->state = state;
	v->began_ms = clock_boot_ms();
}

static struct live *live_new(struct core *c, int64_t job, int64_t epoch, int64_t try)
{
	struct live *v = xcalloc(1, sizeof(*v));

	*v = (struct live){ .core = c,
		.job = job,
		.epoch = epoch,
		.try = try,
		.dir = -1,
		.journal = -1,
		.fd = -1 };
	v->spawner = c->spawner_losses;
	frames_init(&v->frames);
	v->next = c->lives;
	c->lives = v;
	c->lives_len++;
	return v;
}

static void hang_up(struct live *v)
{
	loop_remove(v->src);
	v->src = NULL;
	if (v->fd >= 0)
		(void)close(take_fd(&v->fd));
}

static void live_close(struct live *v)
{
	hang_up(v);
	loop_remove(v->timer);
	loop_remove(v->flush);
	frames_done(&v->frames);
	if (v->journal >= 0)
		(void)close(v->journal);
	if (v->dir >= 0)
		(void)close(v->dir);
	free(v);
}

static void live_free(struct live *v)
{
	struct core *c = v->core;
	struct live **at;

	for (at = &c->lives; *at != v; at = &(*at)->next)
		;
	*at = v->next;
	c->lives_len--;
	if (!v->is_stray && !c->is_stopping)
		held_look(c, v->job, v->try);
	live_close(v);
	core_wake(c);
	core_retry_in(c, 0);
}

void attend_free_all(struct core *c)
{
	while (c->lives) {
		struct live *v = c->lives;

		c->lives = v->next;
		live_close(v);
	}
	c->lives_len = 0;
}

static int send_head(struct live *v, struct json *head, const struct strbuf *body)
{
	struct err err = ERR_INIT;
	int rc;

	if (v->fd < 0) {
		json_free(head);
		return -1;
	}
	rc = chan_send(v->fd, head, body ? body->buf : NULL, body ? body->len : 0, NULL,
		0, &err);
	json_free(head);
	if (rc < 0)
		log_info("job=%" PRId64 " cannot tell the executor: %s", v->job, err.msg);
	return rc;
}

void attend_say(struct live *v, struct json *head)
{
	(void)send_head(v, head, NULL); /* a link that broke is noticed by itself */
}

static void on_leave_late(struct loop *l, void *data)
{
	struct live *v = data;

	(void)l;
	v->timer = NULL;
	log_warnx("job=%" PRId64 " try=%" PRId64 " executor does not leave", v->job,
		v->try);
	hang_up(v);
	prove_later(v, 0);
}

/* It has nothing more to do for us; what it leaves behind is looked at when it is gone. */
static void let_go(struct live *v, struct json *head)
{
	set_state(v, LIVE_LEAVING);
	loop_remove(v->timer);
	v->timer = NULL;
	if (send_head(v, head, NULL) < 0) {
		hang_up(v);
		prove_later(v, 0);
		return;
	}
	v->timer = loop_add_timer(v->core->loop, LEAVE_MS, on_leave_late, v);
}

/* ---- the end ----------------------------------------------------------------------- */

static void after_finish(struct core *c, const struct err *why, void *data)
{
	struct ref *r = data;
	struct live *v = ref_live(r);

	(void)c;
	free(r);
	if (!v)
		return;
	if (why) { /* everything is still in the journal */
		prove_later(v, PROVE_RETRY_MS);
		return;
	}
	frames_applied(&v->frames);
	FP("attend.bye.before");
	if (v->fd < 0) {
		live_free(v);
		return;
	}
	set_state(v, LIVE_LEAVING);
	{
		struct json *bye = json_new_object();

		json_set_str(bye, "op", "bye");
		v->is_burying = true; /* nothing is left to prove */
		let_go(v, bye);
	}
}

/* Lines of the log: whole blocks from the index, the rest counted. */
static int64_t count_lines(int dir)
{
	_cleanup_close_ int index = openat(dir, JOB_FILE_INDEX, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int log = openat(dir, JOB_FILE_LOG, O_RDONLY | O_CLOEXEC);
	int64_t lines = 0;
	off_t at = 0;
	char buf[65536];
	ssize_t n;
	struct stat st;

	if (log < 0)
		return 0;
	if (index >= 0 && fstat(index, &st) == 0 && st.st_size >= 8) {
		int64_t entries = st.st_size / 8;
		uint64_t offset = 0;

		if (pread(index, &offset, 8, (entries - 1) * 8) == 8) {
			lines = (entries - 1) * LINK_INDEX_LINES;
			at = (off_t)offset;
		}
	}
	while ((n = pread(log, buf, sizeof(buf), at)) > 0) {
		for (const char *p = buf; (p = memchr(p, '\n', (size_t)(buf + n - p)));
			p++)
			lines++;
		at += n;
	}
	return lines;
}

/* A refusal of what the journal says, not of this moment: trying again changes nothing. */
static bool is_refusal(const struct err *err)
{
	return err->code == ERR_INPUT || err->code == ERR_LIMIT || err->code == ERR_BUG;
}

static int apply_end(struct live *v, bool with_exit, struct err *err)
{
	struct frames *f = &v->frames;
	int rc = frames_apply(v->core, f, v->job, v->epoch, with_exit, err);

	if (rc == 0 || !is_refusal(err))
		return rc;
	log_warnx("job=%" PRId64 " %s", v->job, err->msg);
	frames_strip(f, err->msg);
	return frames_apply(v->core, f, v->job, v->epoch, with_exit, err);
}

/* The state of the row decides what an exit record means for it. */
static int store_end_of(struct live *v, struct err *err)
{
	struct core *c = v->core;
	struct frames *f = &v->frames;
	struct job j = { 0 };
	int rc = jobs_get(c->store, v->job, &j, err);

	if (rc < 0)
		return -1;
	if (j.epoch != v->epoch) {
		job_done(&j);
		return 0; /* fenced: another try has the job */
	}
	switch (j.state) {
	case JOB_CLAIMED:
		rc = apply_end(v, false, err);
		/* Set up while the spawner died: not the job's fault, and nothing of it ran. */
		if (rc == 0 && v->spawner != c->spawner_losses)
			rc = jobs_unclaim(c->store, v->job, v->epoch, f->reason, err);
		else if (rc == 0)
			rc = jobs_fail(c->store, v->job,
				*f->reason ? f->reason : "failed while it was set up",
				err);
		break;
	case JOB_RELEASED:
	case JOB_RUNNING:
	case JOB_CANCELLING:
	case JOB_LOST:
		rc = apply_end(v, true, err);
		/* fall through */
	case JOB_FINALISING:
		if (rc == 0)
			rc = jobs_finish(c->store, v->job, v->epoch, f->log_digest,
				count_lines(v->dir), err);
		break;
	case JOB_WAITING:
	case JOB_AWAITING_APPROVAL:
	case JOB_QUEUED:
	case JOB_COMPLETED:
		break;
	}
	job_done(&j);
	return rc;
}

static void finish(struct live *v)
{
	struct err err = ERR_INIT;

	set_state(v, LIVE_ENDING);
	loop_remove(v->flush);
	v->flush = NULL;
	FP("attend.finish.before");
	if (core_begin(v->core, &err) < 0 || store_end_of(v, &err) < 0) {
		core_trouble(v->core, "cannot store the end of a job", &err);
		v->troubles++;
		prove_later(v, SPAWNER_RETRY_MS << (v->troubles < 6 ? v->troubles : 6));
		return;
	}
	core_after(v->core, after_finish, ref_new(v));
	core_wake(v->core);
}

/* ---- is it dead? ------------------------------------------------------------------- */

static int lock_is_held(const struct live *v)
{
	_cleanup_close_ int fd =
		openat(v->dir, JOB_FILE_LOCK, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return 0;
	return fd_is_locked(fd) == 1;
}

static void after_death(struct core *c, const struct err *why, void *data)
{
	struct ref *r = data;
	struct live *v = ref_live(r);

	(void)c;
	free(r);
	if (!v)
		return;
	if (why)
		prove_later(v, SPAWNER_RETRY_MS);
	else
		live_free(v);
}

/* Its processes are proven gone and it left no exit record. */
static void bury_row(struct live *v)
{
	struct core *c = v->core;
	struct err err = ERR_INIT;
	struct job j = { 0 };
	enum job_state now;

	if (core_begin(c, &err) < 0 || jobs_get(c->store, v->job, &j, &err) < 0) {
		core_trouble(c, "cannot look after a dead job", &err);
		prove_later(v, SPAWNER_RETRY_MS);
		return;
	}
	if (j.epoch == v->epoch && j.state == JOB_FINALISING) {
		/* Its exit was stored already; only the sealing was missing. */
		if (jobs_finish(c->store, v->job, v->epoch, "", 0, &err) < 0)
			core_trouble(c, "cannot finish a job", &err);
	} else if (j.epoch == v->epoch &&
		   (j.state == JOB_CLAIMED || j.state == JOB_RELEASED ||
			   j.state == JOB_RUNNING || j.state == JOB_CANCELLING)) {
		/* What it said before it died is stored with it. */
		if (v->frames.last && j.state != JOB_CLAIMED &&
			frames_apply(c, &v->frames, v->job, v->epoch, false, &err) < 0)
			core_trouble(
				c, "cannot store the last frames of a dead job", &err);
		if (jobs_died(c->store, v->job, v->epoch, "its executor died", &now,
			    &err) < 0)
			core_trouble(c, "cannot bury a job", &err);
		else
			log_warnx("job=%" PRId64 " try=%" PRId64 " executor died; now %s",
				v->job, v->try, state_name(MACHINE_JOB, now));
	}
	job_done(&j);
	core_after(c, after_death, ref_new(v));
	core_wake(c);
}

static void on_buried(const struct json *answer, const struct err *why, void *data)
{
	struct ref *r = data;
	struct live *v = ref_live(r);

	(void)answer;
	free(r);
	if (!v)
		return;
	v->is_burying = false;
	if (why && why->code != ERR_NOT_FOUND) {
		prove_later(
			v, why->code == ERR_CONFLICT ? PROVE_RETRY_MS : SPAWNER_RETRY_MS);
		return;
	}
	bury_row(v);
}

static void ask_to_bury(struct live *v)
{
	struct json *head;

	if (!spawn_is_up(v->core->spawn)) {
		prove_later(v, SPAWNER_RETRY_MS);
		return;
	}
	head = json_new_object();
	json_set_str(head, "op", "bury");
	json_set_int(head, "job", v->job);
	json_set_int(head, "try", v->try);
	v->is_burying = true;
	spawn_call(v->core->spawn, head, on_buried, ref_new(v));
}

static int try_connect(struct live *v);

static int open_journal(struct live *v)
{
	if (v->journal < 0)
		v->journal = openat(
			v->dir, JOB_FILE_JOURNAL, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return v->journal < 0 ? -1 : 0;
}

static void prove_stray(struct live *v)
{
	if (!lock_is_held(v))
		live_free(v);
	else if (v->fd < 0 && try_connect(v) < 0)
		prove_later(v, PROVE_RETRY_MS);
}

static void prove(struct live *v)
{
	struct err err = ERR_INIT;

	if (v->is_burying && v->state != LIVE_LEAVING)
		return;
	if (v->is_stray) {
		prove_stray(v);
		return;
	}
	if (v->state == LIVE_LEAVING && v->is_burying) {
		live_free(v); /* said goodbye after a stored end */
		return;
	}
	if (lock_is_held(v)) {
		if (v->state == LIVE_LEAVING || try_connect(v) < 0) {
			set_state(v, LIVE_DYING);
			prove_later(v, PROVE_RETRY_MS);
		}
		return;
	}
	set_state(v, LIVE_DYING);
	if (open_journal(v) == 0) {
		if (frames_read(&v->frames, v->journal, v->job, v->core->o->watch.frame,
			    v->core->o->watch.data, &err) < 0)
			core_trouble(v->core, "cannot read a journal", &err);
		if (v->frames.has_exit) {
			finish(v);
			return;
		}
	}
	ask_to_bury(v);
}

static void on_prove(struct loop *l, void *data)
{
	struct live *v = data;

	(void)l;
	v->timer = NULL;
	prove(v);
}

static void prove_later(struct live *v, int64_t ms)
{
	if (v->state != LIVE_LEAVING)
		set_state(v, LIVE_DYING);
	loop_remove(v->timer);
	v->timer = loop_add_timer(v->core->loop, ms, on_prove, v);
}

void attend_gone(struct core *c, int64_t job, int64_t try)
{
	struct live *v = attend_find(c, job);

	/* While the link stands its end will be seen there, after all it still has to say. */
	if (v && v->try == try && v->fd < 0)
		prove_later(v, 0);
	else if (!v)
		held_look(c, job, try); /* it took longer with its files than to say bye */
}

/* ---- frames ------------------------------------------------------------------------ */

/* What the store holds is the truth: read the journal again from there. */
static void reset_frames(struct live *v)
{
	struct job j = { 0 };
	struct err err = ERR_INIT;

	frames_done(&v->frames);
	if (jobs_get(v->core->store, v->job, &j, &err) == 0)
		v->frames.skip = (uint64_t)j.frames;
	job_done(&j);
}

static void after_flush(struct core *c, const struct err *why, void *data)
{
	struct ref *r = data;
	struct live *v = ref_live(r);

	(void)c;
	free(r);
	if (v && why)
		reset_frames(v);
}

static void on_flush(struct loop *l, void *data)
{
	struct live *v = data;
	struct err err = ERR_INIT;

	(void)l;
	v->flush = NULL;
	if (v->state != LIVE_RUNNING || !v->frames.last)
		return;
	if (core_begin(v->core, &err) < 0 || apply_end(v, true, &err) < 0) {
		core_trouble(v->core, "cannot store frames", &err);
		v->flush =
			loop_add_timer(v->core->loop, SPAWNER_RETRY_MS * 5, on_flush, v);
		return;
	}
	frames_applied(&v->frames);
	core_after(v->core, after_flush, ref_new(v));
}

static void tell_log(struct live *v, int64_t size)
{
	if (size <= v->log_told)
		return;
	v->log_told = size;
	if (v->core->o->watch.log)
		v->core->o->watch.log(v->job, size, v->core->o->watch.data);
	web_log(v->core, v->job, size);
}

static void read_and_act(struct live *v)
{
	struct err err = ERR_INIT;

	if (open_journal(v) < 0)
		return;
	if (frames_read(&v->frames, v->journal, v->job, v->core->o->watch.frame,
		    v->core->o->watch.data, &err) < 0) {
		core_trouble(v->core, "cannot read a journal", &err);
		return;
	}
	tell_log(v, v->frames.log_size);
	if (v->frames.has_exit)
		finish(v);
	else if (v->state == LIVE_RUNNING && v->frames.last && !v->flush)
		v->flush = loop_add_timer(v->core->loop, FLUSH_MS, on_flush, v);
}

/* ---- release ----------------------------------------------------------------------- */

static void after_release(struct core *c, const struct err *why, void *data)
{
	struct ref *r = data;
	struct live *v = ref_live(r);

	FP("attend.go.before");
	if (v && v->state == LIVE_RELEASING) {
		if (why) {
			set_state(v, LIVE_READY);
			core_retry_in(c, PREPARE_RETRY_MS);
		} else if (send_head(v, link_go(v->epoch), &r->body) == 0) {
			set_state(v, LIVE_RUNNING);
		} else {
			hang_up(v);
			prove_later(v, 0);
		}
	}
	FP("attend.go.after");
	secrets_wipe(&r->body);
	free(r);
}

static void refuse_release(struct live *v, const struct err *why)
{
	struct core *c = v->core;
	struct err err = ERR_INIT;

	log_warnx("job=%" PRId64 " is not released: %s", v->job, why->msg);
	if (why->code != ERR_CONFLICT && jobs_fail(c->store, v->job, why->msg, &err) < 0)
		core_trouble(c, "cannot fail a job", &err);
	let_go(v, link_abort(why->msg));
	core_wake(c);
}

static void release(struct live *v, bool again)
{
	struct core *c = v->core;
	struct ref *r = ref_new(v);
	struct err err = ERR_INIT;

	FP("attend.release.before");
	if (core_begin(c, &err) == 0 &&
		secrets_release(c, v->job, v->epoch, again, &r->body, &err) == 0) {
		set_state(v, LIVE_RELEASING);
		core_after(c, after_release, r);
		return;
	}
	free(r);
	if (err.code == ERR_UNAVAILABLE) { /* paused: asked again in a later pass */
		set_state(v, LIVE_READY);
		return;
	}
	refuse_release(v, &err);
}

/* ---- the link ---------------------------------------------------------------------- */

static void on_hello(struct live *v, const struct chan_msg *m)
{
	struct core *c = v->core;
	struct link_hello h;
	struct job j = { 0 };
	struct err err = ERR_INIT;
	enum job_state state;
	int64_t epoch;

	if (v->is_stray) {
		/* An ended one waits for nothing but leave; any other may not go on. */
		struct json *bye = json_new_object();

		json_set_str(bye, "op", "bye");
		let_go(v, str_eq(json_get_str(m->head, "state", ""), "exited")
				  ? bye
				  : (json_free(bye), link_abort("superseded")));
		return;
	}
	if (link_read_hello(m->head, &h, &err) < 0 || h.job != v->job ||
		h.try != v->try || jobs_get(c->store, v->job, &j, &err) < 0) {
		log_warnx("job=%" PRId64 " a strange executor: %s", v->job, err.msg);
		hang_up(v);
		prove_later(v, PROVE_RETRY_MS);
		return;
	}
	state = j.state;
	epoch = j.epoch;
	job_done(&j);
	tell_log(v, (int64_t)h.log);
	if (str_eq(h.state, "exited")) {
		read_and_act(v);
	} else if (epoch != v->epoch || h.epoch != v->epoch ||
		   (state != JOB_CLAIMED && state != JOB_RELEASED &&
			   state != JOB_RUNNING && state != JOB_CANCELLING &&
			   state != JOB_LOST)) {
		/* Fenced: what it would do is somebody else's now. */
		let_go(v, link_abort("superseded"));
	} else if (state == JOB_CLAIMED) {
		set_state(v, LIVE_PREPARING);
	} else if (str_eq(h.state, "ready") || str_eq(h.state, "setup")) {
		/* Released, but core died before `go` was sent. */
		set_state(v, LIVE_PREPARING);
		v->is_adopted = true;
	} else {
		set_state(v, LIVE_RUNNING);
		read_and_act(v);
	}
	core_wake(c);
}

static void on_ready(struct live *v, const struct chan_msg *m)
{
	if (json_get_int(m->head, "epoch", -1) != v->epoch) {
		let_go(v, link_abort("superseded"));
		return;
	}
	if (v->state == LIVE_PREPARING)
		release(v, v->is_adopted);
}

static void on_answer(struct live *v, const struct chan_msg *m)
{
	const struct json *usage = json_get(m->head, "usage");

	if (usage)
		usage_answered(v->core, v->job, usage);
	if (!json_get_bool(m->head, "ok", false))
		log_warnx("job=%" PRId64 " executor refuses: %s", v->job,
			json_as_str(json_path(m->head, "error.message"), "no reason"));
}

static void on_link_message(struct live *v, const struct chan_msg *m)
{
	const char *op = chan_msg_op(m);

	if (str_eq(op, "hello")) {
		on_hello(v, m);
	} else if (str_eq(op, "ready")) {
		on_ready(v, m);
	} else if (str_eq(op, "frames")) {
		/* Frames first: what they say of the log is about bytes before it. */
		if (v->state != LIVE_ENDING && v->state != LIVE_LEAVING)
			read_and_act(v);
		tell_log(v, json_get_int(m->head, "log", 0));
	} else if (str_eq(op, "answer")) {
		on_answer(v, m);
	} else {
		log_warnx("job=%" PRId64 " executor says '%s'", v->job, op ? op : "");
	}
}

static void on_link(struct loop *l, int fd, uint32_t events, void *data)
{
	struct live *v = data;
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT;
	int n = chan_recv(fd, &m, &err);

	(void)l;
	(void)events;
	if (n > 0) {
		on_link_message(v, &m);
		return;
	}
	if (n < 0 && err.code == ERR_UNAVAILABLE)
		return;
	hang_up(v);
	/* ENDING: after_finish looks on. A timer of a failed try is not hurried. */
	if (v->state != LIVE_ENDING && !(v->troubles && v->timer))
		prove_later(v, 0);
}

static int try_connect(struct live *v)
{
	struct err err = ERR_INIT;
	char path[64];
	int fd;

	hang_up(v);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/" JOB_FILE_SOCK, v->dir);
	if (chan_connect(path, &fd, &err) < 0)
		return -1;
	v->fd = fd;
	v->src = loop_add_fd(v->core->loop, fd, EPOLLIN, on_link, v);
	set_state(v, LIVE_CONNECTING);
	return 0;
}

/* ---- the beginning ----------------------------------------------------------------- */

static void on_spawned(const struct json *answer, const struct err *why, void *data)
{
	struct ref *r = data;
	struct live *v = ref_live(r);
	struct err err = ERR_INIT;

	free(r);
	if (!v || v->state != LIVE_SPAWNING)
		return;
	if (!why) {
		log_debug("job=%" PRId64 " try=%" PRId64 " executor pid=%" PRId64, v->job,
			v->try, json_get_int(answer, "pid", 0));
		if (try_connect(v) < 0)
			prove_later(v, CONNECT_RETRY_MS);
		return;
	}
	log_warnx("job=%" PRId64 " try=%" PRId64 " cannot be spawned: %s", v->job, v->try,
		why->msg);
	if (why->code == ERR_UNAVAILABLE || why->code == ERR_CONFLICT) {
		/* The answer may be lost and the executor there: its lock tells. */
		prove_later(v, PROVE_RETRY_MS);
		return;
	}
	if (core_begin(v->core, &err) < 0 ||
		jobs_unclaim(v->core->store, v->job, v->epoch, why->msg, &err) < 0)
		core_trouble(v->core, "cannot give a job back", &err);
	live_free(v);
}

/* jobs/ID/TRY with its spec. Nothing of it has to outlive a crash: it was not released. */
static int prepare_dir(struct live *v, const struct json *doc, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	char path[64];

	(void)snprintf(path, sizeof(path), "jobs/%" PRId64 "/%" PRId64, v->job, v->try);
	if (path_mkdirs(v->core->data, path, 0710, err) < 0)
		return -1;
	v->dir = openat(v->core->data, path, O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (v->dir < 0)
		return err_sys(err, "cannot open '%s'", path);
	json_write(doc, 0, &text);
	return fd_replace_file(
		v->dir, JOB_FILE_SPEC, text.buf, text.len, 0600, FD_REPLACE_NOSYNC, err);
}

static void cannot_prepare(
	struct core *c, int64_t job, int64_t epoch, const struct err *why)
{
	struct err err = ERR_INIT;
	int rc = core_begin(c, &err);

	log_warnx("job=%" PRId64 " cannot be prepared: %s", job, why->msg);
	if (rc == 0 && (why->code == ERR_SYS || why->code == ERR_UNAVAILABLE)) {
		rc = jobs_unclaim(c->store, job, epoch, why->msg, &err);
		core_retry_in(c, PREPARE_RETRY_MS);
	} else if (rc == 0) {
		rc = jobs_fail(c->store, job, why->msg, &err);
	}
	if (rc < 0)
		core_trouble(c, "cannot give a job back", &err);
}

void attend_claimed(struct core *c, int64_t job, int64_t epoch, int64_t try)
{
	_cleanup_(json_freep) struct json *doc = NULL;
	struct live *v = NULL;
	struct job j = { 0 };
	struct err err = ERR_INIT;
	struct json *head;
	int rc = jobs_get(c->store, job, &j, &err);

	if (rc == 0)
		rc = spec_doc(c, &j, try, &doc, &err);
	if (rc == 0) {
		v = live_new(c, job, epoch, try);
		v->run = j.run;
		v->repo = j.repo;
		v->attempt = j.attempt;
		set_state(v, LIVE_SPAWNING);
		rc = prepare_dir(v, doc, &err);
	}
	job_done(&j);
	if (rc < 0 || !v) {
		if (v)
			live_free(v);
		cannot_prepare(c, job, epoch, &err);
		return;
	}
	FP("attend.spawn.before");
	head = json_new_object();
	json_set_str(head, "op", "spawn");
	json_set_int(head, "job", job);
	json_set_int(head, "try", try);
	spawn_call(c->spawn, head, on_spawned, ref_new(v));
}

int attend_adopt(struct core *c, const struct job *j, struct err *err)
{
	struct live *v;
	char path[64];
	int dir;

	if (attend_find(c, j->id))
		return 0;
	(void)snprintf(path, sizeof(path), "jobs/%" PRId64 "/%" PRId64, j->id, j->tries);
	dir = openat(c->data, path, O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0 && errno != ENOENT)
		return err_sys(err, "cannot open '%s'", path);
	v = live_new(c, j->id, j->epoch, j->tries);
	v->dir = dir;
	v->run = j->run;
	v->repo = j->repo;
	v->attempt = j->attempt;
	v->frames.skip = (uint64_t)j->frames;
	v->log_told = j->log_size;
	/* Of an earlier core: its spawner may be gone. */
	v->spawner = c->spawner_losses - 1;
	if (dir < 0) {
		/* Claimed, and then core died before it had made the folder. */
		set_state(v, LIVE_DYING);
		bury_row(v);
	} else {
		prove_later(v, 0);
	}
	return 0;
}

void attend_stray(struct core *c, int64_t job, int64_t try)
{
	struct live *v = live_new(c, job, -1, try);
	char path[64];

	v->is_stray = true;
	log_warnx("job=%" PRId64 " try=%" PRId64 " an executor that no row knows", job,
		try);
	(void)snprintf(path, sizeof(path), "jobs/%" PRId64 "/%" PRId64, job, try);
	v->dir = openat(c->data, path, O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (v->dir < 0)
		live_free(v);
	else
		prove_later(v, 0);
}

/* ---- at the end of a turn ---------------------------------------------------------- */

void attend_cancel(struct core *c, int64_t job, const char *reason, bool force)
{
	struct live *v = attend_find(c, job);

	if (!v || v->fd < 0)
		return;
	switch (v->state) {
	case LIVE_PREPARING:
	case LIVE_READY:
		/* Adopted and released: it may have `go` in its hands already. */
		if (!v->is_adopted) {
			let_go(v, link_abort(reason));
			break;
		}
		/* fall through */
	case LIVE_RUNNING:
		if (force ? v->is_killed : v->is_cancelled)
			break;
		v->is_cancelled = true;
		v->is_killed = v->is_killed || force;
		(void)send_head(v, link_cancel(reason, force), NULL);
		break;
	case LIVE_SPAWNING:
	case LIVE_CONNECTING:
	case LIVE_RELEASING:
	case LIVE_ENDING:
	case LIVE_LEAVING:
	case LIVE_DYING:
		break; /* asked again when it has moved on */
	}
}

static void pass_cancelling(struct core *c)
{
	int64_t ids[256];
	struct err err = ERR_INIT;
	int n = jobs_in_state(c->store, JOB_CANCELLING, ids, ARRAY_SIZE(ids), &err);

	if (n < 0)
		core_trouble(c, "cannot look for cancelled jobs", &err);
	for (int i = 0; i < n; i++) {
		struct job j = { 0 };

		if (attend_find(c, ids[i])) {
			attend_cancel(c, ids[i], "cancelled", false);
			continue;
		}
		if (jobs_get(c->store, ids[i], &j, &err) == 0)
			(void)attend_adopt(c, &j, &err);
		job_done(&j);
	}
}

void attend_pass(struct core *c)
{
	pass_cancelling(c);
	for (struct live *v = c->lives, *next; v; v = next) {
		next = v->next;
		if (v->state == LIVE_READY && !store_is_paused(c->store))
			release(v, v->is_adopted);
	}
}
