/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What init will find when it builds the root: sources opened and checked, texts written,
 * everything allocated before the fork, because init may not allocate.
 *
 * A source is a descriptor the caller holds. Whoever has the right over the host's mounts
 * (root) clones it here, so that init needs no path at all; otherwise init opens the path
 * anew in its own mount namespace and compares device and inode with ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "sandbox/mounts-internal.h"
#include "sandbox/sandbox-internal.h"

static const char *const system_dirs[] = {
	"usr",
	"bin",
	"sbin",
	"lib",
	"lib32",
	"lib64",
	"libx32",
};

/*
 * Never the whole of /etc: what programs need to find their libraries, certificates,
 * time zone, alternatives and tables. No accounts, no keys, no host names.
 */
static const char *const etc_names[] = {
	"etc/R",
	"etc/alternatives",
	"etc/chromium",
	"etc/chromium.d",
	"etc/crypto-policies",
	"etc/debian_version",
	"etc/fonts",
	"etc/java",
	"etc/java-11-openjdk",
	"etc/java-17-openjdk",
	"etc/java-21-openjdk",
	"etc/java-25-openjdk",
	"etc/ld.so.cache",
	"etc/localtime",
	"etc/lsb-release",
	"etc/mime.types",
	"etc/os-release",
	"etc/pki",
	"etc/postgresql-common",
	"etc/protocols",
	"etc/python3.11",
	"etc/python3.12",
	"etc/python3.13",
	"etc/services",
	"etc/ssl/certs",
	"etc/ssl/openssl.cnf",
	"etc/texmf",
};
#define TMPFS_INODES_MIN 16384
#define COPY_MAX 16384 /* a file of /etc up to this is copied: cheaper than a mount */

void plan_text(struct plan *p, const char *inside, char *text, size_t len)
{
	GROW(p->files, p->files_alloc, p->files_len + 1);
	p->files[p->files_len++] = (struct text_file){ inside, text, len, false };
}

static int plan_file(struct plan *p, const struct sandbox_file *f, struct err *err)
{
	if (f->inside[0] != '/' || !path_is_clean(f->inside + 1))
		return err_set(
			err, ERR_INPUT, "'%s' is not a clean absolute path", f->inside);
	plan_text(p, f->inside + 1, xstrdup(f->text), strlen(f->text));
	p->files[p->files_len - 1].is_program = f->is_program;
	return 0;
}

static void plan_texts(struct plan *p, const struct sandbox_options *opts)
{
	const struct {
		const char *inside;
		char *text;
	} texts[] = {
		{ "etc/passwd",
			xasprintf("root:x:0:0:root:%s\n" SANDBOX_USER
				  ":x:1001:1001:Runner:" SANDBOX_HOME ":/bin/bash\n"
				  "nobody:x:65534:65534:nobody:/nonexistent:"
				  "/usr/sbin/nologin\n",
				p->traits->is_wide ? SANDBOX_HOME ":/bin/bash"
						   : "/root:/usr/sbin/nologin") },
		{ "etc/group", xstrdup("root:x:0:\n" SANDBOX_USER
				       ":x:1001:\nnogroup:x:65534:\n") },
		{ "etc/nsswitch.conf",
			xstrdup("passwd: files\ngroup: files\nshadow: files\n"
				"hosts: files dns\nprotocols: files\nservices: "
				"files\n") },
		{ "etc/hosts",
			xasprintf("127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
				  "127.0.1.1 %s\n%s",
				p->hostname,
				opts->hosts_extra ? opts->hosts_extra : "") },
		{ "etc/resolv.conf",
			xstrdup(opts->resolv_conf ? opts->resolv_conf : "") },
		{ "etc/hostname", xasprintf("%s\n", p->hostname) },
		{ "etc/machine-id", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char *text = texts[i].text;

		if (!text) {
			_cleanup_free_ char *id = crypto_random_hex(16);

			text = xasprintf("%s\n", id);
		}
		plan_text(p, texts[i].inside, text, strlen(text));
	}
}

static void plan_link(struct plan *p, const char *inside, const char *target)
{
	GROW(p->links, p->links_alloc, p->links_len + 1);
	p->links[p->links_len++] = (struct link){ xstrdup(inside), xstrdup(target) };
}

/* The path of FD, for init to open anew where the caller may not clone mounts. */
static int name_source(struct bind *b, int fd, const char *inside, struct err *err)
{
	char link[64], path[4096];
	ssize_t len;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path));
	if (len <= 0 || (size_t)len >= sizeof(path))
		return err_sys(err, "cannot name the source of '/%s'", inside);
	b->path = xstrndup(path, (size_t)len);
	return 0;
}

