/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attacks that must be seen from outside: what is left when a job is over, and what happens
 * when its confinement does not come to be. Each has its control in itself: the daemon is
 * alive before, the step does run when nothing fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/attack-internal.h"
#include "sandbox/sandbox-internal.h"

#define CALLS_MAX 1000 /* more set-up calls than there are */

static enum sandbox_attack_verdict broke(struct strbuf *words, const char *why)
{
	strbuf_adds(words, why);
	return SANDBOX_ATTACK_BROKE_THROUGH;
}

/* ---- a map that holds the host's root ------------------------------------------------ */

static bool is_opened(const struct attack_world *w, const struct sandbox_options *o)
{
	_cleanup_(sandbox_freep) struct sandbox *sb = NULL;

	return attack_sandbox(w, o, &sb, NULL) == 0;
}

enum sandbox_attack_verdict attack_judge_root_map(
	const struct attack_world *w, const struct attack *a, struct strbuf *words)
{
	struct sandbox_options o = *w->sandbox;
	bool self = o.ids.how == SANDBOX_IDMAP_SELF;

	(void)a;
	if (!is_opened(w, &o))
		return broke(words, "no job can be made to try it with");
	o.ids.service_uid = 0;
	if (is_opened(w, &o))
		return broke(words, "a job was mapped to the host's root");
	o.ids = w->sandbox->ids;
	o.ids.job_uid = o.ids.range_uid = 0; /* whichever counts in this profile */
	if (!self && is_opened(w, &o))
		return broke(words, "a step was mapped to the host's root");
	o.ids = w->sandbox->ids;
	o.ids.job_uid = o.ids.range_uid = o.ids.service_uid;
	if (!self && is_opened(w, &o))
		return broke(words, "a step was mapped to the service's own id");
	strbuf_adds(words, "refused; with its own id it runs");
	return SANDBOX_ATTACK_HELD;
}

/* ---- set-up that fails half-way ------------------------------------------------------- */

/* 1: a step ran; 0: none could start; -1: one ran although call NTH had failed. */
static int try_fault(const struct attack_world *w, enum sandbox_fault_in in, unsigned nth)
{
	_cleanup_close_ int out = memfd_create("fault", MFD_CLOEXEC);
	_cleanup_(sandbox_freep) struct sandbox *sb = NULL;
	struct sandbox_options o = *w->sandbox;
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	static const char *const argv[] = { "/usr/bin/env", "echo", "ran", NULL };
	static const char *const env[] = { "PATH=/usr/bin:/bin", NULL };
	bool is_whole;
	struct stat st;
	int id;

	o.fault = (struct sandbox_fault){ in, nth };
	cmd.argv = argv;
	cmd.env = env;
	cmd.out = cmd.errfd = out;
	is_whole = attack_sandbox(w, &o, &sb, NULL) == 0 &&
		   sandbox_spawn(sb, &cmd, &id, NULL) == 0 && attack_await(sb, id) == 0;
	if (fstat(out, &st) < 0 || (st.st_size > 0) != is_whole)
		return -1;
	return is_whole;
}

enum sandbox_attack_verdict attack_judge_faults(
	const struct attack_world *w, const struct attack *a, struct strbuf *words)
{
	static const enum sandbox_fault_in in[] = { SANDBOX_FAULT_CALLER,
		SANDBOX_FAULT_INIT, SANDBOX_FAULT_FORKER, SANDBOX_FAULT_STEP };
	unsigned failed = 0;

	(void)a;
	for (size_t i = 0; i < ARRAY_SIZE(in); i++) {
		unsigned nth = 1;
		int rc;

		while ((rc = try_fault(w, in[i], nth)) == 0 && nth < CALLS_MAX)
			nth++;
		if (rc <= 0) {
			strbuf_addf(words, "set-up call %u failed and %s", nth,
				rc ? "a step ran" : "no end of them came");
			return SANDBOX_ATTACK_BROKE_THROUGH;
		}
		failed += nth - 1;
	}
	strbuf_addf(
		words, "%u calls failed in turn, no step ran; with none it runs", failed);
	return failed ? SANDBOX_ATTACK_HELD : broke(words, ", for nothing was tried");
}

/* ---- what is left of a job ------------------------------------------------------------ */

/* Does anyone still hold the other end of FD? What was written is read away. */
static bool is_held_open(int fd, int timeout_ms)
{
	char said[256];

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };

		if (poll(&p, 1, timeout_ms) <= 0)
			return true;
		if (read(fd, said, sizeof(said)) <= 0)
			return false;
	}
}

static int spawn_piped(const struct attack_world *w, const struct attack *a,
	struct sandbox **sb, int *ret_fd, int *ret_id)
{
	_cleanup_close_ int ours = -1, theirs = -1;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -1;
	ours = ends[0];
	theirs = ends[1];
	if (attack_sandbox(w, w->tight, sb, NULL) < 0 ||
		attack_spawn(w, *sb, a, theirs, ret_id) < 0)
		return -1;
	*ret_fd = take_fd(&ours);
	return 0;
}

static enum sandbox_attack_verdict judge_end(
	struct sandbox *sb, int fd, const char *lived, struct strbuf *words)
{
	if (!is_held_open(fd, 300)) {
		strbuf_addf(words, "it did not outlive %s", lived);
		return SANDBOX_ATTACK_NOT_SHOWN;
	}
	if (sandbox_kill(sb, 10000, NULL) < 0 || is_held_open(fd, 2000))
		return broke(words, "it outlived its job");
	strbuf_addf(words, "it outlived %s, and is gone with its job", lived);
	return SANDBOX_ATTACK_HELD;
}

enum sandbox_attack_verdict attack_judge_daemon(
	const struct attack_world *w, const struct attack *a, struct strbuf *words)
{
	_cleanup_(sandbox_freep) struct sandbox *sb = NULL;
	_cleanup_close_ int fd = -1;
	int id;

	if (spawn_piped(w, a, &sb, &fd, &id) < 0 || attack_await(sb, id) < 0)
		return broke(words, "it could not be tried");
	return judge_end(sb, fd, "its step", words);
}

enum sandbox_attack_verdict attack_judge_deaf(
	const struct attack_world *w, const struct attack *a, struct strbuf *words)
{
	_cleanup_(sandbox_freep) struct sandbox *sb = NULL;
	_cleanup_close_ int fd = -1;
	struct pollfd p = { .events = POLLIN };
	int id;

	if (spawn_piped(w, a, &sb, &fd, &id) < 0)
		return broke(words, "it could not be tried");
	p.fd = fd;
	(void)poll(&p, 1, 5000); /* its word that it is deaf now */
	(void)sandbox_signal(sb, id, SIGINT, NULL);
	(void)sandbox_signal(sb, id, SIGTERM, NULL);
	return judge_end(sb, fd, "SIGINT and SIGTERM", words);
}

/* ---- what this host cannot show -------------------------------------------------------- */

const char *attack_unshown_memory(const struct attack_world *w)
{
	bool limited = w->tight->cgroup_tree && w->tight->cgroup_name &&
		       (sandbox_host_caps(w->host)->controllers & SANDBOX_CTL_MEMORY);

	return limited ? NULL : "no cgroup with a memory limit for this account";
}

const char *attack_unshown_core(const struct attack_world *w)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	(void)w;
	if (fd_read_file(AT_FDCWD, "/proc/sys/kernel/core_pattern", 256, &text, NULL) ==
			0 &&
		text.buf[0] == '|')
		return NULL;
	return "this host's core_pattern is no pipe";
}
