/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root a step sees. It is one small tmpfs, made here and read-only in the end; holes in
 * it (/tmp, /run, /dev/shm, the home) are mounts of its own folders that stay writable.
 * Everything else is a bind mount, attached by descriptor. Nothing of the user's runs
 * while this does, but folders of an earlier job may be hostile: no symlink is followed.
 *
 * The new root is built on top of some folder of the host's tree, in a mount namespace of
 * its own, then pivot_root makes it '/' and the host's tree is let go.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sandbox/mounts-internal.h"
#include "sandbox/sandbox-internal.h"

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#define UMOUNT_DETACH 2

int tree_clone(int dir, const char *path)
{
	return (int)syscall(SYS_open_tree, dir, path,
		OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW |
			(*path ? 0 : AT_EMPTY_PATH));
}

int tree_restrict(int fd, uint64_t attr)
{
	struct mount_attr set = { .attr_set = attr, .propagation = MS_PRIVATE };

	return (int)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &set,
		sizeof(set));
}

int tree_set(int fd, uint64_t attr)
{
	struct mount_attr set = { .attr_set = attr };

	return (int)syscall(
		SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &set, sizeof(set));
}

int tree_attach(int fd, int dir, const char *path)
{
	return (int)syscall(SYS_move_mount, fd, "", dir, path,
		MOVE_MOUNT_F_EMPTY_PATH | (*path ? 0 : MOVE_MOUNT_T_EMPTY_PATH));
}

int tree_new(const char *type, const char *const (*options)[2], uint64_t attr)
{
	int fs = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
	int fd = -1, saved;

	if (fs < 0)
		return -1;
	for (; options && (*options)[0]; options++)
		if (syscall(SYS_fsconfig, fs,
			    (*options)[1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG,
			    (*options)[0], (*options)[1], 0) < 0)
			break;
	if ((!options || !(*options)[0]) &&
		syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0)
		fd = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attr);
	saved = errno;
	(void)close(fs);
	errno = saved;
	return fd;
}

/* ---- small things in the new root ------------------------------------------------- */

/*
 * The folder (or file) PATH beneath ROOT, made with its parents where missing, as an O_PATH
 * descriptor. A new folder belongs to whom its parent belongs to.
 */
