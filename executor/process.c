/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A step is over when its first process has ended and its pipes are at their end, or when
 * they have been drained for LIMIT_DRAIN_MS: something it left in the background may hold
 * them for ever (SECURITY RS07). Such pipes are read on until the job ends, so that nobody
 * gets a SIGPIPE for having been started by a step.
 */
#include "executor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"

#define PIPE_SIZE (256 * 1024)
#define READ_SIZE (256 * 1024)

struct process_pipe {
	struct process *p;
	int fd; /* -1 at its end */
	struct loop_source *source;
};

enum ladder { LADDER_NONE, LADDER_INT, LADDER_TERM, LADDER_KILL };

struct process {
	struct process *next; /* of the strays */
	struct jobrun *job;
	struct output *output;
	bool owns_output;
	int id;
	struct process_pipe pipes[2];
	bool has_exited, is_done;
	struct process_result result;
	enum ladder ladder;
	struct loop_source *timeout, *drain, *next_rung;
};

/* ---- output ---- */

static void pipe_close(struct process_pipe *pipe)
{
	if (pipe->fd < 0)
		return;
	loop_remove(pipe->source);
	(void)close(pipe->fd); /* a pipe we read from */
	pipe->fd = -1;
}

static void check_done(struct process *p)
{
	if (p->has_exited && p->pipes[0].fd < 0 && p->pipes[1].fd < 0)
		p->is_done = true;
}

static void on_pipe(struct loop *l, int fd, uint32_t events, void *data)
{
	struct process_pipe *pipe = data;
	struct process *p = pipe->p;
	static char buf[READ_SIZE]; /* one process, one thread: one buffer */
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n > 0) {
		output_write(p->output, (int)(pipe - p->pipes), buf, (size_t)n);
		return;
	}
	pipe_close(pipe);
	check_done(p);
}

/* ---- ending it ---- */

static void on_rung(struct loop *l, void *data);

/*
 * The last signal of a cancelled job reaches everything: who left the group of its step to
 * escape must not hold up the end. A timeout ends its step alone: a database that an
 * earlier step started is still needed by those with always().
 */
static int ladder_target(const struct process *p)
{
	return p->ladder == LADDER_KILL && p->job->is_cancelled ? SANDBOX_ALL : p->id;
}

/* SIGINT, SIGTERM, SIGKILL, each to the whole process group, as a terminal would. */
static void climb(struct process *p)
{
	static const struct {
		int sig;
		int64_t wait_ms;
	} rungs[] = {
		[LADDER_INT] = { SIGINT, LIMIT_CANCEL_INT_MS },
		[LADDER_TERM] = { SIGTERM, LIMIT_CANCEL_TERM_MS },
		[LADDER_KILL] = { SIGKILL, 0 },
	};

	loop_remove(p->next_rung);
	p->next_rung = NULL;
	if (p->has_exited || p->ladder == LADDER_KILL)
		return;
	p->ladder++;
	(void)sandbox_signal(
		p->job->sandbox, ladder_target(p), rungs[p->ladder].sig, NULL);
	if (rungs[p->ladder].wait_ms)
		p->next_rung = loop_add_timer(
			p->job->loop, rungs[p->ladder].wait_ms, on_rung, p);
}

static void on_rung(struct loop *l, void *data)
{
	struct process *p = data;

	p->next_rung = NULL;
	climb(p);
}

void process_cancel(struct jobrun *job, bool force)
{
	struct process *p = job->process;

	if (!p || p->has_exited)
		return;
	p->result.cancelled = true;
	if (force && p->ladder != LADDER_KILL)
		p->ladder = LADDER_TERM;
	if (force || p->ladder == LADDER_NONE)
		climb(p);
}

static void on_timeout(struct loop *l, void *data)
{
	struct process *p = data;

	p->timeout = NULL;
	if (p->has_exited)
		return;
	p->result.timed_out = true;
	if (p->ladder == LADDER_NONE)
		climb(p);
}

/* ---- what init tells ---- */

static void on_drain(struct loop *l, void *data)
{
	struct process *p = data;

	p->drain = NULL;
	p->is_done = true;
}

static void has_exited(struct process *p, const struct sandbox_event *e)
{
	if (p->has_exited)
		return;
	p->has_exited = true;
	p->result.code = e->code;
	p->result.signal = e->signal;
	p->result.oom |= e->is_oom;
	(void)memcpy(p->result.hint, e->hint, sizeof(p->result.hint));
	loop_remove(p->next_rung);
	p->next_rung = NULL;
	loop_remove(p->timeout);
	p->timeout = NULL;
	p->drain = loop_add_timer(p->job->loop, LIMIT_DRAIN_MS, on_drain, p);
	check_done(p);
}

