/* SPDX-License-Identifier: Apache-2.0 */
/* The spawner process: executors' zygote and the one with privileges. See spawner.h. */
#include "runner/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "executor/executor.h"
#include "executor/link.h"
#include "executor/rootstore.h"
#include "runner/rpc.h"
#include "runner/spawner-internal.h"

enum {
	/* A stopped server's spawner waits this long for the next one. */
	LINGER_MS = 5000,
	/* How long an ended job waits for a core that is not there; its record is on disk. */
	BYE_WAIT_MS = 600 * 1000,
	RUN_BYE_WAIT_MS = 5000,
	CHILDREN_MAX = 4096,
};

static void child_free(struct child *c)
{
	loop_remove(c->pid_src);
	loop_remove(c->chan_src);
	if (c->pidfd >= 0)
		(void)close(c->pidfd);
	if (c->chan >= 0)
		(void)close(c->chan);
	if (c->dir >= 0)
		(void)close(c->dir);
	free(c);
}

struct child *spawner_find(struct spawner *s, int64_t job, int64_t try)
{
	for (struct child *c = s->children; c; c = c->next)
		if (c->job == job && c->try == try)
			return c;
	return NULL;
}

/* jobs/JOB/TRY by descriptor; both are numbers, so no name of a stranger gets here. */
int spawner_job_dir(const struct spawner *s, int64_t job, int64_t try, struct err *err)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "jobs/%" PRId64 "/%" PRId64, job, try);
	fd = openat(s->data, path, O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_sys(err, "cannot open '%s'", path);
	return fd;
}

void spawner_group_name(const struct spawner *s, int64_t job, int64_t try, char *buf)
{
	(void)snprintf(buf, GROUP_NAME_MAX, "%s-%" PRId64 "-%" PRId64, s->tag, job, try);
}

