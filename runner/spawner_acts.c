/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an executor asks of the spawner, because it has not the rights itself. The message
 * names at most a child process, limits or a folder of its own: whose job it is, which
 * ids and which group come from the spawner's table.
 */
#include "runner/spawner-internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "executor/link.h"
#include "executor/rootstore.h"
#include "runner/rpc.h"

/* The parent of PID as the kernel sees it, or 0. */
static pid_t parent_of(pid_t pid)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_close_ int fd = -1;
	char path[64];
	const char *after;
	int parent;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fd_read_to_end(fd, 4096, &text, NULL) < 0)
		return 0;
	/* The name may hold anything, also ')': what counts follows the last one. */
	after = strrchr(text.buf, ')');
	if (!after || sscanf(after + 1, " %*c %d", &parent) != 1)
		return 0;
	return parent;
}

static int act_maps(struct child *c, const struct chan_msg *m, struct err *err)
{
	pid_t pid = (pid_t)json_get_int(m->head, "pid", 0);
	struct sandbox_ids ids = c->ids;

	/* Only its own direct child, which waits for us and so cannot be gone meanwhile. */
	if (pid <= 1 || parent_of(pid) != c->pid)
		return err_set(err, ERR_DENIED, "process %d is no child of the executor",
			(int)pid);
	/* The range is this slot's alone, as the one id is. */
	if (json_get_bool(m->head, "wide", false) && sandbox_ids_widen(&ids, err) < 0)
		return -1;
	return sandbox_write_maps(pid, &ids, err);
}

static bool is_our_net(int net)
{
	struct stat theirs, ours;

	return fstat(net, &theirs) < 0 || stat("/proc/self/ns/net", &ours) < 0 ||
	       (theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino);
}

static int act_cgroup(struct child *c, const struct chan_msg *m, struct json **ret,
	int *fds, size_t *fds_len, struct sandbox_cgroup *cg, struct err *err)
{
	const struct json *l = json_get(m->head, "limits");
	struct sandbox_limits limits = SANDBOX_LIMITS_INIT;
	struct json *present;
	char name[GROUP_NAME_MAX];

	if (!c->spawner->groups)
		return err_set(err, ERR_UNSUPPORTED, "no cgroups here");
	limits.memory = (uint64_t)json_get_int(l, "memory", 0);
	limits.pids = (uint64_t)json_get_int(l, "pids", 4096);
	limits.cpu_percent = (uint32_t)json_get_int(l, "cpu_percent", 0);
	spawner_group_name(c->spawner, c->job, c->try, name);
	if (sandbox_cgroup_make(c->spawner->groups, name, &limits,
		    c->spawner->o->has_user ? c->spawner->o->uid : (uid_t)-1, cg,
		    err) < 0)
		return -1;
	present = json_new_array();
	for (size_t i = 0; i < SANDBOX_CGROUP_FDS; i++) {
		json_push(present, json_new_bool(cg->fds[i] >= 0));
		if (cg->fds[i] >= 0)
			fds[(*fds_len)++] = cg->fds[i];
	}
	for (size_t i = 0; i < SANDBOX_CGROUP_FDS; i++)
		if (cg->fds[i] >= 0 && cg->enter[i] >= 0)
			fds[(*fds_len)++] = cg->enter[i];
	*ret = json_new_object();
	json_set_int(*ret, "kind", cg->kind);
	json_set_int(*ret, "controllers", cg->controllers);
	json_set_bool(*ret, "birthplace", cg->is_birthplace);
	json_set(*ret, "present", present);
	return 0;
}

/* Runs `ip` and `nft`, in a child of ours: nobody else need wait for them. */
static _Noreturn void route_child(struct child *c, int net, int64_t seq)
{
	const struct spawner *s = c->spawner;
	struct err why = ERR_INIT;

	if (sandbox_route_make(s->tag + strlen("job-"), c->slot, net, &why) < 0) {
		log_warnx("job=%" PRId64 " try=%" PRId64 " op=route: %s", c->job, c->try,
			why.msg);
		(void)rpc_refuse(c->chan, seq, &why, NULL, NULL); /* it sees our end */
	} else {
		(void)rpc_answer(c->chan, seq, NULL, NULL, 0, NULL, 0, NULL);
	}
	_exit(0);
}

static void on_route_made(struct loop *l, int fd, uint32_t events, void *data)
{
	struct route *r = data, **at = &r->spawner->routes;

	(void)l;
	(void)fd;
	(void)events;
	if (waitpid(r->pid, NULL, WNOHANG) == 0)
		return;
	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	spawner_route_free(r);
}

