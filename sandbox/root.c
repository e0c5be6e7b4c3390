/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A root of the job's own (profile `root`): a prepared tree that its steps, as uid 0, may
 * change. The tree itself never changes: it is the lower layer of an overlay whose upper one
 * lies in the job's folder, or the job has a copy.
 *
 * What is in the tree may be hostile, and somebody may change it under our hands. So
 * nothing is mounted or written by a path in it: each component is opened by itself, no
 * link is followed, and what is not the folder it should be makes way. That happens in the
 * upper layer, where nobody else has a hand.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fd.h"
#include "base/mem.h"
#include "sandbox/mounts-internal.h"
#include "sandbox/sandbox-internal.h"

#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

/* Already root: what sudo would change is the program, and whom it runs as. */
static const char sudo_shim[] =
	"#!/bin/sh\n"
	"# sudo of a job that is root in its own root file system already.\n"
	"user=root\n"
	"while [ $# -gt 0 ]; do\n"
	"	case $1 in\n"
	"	--) shift; break ;;\n"
	"	-u | --user) user=${2-}; shift; [ $# -eq 0 ] || shift ;;\n"
	"	--user=*) user=${1#--user=}; shift ;;\n"
	"	-u*) user=${1#-u}; shift ;;\n"
	"	-g | -p | -C | -h | -r | -t) shift; [ $# -eq 0 ] || shift ;;\n"
	"	-v | -k | -K) exit 0 ;;\n"
	"	-i | -s) shift; [ $# -gt 0 ] || set -- \"${SHELL:-/bin/sh}\" ;;\n"
	"	-*) shift ;;\n"
	"	[A-Za-z_]*=*) export \"$1\"; shift ;;\n"
	"	*) break ;;\n"
	"	esac\n"
	"done\n"
	"[ $# -gt 0 ] || { echo 'usage: sudo [-u USER] [NAME=VALUE] COMMAND' >&2; exit 1; }\n"
	"[ \"$user\" != root ] && [ \"$user\" != '#0' ] || exec \"$@\"\n"
	"exec setpriv --reuid=\"$user\" --regid=\"$(id -g \"$user\")\" --init-groups -- \"$@\"\n";

/* ---- before the fork ---------------------------------------------------------------- */