static int make_target(int root, const char *path, bool is_file)
{
	int at = fcntl(root, F_DUPFD_CLOEXEC, 3);

	while (at >= 0 && *path) {
		char name[256];
		size_t len = strcspn(path, "/");
		const char *rest = path[len] ? path + len + 1 : path + len;
		bool last_file = is_file && !*rest;
		struct stat st;
		int next, saved;

		if (!len || len >= sizeof(name)) {
			(void)close(at);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(name, path, len);
		name[len] = '\0';
		if (last_file) {
			next = openat(at, name,
				O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
				0644);
			if (next >= 0)
				(void)close(next);
		} else if (mkdirat(at, name, 0755) == 0 && fstat(at, &st) == 0) {
			/* a parent of nobody's (unmapped) makes this one the service's */
			(void)!fchownat(
				at, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW);
		}
		next = openat(at, name,
			O_PATH | O_NOFOLLOW | O_CLOEXEC | (last_file ? 0 : O_DIRECTORY));
		saved = errno;
		(void)close(at);
		errno = saved;
		at = next;
		path = rest;
	}
	return at;
}

static void make_dir(struct child *c, int root, const char *path, mode_t mode)
{
	child_must(c, mkdirat(root, path, mode), "make the folder", path);
}

static int make_parents(int root, const char *path)
{
	char dir[256];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		size_t len = (size_t)(slash - path);

		if (len >= sizeof(dir)) {
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(dir, path, len);
		dir[len] = '\0';
		if (mkdirat(root, dir, 0755) < 0 && errno != EEXIST)
			return -1;
	}
	return 0;
}

static void make_file(struct child *c, int root, const struct text_file *f)
{
	mode_t mode = f->is_program ? 0755 : 0644;
	int fd = openat(root, f->inside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	if (fd < 0 && errno == ENOENT) {
		/* The caller's, in folders of its own; the root is all ours yet. */
		child_must(c, make_parents(root, f->inside), "make the place", f->inside);
		fd = openat(root, f->inside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			mode);
	}
	child_must(c, fd, "make the file", f->inside);
	if (f->len && write(fd, f->text, f->len) != (ssize_t)f->len)
		child_fail(c, errno, "write the file", f->inside);
	(void)close(fd);
}

#define HIDDEN "var/hidden"

static const char *const skeleton[] = {
	"dev",
	"dev/mqueue",
	"dev/pts",
	"dev/shm",
	"etc",
	"etc/ssl",
	"home",
	"home/runner",
	"proc",
	"run",
	"tmp",
	"var",
	"var/empty",
	"var/tmp",
};

static const struct {
	const char *name, *target;
} dev_links[] = {
	{ "dev/fd", "/proc/self/fd" },
	{ "dev/stdin", "/proc/self/fd/0" },
	{ "dev/stdout", "/proc/self/fd/1" },
	{ "dev/stderr", "/proc/self/fd/2" },
	{ "dev/ptmx", "pts/ptmx" },
	{ "var/run", "/run" },
};

static void make_skeleton(struct child *c, const struct plan *p, int root)
{
	for (size_t i = 0; i < ARRAY_SIZE(skeleton); i++)
		make_dir(c, root, skeleton[i], 0755);
	for (size_t i = 0; i < ARRAY_SIZE(dev_links); i++)
		child_must(c, symlinkat(dev_links[i].target, root, dev_links[i].name),
			"make the link", dev_links[i].name);
	for (size_t i = 0; i < p->links_len; i++)
		child_must(c, symlinkat(p->links[i].target, root, p->links[i].inside),
			"make the link", p->links[i].inside);
	for (size_t i = 0; i < p->files_len && !p->traits->owns_root; i++)
		make_file(c, root, &p->files[i]);
}

/* ---- sources --------------------------------------------------------------------- */

void open_source(struct child *c, struct bind *b)
{
	struct stat st;
	int fd;

	if (b->fd >= 0)
		return; /* the caller had the right to clone it */
	fd = (int)child_must(
		c, open(b->path, O_PATH | O_NOFOLLOW | O_CLOEXEC), "open", b->path);
	child_must(c, fstat(fd, &st), "look at", b->path);
	if (st.st_dev != b->dev || st.st_ino != b->ino)
		child_fail(c, ESTALE, "find what was meant at", b->path);
	b->fd = (int)child_must(c, tree_clone(fd, ""), "copy the mount", b->path);
	(void)close(fd);
	child_must(c, tree_restrict(b->fd, b->attr), "restrict the mount", b->path);
}

static const struct {
	const char *name;
	unsigned minor;
	unsigned major;
} devices[] = {
	{ "null", 3, 1 },
	{ "zero", 5, 1 },
	{ "full", 7, 1 },
	{ "random", 8, 1 },
	{ "urandom", 9, 1 },
	{ "tty", 0, 5 },
};

static int open_device(struct child *c, size_t i)
{
	char path[32] = "/dev/";
	struct stat st;
	int fd, tree;

	child_cat(path, sizeof(path), devices[i].name);
	fd = (int)child_must(
		c, open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC), "open", path);
	child_must(c, fstat(fd, &st), "look at", path);
	if (!S_ISCHR(st.st_mode) ||
		st.st_rdev != makedev(devices[i].major, devices[i].minor))
		child_fail(c, ENODEV, "use", path);
	tree = (int)child_must(c, tree_clone(fd, ""), "copy the mount", path);
	(void)close(fd);
	child_must(c, tree_restrict(tree, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC),
		"restrict the mount", path);
	return tree;
}

/* ---- the root ---------------------------------------------------------------------- */

static int new_root(struct child *c, const struct plan *p)
{
	static const char *const places[] = { "/tmp", "/run", "/mnt", "/usr", "/proc" };
	const char *const options[][2] = { { "size", p->size },
		{ "nr_inodes", p->inodes }, { "mode", "0755" }, { NULL, NULL } };
	int root = (int)child_must(c,
		tree_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV),
		"make a", "tmpfs");
	int rc = -1;

	for (size_t i = 0; i < ARRAY_SIZE(places) && rc < 0; i++)
		rc = tree_attach(root, AT_FDCWD, places[i]);
	child_must(c, rc, "attach the new root to", places[0]);
	return root;
}

/* A folder of the read-only root that stays writable. */
static void make_hole(
	struct child *c, int root, const char *path, mode_t mode, uid_t owner)
{
	int tree;

