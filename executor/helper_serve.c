/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The helper's inside: its modes, its confinement, and the loop from request to answer.
 *
 * Two ways to serve. Most modes confine themselves for their few descriptors and answer
 * until the chan ends. The git modes get requests with different needs (one connects,
 * one reads hostile trees without a network), so each request is served by a child that
 * confines itself for it; what kills the child is one failed request.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "executor/git.h"
#include "executor/helper-internal.h"
#include "executor/helper.h"

#define CHILD_MS ((LIMIT_GIT_SECONDS + 30) * 1000)

static const struct helper_mode modes[] = {
	{ .name = "git",
		.flags = HELPER_FORKS,
		.fds_min = 2,
		.rw = 3,
		.memory = LIMIT_WORKER_MEMORY(4 * GiB),
		.start = git_start,
		.ops = { { "fetch", git_op_fetch, HELPER_NET | HELPER_EXEC },
			{ "resolve", git_op_resolve, 0 }, { "refs", git_op_refs, 0 },
			{ "reachable", git_op_reachable, 0 },
			{ "commit", git_op_commit, 0 }, { "commits", git_op_commits, 0 },
			{ "files", git_op_files, 0 }, { "changes", git_op_changes, 0 },
			{ "remove", git_op_remove, 0 } } },
	{ .name = "actions",
		.flags = HELPER_FORKS,
		.fds_min = 2,
		.rw = 3,
		.memory = LIMIT_WORKER_MEMORY(4 * GiB),
		.start = git_start,
		.ops = { { "action", git_op_action, HELPER_NET | HELPER_EXEC },
			{ "read", git_op_action_read, 0 } } },
	{ .name = "checkout",
		.flags = HELPER_LATE,
		.fds_min = 2,
		.rw = 2,
		.memory = LIMIT_WORKER_MEMORY(4 * GiB),
		.start = git_start,
		.ops = { { .name = "checkout",
			.fn = git_op_checkout,
			.before = git_checkout_before } } },
	{ .name = "tree",
		.fds_min = 1,
		.rw = 2,
		.memory = LIMIT_WORKER_MEMORY(4 * GiB),
		.start = git_tree_start,
		.ops = { { "tree", git_op_tree, 0 }, { "info", git_op_info, 0 } } },
	{ .name = "pack",
		.fds_min = 2,
		.rw = 2,
		.memory = LIMIT_WORKER_MEMORY(1 * GiB),
		.ops = { { "pack", archive_op_pack, 0 } } },
	{ .name = "unpack",
		.fds_min = 2,
		.rw = 2,
		.memory = LIMIT_WORKER_MEMORY(1 * GiB),
		.ops = { { "unpack", archive_op_unpack, 0 } } },
	{ .name = "image",
		.fds_min = 2,
		.rw = 2,
		.memory = LIMIT_WORKER_MEMORY(1 * GiB),
		.ops = { { "unpack", image_op_unpack, 0 } } },
	{ .name = "match",
		.memory = LIMIT_WORKER_MEMORY(256 * MiB),
		.start = match_start,
		.ops = { { "add", match_op_add, 0 }, { "remove", match_op_remove, 0 },
			{ "lines", match_op_lines, 0 } } },
	{ .name = "connect",
		.flags = HELPER_NET | HELPER_LATE,
		.fds_min = 1,
		.memory = LIMIT_WORKER_MEMORY(256 * MiB),
		.start = transfer_start,
		.ops = { { "connect", transfer_op_connect, 0 } } },
};

const struct helper_mode *helper_mode_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		if (strcmp(modes[i].name, name) == 0)
			return &modes[i];
	}
	return NULL;
}

const char *helper_str(const struct json *head, const char *key, struct err *err)
{
	const char *s = json_get_str(head, key, NULL);

	if (!s || !s[0] || strlen(s) != json_str_len(json_get(head, key))) {
		(void)err_set(err, ERR_INPUT, "the request has no '%s'", key);
		return NULL;
	}
	return s;
}

/* ---- folders ---- */

