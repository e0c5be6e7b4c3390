/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop. A source removed while handlers run is only marked; it is freed when the
 * outermost turn ends, because the batch of events at hand may still point to it.
 */
#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "base/clock.h"
#include "base/mem.h"

#define EVENTS_MAX  64
#define SIGNALS_MAX 16

enum source_kind { SOURCE_FD, SOURCE_TIMER, SOURCE_SIGNAL, SOURCE_TURN };

#define SOURCE_KINDS 4

struct loop_source {
	struct loop *loop;
	struct loop_source *prev, *next; /* the living ones of this kind */
	struct loop_source *dead_next;
	enum source_kind kind;
	bool is_dead;
	uint64_t serial; /* older ones come first */
	void *data;
	union {
		struct {
			loop_fd_fn *fn;
			int fd;
			uint32_t events;
		} io;
		struct {
			loop_timer_fn *fn;
			int64_t due_us;
			size_t at; /* index in the heap */
		} timer;
		struct {
			loop_signal_fn *fn;
			int sig;
		} signal;
		struct {
			loop_idle_fn *fn;
		} turn;
	};
};

struct loop {
	int epoll;
	int signals; /* signalfd */
	int clock;   /* timerfd of CLOCK_BOOTTIME, armed for the first of the heap */
	int64_t armed_us;
	struct loop_source *first[SOURCE_KINDS], *last[SOURCE_KINDS];
	struct loop_source *dead; /* chained by dead_next */
	struct loop_source **by_fd;
	size_t by_fd_alloc;
	struct loop_source **heap;
	size_t heap_len, heap_alloc;
	uint64_t serial;
	unsigned turns;	  /* nesting of loop_once */
	sigset_t mask;	  /* what the signalfd takes */
	sigset_t blocked; /* what we blocked ourselves */
	bool is_stopped;
	int status;
};

/* ---- life ---- */

static int open_descriptors(struct loop *l, struct err *err)
{
	struct epoll_event ev = { .events = EPOLLIN };

	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll < 0)
		return err_sys(err, "cannot make an epoll");
	l->signals = signalfd(-1, &l->mask, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l->signals < 0)
		return err_sys(err, "cannot make a signalfd");
	l->clock = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (l->clock < 0)
		return err_sys(err, "cannot make a timerfd");
	/* Told from sources by the address of the field. */
	ev.data.ptr = &l->signals;
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->signals, &ev) < 0)
		return err_sys(err, "cannot watch the signalfd");
	ev.data.ptr = &l->clock;
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->clock, &ev) < 0)
		return err_sys(err, "cannot watch the timerfd");
	return 0;
}

int loop_new(struct loop **ret, struct err *err)
{
	_cleanup_(loop_freep) struct loop *l = xcalloc(1, sizeof(*l));

	l->epoll = -1;
	l->signals = -1;
	l->clock = -1;
	(void)sigemptyset(&l->mask);
	(void)sigemptyset(&l->blocked);
	if (open_descriptors(l, err) < 0)
		return -1;
	*ret = take_ptr(l);
	return 0;
}

static void bury(struct loop *l)
{
	while (l->dead) {
		struct loop_source *s = l->dead;

		l->dead = s->dead_next;
		free(s);
	}
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	for (size_t kind = 0; kind < SOURCE_KINDS; kind++) {
		while (l->first[kind]) {
			struct loop_source *s = l->first[kind];

			l->first[kind] = s->next;
			free(s);
		}
	}
	bury(l);
	/* Closing our copies says nothing to a parent that shares them. */
	cleanup_closep(&l->epoll);
	cleanup_closep(&l->signals);
	cleanup_closep(&l->clock);
	(void)sigprocmask(SIG_UNBLOCK, &l->blocked, NULL);
	free(l->by_fd);
	free(l->heap);
	free(l);
}

void loop_abandon(struct loop *l)
{
	loop_free(l);
}

static struct loop_source *source_new(struct loop *l, enum source_kind kind, void *data)
{
	struct loop_source *s = xcalloc(1, sizeof(*s));

	s->loop = l;
	s->kind = kind;
	s->data = data;
	s->serial = l->serial++;
	s->prev = l->last[kind];
	if (s->prev)
		s->prev->next = s;
	else
		l->first[kind] = s;
	l->last[kind] = s;
	return s;
}

/* Its next stays, so that a walk standing on it finds its way on. */
static void source_unlink(struct loop_source *s)
{
	struct loop *l = s->loop;

	if (s->prev)
		s->prev->next = s->next;
	else
		l->first[s->kind] = s->next;
	if (s->next)
		s->next->prev = s->prev;
	else
		l->last[s->kind] = s->prev;
	s->is_dead = true;
	s->dead_next = l->dead;
	l->dead = s;
	if (l->turns == 0)
		bury(l);
}

/* ---- descriptors ---- */

