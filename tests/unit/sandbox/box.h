/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of sandbox/ share: a host, a sandbox with sensible options, steps in it. */
#ifndef TESTS_UNIT_SANDBOX_BOX_H
#define TESTS_UNIT_SANDBOX_BOX_H

#include "tests/lib/test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/path.h"
#include "sandbox/sandbox.h"

#define BOX_TIMEOUT_MS 30000

struct box {
	struct sandbox_host *host;
	struct sandbox_cgroup_tree *tree;
	struct sandbox_options opts;
	struct sandbox *sb;
	struct test_dir *dir;
	struct err err;
	char cgroup[48];
	char *missing;	   /* why no sandbox can be made here, or NULL */
	struct strbuf out; /* what the last step printed */
	struct sandbox_event end;
};

static inline void box_init(struct box *b)
{
	static unsigned counter;
	const struct sandbox_caps *caps;

	*b = (struct box){
		.opts = SANDBOX_OPTIONS_INIT, .out = STRBUF_INIT, .err = ERR_INIT
	};
	if (sandbox_host_open(&b->host, &b->err) < 0) {
		b->missing = xstrdup(b->err.msg);
		return;
	}
	caps = sandbox_host_caps(b->host);
	b->opts.profile = SANDBOX_STANDARD;
	b->opts.trust = SANDBOX_TRUSTED;
	if (sandbox_decide(
		    caps, b->opts.profile, b->opts.trust, b->opts.network, &b->err) < 0 ||
		sandbox_ids_for(caps, 0, 0, 7 + counter % 50, &b->opts.ids, &b->err) <
			0) {
		b->missing = xstrdup(b->err.msg);
		return;
	}
	if (sandbox_cgroup_tree_open(&b->tree, &b->err) == 0) {
		(void)snprintf(b->cgroup, sizeof(b->cgroup), "test-%d-%u", (int)getpid(),
			counter++);
		b->opts.cgroup_tree = b->tree;
		b->opts.cgroup_name = b->cgroup;
	}
	b->opts.limits.memory = 512 << 20;
	b->opts.limits.pids = 200;
}

/* The files of a job are its id's: only the agent may be able to remove them. */
static inline int box_clean(void *data)
{
	static const char *const names[] = { "work", "rw", "ro" };
	const struct box *b = data;
	struct err err = ERR_INIT;
	int rc = 0;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		rc |= path_remove_tree(b->dir->fd, names[i], &err);
	return rc < 0;
}

static inline void box_done(struct box *b)
{
	if (b->sb && b->dir) {
		struct sandbox_agent a = {
			.fn = box_clean, .data = b, .rw = &b->dir->fd, .rw_len = 1
		};
		int pidfd;
		pid_t pid;

		(void)sandbox_kill(b->sb, 10000, NULL);
		if (sandbox_agent(b->sb, &a, &pid, &pidfd, NULL) == 0) {
			(void)waitpid(pid, NULL, 0);
			(void)close(pidfd);
		}
	}
	sandbox_free(b->sb);
	sandbox_cgroup_tree_free(b->tree);
	sandbox_host_free(b->host);
	test_tempdir_free(b->dir);
	free(b->missing);
	strbuf_done(&b->out);
}

static inline int box_setup(void **state)
{
	struct box *b = xcalloc(1, sizeof(*b));

	box_init(b);
	*state = b;
	return 0;
}

static inline int box_teardown(void **state)
{
	struct box *b = *state;

	box_done(b);
	free(b);
	return 0;
}

static inline void box_need(struct box *b)
{
	if (b->missing)
		test_skip(b->missing);
}

static inline void box_open(struct box *b)
{
	box_need(b);
	assert_ok(sandbox_open(b->host, &b->opts, &b->sb, &b->err), &b->err);
}

/* Waits for the next event; fails the test when none comes. */
static inline struct sandbox_event box_event(struct box *b)
{
	int64_t deadline = clock_boot_ms() + BOX_TIMEOUT_MS;
	struct sandbox_event ev;

	for (;;) {
		struct pollfd p = { .fd = sandbox_fd(b->sb), .events = POLLIN };
		int rc = sandbox_next_event(b->sb, &ev, &b->err);

		assert_ok(rc, &b->err);
		if (rc == 1)
			return ev;
		if (clock_boot_ms() > deadline)
			fail_msg("no event came");
		(void)poll(&p, 1, 1000);
	}
}

/* The end of step ID; other events on the way are passed over. */
static inline void box_wait(struct box *b, int id)
{
	do {
		b->end = box_event(b);
		if (b->end.kind == SANDBOX_EVENT_GONE)
			fail_msg("the sandbox ended before step %d", id);
	} while (b->end.kind != SANDBOX_EVENT_EXIT || b->end.id != id);
}

static const char *const box_env[] = { "PATH=/usr/bin:/bin", "HOME=/home/runner",
	"LANG=C", "ASAN_OPTIONS=detect_leaks=0", NULL };

/* Starts bash with SCRIPT, its output going to OUT; returns the step's id. */
static inline int box_start(struct box *b, const char *script, int out)
{
	const char *const argv[] = { "bash", "-c", script, NULL };
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	int id = 0;

	cmd.argv = argv;
	cmd.env = box_env;
	cmd.out = cmd.errfd = out;
	assert_ok(sandbox_spawn(b->sb, &cmd, &id, &b->err), &b->err);
	return id;
}

/* Runs SCRIPT to its end; returns its exit code (-1: a signal), b->out is what it said. */
static inline int box_run(struct box *b, const char *script)
{
	_cleanup_close_ int out = memfd_create("out", MFD_CLOEXEC);
	int id = box_start(b, script, out);

	box_wait(b, id);
	strbuf_clear(&b->out);
	(void)lseek(out, 0, SEEK_SET);
	assert_ok(fd_read_to_end(out, 1 << 20, &b->out, &b->err), &b->err);
	return b->end.code;
}

#define assert_says(b, script, words)                       \
	do {                                                \
		(void)box_run(b, script);                   \
		assert_string_equal((b)->out.buf, (words)); \
	} while (0)

#endif