void spawner_route_free(struct route *r)
{
	loop_remove(r->src);
	(void)close(r->pidfd);
	free(r);
}

static int act_route(
	struct child *c, const struct chan_msg *m, int64_t seq, struct err *err)
{
	pid_t pid = (pid_t)json_get_int(m->head, "pid", 0);
	_cleanup_close_ int net = -1;
	struct route *r;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	net = pid > 1 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	/* Asked after opening: what was opened is then the child's, who waits for us. */
	if (net < 0 || parent_of(pid) != c->pid)
		return err_set(err, ERR_DENIED, "process %d is no child of the executor",
			(int)pid);
	if (is_our_net(net))
		return err_set(err, ERR_DENIED,
			"process %d has no network namespace of its own", (int)pid);
	spawner_note_routes(c->spawner, true);
	r = xcalloc(1, sizeof(*r));
	r->spawner = c->spawner;
	r->pid = fork();
	if (r->pid == 0)
		route_child(c, net, seq);
	r->pidfd = r->pid > 0 ? fd_pidfd_open(r->pid) : -1;
	if (r->pidfd < 0) {
		(void)err_sys(err, "cannot fork for a routed network");
		if (r->pid > 0) {
			(void)kill(r->pid, SIGKILL); /* our own, not waited for yet */
			(void)waitpid(r->pid, NULL, 0);
		}
		free(r);
		return -1;
	}
	r->src = loop_add_fd(c->spawner->loop, r->pidfd, EPOLLIN, on_route_made, r);
	r->next = c->spawner->routes;
	c->spawner->routes = r;
	return 0;
}

