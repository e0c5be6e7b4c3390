/* SPDX-License-Identifier: Apache-2.0 */
/* Confined workers: one request in, one answer out, killed when they overrun. */
#include "runner/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/rpc.h"

enum {
	BACKOFF_FIRST_MS = 50,
	BACKOFF_LAST_MS = 10000,
};

struct call {
	struct call *next;
	uint64_t id;
	struct json *head;
	void *body;
	size_t len;
	int64_t deadline_ms;
	worker_done_fn *done; /* NULL once forgotten */
	void *data;
};

struct worker {
	struct worker_pool *pool;
	pid_t pid; /* 0: not running */
	int pidfd, fd;
	struct loop_source *fd_src, *pid_src, *timer; /* timer: deadline, or restart */
	struct call *call;			      /* the request at work */
	unsigned failures;			      /* in a row */
};

struct worker_pool {
	struct loop *loop;
	const struct worker_options *o;
	struct worker *workers;
	struct call *first, **last;
	size_t queued;
	uint64_t next_id;
	bool is_feeding; /* a callback asked for more: the loop in feed() takes it */
};

static void feed(struct worker_pool *p);
static void worker_lost(struct worker *w, enum err_code code, const char *what);

static void call_free(struct call *c)
{
	json_free(c->head);
	free(c->body);
	free(c);
}

static void call_end(
	struct call *c, struct chan_msg *answer, const struct err *why, const char *hint)
{
	if (c->done)
		c->done(answer, why, hint, c->data);
	call_free(c);
}

static const char *const default_env[] = {
	"PATH=/usr/local/bin:/usr/bin:/bin",
	"LANG=C.UTF-8",
	NULL,
};

/* Both descriptors may stand in each other's way, so they move up before they move down. */
static int place_fds(int chan, int keep)
{
	int a = fcntl(chan, F_DUPFD_CLOEXEC, 10);
	int b = keep >= 0 ? fcntl(keep, F_DUPFD_CLOEXEC, 10) : -1;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (a < 0 || (keep >= 0 && b < 0) || null < 0)
		return -1;
	if (dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(a, WORKER_CHAN_FD) < 0)
		return -1;
	if (b >= 0 && dup2(b, WORKER_CHAN_FD + 1) < 0)
		return -1;
	fd_close_from(WORKER_CHAN_FD + (b >= 0 ? 2 : 1), NULL, 0);
	return 0;
}

static void reset_signals(void)
{
	sigset_t none;
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			(void)sigaction(sig, &dfl, NULL); /* glibc refuses its own two */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

int worker_spawn(const char *const *argv, const char *const *env, int chan, int keep,
	pid_t *ret, struct err *err)
{
	pid_t pid = fork();

	if (pid < 0)
		return err_sys(err, "cannot fork for '%s'", argv[0]);
	if (pid == 0) {
		reset_signals();
		if (place_fds(chan, keep) == 0)
			execve(str_eq(argv[0], "sluice") ? "/proc/self/exe" : argv[0],
				(char *const *)argv,
				(char *const *)(env ? env : default_env));
		_exit(127);
	}
	*ret = pid;
	return 0;
}

_Noreturn void worker_become(int program, const char *const *argv, int chan)
{
	reset_signals();
	if (place_fds(chan, program) == 0 && fd_set_cloexec(WORKER_CHAN_FD + 1, true) == 0)
		(void)fexecve(WORKER_CHAN_FD + 1, (char *const *)argv,
			(char *const *)default_env);
	_exit(127);
}

static pid_t fork_function(const struct worker_options *o, struct loop *l, int chan)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	loop_abandon(l);
	reset_signals();
	if (place_fds(chan, -1) < 0)
		_exit(127);
	_exit(o->run(WORKER_CHAN_FD, o->data));
}