static bool is_same_folder(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino && access(path, R_OK | X_OK) == 0;
}

static int write_map(const char *file, const char *text)
{
	_cleanup_close_ int fd = open(file, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -1 : fd_write_all(fd, text, strlen(text));
}

/* The folder at a place of our own: in a mount namespace nobody else sees. */
static int bind_here(int fd, const char *path, char **ret, struct err *err)
{
	static const char place[] = "/mnt";
	char map[64];
	unsigned uid = geteuid(), gid = getegid();

	/* A descriptor stays in the old namespace, where nothing can be bound from; the
	 * working directory moves along. */
	if (fchdir(fd) < 0)
		return err_sys(err, "cannot enter '%.120s'", path);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return err_sys(err, "cannot reach '%.120s' as uid %u, and", path, uid);
	(void)write_map("/proc/self/setgroups", "deny"); /* else gid_map tells */
	(void)snprintf(map, sizeof(map), "%u %u 1\n", gid, gid);
	if (write_map("/proc/self/gid_map", map) < 0)
		return err_sys(err, "cannot map the group");
	(void)snprintf(map, sizeof(map), "%u %u 1\n", uid, uid);
	if (write_map("/proc/self/uid_map", map) < 0)
		return err_sys(err, "cannot map the user");
	if (mount(".", place, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir("/") < 0)
		return err_sys(err, "cannot reach '%.120s' as uid %u", path, uid);
	*ret = xstrdup(place);
	return 0;
}

int helper_reach(int fd, char **ret, struct err *err)
{
	char link[32], path[4096];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0)
		return err_sys(err, "cannot tell where a folder lies");
	path[n] = '\0';
	if (!is_same_folder(fd, path))
		return bind_here(fd, path, ret, err);
	*ret = xstrdup(path);
	return 0;
}

/* ---- confinement ---- */

/* What programs and resolvers read; what is not there is left out. */
static const char *const exec_paths[] = { "/usr", "/lib", "/lib64", "/bin", "/sbin",
	NULL };
static const char *const net_paths[] = { "/usr", "/lib", "/lib64", "/etc/ssl", "/etc/pki",
	"/etc/ca-certificates", "/etc/crypto-policies", "/etc/resolv.conf", "/etc/hosts",
	"/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/etc/services",
	"/etc/passwd", "/etc/group", "/etc/ld.so.cache", "/etc/alternatives", "/proc",
	"/run/systemd/resolve", "/dev/urandom", "/dev/random", NULL };

#define PATHS_MAX 32

struct confine {
	enum helper_flags flags;
	uint64_t memory;
	int rw[8 + 1], ro[8 + PATHS_MAX]; /* one more for /dev/null */
	size_t rw_len, ro_len, opened;	  /* ro[opened..] are ours to close */
};

static void open_paths(struct confine *c, const char *const *paths)
{
	for (; *paths && c->ro_len < ARRAY_SIZE(c->ro); paths++) {
		int fd = open(*paths, O_PATH | O_CLOEXEC);

		if (fd >= 0)
			c->ro[c->ro_len++] = fd;
	}
}

static int confine(struct confine *c, struct err *err)
{
	struct sandbox_worker w = {
		.rw = c->rw, .rw_len = c->rw_len, .memory = c->memory, .nofile = 1024
	};
	_cleanup_close_ int null = -1;
	int rc;

	if (c->flags & HELPER_EXEC)
		null = open("/dev/null", O_PATH | O_CLOEXEC);
	if (null >= 0)
		c->rw[c->rw_len++] = null;
	w.rw_len = c->rw_len;
	c->opened = c->ro_len;
	if (c->flags & HELPER_NET)
		open_paths(c, net_paths);
	if (c->flags & HELPER_EXEC)
		open_paths(c, exec_paths);
	w.ro = c->ro;
	w.ro_len = c->ro_len;
	w.flags |= c->flags & HELPER_NET ? SANDBOX_WORKER_NET : SANDBOX_WORKER_SEPARATE;
	w.flags |= c->flags & HELPER_EXEC ? SANDBOX_WORKER_EXEC | SANDBOX_WORKER_FORK : 0;
	rc = sandbox_confine_worker(NULL, &w, err);
	while (c->ro_len > c->opened)
		(void)close(c->ro[--c->ro_len]); /* O_PATH: nothing to lose */
	return rc;
}

/* The descriptors the caller gave, and what start and the message bring or name. */
static void confine_fds(
	struct confine *c, const struct helper_mode *mode, const struct helper_request *r)
{
	for (size_t i = 0; i < r->fds_len && c->rw_len < 8; i++) {
		struct stat st;

		if (fstat(r->fds[i], &st) < 0 ||
			(!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)))
			continue; /* a socket has no place in a tree */
		if (mode->rw & 1u << i)
			c->rw[c->rw_len++] = r->fds[i];
		else
			c->ro[c->ro_len++] = r->fds[i];
	}
	for (size_t i = 0; i < r->extra_len; i++)
		c->ro[c->ro_len++] = r->extra[i];
	for (size_t i = 0; r->msg && i < r->msg->fds_len && c->ro_len < 8; i++)
		c->ro[c->ro_len++] = r->msg->fds[i];
	if (r->head && json_get_str(r->head, "ca", NULL) &&
		c->ro_len < ARRAY_SIZE(c->ro)) {
		int fd = open(json_get_str(r->head, "ca", ""), O_PATH | O_CLOEXEC);

		if (fd >= 0) /* else the library says that it is not there */
			c->ro[c->ro_len++] = fd;
	}
}