/* run/egress: TAG's table may stand. */
void spawner_note_routes(const struct spawner *s, bool on)
{
	_cleanup_close_ int run =
		openat(s->data, "run", O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct err err = ERR_INIT;

	if (run < 0)
		return;
	if (!on)
		(void)unlinkat(run, ROUTES_FILE, 0);
	else if (faccessat(run, ROUTES_FILE, F_OK, 0) < 0 &&
		 fd_replace_file(run, ROUTES_FILE, s->tag, strlen(s->tag), 0644,
			 FD_REPLACE_NOSYNC, &err) < 0)
		log_warnx("cannot write run/" ROUTES_FILE ": %s", err.msg);
}

void spawner_forget_routes(const struct spawner *s)
{
	_cleanup_close_ int run =
		openat(s->data, "run", O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct err err = ERR_INIT;

	if (run < 0 || faccessat(run, ROUTES_FILE, F_OK, 0) < 0)
		return;
	if (sandbox_route_remove(s->tag + strlen("job-"), &err) < 0)
		log_warnx("the filter of routed jobs stays: %s", err.msg);
	else
		spawner_note_routes(s, false);
}

static int act_uncgroup(struct child *c, struct err *err)
{
	char name[GROUP_NAME_MAX];

	spawner_group_name(c->spawner, c->job, c->try, name);
	return c->spawner->groups ? sandbox_cgroup_remove(c->spawner->groups, name, err)
				  : 0;
}

/*
 * A root of the store in this job's range. Only what root itself prepared: of any other
 * tree the executor could make us show files that it may not read.
 */
static int act_root(
	struct child *c, const struct chan_msg *m, int *ret_tree, struct err *err)
{
	_cleanup_(rootstore_close) struct rootstore_root root = ROOTSTORE_ROOT_INIT;
	_cleanup_close_ int roots = openat(c->spawner->data, ROOTSTORE_DIR,
		O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	struct sandbox_ids ids = c->ids;

	if (roots < 0)
		return err_sys(err, "cannot open '" ROOTSTORE_DIR "'");
	if (rootstore_open(roots, json_get_str(m->head, "digest", ""), &root, err) < 0 ||
		sandbox_ids_widen(&ids, err) < 0)
		return -1;
	if (!rootstore_is_owned(&root))
		return err_set(err, ERR_UNSUPPORTED, "the root was not prepared by root");
	return sandbox_root_map(root.tree, &ids, ret_tree, err);
}

static int act_remove(struct child *c, const struct chan_msg *m, struct err *err)
{
	const char *what = json_get_str(m->head, "what", "");
	_cleanup_close_ int dir = -1;
	char name[160];

	if (!path_is_name(what) || strlen(what) > 64)
		return err_set(err, ERR_INPUT, "'what' is no name of a folder");
	dir = openat(
		c->spawner->data, "quarantine", O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (dir < 0)
		return err_sys(err, "cannot open 'quarantine'");
	(void)snprintf(name, sizeof(name), "%" PRId64 "-%" PRId64 "-%s-%" PRId64, c->job,
		c->try, what, clock_wall_ms());
	if (renameat(c->dir, what, dir, name) < 0)
		return err_sys(err, "cannot move '%s' to quarantine", what);
	if (path_remove_tree(dir, name, err) < 0) {
		c->is_tainted = true;
		return err_wrap(err, "left in quarantine as '%s'", name);
	}
	return 0;
}

static int act(struct child *c, const struct chan_msg *m, struct json **ret, int *fds,
	size_t *fds_len, struct sandbox_cgroup *cg, int *tree, struct err *err)
{
	const char *op = chan_msg_op(m);

	if (str_eq(op, "maps"))
		return act_maps(c, m, err);
	if (str_eq(op, "cgroup"))
		return act_cgroup(c, m, ret, fds, fds_len, cg, err);
	if (str_eq(op, "uncgroup"))
		return act_uncgroup(c, err);
	if (str_eq(op, "root")) {
		if (act_root(c, m, tree, err) < 0)
			return -1;
		fds[(*fds_len)++] = *tree;
		return 0;
	}
	if (str_eq(op, "remove"))
		return act_remove(c, m, err);
	return err_set(err, ERR_UNSUPPORTED, "unknown op '%s'", op);
}

void spawner_act(struct child *c, const struct chan_msg *m)
{
	struct sandbox_cgroup cg = SANDBOX_CGROUP_INIT;
	struct err why = ERR_INIT, err = ERR_INIT;
	int64_t seq = json_get_int(m->head, "seq", 0);
	struct json *fields = NULL;
	_cleanup_close_ int tree = -1; /* ours until it is sent */
	int fds[2 * SANDBOX_CGROUP_FDS], rc;
	size_t fds_len = 0;

	if (str_eq(chan_msg_op(m), "route")) {
		if (act_route(c, m, seq, &why) == 0)
			return; /* its child answers */
		rc = rpc_refuse(c->chan, seq, &why, NULL, &err);
	} else if (act(c, m, &fields, fds, &fds_len, &cg, &tree, &why) < 0) {
		log_warnx("job=%" PRId64 " try=%" PRId64 " op=%s: %s", c->job, c->try,
			chan_msg_op(m), why.msg);
		rc = rpc_refuse(c->chan, seq, &why, NULL, &err);
	} else {
		rc = rpc_answer(c->chan, seq, fields, NULL, 0, fds, fds_len, &err);
	}
	sandbox_cgroup_done(&cg);
	if (rc < 0)
		log_debug("job=%" PRId64 ": cannot answer: %s", c->job, err.msg);
}

static void each_try(struct spawner *s, int jobs, const char *job,
	void (*fn)(struct spawner *s, int dir), int (*is_held)(int dir))
{
	int fd = openat(jobs, job, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *e;

	if (!d) {
		if (fd >= 0)
			(void)close(fd);
		return;
	}
	while ((e = readdir(d))) {
		_cleanup_close_ int dir = -1;

		if (!path_is_name(e->d_name))
			continue;
		dir = openat(fd, e->d_name, O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (dir >= 0 && is_held(dir) == 1)
			fn(s, dir);
	}
	(void)closedir(d);
}

void spawner_each_held(struct spawner *s, void (*fn)(struct spawner *s, int dir),
	int (*is_held)(int dir))
{
	int jobs =
		openat(s->data, "jobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = jobs >= 0 ? fdopendir(jobs) : NULL;
	const struct dirent *e;

	if (!d) {
		if (jobs >= 0)
			(void)close(jobs);
		return;
	}
	while ((e = readdir(d)))
		if (path_is_name(e->d_name))
			each_try(s, jobs, e->d_name, fn, is_held);
	(void)closedir(d);
}

static void shut(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

void spawner_close_own(const struct spawner *s, const struct child *self)
{
	shut(s->lock);
	shut(s->listener);
	for (const struct peer *p = s->peers; p; p = p->next)
		shut(p->fd);
	for (const struct child *c = s->children; c; c = c->next) {
		shut(c->pidfd);
		shut(c->chan);
		if (c != self)
			shut(c->dir);
	}
	shut(s->data);
}

void spawner_ignore(struct loop *l, const struct signalfd_siginfo *si, void *data)
{
	/* Ctrl-C reaches the whole group of `sluice run`; core tells us when to go. */
	(void)l;
	(void)si;
	(void)data;
}