int spawner_lock_is_held(int dir)
{
	_cleanup_close_ int fd =
		openat(dir, JOB_FILE_LOCK, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errno == ENOENT ? 0 : -1;
	return fd_is_locked(fd);
}

static void remove_group(struct spawner *s, int64_t job, int64_t try)
{
	char name[GROUP_NAME_MAX];
	struct err err = ERR_INIT;

	if (!s->groups)
		return;
	spawner_group_name(s, job, try, name);
	if (sandbox_cgroup_remove(s->groups, name, &err) < 0)
		log_warnx("cannot remove the group job=%" PRId64 " try=%" PRId64 ": %s",
			job, try, err.msg);
}

/* ---- the pool of job ids -------------------------------------------------------- */

static unsigned slots_max(const struct spawner *s)
{
	const struct sandbox_caps *caps = sandbox_host_caps(s->host);

	if (caps->idmap == SANDBOX_IDMAP_SELF)
		return SLOTS_MAX;
	/* One id of the range may be the service's own (root without an account). */
	if (caps->sub_uid_len < 2)
		return 0;
	return caps->sub_uid_len - 1 < SLOTS_MAX ? caps->sub_uid_len - 1 : SLOTS_MAX;
}

static int slot_take(struct spawner *s, unsigned *ret, struct err *err)
{
	unsigned n = slots_max(s);

	for (unsigned i = 0; i < n; i++) {
		if (s->slots[i])
			continue;
		s->slots[i] = true;
		*ret = i;
		return 0;
	}
	return err_set(
		err, ERR_UNAVAILABLE, "all %u job ids are in use or quarantined", n);
}

/* The slot of a job whose executor another spawner forked; so that it is not given twice. */
void spawner_adopt_slot(struct spawner *s, int dir)
{
	unsigned slot;

	if (spawner_read_slot(dir, &slot))
		s->slots[slot] = true;
}

static void note_held(struct spawner *s, int dir)
{
	(void)dir;
	s->has_held = true;
}

static bool is_any_held(struct spawner *s)
{
	s->has_held = false;
	spawner_each_held(s, note_held, spawner_lock_is_held);
	return s->has_held;
}

static void slot_write(int dir, unsigned slot)
{
	char text[16];
	struct err err = ERR_INIT;

	(void)snprintf(text, sizeof(text), "%u", slot);
	if (fd_replace_file(dir, JOB_FILE_SLOT, text, strlen(text), 0644, FD_REPLACE_NOSYNC,
		    &err) < 0)
		log_warnx("cannot note the job id: %s", err.msg);
}

/* ---- one executor --------------------------------------------------------------- */

static void maybe_leave(struct spawner *s);

static void tell_cores(struct spawner *s, const struct child *c, int status)
{
	struct err err = ERR_INIT;

	for (struct peer *p = s->peers; p; p = p->next) {
		struct json *head = json_new_object();

		json_set_int(head, "job", c->job);
		json_set_int(head, "try", c->try);
		json_set_int(
			head, "status", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
		json_set_int(head, "signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
		if (rpc_notice(p->fd, "gone", head, &err) < 0)
			log_debug("cannot tell core: %s", err.msg);
	}
}

static void on_child_gone(struct loop *l, int fd, uint32_t events, void *data)
{
	struct child *c = data, **at;
	struct spawner *s = c->spawner;
	int status = 0;
	pid_t pid;

	(void)l;
	(void)fd;
	(void)events;
	do
		pid = waitpid(c->pid, &status, WNOHANG);
	while (pid < 0 && errno == EINTR);
	if (pid == 0)
		return;
	log_debug("child ended job=%" PRId64 " try=%" PRId64 " pid=%d status=%d",
		c->job, c->try, (int)c->pid, status);
	for (at = &s->children; *at != c; at = &(*at)->next)
		;
	*at = c->next;
	s->children_len--;
	if (c->kind == CHILD_REMOVER) {
		c->is_tainted = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
	} else if (c->kind != CHILD_WEB) {
		/* A killed executor leaves its group behind; an orderly one has removed it. */
		remove_group(s, c->job, c->try);
		tell_cores(s, c, status);
	}
	/* A shell that ended well has given the files back, and said so. */
	if (c->kind == CHILD_SHELL)
		c->is_tainted = spawner_read_slot(c->dir, &c->slot);
	if (c->has_slot && !c->is_tainted)
		s->slots[c->slot] = false;
	child_free(c);
	maybe_leave(s);
}

static void on_child_asks(struct loop *l, int fd, uint32_t events, void *data)
{
	struct child *c = data;
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT;
	int n = chan_recv(fd, &m, &err);

	(void)l;
	(void)events;
	if (n > 0) {
		spawner_act(c, &m);
		return;
	}
	if (n < 0 && err.code == ERR_UNAVAILABLE)
		return;
	loop_remove(c->chan_src);
	c->chan_src = NULL;
	(void)close(take_fd(&c->chan));
}

/* What the forked executor still needs; all else of the spawner is closed. */
static int open_places(const struct spawner *s, struct executor_options *opt)
{
	opt->store_dir = openat(s->data, "store", O_DIRECTORY | O_CLOEXEC);
	opt->repos_dir = openat(s->data, "repos", O_DIRECTORY | O_CLOEXEC);
	opt->actions_dir = openat(s->data, "actions", O_DIRECTORY | O_CLOEXEC);
	/* Not there before the first server that knows of it: then there are none. */
	opt->roots_dir = openat(s->data, ROOTSTORE_DIR, O_DIRECTORY | O_CLOEXEC);
	opt->held_dir = openat(s->data, "held", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return opt->store_dir < 0 || opt->repos_dir < 0 || opt->actions_dir < 0 ||
			       opt->held_dir < 0
		       ? -1
		       : 0;
}

int spawner_drop_to(uid_t uid, gid_t gid)
{
	if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
		setresuid(uid, uid, uid) < 0)
		return -1;
	/* "Without capabilities" also means: not to be traced by a job of the same id. */
	return prctl(PR_SET_DUMPABLE, 0);
}

static _Noreturn void child_main(
	struct spawner *s, struct child *c, int listener, int chan)
{
	struct executor_options opt = EXECUTOR_OPTIONS_INIT;
	_cleanup_free_ char *path = NULL;
	char group[GROUP_NAME_MAX];
	sigset_t none;

	(void)setsid();
	loop_abandon(s->loop);
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sig != SIGPIPE)
			(void)signal(sig, SIG_DFL); /* glibc refuses its own two */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_NAME, "sluice-executor");
	log_open("executor", LOG_INFO);
	opt.job_dir = c->dir;
	opt.listener = listener;
	opt.spawner = chan;
	if (open_places(s, &opt) < 0) {
		log_warn("cannot open a folder of '%s'", s->o->data_dir);
		_exit(1);
	}
	spawner_close_own(s, c);
	spawner_group_name(s, c->job, c->try, group);
	opt.is_shell = c->kind == CHILD_SHELL;
	path = xasprintf(opt.is_shell ? "%s/held/%" PRId64 "-%" PRId64
				      : "%s/jobs/%" PRId64 "/%" PRId64,
		s->o->data_dir, c->job, c->try);
	opt.job_path = path;
	opt.helper = s->o->helper;
	opt.host = s->host;
	opt.ids = c->ids;
	opt.cgroup_name = s->groups ? group : NULL;
	opt.cancel_on_eof = s->o->chan >= 0;
	opt.bye_wait_ms = opt.cancel_on_eof ? RUN_BYE_WAIT_MS : BYE_WAIT_MS;
	if (s->o->has_user && geteuid() != s->o->uid) {
		/* Maps and groups are then the spawner's to make. */
		opt.asks_spawner = true;
		if (spawner_drop_to(s->o->uid, s->o->gid) < 0) {
			log_warn("cannot become uid %u", (unsigned)s->o->uid);
			_exit(1);
		}
	} else {
		opt.cgroups = s->groups;
	}
	_exit(executor_main(&opt));
}

/* The socket stands before the fork, so whoever is told the pid can connect. */
static int listen_at(const struct spawner *s, int dir, int *ret, struct err *err)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/" JOB_FILE_SOCK, dir);
	if (chan_listen(path, ret, err) < 0)
		return -1;
	if (s->o->has_user && fchownat(dir, JOB_FILE_SOCK, s->o->uid, s->o->gid,
				      AT_SYMLINK_NOFOLLOW) < 0) {
		(void)close(*ret);
		return err_sys(err, "cannot hand over '" JOB_FILE_SOCK "'");
	}
	return 0;
}