	child_must(c, fchownat(root, path, owner, owner, AT_SYMLINK_NOFOLLOW),
		"give to the job", path);
	child_must(c, fchmodat(root, path, mode, 0), "open to the job", path);
	tree = (int)child_must(c, tree_clone(root, path), "copy the mount", path);
	child_must(c, tree_attach(tree, root, path), "attach", path);
	(void)close(tree);
}

static void make_holes(struct child *c, const struct plan *p, int root)
{
	make_hole(c, root, "dev/shm", 01777, 0);
	make_hole(c, root, "run", 0755, p->step_outer);
	if (!p->covers_tmp)
		make_hole(c, root, "tmp", 01777, 0);
	if (!p->covers_var_tmp)
		make_hole(c, root, "var/tmp", 01777, 0);
	if (p->traits->owns_mounts)
		make_hole(c, root, "var/cache", 0755, p->step_outer);
	if (!p->covers_home)
		make_hole(c, root, "home/runner", 0755, p->step_outer);
}

/* An empty file or folder to mount on, whose parents are of our own making. */
static void make_place(struct child *c, int root, const char *path, bool is_file)
{
	int fd;

	if (!is_file) {
		make_dir(c, root, path, 0755);
		return;
	}
	fd = (int)child_must(c,
		openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444),
		"make the file", path);
	(void)close(fd);
}

static void attach_bind(struct child *c, const struct plan *p, int root, struct bind *b)
{
	bool is_file = b->flags & SANDBOX_MOUNT_FILE;
	int target;

	if (b->is_ours) {
		make_place(c, root, b->inside, is_file);
		child_must(c, tree_attach(b->fd, root, b->inside), "attach", b->inside);
		return;
	}
	target = (int)child_must(c,
		p->traits->owns_root && !is_file ? root_dir(c, p, root, b->inside)
						 : make_target(root, b->inside, is_file),
		"make the place", b->inside);
	if (b->flags & SANDBOX_MOUNT_OWN)
		child_must(c,
			fchownat(b->fd, "", p->step_outer, p->step_outer, AT_EMPTY_PATH),
			"give to the job", b->inside);
	child_must(c, tree_attach(b->fd, target, ""), "attach", b->inside);
	(void)close(target);
}

