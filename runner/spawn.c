/* SPDX-License-Identifier: Apache-2.0 */
/* Core's end of the spawner, see spawn.h. */
#include "runner/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/rpc.h"
#include "runner/spawner.h"

enum {
	RETRY_FIRST_MS = 5,
	RETRY_LAST_MS = 2000,
};

struct request {
	struct request *next;
	int64_t seq;
	spawn_done_fn *done;
	void *data;
};

struct spawn {
	struct loop *loop;
	const struct spawn_options *o;
	int data_dir, fd;
	struct loop_source *src, *retry;
	int64_t retry_ms, next_seq;
	pid_t pid;
	struct request *requests;
};

static void on_retry(struct loop *l, void *data);

static void retry_later(struct spawn *s)
{
	if (s->retry)
		return;
	s->retry = loop_add_timer(s->loop, s->retry_ms, on_retry, s);
	s->retry_ms = s->retry_ms * 2 < RETRY_LAST_MS ? s->retry_ms * 2 : RETRY_LAST_MS;
}

static void link_lost(struct spawn *s, const char *what)
{
	struct request *list = take_ptr(s->requests);
	struct err why = ERR_INIT;

	log_warnx("the spawner's link is lost: %s", what);
	loop_remove(s->src);
	s->src = NULL;
	(void)close(take_fd(&s->fd));
	s->pid = 0;
	(void)err_set(&why, ERR_UNAVAILABLE, "the spawner is gone");
	if (s->o->link)
		s->o->link(false, s->o->data);
	while (list) {
		struct request *r = list;

		list = r->next;
		r->done(NULL, &why, r->data);
		free(r);
	}
	if (s->o->chan < 0)
		retry_later(s);
}

static void on_answer(struct spawn *s, const struct chan_msg *m)
{
	int64_t seq = json_get_int(m->head, "seq", 0);
	struct err why = ERR_INIT;
	struct request **at, *r;

	for (at = &s->requests; *at && (*at)->seq != seq; at = &(*at)->next)
		;
	r = *at;
	if (!r)
		return;
	*at = r->next;
	if (json_get_bool(m->head, "ok", false)) {
		r->done(m->head, NULL, r->data);
	} else {
		rpc_error_of(json_get(m->head, "error"), &why);
		r->done(NULL, &why, r->data);
	}
	free(r);
}

static void on_message(struct loop *l, int fd, uint32_t events, void *data)
{
	struct spawn *s = data;
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT;
	int n = chan_recv(fd, &m, &err);

	(void)l;
	(void)events;
	if (n == 0 || (n < 0 && err.code != ERR_UNAVAILABLE)) {
		link_lost(s, n == 0 ? "it ended" : err.msg);
		return;
	}
	if (n < 0)
		return;
	if (str_eq(chan_msg_op(&m), "answer"))
		on_answer(s, &m);
	else if (str_eq(chan_msg_op(&m), "gone"))
		s->o->gone(json_get_int(m.head, "job", 0), json_get_int(m.head, "try", 0),
			(int)json_get_int(m.head, "status", -1),
			(int)json_get_int(m.head, "signal", 0), s->o->data);
}

static void link_up(struct spawn *s, int fd)
{
	struct err err = ERR_INIT;
	uid_t uid;

	s->fd = fd;
	s->retry_ms = RETRY_FIRST_MS;
	if (chan_peer(fd, &s->pid, &uid, &err) < 0)
		s->pid = 0;
	s->src = loop_add_fd(s->loop, fd, EPOLLIN, on_message, s);
	if (s->o->link)
		s->o->link(true, s->o->data);
}

static int try_connect(struct spawn *s, struct err *err)
{
	char path[64];
	int fd, rc = spawner_is_there(s->o->data_dir, err);

	if (rc < 0)
		return -1;
	if (rc == 0 && s->o->argv && spawner_start(s->o->data_dir, s->o->argv, err) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/" SPAWNER_SOCK, s->data_dir);
	if (chan_connect(path, &fd, err) < 0)
		return -1;
	link_up(s, fd);
	return 0;
}

static void on_retry(struct loop *l, void *data)
{
	struct spawn *s = data;
	struct err err = ERR_INIT;

	(void)l;
	s->retry = NULL;
	if (try_connect(s, &err) < 0) {
		log_debug("no spawner yet: %s", err.msg);
		retry_later(s);
	}
}

int spawn_new(struct loop *l, const struct spawn_options *o, struct spawn **ret,
	struct err *err)
{
	_cleanup_(spawn_freep) struct spawn *s = xcalloc(1, sizeof(*s));

	s->loop = l;
	s->o = o;
	s->fd = -1;
	s->next_seq = 1;
	s->retry_ms = RETRY_FIRST_MS;
	s->data_dir = open(o->data_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->data_dir < 0)
		return err_sys(err, "cannot open '%s'", o->data_dir);
	if (o->chan >= 0)
		link_up(s, o->chan);
	else if (try_connect(s, err) < 0)
		retry_later(s);
	*ret = take_ptr(s);
	return 0;
}

void spawn_free(struct spawn *s)
{
	if (!s)
		return;
	loop_remove(s->src);
	loop_remove(s->retry);
	if (s->fd >= 0)
		(void)close(s->fd);
	if (s->data_dir >= 0)
		(void)close(s->data_dir);
	while (s->requests) {
		struct request *r = s->requests;

		s->requests = r->next;
		free(r->data);
		free(r);
	}
	free(s);
}

bool spawn_is_up(const struct spawn *s)
{
	return s->fd >= 0;
}

pid_t spawn_pid(const struct spawn *s)
{
	return s->pid;
}

void spawn_call(struct spawn *s, struct json *head, spawn_done_fn *done, void *data)
{
	spawn_call_fds(s, head, NULL, 0, done, data);
}

void spawn_call_fds(struct spawn *s, struct json *head, const int *fds, size_t fds_len,
	spawn_done_fn *done, void *data)
{
	struct err err = ERR_INIT;
	struct request *r;

	if (s->fd < 0) {
		json_free(head);
		(void)err_set(&err, ERR_UNAVAILABLE, "the spawner is gone");
		done(NULL, &err, data);
		return;
	}
	r = xcalloc(1, sizeof(*r));
	r->seq = s->next_seq++;
	r->done = done;
	r->data = data;
	r->next = s->requests;
	s->requests = r;
	json_set_int(head, "seq", r->seq);
	if (chan_send(s->fd, head, NULL, 0, fds, fds_len, &err) < 0)
		link_lost(s, err.msg);
	json_free(head);
}