static int fork_child(struct spawner *s, struct child *c, struct err *err)
{
	_cleanup_close_ int listener = -1, near = -1, far = -1;
	int pair[2];
	pid_t pid;

	if (listen_at(s, c->dir, &listener, err) < 0 || chan_pair(pair, err) < 0)
		return -1;
	near = pair[0];
	far = pair[1];
	pid = fork();
	if (pid < 0)
		return err_sys(err, "cannot fork an executor");
	if (pid == 0) {
		/* Or it would hold our end itself, and never see that we are gone. */
		(void)close(take_fd(&near));
		child_main(s, c, listener, far);
	}
	c->pid = pid;
	c->pidfd = fd_pidfd_open(pid);
	if (c->pidfd < 0) {
		(void)err_sys(err, "cannot watch an executor");
		(void)kill(pid, SIGKILL); /* our own child, not yet waited for */
		(void)waitpid(pid, NULL, 0);
		return -1;
	}
	c->chan = take_fd(&near);
	return 0;
}

/* Files of a held job may belong to an id already: then it is that one's turn again. */
static int give_slot(struct spawner *s, struct child *c, struct err *err)
{
	c->is_tainted = c->kind == CHILD_SHELL && spawner_read_slot(c->dir, &c->slot);
	if (!c->is_tainted && slot_take(s, &c->slot, err) < 0)
		return -1;
	c->has_slot = true;
	if (s->o->chan < 0)
		slot_write(c->dir, c->slot);
	return sandbox_ids_for(sandbox_host_caps(s->host),
		s->o->has_user ? s->o->uid : geteuid(),
		s->o->has_user ? s->o->gid : getegid(), c->slot, &c->ids, err);
}

static void spawn_failed(struct spawner *s, struct child *c)
{
	if (c->has_slot && !c->is_tainted) {
		s->slots[c->slot] = false;
		if (c->kind == CHILD_SHELL)
			(void)unlinkat(c->dir, JOB_FILE_SLOT, 0); /* or it stays taken */
	}
	child_free(c);
}

static void child_add(struct spawner *s, struct child *c)
{
	c->pid_src = loop_add_fd(s->loop, c->pidfd, EPOLLIN, on_child_gone, c);
	if (c->chan >= 0)
		c->chan_src = loop_add_fd(s->loop, c->chan, EPOLLIN, on_child_asks, c);
	c->next = s->children;
	s->children = c;
	s->children_len++;
}