static void attach_devices(struct child *c, int root, const int *trees)
{
	/* All instances share what the host has: without a bound one job takes it all. */
	static const char *const options[][2] = { { "ptmxmode", "0666" },
		{ "mode", "0620" }, { "max", "512" }, { NULL, NULL } };
	int pts;

	for (size_t i = 0; i < ARRAY_SIZE(devices); i++) {
		char path[32] = "dev/";

		child_cat(path, sizeof(path), devices[i].name);
		make_place(c, root, path, true);
		child_must(c, tree_attach(trees[i], root, path), "attach", path);
		(void)close(trees[i]);
	}
	pts = (int)child_must(c,
		tree_new("devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC),
		"make", "devpts");
	child_must(c, tree_attach(pts, root, "dev/pts"), "attach", "dev/pts");
	(void)close(pts);
}

/*
 * The message queues of the job's ipc namespace. Without a place that a rule can name Landlock
 * refuses all of them, though mq_open takes no path. A kernel without them has no such place.
 */
static void attach_queues(struct child *c, int root)
{
	int tree = tree_new("mqueue", NULL,
		MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);

	if (tree < 0 && errno == ENODEV)
		return;
	child_must(c, tree, "make", "mqueue");
	child_must(c, tree_attach(tree, root, "dev/mqueue"), "attach", "dev/mqueue");
	(void)close(tree);
}

void mounts_enter(struct child *c, int root)
{
	child_must(c, fchdir(root), "enter the new root", NULL);
	child_must(
		c, syscall(SYS_pivot_root, ".", "."), "make the new root the root", NULL);
	(void)close(root);
}

void mounts_leave(struct child *c)
{
	/* The old root lies on top of the new one: let it go, with all that is mounted. */
	child_must(
		c, syscall(SYS_umount2, ".", UMOUNT_DETACH), "let the old root go", NULL);
	child_must(c, chdir("/"), "enter", "/");
}

/*
 * A container gets a fresh /proc and /sys of its own, which the kernel allows only where
 * whole ones are mounted already; the job's own /proc has covers. So whole ones lie below
 * a folder that is covered in the end.
 */
static void attach_hidden(struct child *c, int root)
{
	int proc;

	make_dir(c, root, "sys", 0755);
	make_dir(c, root, "var/cache", 0755);
	make_dir(c, root, HIDDEN, 0700);
	make_dir(c, root, HIDDEN "/proc", 0700);
	make_dir(c, root, HIDDEN "/sys", 0700);
	proc = (int)child_must(c,
		tree_new("proc", NULL,
			MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC),
		"mount a fresh", "/" HIDDEN "/proc");
	child_must(c, tree_attach(proc, root, HIDDEN "/proc"), "attach", HIDDEN "/proc");
	(void)close(proc);
}

void mounts_sys(struct child *c, int root)
{
	const uint64_t attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	int sys = (int)child_must(
		c, tree_new("sysfs", NULL, attr), "mount a fresh", "/sys");
	int seen;

	child_must(c, tree_attach(sys, root, HIDDEN "/sys"), "attach", HIDDEN "/sys");
	seen = (int)child_must(
		c, tree_clone(root, HIDDEN "/sys"), "copy the mount", HIDDEN "/sys");
	child_must(c, tree_restrict(seen, attr | MOUNT_ATTR_RDONLY), "restrict", "/sys");
	child_must(c, tree_attach(seen, root, "sys"), "attach", "/sys");
	(void)close(seen);
	(void)close(sys);
}

void mounts_cgroup(struct child *c)
{
	int tree = (int)child_must(c,
		tree_new("cgroup2", NULL,
			MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC |
				MOUNT_ATTR_RDONLY),
		"mount", "cgroup2");

	child_must(c, tree_attach(tree, AT_FDCWD, "/sys/fs/cgroup"), "attach",
		"/sys/fs/cgroup");
	(void)close(tree);
}

int mounts_build(struct child *c, struct plan *p, int *ret_proc)
{
	struct mount_attr set = { .propagation = MS_PRIVATE };
	int trees[ARRAY_SIZE(devices)];
	int root, proc, place;

	/* First of all: nothing we mount may show outside. */
	child_must(c,
		syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &set,
			sizeof(set)),
		"make all mounts private", NULL);
	for (size_t i = 0; i < p->binds_len; i++)
		open_source(c, &p->binds[i]);
	if (p->traits->owns_root)
		open_source(c, p->upper.inside ? &p->upper : &p->root);
	for (size_t i = 0; i < ARRAY_SIZE(devices); i++)
		trees[i] = open_device(c, i);
	(void)umask(0);
	root = new_root(c, p);
	make_skeleton(c, p, root);
	attach_devices(c, root, trees);
	attach_queues(c, root);
	proc = (int)child_must(c,
		tree_new("proc", NULL,
			MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC),
		"mount a fresh", "/proc");
	if (p->traits->owns_mounts)
		attach_hidden(c, root);
	make_holes(c, p, root);
	if (p->traits->owns_root)
		root = root_over(c, p, root);
	place = root_dir(c, p, root, "proc");
	child_must(c, tree_attach(proc, place, ""), "attach", "proc");
	(void)close(place);
	for (size_t i = 0; i < p->binds_len; i++)
		attach_bind(c, p, root, &p->binds[i]);
	(void)umask(022);
	*ret_proc = proc;
	return root;
}

/* ---- /proc, and the end ------------------------------------------------------------ */

enum mask { MASK_FILE, MASK_DIR, MASK_READ_ONLY };

static const struct {
	const char *name;
	enum mask how;
} masks[] = {
	{ "kcore", MASK_FILE },
	{ "keys", MASK_FILE },
	{ "key-users", MASK_FILE },
	{ "timer_list", MASK_FILE },
	{ "sched_debug", MASK_FILE },
	{ "kallsyms", MASK_FILE },
	{ "kmsg", MASK_FILE },
	{ "interrupts", MASK_FILE },
	{ "latency_stats", MASK_FILE },
	{ "sysrq-trigger", MASK_FILE },
	{ "config.gz", MASK_FILE },
	{ "acpi", MASK_DIR },
	{ "asound", MASK_DIR },
	{ "scsi", MASK_DIR },
	{ "sys", MASK_READ_ONLY },
	{ "irq", MASK_READ_ONLY },
	{ "bus", MASK_READ_ONLY },
	{ "fs", MASK_READ_ONLY },
	{ "driver", MASK_READ_ONLY },
};

