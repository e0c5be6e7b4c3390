/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Web with a uid of its own: core has given up the right to make one, the spawner has not.
 * What it runs as that uid is core's own program, as a descriptor, so that an older
 * spawner starts the web of today.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "runner/rpc.h"
#include "runner/spawner-internal.h"
#include "runner/worker.h"

enum {
	WEBS_MAX = 16,		/* one serves, others answer what they have begun */
	WEB_FAREWELL_MS = 1000, /* after its core has gone; it needs less to end by itself */
};

/*
 * The first id of the range: jobs have those behind it, and an account that runs `serve`
 * is not root, which alone would take it.
 */
static bool web_uid(const struct spawner *s, uid_t *ret)
{
	const struct sandbox_caps *caps = sandbox_host_caps(s->host);

	*ret = caps->sub_uid;
	return s->o->has_user && geteuid() == 0 && caps->idmap == SANDBOX_IDMAP_ROOT &&
	       caps->sub_uid_len > 0 && *ret != 0 && *ret != s->o->uid;
}

static _Noreturn void web_main_as(struct spawner *s, uid_t uid, int chan, int err_fd, int program)
{
	static const char *const argv[] = { "sluice", "web", NULL };

	(void)setsid();
	loop_abandon(s->loop);
	if (dup2(err_fd, STDERR_FILENO) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		spawner_drop_to(uid, s->o->gid) < 0) {
		log_warn("cannot become uid %u", (unsigned)uid);
		_exit(1);
	}
	worker_become(program, argv, chan);
}

static int count_webs(const struct spawner *s)
{
	int n = 0;

	for (const struct child *c = s->children; c; c = c->next)
		n += c->kind == CHILD_WEB;
	return n;
}

int spawner_web(struct spawner *s, const struct peer *p, const struct chan_msg *m, pid_t *ret,
	struct err *err)
{
	struct child *c;
	uid_t uid;
	pid_t pid;

	if (m->fds_len != 3)
		return err_set(err, ERR_INPUT, "'web' takes a chan, an output and a program");
	if (!web_uid(s, &uid))
		return err_set(err, ERR_UNSUPPORTED, "this spawner has no uid for web");
	if (count_webs(s) >= WEBS_MAX)
		return err_set(err, ERR_UNAVAILABLE, "%d webs are running", WEBS_MAX);
	c = xcalloc(1, sizeof(*c));
	*c = (struct child){ .kind = CHILD_WEB, .peer = p, .pidfd = -1, .chan = -1, .dir = -1 };
	pid = fork();
	if (pid == 0)
		web_main_as(s, uid, m->fds[0], m->fds[1], m->fds[2]);
	if (pid < 0) {
		free(c);
		return err_sys(err, "cannot fork web");
	}
	if (spawner_watch(s, c, pid, err) < 0)
		return -1;
	*ret = pid;
	return 0;
}

static void on_farewell(struct loop *l, void *data)
{
	struct spawner *s = data;

	(void)l;
	s->farewell = NULL;
	for (const struct child *c = s->children; c; c = c->next) {
		if (c->kind != CHILD_WEB || c->peer)
			continue;
		log_warnx("a web whose core has gone does not end; killed pid=%d", (int)c->pid);
		(void)fd_pidfd_signal(c->pidfd, SIGKILL); /* gone already is as good */
	}
}

void spawner_forget_core(struct spawner *s, const struct peer *p)
{
	bool has_web = false;

	for (struct child *c = s->children; c; c = c->next) {
		if (c->kind != CHILD_WEB || c->peer != p)
			continue;
		c->peer = NULL;
		has_web = true;
	}
	/* It holds the listener that core's successor binds anew. */
	if (has_web && !s->farewell)
		s->farewell = loop_add_timer(s->loop, WEB_FAREWELL_MS, on_farewell, s);
}