static int do_spawn(struct spawner *s, enum child_kind kind, int64_t job, int64_t try,
	pid_t *ret, struct err *err)
{
	struct child *c;

	if (spawner_find(s, job, try))
		return err_set(err, ERR_CONFLICT,
			"job %" PRId64 " try %" PRId64 " is there", job, try);
	if (s->children_len >= CHILDREN_MAX)
		return err_set(
			err, ERR_UNAVAILABLE, "%d executors are running", CHILDREN_MAX);
	c = xcalloc(1, sizeof(*c));
	*c = (struct child){ .spawner = s,
		.kind = kind,
		.job = job,
		.try = try,
		.pidfd = -1,
		.chan = -1,
		.dir = -1 };
	c->dir = kind == CHILD_SHELL ? spawner_held_dir(s, job, try, err)
				     : spawner_job_dir(s, job, try, err);
	/* A folder's number may come again after it was removed, and with it a dead group. */
	remove_group(s, job, try);
	if (c->dir < 0 || give_slot(s, c, err) < 0 || fork_child(s, c, err) < 0) {
		spawn_failed(s, c);
		return -1;
	}
	child_add(s, c);
	*ret = c->pid;
	return 0;
}

int spawner_watch(struct spawner *s, struct child *c, pid_t pid, struct err *err)
{
	c->spawner = s;
	c->pid = pid;
	c->pidfd = fd_pidfd_open(pid);
	if (c->pidfd < 0) {
		(void)err_sys(err, "cannot watch a child");
		(void)kill(pid, SIGKILL); /* our own child, not yet waited for */
		(void)waitpid(pid, NULL, 0);
		child_free(c);
		return -1;
	}
	child_add(s, c);
	return 0;
}

static int do_bury(struct spawner *s, int64_t job, int64_t try, struct err *err)
{
	_cleanup_close_ int dir = -1;
	char name[GROUP_NAME_MAX];

	if (spawner_find(s, job, try))
		return err_set(err, ERR_CONFLICT, "the executor lives");
	dir = spawner_job_dir(s, job, try, err);
	if (dir < 0)
		return -1;
	if (spawner_lock_is_held(dir) != 0)
		return err_set(err, ERR_CONFLICT, "its lock is held");
	spawner_group_name(s, job, try, name);
	return s->groups ? sandbox_cgroup_remove(s->groups, name, err) : 0;
}

/* ---- what core asks ------------------------------------------------------------- */

static struct json *list_weaker(const struct spawner *s)
{
	struct json *list = json_new_array();
	_cleanup_(strvec_done) struct strvec weaker = STRVEC_INIT;

	sandbox_caps_weaker(sandbox_host_caps(s->host), &weaker);
	strvec_foreach (w, &weaker)
		json_push_str(list, *w);
	return list;
}

static struct json *op_status(const struct spawner *s)
{
	struct json *fields = json_new_object();
	const struct sandbox_caps *caps = sandbox_host_caps(s->host);

	json_set_int(fields, "children", (int64_t)s->children_len);
	json_set_int(fields, "slots", slots_max(s));
	json_set_int(fields, "idmap", caps->idmap);
	json_set(fields, "weaker", list_weaker(s));
	return fields;
}

static int serve_op(struct spawner *s, const struct peer *p, const struct chan_msg *m,
	struct json **ret, struct err *err)
{
	const char *op = chan_msg_op(m);
	int64_t job = json_get_int(m->head, "job", 0),
		try = json_get_int(m->head, "try", 0);
	pid_t pid = 0;

	if (str_eq(op, "status")) {
		*ret = op_status(s);
		return 0;
	}
	if (str_eq(op, "leave")) {
		s->is_leaving = !s->o->lingers; /* a unit is stopped by its manager */
		return 0;
	}
	if (str_eq(op, "web")) {
		if (spawner_web(s, p, m, &pid, err) < 0)
			return -1;
		*ret = json_new_object();
		json_set_int(*ret, "pid", pid);
		json_set(*ret, "weaker", list_weaker(s));
		return 0;
	}
	if (job <= 0 || try <= 0)
		return err_set(err, ERR_INPUT, "'%s' without job and try", op);
	if (str_eq(op, "bury"))
		return do_bury(s, job, try, err);
	if (str_eq(op, "discard"))
		return spawner_discard(
			s, job, try, json_get_bool(m->head, "is_new", false), err);
	if (!str_eq(op, "spawn") && !str_eq(op, "shell"))
		return err_set(err, ERR_UNSUPPORTED, "unknown op '%s'", op);
	if (do_spawn(s, str_eq(op, "shell") ? CHILD_SHELL : CHILD_JOB, job, try, &pid,
		    err) < 0)
		return -1;
	*ret = json_new_object();
	json_set_int(*ret, "pid", pid);
	return 0;
}

static void peer_drop(struct spawner *s, struct peer *p)
{
	struct peer **at;

	for (at = &s->peers; *at != p; at = &(*at)->next)
		;
	*at = p->next;
	spawner_forget_core(s, p);
	loop_remove(p->src);
	(void)close(p->fd);
	free(p);
	maybe_leave(s);
}