int bind_make(struct bind *ret, int fd, const struct stat *st, const char *inside,
	enum sandbox_mount_flags flags, struct err *err)
{
	struct bind b = { .fd = -1, .flags = flags };

	b.attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	if (!(flags & SANDBOX_MOUNT_RW))
		b.attr |= MOUNT_ATTR_RDONLY;
	if (flags & SANDBOX_MOUNT_NOEXEC)
		b.attr |= MOUNT_ATTR_NOEXEC;
	if (!!(flags & SANDBOX_MOUNT_FILE) != !!S_ISREG(st->st_mode) ||
		(!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode)))
		return err_set(err, ERR_INPUT, "the source of '/%s' is not a %s", inside,
			flags & SANDBOX_MOUNT_FILE ? "regular file" : "directory");
	b.dev = st->st_dev;
	b.ino = st->st_ino;
	/* Without the right (EPERM) or behind a filter (ENOSYS) init goes by path. */
	b.fd = tree_clone(fd, "");
	if (b.fd < 0 && name_source(&b, fd, inside, err) < 0)
		return -1;
	if (b.fd >= 0 && tree_restrict(b.fd, b.attr) < 0) {
		int saved = errno;

		(void)close(b.fd);
		errno = saved;
		return err_sys(err, "cannot prepare the mount of '/%s'", inside);
	}
	b.inside = xstrdup(inside);
	*ret = b;
	return 0;
}

static int plan_bind(struct plan *p, int fd, const struct stat *st, const char *inside,
	enum sandbox_mount_flags flags, bool is_ours, struct err *err)
{
	struct bind b;

	if (bind_make(&b, fd, st, inside, flags, err) < 0)
		return -1;
	b.is_ours = is_ours;
	GROW(p->binds, p->binds_alloc, p->binds_len + 1);
	p->binds[p->binds_len++] = b;
	return 0;
}

/* A link of the system is kept when it leads to what is there inside too. */
static bool is_system_link(const char *target)
{
	static const char *const good[] = { "usr/", "/usr/", "../usr/",
		"/etc/alternatives/" };

	if (strstr(target, "/../") || str_ends(target, "/.."))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (str_starts(target, good[i]))
			return true;
	return false;
}

static int plan_copy(struct plan *p, int base, const char *name, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	size_t len;

	if (fd_read_file(base, name, COPY_MAX, &text, err) < 0) {
		err_clear(err); /* grown or gone meanwhile: it is left out */
		return 0;
	}
	len = text.len;
	plan_text(p, name, strbuf_take(&text), len);
	return 0;
}