/* ---- requests ---- */

static const struct helper_op *find_op(const struct helper_mode *mode, const char *name)
{
	for (const struct helper_op *op = mode->ops; op->name; op++) {
		if (str_eq(op->name, name))
			return op;
	}
	return NULL;
}

static int answer_fault(int chan, const struct json *head, const struct err *fault)
{
	_cleanup_(json_freep) struct json *answer =
		helper_answer_fault(json_get_int(head, "seq", 0), fault);
	struct err err = ERR_INIT;

	if (chan_send(chan, answer, NULL, 0, NULL, 0, &err) < 0)
		log_err("cannot answer: %s", err.msg);
	return 0;
}

/* Runs OP and answers. -1: the other end is gone. */
static int serve_op(int chan, const struct helper_op *op, struct helper_request *r)
{
	_cleanup_(json_freep) struct json *answer = json_new_object();
	_cleanup_(strbuf_done) struct strbuf body = STRBUF_INIT;
	struct err err = ERR_INIT;
	int rc;

	json_set_str(answer, "op", "answer");
	json_set_int(answer, "seq", json_get_int(r->head, "seq", 0));
	json_set_bool(answer, "ok", true);
	r->answer = answer;
	r->body = &body;
	rc = op->fn(r, &err);
	r->body = NULL;
	if (rc < 0)
		return answer_fault(chan, r->head, &err);
	if (chan_send(chan, answer, body.buf, body.len, NULL, 0, &err) < 0) {
		log_err("cannot answer: %s", err.msg);
		return -1;
	}
	if (r->after) {
		r->after(r);
		r->after = NULL;
	}
	return 0;
}

/* 0 served, or 1 when the child ended in a way that needs an answer from us. */
static int wait_child(pid_t pid, struct err *fault)
{
	_cleanup_close_ int pidfd = fd_pidfd_open(pid);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int status = 0, n;

	do {
		n = poll(&p, 1, CHILD_MS);
	} while (n < 0 && errno == EINTR);
	if (n == 0)
		(void)kill(pid, SIGKILL); /* not reaped yet */
	if (waitpid(pid, &status, 0) < 0)
		return 1;
	if (n == 0)
		return (void)err_set(fault, ERR_TIMEOUT, "git took longer than %d s",
			       CHILD_MS / 1000),
		       1;
	if (WIFSIGNALED(status))
		return (void)err_set(fault, ERR_UNAVAILABLE, "git ended by signal %d",
			       WTERMSIG(status)),
		       1;
	if (WEXITSTATUS(status) != 0)
		return (void)err_set(
			       fault, ERR_UNAVAILABLE, "git ended without an answer"),
		       1;
	return 0;
}