static void on_core_asks(struct loop *l, int fd, uint32_t events, void *data)
{
	struct peer *p = data;
	struct spawner *s = p->spawner;
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	struct err err = ERR_INIT, why = ERR_INIT;
	struct json *fields = NULL;
	int n = chan_recv(fd, &m, &err);

	(void)l;
	(void)events;
	if (n <= 0) {
		if (n == 0 || err.code != ERR_UNAVAILABLE)
			peer_drop(s, p);
		return;
	}
	if (serve_op(s, p, &m, &fields, &why) < 0)
		n = rpc_refuse(fd, json_get_int(m.head, "seq", 0), &why, NULL, &err);
	else
		n = rpc_answer(fd, json_get_int(m.head, "seq", 0), fields, NULL, 0, NULL,
			0, &err);
	if (n < 0)
		peer_drop(s, p);
	else
		maybe_leave(s);
}

static void peer_add(struct spawner *s, int fd)
{
	struct peer *p = xcalloc(1, sizeof(*p));

	p->spawner = s;
	p->fd = fd;
	p->src = loop_add_fd(s->loop, fd, EPOLLIN, on_core_asks, p);
	p->next = s->peers;
	s->peers = p;
	s->had_peer = true;
	s->is_leaving = false;
}

static void on_connect(struct loop *l, int fd, uint32_t events, void *data)
{
	struct spawner *s = data;
	struct err err = ERR_INIT;
	pid_t pid;
	uid_t uid;
	int conn;

	(void)l;
	(void)events;
	if (chan_accept(fd, &conn, &err) < 0)
		return;
	if (chan_peer(conn, &pid, &uid, &err) < 0 ||
		(uid != 0 && uid != geteuid() && !(s->o->has_user && uid == s->o->uid))) {
		log_warnx("refused a connection of another user");
		(void)close(conn);
		return;
	}
	peer_add(s, conn);
}

/* ---- coming and going ------------------------------------------------------------- */

static void on_linger(struct loop *l, void *data)
{
	struct spawner *s = data;

	s->linger = NULL;
	if (!s->peers && !s->children)
		loop_stop(l, 0);
}

static void maybe_leave(struct spawner *s)
{
	if (s->children)
		return;
	if (s->is_leaving || (s->o->chan >= 0 && !s->peers)) {
		loop_stop(s->loop, 0);
		return;
	}
	if (!s->peers && !s->o->lingers && !s->linger)
		s->linger = loop_add_timer(s->loop, LINGER_MS, on_linger, s);
}

static void on_term(struct loop *l, const struct signalfd_siginfo *si, void *data)
{
	(void)data;
	(void)si;
	/* Executors are sessions of their own and go on; their jobs can be adopted. */
	loop_stop(l, 0);
}

/* Groups of executors that died while no spawner was there to see it; slots in use. */
static void adopt_leftovers(struct spawner *s)
{
	struct strvec names = STRVEC_INIT;

	if (s->groups)
		sandbox_cgroup_list(s->groups, &names);
	strvec_foreach (name, &names) {
		long long job, try;
		_cleanup_close_ int dir = -1;

		/* Other data directories have spawners of their own. */
		if (!str_starts(*name, s->tag) ||
			sscanf(*name + strlen(s->tag), "-%lld-%lld", &job, &try) != 2)
			continue;
		dir = spawner_job_dir(s, job, try, NULL);
		if (dir < 0 || spawner_lock_is_held(dir) == 0)
			remove_group(s, job, try);
	}
	strvec_done(&names);
	spawner_each_held(s, spawner_adopt_slot, spawner_lock_is_held);
	if (!is_any_held(s))
		spawner_forget_routes(s); /* of one that was killed */
}

static int take_lock(struct spawner *s, struct err *err)
{
	s->lock = openat(
		s->data, SPAWNER_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock < 0)
		return err_sys(err, "cannot open '%s/" SPAWNER_LOCK "'", s->o->data_dir);
	switch (fd_lock(s->lock)) {
	case 1:
		return 0;
	case 0:
		return err_set(
			err, ERR_CONFLICT, "another spawner serves '%s'", s->o->data_dir);
	}
	return err_sys(err, "cannot lock '%s/" SPAWNER_LOCK "'", s->o->data_dir);
}