struct loop_source *loop_add_fd(
	struct loop *l, int fd, uint32_t events, loop_fd_fn *fn, void *data)
{
	struct loop_source *s = source_new(l, SOURCE_FD, data);
	struct epoll_event ev = { .events = events, .data.ptr = s };
	size_t old = l->by_fd_alloc;

	s->io.fn = fn;
	s->io.fd = fd;
	s->io.events = events;
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0) {
		int sys = errno;

		/*
		 * A kernel without the memory for one watch more. A source that is never
		 * heard would hang whoever waits for it, for ever and in silence; an end is
		 * seen and recovered from.
		 */
		if (sys != EPERM && sys != EEXIST && sys != EBADF)
			mem_exhausted("sluice: the kernel cannot watch one descriptor more\n");
		source_unlink(s);
		errno = sys;
		return NULL;
	}
	GROW(l->by_fd, l->by_fd_alloc, (size_t)fd + 1);
	if (old < l->by_fd_alloc)
		memset(l->by_fd + old, 0, (l->by_fd_alloc - old) * sizeof(*l->by_fd));
	l->by_fd[fd] = s;
	return s;
}

void loop_mod_fd(struct loop_source *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };

	assert(s->kind == SOURCE_FD);
	if (s->is_dead || s->io.events == events)
		return;
	s->io.events = events;
	(void)epoll_ctl(
		s->loop->epoll, EPOLL_CTL_MOD, s->io.fd, &ev); /* closed: no events */
}

static void forget_fd(struct loop_source *s)
{
	struct loop *l = s->loop;

	/* The caller closed it and the number serves another source: not ours to remove. */
	if (l->by_fd[s->io.fd] != s)
		return;
	l->by_fd[s->io.fd] = NULL;
	(void)epoll_ctl(
		l->epoll, EPOLL_CTL_DEL, s->io.fd, NULL); /* closed: gone already */
}

/* ---- timers: a binary heap, earliest first ---- */

static bool is_earlier(const struct loop_source *a, const struct loop_source *b)
{
	if (a->timer.due_us != b->timer.due_us)
		return a->timer.due_us < b->timer.due_us;
	return a->serial < b->serial;
}

static void heap_put(struct loop *l, size_t at, struct loop_source *s)
{
	l->heap[at] = s;
	s->timer.at = at;
}

static void heap_up(struct loop *l, size_t at, struct loop_source *s)
{
	while (at > 0 && is_earlier(s, l->heap[(at - 1) / 2])) {
		heap_put(l, at, l->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_put(l, at, s);
}

static void heap_down(struct loop *l, size_t at, struct loop_source *s)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= l->heap_len)
			break;
		if (child + 1 < l->heap_len &&
			is_earlier(l->heap[child + 1], l->heap[child]))
			child++;
		if (!is_earlier(l->heap[child], s))
			break;
		heap_put(l, at, l->heap[child]);
		at = child;
	}
	heap_put(l, at, s);
}

static void heap_remove(struct loop *l, struct loop_source *s)
{
	size_t at = s->timer.at;
	struct loop_source *moved = l->heap[--l->heap_len];

	if (moved == s)
		return;
	heap_down(l, at, moved);
	heap_up(l, moved->timer.at, moved);
}

struct loop_source *loop_add_timer(
	struct loop *l, int64_t ms, loop_timer_fn *fn, void *data)
{
	struct loop_source *s = source_new(l, SOURCE_TIMER, data);
	int64_t wait_us;

	s->timer.fn = fn;
	if (ms < 0 || __builtin_mul_overflow(ms, 1000, &wait_us))
		wait_us = ms < 0 ? 0 : INT64_MAX;
	if (__builtin_add_overflow(clock_boot_us(), wait_us, &s->timer.due_us))
		s->timer.due_us = INT64_MAX;
	GROW(l->heap, l->heap_alloc, l->heap_len + 1);
	heap_up(l, l->heap_len++, s);
	return s;
}

/*
 * Arms the timerfd for the first timer. A timerfd and not epoll's own timeout, because
 * that one stands still while the machine sleeps.
 */
static int arm_clock(struct loop *l, struct err *err)
{
	int64_t due = l->heap_len ? l->heap[0]->timer.due_us : 0;
	struct itimerspec at = { 0 };

	if (due == l->armed_us)
		return 0;
	at.it_value.tv_sec = due / 1000000;
	at.it_value.tv_nsec = due % 1000000 * 1000;
	if (timerfd_settime(l->clock, TFD_TIMER_ABSTIME, &at, NULL) < 0)
		return err_sys(err, "cannot set a timer");
	l->armed_us = due;
	return 0;
}

static void dispatch_timers(struct loop *l)
{
	uint64_t newest = l->serial; /* those added from here on wait for the next turn */
	int64_t now;

	if (l->heap_len == 0)
		return;
	now = clock_boot_us();
	while (l->heap_len > 0) {
		struct loop_source *s = l->heap[0];
		loop_timer_fn *fn = s->timer.fn;
		void *data = s->data;

		if (s->timer.due_us > now || s->serial >= newest)
			break;
		heap_remove(l, s);
		source_unlink(s);
		fn(l, data);
	}
}