void process_events(struct jobrun *job)
{
	struct sandbox_event e;
	struct err err = ERR_INIT;
	int got;

	while ((got = sandbox_next_event(job->sandbox, &e, &err)) == 1) {
		struct process *p = job->process;

		if (e.kind == SANDBOX_EVENT_OOM)
			job->oom_kills++;
		if (p && e.kind == SANDBOX_EVENT_EXIT && e.id == p->id)
			has_exited(p, &e);
		if (p && e.kind == SANDBOX_EVENT_OOM)
			p->result.oom = true;
		if (e.kind != SANDBOX_EVENT_GONE)
			continue;
		loop_remove(job->sandbox_source);
		job->sandbox_source = NULL;
		if (p) {
			struct sandbox_event end = { .code = -1, .signal = SIGKILL };

			has_exited(p, &end);
		}
		if (job->phase == PHASE_FINISHING || job->is_forced)
			break;
		(void)err_set(&err, ERR_SYS, "%s",
			job->oom_kills ? "the job ran out of memory"
				       : "the processes of the job ended all at once");
		job_break(job, &err);
		break;
	}
	if (got < 0) {
		loop_remove(job->sandbox_source);
		job->sandbox_source = NULL;
		job_break(job, &err);
	}
}

/* ---- running ---- */

static void process_free(struct process *p)
{
	for (int i = 0; i < 2; i++)
		pipe_close(&p->pipes[i]);
	loop_remove(p->timeout);
	loop_remove(p->drain);
	loop_remove(p->next_rung);
	if (p->owns_output) {
		output_flush(p->output);
		output_free(p->output);
	}
	free(p);
}

static int make_pipes(int read_ends[2], int write_ends[2], struct err *err)
{
	for (int i = 0; i < 2; i++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) < 0) {
			(void)err_sys(err, "cannot make a pipe");
			if (i == 1) {
				(void)close(read_ends[0]);  /* unused */
				(void)close(write_ends[0]); /* unused */
			}
			return -1;
		}
		/* A larger pipe means fewer turns; the default does as well. */
		(void)fcntl(ends[0], F_SETPIPE_SZ, PIPE_SIZE);
		(void)fd_set_nonblock(
			ends[0], true); /* a blocking one would still be right */
		read_ends[i] = ends[0];
		write_ends[i] = ends[1];
	}
	return 0;
}

/* Whatever still prints goes on printing, as text, until the job ends. */
static void make_stray(struct process *p)
{
	struct jobrun *job = p->job;

	output_flush(p->output);
	output_detach(p->output);
	p->owns_output = true;
	loop_remove(p->timeout);
	loop_remove(p->drain);
	p->timeout = p->drain = NULL;
	p->next = job->strays;
	job->strays = p;
}

int process_run(struct jobrun *job, const struct process_options *opt,
	struct process_result *ret, struct err *err)
{
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	struct process *p;
	int reads[2], writes[2], result;

	if (make_pipes(reads, writes, err) < 0)
		return -1;
	p = xcalloc(1, sizeof(*p));
	p->job = job;
	p->output = opt->output;
	cmd.argv = opt->argv;
	cmd.env = opt->env;
	cmd.cwd = opt->cwd;
	cmd.out = writes[0];
	cmd.errfd = writes[1];
	result = sandbox_spawn(job->sandbox, &cmd, &p->id, err);
	for (int i = 0; i < 2; i++) {
		(void)close(writes[i]); /* the step has its own */
		p->pipes[i].p = p;
		p->pipes[i].fd = reads[i];
		p->pipes[i].source =
			loop_add_fd(job->loop, reads[i], EPOLLIN, on_pipe, &p->pipes[i]);
	}
	if (result < 0) {
		process_free(p);
		return -1;
	}
	if (opt->timeout_ms > 0)
		p->timeout = loop_add_timer(job->loop, opt->timeout_ms, on_timeout, p);
	job->process = p;
	job_wait(job, &p->is_done);
	job->process = NULL;
	if (!p->has_exited) {
		/* The job has broken under it: it is being killed with all others. */
		p->result.code = -1;
		p->result.signal = SIGKILL;
	}
	*ret = p->result;
	if (p->pipes[0].fd >= 0 || p->pipes[1].fd >= 0) {
		ret->output_taken = true;
		make_stray(p);
	} else {
		process_free(p);
	}
	return 0;
}

void process_strays_done(struct jobrun *job)
{
	while (job->strays) {
		struct process *p = job->strays;

		job->strays = p->next;
		process_free(p);
	}
}
