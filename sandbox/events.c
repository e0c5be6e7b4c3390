/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is told to the caller: steps that ended, memory that ran out, the end of it all.
 * Init says how steps ended; when init itself is gone the kernel has killed the others.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/sandbox-internal.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static struct step *step_of(struct sandbox *sb, int id)
{
	for (int i = 0; i < STEPS_MAX; i++)
		if (id > 0 && sb->steps[i].id == id)
			return &sb->steps[i];
	return NULL;
}

void events_ring(struct sandbox *sb)
{
	(void)eventfd_write(sb->bell, 1); /* full would be rung already */
}

static void notice_oom(struct sandbox *sb)
{
	if (sb->is_oom || cgroup_oom_kills(&sb->cgroup) <= sb->oom_before)
		return;
	sb->is_oom = true;
	(void)cgroup_kill(&sb->cgroup); /* v2 has done so; v1 kills one process only */
	if (!sb->is_init_gone)
		(void)fd_pidfd_signal(sb->init.pidfd, SIGKILL);
}

static const struct {
	int signal;
	const char *hint;
} hints[] = {
	{ SIGSYS, "killed by the system call filter: a call of another architecture "
		  "(32-bit or x32 code)" },
	{ SIGXFSZ, "killed for writing past the limit on the size of a file" },
	{ SIGXCPU, "killed for using up its processor time" },
};

static void step_over(struct sandbox *sb, struct step *s, const struct note *n)
{
	struct sandbox_event *e = &s->end;

	*e = (struct sandbox_event){ .kind = SANDBOX_EVENT_EXIT,
		.id = s->id,
		.code = -1,
		.user_us = n->user_us,
		.system_us = n->system_us,
		.rss_max = n->rss_max };
	if (WIFEXITED(n->status))
		e->code = WEXITSTATUS(n->status);
	else if (WIFSIGNALED(n->status))
		e->signal = WTERMSIG(n->status);
	if (e->signal == SIGKILL)
		notice_oom(sb);
	e->is_oom = sb->is_oom && e->signal == SIGKILL;
	if (e->is_oom)
		(void)snprintf(
			e->hint, sizeof(e->hint), "killed: the job used all its memory");
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
		if (e->signal == hints[i].signal)
			(void)snprintf(e->hint, sizeof(e->hint), "%s", hints[i].hint);
	s->is_over = true;
}

void events_hear(struct sandbox *sb, const struct note *n)
{
	struct step *s = n->kind == NOTE_EXIT ? step_of(sb, n->id) : NULL;

	if (s && !s->is_over)
		step_over(sb, s, n);
}

/* All that init has to say now; then, when it is gone, the ends of what it took along. */
void events_pump(struct sandbox *sb)
{
	siginfo_t si = { .si_pid = 0 };
	struct note n;

	while (note_recv(sb->ctl, MSG_DONTWAIT, &n, NULL, 0, NULL) == 1)
		events_hear(sb, &n);
	if (sb->is_init_gone ||
		waitid((idtype_t)P_PIDFD, (id_t)sb->init.pidfd, &si, WEXITED | WNOHANG) <
			0 ||
		!si.si_pid)
		return;
	while (note_recv(sb->ctl, MSG_DONTWAIT, &n, NULL, 0, NULL) == 1)
		events_hear(sb, &n);
	sb->is_init_gone = true;
	notice_oom(sb);
	(void)epoll_ctl(sb->poll_fd, EPOLL_CTL_DEL, sb->init.pidfd, NULL);
	(void)epoll_ctl(sb->poll_fd, EPOLL_CTL_DEL, sb->ctl, NULL);
	n = (struct note){ .status = SIGKILL };
	for (int i = 0; i < STEPS_MAX; i++)
		if (sb->steps[i].id && !sb->steps[i].is_over)
			step_over(sb, &sb->steps[i], &n);
	events_ring(sb);
}

int sandbox_fd(const struct sandbox *sb)
{
	return sb->poll_fd;
}

static void look_for_oom(struct sandbox *sb)
{
	eventfd_t count;

	if (sb->oom_fd < 0)
		return;
	if (sb->cgroup.fds[1] < 0) {
		char text[512];

		/* Reading from the start arms the next notification. */
		(void)!pread(sb->oom_fd, text, sizeof(text), 0);
		notice_oom(sb);
	} else if (eventfd_read(sb->oom_fd, &count) == 0 && !sb->is_oom) {
		/* The v1 event comes before its counter moves. */
		sb->oom_before = -1;
		notice_oom(sb);
	}
}

int sandbox_next_event(struct sandbox *sb, struct sandbox_event *ret, struct err *err)
{
	eventfd_t count;

	(void)err;
	look_for_oom(sb);
	events_pump(sb);
	if (sb->is_oom && !sb->is_oom_told) {
		sb->is_oom_told = true;
		*ret = (struct sandbox_event){ .kind = SANDBOX_EVENT_OOM,
			.is_oom = true };
		return 1;
	}
	for (int i = 0; i < STEPS_MAX; i++)
		if (sb->steps[i].id && sb->steps[i].is_over) {
			*ret = sb->steps[i].end;
			sb->steps[i] = (struct step){ 0 };
			return 1;
		}
	if (sb->is_init_gone && !sb->is_gone_told) {
		sb->is_gone_told = true;
		*ret = (struct sandbox_event){ .kind = SANDBOX_EVENT_GONE };
		return 1;
	}
	(void)eventfd_read(sb->bell, &count); /* nothing is queued any more */
	return 0;
}
