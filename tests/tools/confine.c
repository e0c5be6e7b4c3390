/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine [OPTION]... COMMAND [ARGUMENT]...
 *
 * Runs one command as the only step of a sandbox, for scripts that test what works in one:
 *	--profile strict|standard|root|build	(standard)
 *	--work DIR	at /home/runner/work, writable, the command's folder
 *	--ro DIR	at its own path, read-only; may be given often
 *	--env K=V	may be given often; PATH, HOME and LANG are set
 * Its id is that of its parent process, so that one script's commands share their files.
 *	--root DIR	a prepared root instead of the host's system
 *	--upper DIR	with --profile root: an empty folder for what the command changes;
 *			without it DIR of --root itself is changed, and is the job's
 *	--memory MIB, --pids N, --network none|host
 * Exits with the command's code, 128 and more for a signal, 125 when it could not start.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strvec.h"
#include "sandbox/sandbox.h"

#define MOUNTS_MAX 16
#define FAILED	   125

static int die(const struct err *err)
{
	fprintf(stderr, "confine: %s\n", err->msg);
	return FAILED;
}

static int run(struct sandbox *sb, const struct sandbox_command *cmd)
{
	struct sandbox_event ev;
	struct err err = ERR_INIT;
	int id;

	if (sandbox_spawn(sb, cmd, &id, &err) < 0)
		return die(&err);
	for (;;) {
		struct pollfd p = { .fd = sandbox_fd(sb), .events = POLLIN };

		(void)poll(&p, 1, -1);
		while (sandbox_next_event(sb, &ev, &err) == 1) {
			if (ev.kind == SANDBOX_EVENT_OOM)
				fprintf(stderr, "confine: out of memory\n");
			if (ev.kind == SANDBOX_EVENT_GONE)
				return FAILED;
			if (ev.kind != SANDBOX_EVENT_EXIT || ev.id != id)
				continue;
			if (*ev.hint)
				fprintf(stderr, "confine: %s\n", ev.hint);
			return ev.signal ? 128 + ev.signal : ev.code;
		}
	}
}

struct wish {
	struct sandbox_options opts;
	struct sandbox_mount mounts[MOUNTS_MAX];
	struct strvec env;
	bool has_work;
};

static int add_mount(struct wish *w, const char *dir, const char *inside,
	enum sandbox_mount_flags flags)
{
	int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || w->opts.mounts_len == MOUNTS_MAX) {
		fprintf(stderr, "confine: cannot use '%s'\n", dir);
		return -1;
	}
	w->mounts[w->opts.mounts_len++] = (struct sandbox_mount){ fd, inside, flags };
	return 0;
}

static int option(struct wish *w, int c, char *arg)
{
	switch (c) {
	case 'p':
		return sandbox_profile_parse(arg, &w->opts.profile);
	case 'n':
		return sandbox_network_parse(arg, &w->opts.network);
	case 'w':
		w->has_work = true;
		return add_mount(w, arg, SANDBOX_HOME "/work",
			SANDBOX_MOUNT_RW | SANDBOX_MOUNT_OWN);
	case 'r':
		return add_mount(w, arg, arg, 0);
	case 'e':
		strvec_push(&w->env, arg);
		return 0;
	case 'R':
		w->opts.rootfs = open(arg, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return w->opts.rootfs;
	case 'u':
		w->opts.root_upper = open(arg, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return w->opts.root_upper;
	case 'm':
		w->opts.limits.memory = strtoull(arg, NULL, 10) << 20;
		return 0;
	case 'i':
		w->opts.limits.pids = strtoull(arg, NULL, 10);
		return 0;
	default:
		return -1;
	}
}

/* The root as the job's range sees it, and whose the folder of its changes is. */
static int own_root(struct wish *w, struct err *err)
{
	struct sandbox_options *o = &w->opts;
	int tree;

	if (!sandbox_profile_is_wide(o->profile))
		return 0;
	if (sandbox_ids_widen(&o->ids, err) < 0)
		return -1;
	if (o->rootfs < 0 || o->root_upper < 0)
		return 0;
	if (fchownat(o->root_upper, "", o->ids.service_uid, o->ids.service_gid,
		    AT_EMPTY_PATH) < 0)
		return err_sys(err, "cannot give away the folder of --upper");
	if (sandbox_root_map(o->rootfs, &o->ids, &tree, err) < 0)
		return -1;
	o->rootfs = tree;
	return 0;
}

static int confine(struct wish *w, char **argv)
{
	_cleanup_(sandbox_cgroup_tree_freep) struct sandbox_cgroup_tree *tree = NULL;
	_cleanup_(sandbox_host_freep) struct sandbox_host *host = NULL;
	_cleanup_(sandbox_freep) struct sandbox *sb = NULL;
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	struct err err = ERR_INIT;
	char name[32];

	(void)snprintf(name, sizeof(name), "confine-%d", (int)getpid());
	if (sandbox_host_open(&host, &err) < 0 ||
		sandbox_ids_for(sandbox_host_caps(host), 0, 0,
			(unsigned)getppid() % 8000, &w->opts.ids, &err) < 0 ||
		own_root(w, &err) < 0 || sandbox_cgroup_tree_open(&tree, &err) < 0)
		return die(&err);
	w->opts.mounts = w->mounts;
	w->opts.cgroup_tree = tree;
	w->opts.cgroup_name = name;
	if (sandbox_open(host, &w->opts, &sb, &err) < 0)
		return die(&err);
	cmd.argv = (const char *const *)argv;
	cmd.env = (const char *const *)w->env.v;
	cmd.cwd = w->has_work ? SANDBOX_HOME "/work" : "/";
	cmd.out = 1;
	cmd.errfd = 2;
	return run(sb, &cmd);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "profile", required_argument, NULL, 'p' },
		{ "network", required_argument, NULL, 'n' },
		{ "work", required_argument, NULL, 'w' },
		{ "ro", required_argument, NULL, 'r' },
		{ "env", required_argument, NULL, 'e' },
		{ "root", required_argument, NULL, 'R' },
		{ "upper", required_argument, NULL, 'u' },
		{ "memory", required_argument, NULL, 'm' },
		{ "pids", required_argument, NULL, 'i' },
		{ NULL, 0, NULL, 0 },
	};
	struct wish w = { .opts = SANDBOX_OPTIONS_INIT, .env = STRVEC_INIT };
	int c, rc;

	w.opts.profile = SANDBOX_STANDARD;
	w.opts.trust = SANDBOX_TRUSTED;
	strvec_push(&w.env, "PATH=/usr/local/bin:/usr/bin:/bin");
	strvec_push(&w.env, "HOME=" SANDBOX_HOME);
	strvec_push(&w.env, "LANG=C.UTF-8");
	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1)
		if (option(&w, c, optarg) < 0)
			return FAILED;
	if (optind == argc) {
		fprintf(stderr, "usage: confine [OPTION]... COMMAND [ARGUMENT]...\n");
		return FAILED;
	}
	rc = confine(&w, argv + optind);
	strvec_done(&w.env);
	return rc;
}