/* NAME of the system or of a prepared root; what is not there is left out. */
static int plan_system(struct plan *p, int base, const char *name, struct err *err)
{
	_cleanup_close_ int fd = -1;
	char target[256];
	struct stat st;
	ssize_t len;

	if (fstatat(base, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* half of the names are not there; this is the cheap look */
	/* Beneath the root whatever symlinks are on the way. */
	fd = path_open(base, name, O_PATH | O_NOFOLLOW, 0, 0, err);
	if (fd < 0) {
		if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP ||
			errno == EXDEV || errno == EACCES) {
			err_clear(err);
			return 0;
		}
		return -1;
	}
	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot look at '/%s'", name);
	if (S_ISLNK(st.st_mode)) {
		len = readlinkat(fd, "", target, sizeof(target) - 1);
		if (len <= 0)
			return 0;
		target[len] = '\0';
		if (is_system_link(target))
			plan_link(p, name, target);
		return 0;
	}
	if (S_ISDIR(st.st_mode))
		return plan_bind(p, fd, &st, name, 0, true, err);
	if (S_ISREG(st.st_mode) && st.st_size <= COPY_MAX)
		return plan_copy(p, base, name, err);
	if (S_ISREG(st.st_mode))
		return plan_bind(p, fd, &st, name, SANDBOX_MOUNT_FILE, true, err);
	return 0;
}

static int plan_systems(struct plan *p, int rootfs, struct err *err)
{
	_cleanup_close_ int base = rootfs < 0
					   ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)
					   : fcntl(rootfs, F_DUPFD_CLOEXEC, 3);

	if (base < 0)
		return err_sys(err, "cannot open the system's root");
	for (size_t i = 0; i < ARRAY_SIZE(system_dirs); i++)
		if (plan_system(p, base, system_dirs[i], err) < 0)
			return -1;
	if (rootfs >= 0 && plan_system(p, base, "opt", err) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(etc_names); i++)
		if (plan_system(p, base, etc_names[i], err) < 0)
			return -1;
	return 0;
}

static int plan_mount(struct plan *p, const struct sandbox_mount *m,
	const struct sandbox_options *opts, struct err *err)
{
	static const char *const ours[] = { "proc", "dev", "sys", "etc", "" };
	const char *inside = m->inside + 1;
	struct stat st;

	if (m->inside[0] != '/' || !path_is_clean(inside))
		return err_set(
			err, ERR_INPUT, "'%s' is not a clean absolute path", m->inside);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
		size_t len = strlen(ours[i]);

		if (!strncmp(inside, ours[i], len) &&
			(inside[len] == '\0' || (len && inside[len] == '/')))
			return err_set(err, ERR_INPUT, "nothing may be mounted on '%s'",
				m->inside);
	}
	p->covers_tmp |= !strcmp(m->inside, "/tmp");
	p->covers_var_tmp |= !strcmp(m->inside, "/var/tmp");
	p->covers_home |= !strcmp(m->inside, SANDBOX_HOME);
	/* Where we are root over the files ourselves; elsewhere init does it by its map. */
	if ((m->flags & SANDBOX_MOUNT_OWN) && opts->ids.how == SANDBOX_IDMAP_ROOT &&
		!opts->privileged.write_maps &&
		fchownat(m->fd, "", opts->ids.job_uid, opts->ids.job_gid, AT_EMPTY_PATH) <
			0)
		return err_sys(err, "cannot give '%s' to the job", m->inside);
	if (fstat(m->fd, &st) < 0)
		return err_sys(err, "cannot look at the source of '%s'", m->inside);
	return plan_bind(p, m->fd, &st, inside, m->flags, false, err);
}

static uint64_t tmpfs_size(const struct sandbox_limits *limits)
{
	if (limits->shm)
		return limits->shm;
	if (limits->memory && limits->memory / 4 < GiB)
		return limits->memory / 4;
	return GiB;
}

/* An empty file costs the kernel a kilobyte that its size does not count. */
static uint64_t tmpfs_inodes(const struct sandbox_limits *limits)
{
	uint64_t n = tmpfs_size(limits) / (16 * KiB);

	return n < TMPFS_INODES_MIN ? TMPFS_INODES_MIN : n;
}

static bool is_hostname(const char *s)
{
	size_t len = strlen(s);

	return len && len < 64 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
			 ".") == len;
}