/* For people and scripts that want it gone; what counts is the lock. */
static void write_pid(const struct spawner *s)
{
	_cleanup_close_ int run = openat(s->data, "run", O_DIRECTORY | O_CLOEXEC);
	struct err err = ERR_INIT;
	char text[32];

	(void)snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (run < 0 || fd_replace_file(run, "spawner.pid", text, strlen(text), 0644,
			       FD_REPLACE_NOSYNC, &err) < 0)
		log_warnx("cannot write run/spawner.pid: %s", err.msg);
}

static int open_door(struct spawner *s, struct err *err)
{
	char path[64];

	if (s->o->chan >= 0) {
		peer_add(s, s->o->chan);
		return 0;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/" SPAWNER_SOCK, s->data);
	if (chan_listen(path, &s->listener, err) < 0)
		return -1;
	if (s->o->has_user && (fchownat(s->data, SPAWNER_SOCK, s->o->uid, s->o->gid,
				       AT_SYMLINK_NOFOLLOW) < 0 ||
				      fchown(s->lock, s->o->uid, s->o->gid) < 0))
		return err_sys(err, "cannot hand over '" SPAWNER_SOCK "'");
	(void)loop_add_fd(s->loop, s->listener, EPOLLIN, on_connect, s);
	write_pid(s);
	return 0;
}

/* Groups of all data directories stand side by side: the tag says whose one is. */
static int make_tag(struct spawner *s, struct err *err)
{
	struct stat st;
	uint64_t id[2];

	if (fstat(s->data, &st) < 0)
		return err_sys(err, "cannot look at '%s'", s->o->data_dir);
	id[0] = (uint64_t)st.st_dev;
	id[1] = (uint64_t)st.st_ino;
	(void)snprintf(s->tag, sizeof(s->tag), "job-%08x", crc32_of(0, id, sizeof(id)));
	return 0;
}

/* OpenSSL reads its configuration at first use: here once, not in each executor. */
static void warm_up(void)
{
	uint8_t digest[SHA256_LEN];

	crypto_sha256("", 0, digest);
}

static int set_up(struct spawner *s, struct err *err)
{
	warm_up();
	s->data = open(s->o->data_dir, O_DIRECTORY | O_CLOEXEC | O_PATH);
	if (s->data < 0)
		return err_sys(err, "cannot open '%s'", s->o->data_dir);
	if (make_tag(s, err) < 0)
		return -1;
	if (s->o->chan < 0 && take_lock(s, err) < 0)
		return -1;
	if (loop_new(&s->loop, err) < 0 || sandbox_host_open(&s->host, err) < 0)
		return -1;
	if (sandbox_cgroup_tree_open(&s->groups, err) < 0) {
		log_warnx("no cgroups: %s", err->msg);
		s->groups = NULL;
	}
	if (s->groups && s->o->has_user)
		sandbox_cgroup_tree_hand(s->groups, s->o->uid);
	/* `sluice run` and all it started may be one process group; core says when to go. */
	(void)loop_add_signal(
		s->loop, SIGTERM, s->o->chan >= 0 ? spawner_ignore : on_term, s);
	(void)loop_add_signal(
		s->loop, SIGINT, s->o->chan >= 0 ? spawner_ignore : on_term, s);
	if (s->o->chan < 0) {
		adopt_leftovers(s);
		spawner_look_at_held(s);
	}
	return open_door(s, err);
}

int spawner_run(const struct spawner_options *o)
{
	struct spawner s = { .o = o, .data = -1, .lock = -1, .listener = -1 };
	struct err err = ERR_INIT;
	bool had_children;
	int rc;

	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGCHLD, SIG_DFL);
	if (set_up(&s, &err) < 0) {
		if (err.code == ERR_CONFLICT)
			return SPAWNER_LOCKED;
		log_err("spawner: %s", err.msg);
		return SPAWNER_FAILED;
	}
	maybe_leave(&s);
	rc = loop_run(s.loop, &err);
	if (rc < 0)
		log_err("spawner: %s", err.msg);
	had_children = s.children != NULL;
	while (s.children) {
		struct child *c = s.children;

		s.children = c->next;
		child_free(c);
	}
	if (rc >= 0 && !had_children && !is_any_held(&s))
		spawner_forget_routes(&s);
	while (s.routes) {
		struct route *r = s.routes;

		s.routes = r->next;
		spawner_route_free(r);
	}
	/*
	 * The tree of groups is not freed: that would take the common parent away from a
	 * spawner that has just opened it. An empty group costs nothing.
	 */
	sandbox_host_free(s.host);
	loop_free(s.loop);
	return rc < 0 ? SPAWNER_FAILED : SPAWNER_DONE;
}