static void mask(struct child *c, int proc, const char *name, enum mask how)
{
	uint64_t attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY;
	struct stat st;
	int tree = -1;

	if (fstatat(proc, name, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
		return; /* this kernel has no such thing; anything else is covered or fails */
	switch (how) {
	case MASK_FILE:
		tree = tree_clone(AT_FDCWD, "/dev/null");
		break;
	case MASK_DIR:
		tree = tree_clone(AT_FDCWD, "/var/empty");
		break;
	case MASK_READ_ONLY:
		tree = tree_clone(proc, name);
		break;
	}
	child_must(c, tree, "mask in /proc:", name);
	child_must(c, tree_restrict(tree, attr), "restrict in /proc:", name);
	child_must(c, tree_attach(tree, proc, name), "cover in /proc:", name);
	(void)close(tree);
}

/* What is below stays mounted, and out of reach: see attach_hidden. */
static void cover(struct child *c, const char *path)
{
	int tree = (int)child_must(
		c, tree_clone(AT_FDCWD, "/var/empty"), "copy the mount", "/var/empty");

	child_must(c, tree_restrict(tree, MOUNT_ATTR_RDONLY), "restrict", path);
	child_must(c, tree_attach(tree, AT_FDCWD, path), "cover", path);
	(void)close(tree);
}

void mounts_seal(struct child *c, struct plan *p, int proc)
{
	struct mount_attr set = { .attr_set = MOUNT_ATTR_RDONLY };

	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		/* Its own network's settings; all others are host root's, whom no id here is. */
		if (p->traits->owns_mounts && !strcmp(masks[i].name, "sys"))
			continue;
		mask(c, proc, masks[i].name, masks[i].how);
	}
	if (p->traits->owns_mounts)
		cover(c, "/" HIDDEN);
	if (!p->traits->owns_root)
		child_must(c,
			syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &set, sizeof(set)),
			"make read-only:", "/");
}

/* PATH beneath ROOT, "" for ROOT itself. */
static void allow(struct child *c, const struct plan *p, int ruleset, int root,
	const char *path, enum landlock_kind kind)
{
	int fd = root;

	if (*path)
		fd = (int)child_must(c,
			openat(root, path, O_PATH | O_NOFOLLOW | O_CLOEXEC), "open",
			path);
	child_must(c, landlock_allow(ruleset, p->landlock_abi, fd, kind),
		"add a Landlock rule for", path);
	if (*path)
		(void)close(fd);
}

/*
 * One ruleset for all steps. The mounts decide what is there and what is read-only; this
 * says it again by other means, and refuses device nodes, and whatever else a step might
 * get hold of a descriptor to.
 */
int mounts_landlock(struct child *c, const struct plan *p, int root)
{
	static const struct {
		const char *path;
		enum landlock_kind kind;
	} fixed[] = {
		{ "", LANDLOCK_READ },
		{ "proc", LANDLOCK_WRITE_FILES },
		{ "dev", LANDLOCK_DEVICES },
		{ "dev/mqueue", LANDLOCK_FULL },
		{ "dev/shm", LANDLOCK_FULL },
		{ "run", LANDLOCK_FULL },
		{ "tmp", LANDLOCK_FULL },
		{ "var/tmp", LANDLOCK_FULL },
		{ "home/runner", LANDLOCK_FULL },
	};
	int ruleset;

	if (!plan_has_ruleset(p))
		return -1;
	ruleset = p->traits->owns_mounts ? landlock_new_scopes()
					 : landlock_new(p->landlock_abi, false);
	child_must(c, ruleset, "make a Landlock ruleset", NULL);
	if (p->traits->owns_mounts)
		return ruleset;
	if (p->traits->owns_root) {
		/* All of it is the job's own; what is refused are device nodes, and mounts. */
		allow(c, p, ruleset, root, "", LANDLOCK_FULL);
		return ruleset;
	}
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		allow(c, p, ruleset, root, fixed[i].path, fixed[i].kind);
	for (size_t i = 0; i < p->binds_len; i++)
		if (p->binds[i].flags & SANDBOX_MOUNT_RW)
			allow(c, p, ruleset, root, p->binds[i].inside, LANDLOCK_FULL);
	return ruleset;
}