static void serve_in_child(const struct helper_mode *mode, const struct helper_op *op,
	int chan, struct helper_request *r)
{
	struct confine c = { .flags = op->flags, .memory = mode->memory };
	struct err err = ERR_INIT;

	confine_fds(&c, mode, r);
	if (r->msg->fds_len > 0 && helper_reach(r->msg->fds[0], &r->attached, &err) < 0) {
		(void)answer_fault(chan, r->head, &err);
		_exit(0);
	}
	if ((op->flags & HELPER_NET) && r->msg->fds_len == 0)
		git_local_source(r, c.ro, &c.ro_len);
	if (confine(&c, &err) < 0) {
		(void)answer_fault(chan, r->head, &err);
		_exit(0);
	}
	_exit(serve_op(chan, op, r) < 0 ? 1 : 0);
}

static void serve_forked(const struct helper_mode *mode, const struct helper_op *op,
	int chan, struct helper_request *r)
{
	struct err fault = ERR_INIT;
	pid_t pid = fork();

	if (pid == 0)
		serve_in_child(mode, op, chan, r);
	if (pid < 0)
		(void)err_sys(&fault, "cannot fork");
	if (pid < 0 || wait_child(pid, &fault))
		(void)answer_fault(chan, r->head, &fault);
}

/* For the descriptors of the caller and for good. */
static int confine_mode(
	const struct helper_mode *mode, const struct helper_request *r, struct err *err)
{
	struct confine c = { .flags = mode->flags, .memory = mode->memory };

	confine_fds(&c, mode, r);
	return confine(&c, err);
}

static int serve_message(
	const struct helper_mode *mode, int chan, struct helper_request *r)
{
	const struct helper_op *op = find_op(mode, chan_msg_op(r->msg));
	struct err err = ERR_INIT;

	if (!op) {
		(void)err_set(&err, ERR_INPUT, "mode %s knows no '%.60s'", mode->name,
			chan_msg_op(r->msg));
		return answer_fault(chan, r->head, &err);
	}
	if (mode->flags & HELPER_FORKS) {
		serve_forked(mode, op, chan, r);
		return 0;
	}
	if ((mode->flags & HELPER_LATE) && ((op->before && op->before(r, &err) < 0) ||
						   confine_mode(mode, r, &err) < 0)) {
		(void)answer_fault(chan, r->head, &err);
		return -1;
	}
	return serve_op(chan, op, r);
}

static int prepare(
	const struct helper_mode *mode, struct helper_request *r, struct err *err)
{
	if (r->fds_len < mode->fds_min)
		return err_set(err, ERR_INPUT, "mode %s needs %zu descriptors",
			mode->name, mode->fds_min);
	if (mode->start && mode->start(r, err) < 0)
		return -1;
	return mode->flags & (HELPER_FORKS | HELPER_LATE) ? 0
							  : confine_mode(mode, r, err);
}

int helper_serve(const struct helper_mode *mode, int chan, const int *fds, size_t fds_len)
{
	struct helper_request r = { .fds = fds, .fds_len = fds_len };
	struct err broken = ERR_INIT;
	int rc = prepare(mode, &r, &broken);

	for (;;) {
		_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
		struct err err = ERR_INIT;
		int n = chan_recv(chan, &m, &err);

		if (n < 0)
			log_err("mode=%s %s", mode->name, err.msg);
		if (n <= 0)
			break;
		r.msg = &m;
		r.head = m.head;
		/* A helper that could not start says so to the first who asks. */
		if (rc < 0)
			(void)answer_fault(chan, m.head, &broken);
		else if (serve_message(mode, chan, &r) < 0)
			rc = -1;
		if (rc < 0 || mode->flags & HELPER_LATE)
			break;
	}
	if (r.free_state)
		r.free_state(r.state);
	else
		free(r.state);
	return rc < 0 ? 1 : 0;
}