int plan_make(struct plan *p, const struct sandbox_host *host,
	const struct sandbox_options *opts, struct err *err)
{
	const char *hostname = opts->hostname ? opts->hostname : "sluice-job";

	if (!is_hostname(hostname))
		return err_set(err, ERR_INPUT, "'%s' is no host name", hostname);
	p->hostname = xstrdup(hostname);
	(void)child_digits(tmpfs_size(&opts->limits), p->size);
	(void)child_digits(tmpfs_inodes(&opts->limits), p->inodes);
	p->own_net = opts->network != SANDBOX_NET_HOST;
	p->setgroups = opts->ids.how != SANDBOX_IDMAP_SELF;
	p->step_outer = opts->ids.how == SANDBOX_IDMAP_SELF ? 0 : 1;
	p->traits = profile_traits(opts->profile);
	p->step_inside = p->traits->is_wide ? 0 : SANDBOX_UID;
	p->step_len = idmap_len(&opts->ids);
	p->landlock_abi = host->caps.landlock_abi;
	p->args = &host->args;
	p->profile_args = p->traits->owns_mounts ? &host->build_args : &host->args;
	p->profile = opts->profile == SANDBOX_STRICT  ? &host->strict
		     : opts->profile == SANDBOX_BUILD ? &host->build
						      : &host->standard;
	p->init = &host->init;
	p->shares = host->shares;
	p->limits = opts->limits;
	p->fault = opts->fault;
	if (p->traits->owns_root) {
		root_texts(p, opts);
		if (plan_root(p, opts, err) < 0)
			return -1;
	} else {
		plan_texts(p, opts);
		if (plan_systems(p, opts->rootfs, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < opts->mounts_len; i++)
		if (plan_mount(p, &opts->mounts[i], opts, err) < 0)
			return -1;
	for (size_t i = 0; i < opts->files_len; i++)
		if (plan_file(p, &opts->files[i], err) < 0)
			return -1;
	return 0;
}

bool plan_has_ruleset(const struct plan *p)
{
	/* Scopes alone are something from here on; before, ids and namespaces stand in. */
	return !p->traits->owns_mounts || p->landlock_abi >= 6;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void plan_list_kept(struct plan *p)
{
	size_t n = 0;

	p->keep = xcalloc(p->binds_len + SANDBOX_CGROUP_FDS + 4, sizeof(*p->keep));
	p->keep[n++] = p->ctl;
	p->keep[n++] = p->spawn;
	for (size_t i = 0; i < SANDBOX_CGROUP_FDS; i++)
		if (p->tasks[i] >= 0)
			p->keep[n++] = p->tasks[i];
	for (size_t i = 0; i < p->binds_len; i++)
		if (p->binds[i].fd >= 0)
			p->keep[n++] = p->binds[i].fd;
	if (p->root.fd >= 0)
		p->keep[n++] = p->root.fd;
	if (p->upper.fd >= 0)
		p->keep[n++] = p->upper.fd;
	qsort(p->keep, n, sizeof(*p->keep), by_number);
	p->keep_len = n;
}

static void bind_done(struct bind *b)
{
	if (b->fd >= 0)
		(void)close(b->fd); /* init has its own */
	free(b->path);
	free(b->inside);
}

void plan_done(struct plan *p)
{
	for (size_t i = 0; i < p->binds_len; i++)
		bind_done(&p->binds[i]);
	bind_done(&p->root);
	bind_done(&p->upper);
	for (size_t i = 0; i < p->links_len; i++) {
		free(p->links[i].inside);
		free(p->links[i].target);
	}
	for (size_t i = 0; i < p->files_len; i++)
		free(p->files[i].text);
	for (size_t i = 0; i < SANDBOX_CGROUP_FDS; i++)
		if (p->tasks[i] >= 0)
			(void)close(p->tasks[i]);
	free(p->binds);
	free(p->links);
	free(p->files);
	free(p->hostname);
	if (p->ctl >= 0)
		(void)close(p->ctl);
	if (p->spawn >= 0)
		(void)close(p->spawn);
	free(p->keep);
	*p = (struct plan)PLAN_INIT;
}