/* ---- signals ---- */

static void update_signalfd(struct loop *l)
{
	/* Fails only for a bad descriptor, which this one is not. */
	(void)signalfd(l->signals, &l->mask, SFD_CLOEXEC | SFD_NONBLOCK);
}

struct loop_source *loop_add_signal(
	struct loop *l, int sig, loop_signal_fn *fn, void *data)
{
	struct loop_source *s = source_new(l, SOURCE_SIGNAL, data);
	sigset_t one, before;

	s->signal.fn = fn;
	s->signal.sig = sig;
	(void)sigemptyset(&one);
	(void)sigaddset(&one, sig);
	(void)sigprocmask(SIG_BLOCK, &one, &before);
	if (!sigismember(&before, sig))
		(void)sigaddset(&l->blocked, sig);
	(void)sigaddset(&l->mask, sig);
	update_signalfd(l);
	return s;
}

static void forget_signal(struct loop_source *s)
{
	struct loop *l = s->loop;
	int sig = s->signal.sig;
	sigset_t one;

	for (struct loop_source *o = l->first[SOURCE_SIGNAL]; o; o = o->next)
		if (o != s && o->signal.sig == sig)
			return;
	(void)sigdelset(&l->mask, sig);
	update_signalfd(l);
	if (!sigismember(&l->blocked, sig))
		return;
	(void)sigdelset(&l->blocked, sig);
	(void)sigemptyset(&one);
	(void)sigaddset(&one, sig);
	(void)sigprocmask(SIG_UNBLOCK, &one, NULL);
}

static void dispatch_signal(struct loop *l, const struct signalfd_siginfo *si)
{
	uint64_t newest = l->serial;

	/* A handler may remove any source: dead ones are skipped, not freed before the end. */
	for (struct loop_source *s = l->first[SOURCE_SIGNAL]; s; s = s->next)
		if (!s->is_dead && s->serial < newest &&
			s->signal.sig == (int)si->ssi_signo)
			s->signal.fn(l, si, s->data);
}

static void dispatch_signals(struct loop *l)
{
	struct signalfd_siginfo si[SIGNALS_MAX];
	ssize_t n = read(l->signals, si, sizeof(si));

	for (ssize_t i = 0; i < n / (ssize_t)sizeof(si[0]); i++)
		dispatch_signal(l, &si[i]);
}

/* ---- turns ---- */

struct loop_source *loop_add_turn(struct loop *l, loop_idle_fn *fn, void *data)
{
	struct loop_source *s = source_new(l, SOURCE_TURN, data);

	s->turn.fn = fn;
	return s;
}

static void dispatch_turns(struct loop *l)
{
	uint64_t newest = l->serial;

	for (struct loop_source *s = l->first[SOURCE_TURN]; s; s = s->next)
		if (!s->is_dead && s->serial < newest)
			s->turn.fn(l, s->data);
}

void loop_remove(struct loop_source *s)
{
	if (!s || s->is_dead)
		return;
	switch (s->kind) {
	case SOURCE_FD:
		forget_fd(s);
		break;
	case SOURCE_TIMER:
		heap_remove(s->loop, s);
		break;
	case SOURCE_SIGNAL:
		forget_signal(s);
		break;
	case SOURCE_TURN:
		break;
	}
	source_unlink(s);
}

static void dispatch_event(struct loop *l, const struct epoll_event *ev)
{
	struct loop_source *s = ev->data.ptr;

	if (ev->data.ptr == &l->signals)
		dispatch_signals(l);
	else if (ev->data.ptr == &l->clock)
		l->armed_us = -1; /* fired: setting it again also makes it unreadable */
	else if (!s->is_dead)
		s->io.fn(l, s->io.fd, ev->events, s->data);
}

int loop_once(struct loop *l, int ms, struct err *err)
{
	struct epoll_event events[EVENTS_MAX];
	int n;

	/* A timer that is due asks for a turn now, not for the clock to be set. */
	if (l->heap_len > 0 && l->heap[0]->timer.due_us <= clock_boot_us())
		ms = 0;
	else if (arm_clock(l, err) < 0)
		return -1;
	n = epoll_wait(l->epoll, events, EVENTS_MAX, ms);
	if (n < 0 && errno != EINTR)
		return err_sys(err, "cannot wait for events");
	l->turns++;
	for (int i = 0; i < n; i++)
		dispatch_event(l, &events[i]);
	dispatch_timers(l);
	dispatch_turns(l);
	if (--l->turns == 0)
		bury(l);
	return 0;
}

int loop_run(struct loop *l, struct err *err)
{
	while (!l->is_stopped)
		if (loop_once(l, -1, err) < 0)
			return -1;
	l->is_stopped = false;
	return l->status;
}

void loop_stop(struct loop *l, int status)
{
	l->is_stopped = true;
	l->status = status;
}