static void worker_close(struct worker *w)
{
	loop_remove(w->fd_src);
	loop_remove(w->pid_src);
	loop_remove(w->timer);
	w->fd_src = w->pid_src = w->timer = NULL;
	if (w->pid > 0) {
		(void)fd_pidfd_signal(w->pidfd, SIGKILL); /* gone already is as good */
		while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	if (w->fd >= 0)
		(void)close(w->fd);
	if (w->pidfd >= 0)
		(void)close(w->pidfd);
	w->fd = w->pidfd = -1;
	w->pid = 0;
}

/* The answer's frame; the content is the caller's to judge. */
static void on_answer(struct worker *w, struct chan_msg *m)
{
	struct call *c = w->call;
	struct err why = ERR_INIT;
	const struct json *error = json_get(m->head, "error");

	if (!c || !str_eq(chan_msg_op(m), "answer") ||
		json_get_int(m->head, "seq", -1) != (int64_t)c->id) {
		worker_lost(w, ERR_UNAVAILABLE, "answered what nobody asked");
		return;
	}
	loop_remove(w->timer);
	w->timer = NULL;
	w->call = NULL;
	w->failures = 0;
	w->pool->queued--;
	if (json_get_bool(m->head, "ok", false)) {
		call_end(c, m, NULL, NULL);
	} else {
		rpc_error_of(error, &why);
		call_end(c, NULL, &why, json_get_str(error, "hint", NULL));
	}
	feed(w->pool);
}

static void on_readable(struct loop *l, int fd, uint32_t events, void *data)
{
	struct worker *w = data;
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT;
	int n = chan_recv(fd, &m, &err);

	(void)l;
	(void)events;
	if (n > 0)
		on_answer(w, &m);
	else if (n == 0)
		worker_lost(w, ERR_UNAVAILABLE, "ended");
	else if (err.code != ERR_UNAVAILABLE)
		worker_lost(w, ERR_UNAVAILABLE, err.msg);
}

static void on_gone(struct loop *l, int fd, uint32_t events, void *data)
{
	(void)l;
	(void)fd;
	(void)events;
	worker_lost(data, ERR_UNAVAILABLE, "ended");
}

static void on_deadline(struct loop *l, void *data)
{
	struct worker *w = data;

	(void)l;
	w->timer = NULL;
	worker_lost(w, ERR_TIMEOUT, "overran its deadline");
}

/* A program or a function of ours at the other end of a new pair. */
static int start_child(struct worker_pool *p, pid_t *ret_pid, int *ret_pidfd,
	int *ret_chan, struct err *err)
{
	_cleanup_close_ int near = -1, far = -1;
	int pair[2];
	pid_t pid = 0;

	if (chan_pair(pair, err) < 0)
		return -1;
	near = pair[0];
	far = pair[1];
	if (p->o->argv) {
		if (worker_spawn(p->o->argv, p->o->env, far, -1, &pid, err) < 0)
			return -1;
	} else {
		pid = fork_function(p->o, p->loop, far);
		if (pid < 0)
			return err_sys(err, "cannot fork for %s", p->o->name);
	}
	*ret_pidfd = fd_pidfd_open(pid);
	if (*ret_pidfd < 0) {
		(void)err_sys(err, "cannot watch %s", p->o->name);
		(void)kill(pid, SIGKILL); /* our own child, not yet waited for */
		(void)waitpid(pid, NULL, 0);
		return -1;
	}
	*ret_pid = pid;
	*ret_chan = take_fd(&near);
	return 0;
}

static int worker_start(struct worker *w, struct err *err)
{
	struct worker_pool *p = w->pool;
	int rc = p->o->start ? p->o->start(&w->pid, &w->pidfd, &w->fd, p->o->data, err)
			     : start_child(p, &w->pid, &w->pidfd, &w->fd, err);

	if (rc < 0)
		return -1;
	w->fd_src = loop_add_fd(p->loop, w->fd, EPOLLIN, on_readable, w);
	w->pid_src = loop_add_fd(p->loop, w->pidfd, EPOLLIN, on_gone, w);
	return 0;
}

static void on_restart(struct loop *l, void *data)
{
	struct worker *w = data;
	struct err err = ERR_INIT;

	(void)l;
	w->timer = NULL;
	if (w->pid == 0 && worker_start(w, &err) < 0)
		worker_lost(w, ERR_UNAVAILABLE, err.msg);
	else
		feed(w->pool);
}

static int64_t backoff(unsigned failures)
{
	int64_t ms = failures > 1 ? BACKOFF_FIRST_MS : 0;

	for (unsigned i = 2; i < failures && ms < BACKOFF_LAST_MS; i++)
		ms *= 2;
	return ms < BACKOFF_LAST_MS ? ms : BACKOFF_LAST_MS;
}

static void worker_lost(struct worker *w, enum err_code code, const char *what)
{
	struct worker_pool *p = w->pool;
	struct call *c = take_ptr(w->call);
	struct err why = ERR_INIT;

	(void)err_set(&why, code, "%s %s", p->o->name, what);
	log_warnx("worker=%s pid=%d %s", p->o->name, (int)w->pid, what);
	worker_close(w);
	w->failures++;
	w->timer = loop_add_timer(p->loop, backoff(w->failures), on_restart, w);
	if (c) {
		p->queued--;
		call_end(c, NULL, &why, NULL);
	}
}

int worker_pool_new(struct loop *l, const struct worker_options *o,
	struct worker_pool **ret, struct err *err)
{
	struct worker_pool *p = xcalloc(1, sizeof(*p));

	p->loop = l;
	p->o = o;
	p->last = &p->first;
	p->next_id = 1;
	p->workers = xcalloc(o->size, sizeof(*p->workers));
	for (unsigned i = 0; i < o->size; i++)
		p->workers[i] = (struct worker){ .pool = p, .pidfd = -1, .fd = -1 };
	if (worker_start(&p->workers[0], err) < 0) {
		worker_pool_free(p);
		return -1;
	}
	*ret = p;
	return 0;
}

void worker_pool_free(struct worker_pool *p)
{
	if (!p)
		return;
	for (unsigned i = 0; i < p->o->size; i++) {
		worker_close(&p->workers[i]);
		if (p->workers[i].call)
			call_free(p->workers[i].call);
	}
	while (p->first) {
		struct call *c = p->first;

		p->first = c->next;
		call_free(c);
	}
	free(p->workers);
	free(p);
}

/* A worker that can take a request now; started when all running ones are busy. */
static struct worker *free_worker(struct worker_pool *p)
{
	struct err err = ERR_INIT;

	for (unsigned i = 0; i < p->o->size; i++)
		if (p->workers[i].pid > 0 && !p->workers[i].call)
			return &p->workers[i];
	for (unsigned i = 0; i < p->o->size; i++) {
		struct worker *w = &p->workers[i];

		if (w->pid > 0 || w->timer)
			continue;
		if (worker_start(w, &err) == 0)
			return w;
		worker_lost(w, ERR_UNAVAILABLE, err.msg);
		return NULL;
	}
	return NULL;
}

static void assign(struct worker *w, struct call *c)
{
	struct err err = ERR_INIT;
	int64_t ms = c->deadline_ms ? c->deadline_ms : w->pool->o->deadline_ms;

	w->call = c;
	w->timer = loop_add_timer(w->pool->loop, ms, on_deadline, w);
	if (chan_send(w->fd, c->head, c->body, c->len, NULL, 0, &err) < 0)
		worker_lost(w, ERR_UNAVAILABLE, err.msg);
}

static void feed(struct worker_pool *p)
{
	if (p->is_feeding)
		return;
	p->is_feeding = true;
	while (p->first) {
		struct worker *w = free_worker(p);
		struct call *c = p->first;

		if (!w)
			break;
		p->first = c->next;
		if (!p->first)
			p->last = &p->first;
		c->next = NULL;
		assign(w, c);
	}
	p->is_feeding = false;
}

uint64_t worker_call(struct worker_pool *p, struct json *head, const void *body,
	size_t len, int64_t deadline_ms, worker_done_fn *done, void *data)
{
	struct err why = ERR_INIT;
	struct call *c;
	uint64_t id;

	if (p->queued >= p->o->queue_max) {
		(void)err_set(&why, ERR_UNAVAILABLE, "%s has %zu requests waiting",
			p->o->name, p->queued);
		json_free(head);
		done(NULL, &why, NULL, data);
		return 0;
	}
	c = xcalloc(1, sizeof(*c));
	id = c->id = p->next_id++;
	json_set_int(head, "seq", (int64_t)id);
	c->head = head;
	c->body = len ? xmemdup(body, len) : NULL;
	c->len = len;
	c->deadline_ms = deadline_ms;
	c->done = done;
	c->data = data;
	*p->last = c;
	p->last = &c->next;
	p->queued++;
	feed(p);
	return id;
}

void worker_forget(struct worker_pool *p, uint64_t id)
{
	for (struct call *c = p->first; c; c = c->next)
		if (c->id == id)
			c->done = NULL;
	for (unsigned i = 0; i < p->o->size; i++)
		if (p->workers[i].call && p->workers[i].call->id == id)
			p->workers[i].call->done = NULL;
}

size_t worker_queued(const struct worker_pool *p)
{
	return p->queued;
}

size_t worker_pids(const struct worker_pool *p, pid_t *pids, size_t max)
{
	size_t n = 0;

	for (unsigned i = 0; i < p->o->size; i++) {
		if (p->workers[i].pid <= 0)
			continue;
		if (n < max)
			pids[n] = p->workers[i].pid;
		n++;
	}
	return n;
}