void root_texts(struct plan *p, const struct sandbox_options *opts)
{
	_cleanup_free_ char *id = crypto_random_hex(16);
	const struct {
		const char *inside;
		char *text;
	} texts[] = {
		{ "etc/hosts",
			xasprintf("127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
				  "127.0.1.1 %s\n%s",
				p->hostname,
				opts->hosts_extra ? opts->hosts_extra : "") },
		{ "etc/resolv.conf",
			xstrdup(opts->resolv_conf ? opts->resolv_conf : "") },
		{ "etc/hostname", xasprintf("%s\n", p->hostname) },
		{ "etc/machine-id", xasprintf("%s\n", id) },
		{ "usr/local/bin/sudo", xstrdup(sudo_shim) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		plan_text(p, texts[i].inside, texts[i].text, strlen(texts[i].text));
	p->files[p->files_len - 1].is_program = true;
}

int plan_root(struct plan *p, const struct sandbox_options *opts, struct err *err)
{
	struct stat st;

	if (opts->root_upper < 0) {
		if (fstat(opts->rootfs, &st) < 0)
			return err_sys(err, "cannot look at the job's root");
		p->awaits_root = true;
		return bind_make(
			&p->root, opts->rootfs, &st, "root", SANDBOX_MOUNT_RW, err);
	}
	p->root.fd = fcntl(opts->rootfs, F_DUPFD_CLOEXEC, 3);
	if (p->root.fd < 0 || fstat(opts->root_upper, &st) < 0)
		return err_sys(err, "cannot look at the job's root");
	return bind_make(
		&p->upper, opts->root_upper, &st, "upper", SANDBOX_MOUNT_RW, err);
}

static int write_map(pid_t pid, const char *file, uint32_t first, uint32_t len)
{
	char path[64], map[48];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	(void)snprintf(map, sizeof(map), "0 %u %u\n", first, len);
	return child_write_file(AT_FDCWD, path, map);
}

/* A user namespace that is nothing but a map: who held it open is gone. */
static int map_open(const struct sandbox_ids *ids, int *ret, struct err *err)
{
	struct ns_child holder;
	int rc = ns_clone(CLONE_NEWUSER, -1, &holder), saved;

	if (rc < 0)
		return err_sys(err, "cannot make a user namespace");
	if (rc == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		for (;;)
			(void)pause();
	}
	*ret = -1;
	if (write_map(holder.pid, "gid_map", ids->job_gid, ids->range_len) == 0 &&
		write_map(holder.pid, "uid_map", ids->job_uid, ids->range_len) == 0)
		*ret = proc_open(holder.pid, "ns/user", O_RDONLY);
	saved = errno;
	(void)fd_pidfd_signal(holder.pidfd, SIGKILL);
	while (waitpid(holder.pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	(void)close(holder.pidfd); /* reaped */
	errno = saved;
	return *ret < 0 ? err_sys(err, "cannot make the map of a job's root") : 0;
}

int sandbox_root_map(int root, const struct sandbox_ids *ids, int *ret, struct err *err)
{
	struct mount_attr set = {
		.attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID |
			    MOUNT_ATTR_NODEV,
		.propagation = MS_PRIVATE,
	};
	_cleanup_close_ int tree = -1, map = -1;

	if (idmap_check(ids, err) < 0)
		return -1;
	if (!ids->is_wide)
		return err_set(err, ERR_BUG, "a root for a job without an id range");
	if (map_open(ids, &map, err) < 0)
		return -1;
	/* Not what is mounted in it: an overlay would not show that either. */
	tree = (int)syscall(SYS_open_tree, root, "",
		OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
	set.userns_fd = (uint64_t)map;
	if (tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &set,
				sizeof(set)) < 0)
		return err_set(err, ERR_UNSUPPORTED,
			"this kernel or file system cannot show a root in a job's ids: "
			"%s",
			strerrordesc_np(errno));
	*ret = take_fd(&tree);
	return 0;
}

/* ---- in init ------------------------------------------------------------------------- */

static int open_dir(int at, const char *name)
{
	return openat(at, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
}

/* The folder NAME of AT; anything else of that name makes way. */
static int real_dir(struct child *c, const struct plan *p, int at, const char *name)
{
	int fd = open_dir(at, name);

	if (fd >= 0)
		return fd;
	if (errno == ENOTDIR || errno == ELOOP)
		child_must(c, unlinkat(at, name, 0), "replace in the root:", name);
	child_must(c, mkdirat(at, name, 0755), "make the folder", name);
	child_must(c,
		fchownat(at, name, p->step_outer, p->step_outer, AT_SYMLINK_NOFOLLOW),
		"give to the job", name);
	return (int)child_must(c, open_dir(at, name), "open the folder", name);
}

int root_dir(struct child *c, const struct plan *p, int root, const char *path)
{
	int at = (int)child_must(
		c, fcntl(root, F_DUPFD_CLOEXEC, 3), "open the root", NULL);

	while (*path) {
		size_t len = strcspn(path, "/");
		char name[256];
		int next;

		if (!len || len >= sizeof(name))
			child_fail(c, ENAMETOOLONG, "open the folder", path);
		memcpy(name, path, len);
		/* cppcheck-suppress arrayIndexOutOfBoundsCond ; child_fail does not return */
		name[len] = '\0';
		next = real_dir(c, p, at, name);
		(void)close(at);
		at = next;
		path += len + (path[len] == '/');
	}
	return at;
}

static void write_text(
	struct child *c, const struct plan *p, int root, const struct text_file *f)
{
	const char *slash = strrchr(f->inside, '/');
	char dir[64] = "";
	int at, fd;

	if ((size_t)(slash - f->inside) >= sizeof(dir))
		child_fail(c, ENAMETOOLONG, "make the file", f->inside);
	memcpy(dir, f->inside, (size_t)(slash - f->inside));
	at = root_dir(c, p, root, dir);
	(void)unlinkat(at, slash + 1, 0); /* a folder of that name is told below */
	fd = (int)child_must(c,
		openat(at, slash + 1,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			f->is_program ? 0755 : 0644),
		"make the file", f->inside);
	child_must(c, fchown(fd, p->step_outer, p->step_outer), "give to the job",
		f->inside);
	if (f->len && write(fd, f->text, f->len) != (ssize_t)f->len)
		child_fail(c, errno, "write the file", f->inside);
	(void)close(fd);
	(void)close(at);
}

/* STAGE/NAME goes over the same name of ROOT; with ATTR it gets these bits for itself. */
static void graft(struct child *c, const struct plan *p, int stage, int root,
	const char *name, uint64_t attr)
{
	int tree = (int)child_must(c, tree_clone(stage, name), "copy the mount", name);
	int place = root_dir(c, p, root, name);

	if (attr)
		child_must(c, tree_set(tree, attr), "restrict the mount", name);
	child_must(c, tree_attach(tree, place, ""), "attach", name);
	(void)close(tree);
	(void)close(place);
}

static int overlay(struct child *c, struct plan *p, int stage)
{
	static const char *const options[][2] = { { "lowerdir", "lower" },
		{ "upperdir", "job/upper" }, { "workdir", "job/work" },
		{ "userxattr", NULL }, { "volatile", NULL }, { NULL, NULL } };

	child_must(c, mkdirat(stage, "lower", 0755), "make the folder", "lower");
	child_must(c, mkdirat(stage, "job", 0755), "make the folder", "job");
	child_must(c, tree_attach(p->root.fd, stage, "lower"), "attach", "lower");
	child_must(c, tree_attach(p->upper.fd, stage, "job"), "attach", "job");
	child_must(c, mkdirat(stage, "job/upper", 0755), "make the folder", "upper");
	child_must(c, mkdirat(stage, "job/work", 0755), "make the folder", "work");
	child_must(c,
		fchownat(stage, "job/upper", p->step_outer, p->step_outer,
			AT_SYMLINK_NOFOLLOW),
		"give to the job", "upper");
	/* It knows only paths: from here, in a tmpfs of ours, they are. */
	child_must(c, fchdir(stage), "enter the stage", NULL);
	return (int)child_must(c,
		tree_new("overlay", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV),
		"lay over the prepared root an", "overlay");
}

int root_over(struct child *c, struct plan *p, int stage)
{
	int root = p->upper.inside ? overlay(c, p, stage) : p->root.fd;

	child_must(c, mkdirat(stage, "new", 0755), "make the folder", "new");
	child_must(c, tree_attach(root, stage, "new"), "attach", "the root");
	graft(c, p, stage, root, "dev", MOUNT_ATTR_RDONLY);
	graft(c, p, stage, root, "var/empty", MOUNT_ATTR_RDONLY);
	graft(c, p, stage, root, "run", 0);
	if (!p->covers_tmp)
		graft(c, p, stage, root, "tmp", 0);
	if (!p->covers_var_tmp)
		graft(c, p, stage, root, "var/tmp", 0);
	if (!p->covers_home)
		graft(c, p, stage, root, "home/runner", 0);
	for (size_t i = 0; i < p->files_len; i++)
		write_text(c, p, root, &p->files[i]);
	return root;
}
