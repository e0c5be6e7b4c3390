/* SPDX-License-Identifier: Apache-2.0 */
/* Opening beneath a folder, and paths as text. Trees are in path_tree.c. */
#include "base/path.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/path-internal.h"
#include "base/strbuf.h"

#define SYMLINKS_MAX 40	 /* as the kernel */
#define RACES_MAX    128 /* openat2 answers EAGAIN when a rename elsewhere met a ".." */

static bool is_walk_forced; /* tests only */

void path_force_walk(bool on)
{
	is_walk_forced = on;
}

bool path_is_walk_forced(void)
{
	return is_walk_forced;
}

/* ---- the walk, for kernels (and containers) without openat2 ---- */

struct walk {
	int root;
	int oflags;
	mode_t mode;
	enum path_flags flags;
	int at;		    /* where we are: the folder named by DONE; owned */
	struct strvec done; /* real folder names from root to here, no links, no ".." */
	struct strbuf rest; /* what is still to be walked */
	unsigned links;
};

static void walk_done(struct walk *w)
{
	cleanup_closep(&w->at);
	strvec_done(&w->done);
	strbuf_done(&w->rest);
}

static int fail(int sys)
{
	errno = sys;
	return -1;
}

static int open_folder(int dir, const char *name)
{
	return openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int walk_into(struct walk *w, const char *name)
{
	int fd = open_folder(w->at, name);

	if (fd < 0)
		return -1;
	cleanup_closep(&w->at);
	w->at = fd;
	strvec_push(&w->done, name);
	return 0;
}

/* One level up: never by the ".." of the disk, which somebody may just be moving. */
static int walk_up(struct walk *w)
{
	_cleanup_(strvec_done) struct strvec names = STRVEC_INIT;

	if (w->done.len == 0)
		return fail(EXDEV);
	for (size_t i = 0; i + 1 < w->done.len; i++)
		strvec_push(&names, w->done.v[i]);
	strvec_clear(&w->done);
	cleanup_closep(&w->at);
	w->at = open_folder(w->root, ".");
	if (w->at < 0)
		return -1;
	strvec_foreach (name, &names)
		if (walk_into(w, *name) < 0)
			return -1;
	return 0;
}

/* Puts the text of a link in front of the rest. */
static int walk_link(struct walk *w, const char *target)
{
	_cleanup_(strbuf_done) struct strbuf rest = STRBUF_INIT;

	if (w->flags & PATH_NO_SYMLINKS || ++w->links > SYMLINKS_MAX)
		return fail(ELOOP);
	if (*target == '/')
		return fail(EXDEV);
	strbuf_adds(&rest, target);
	strbuf_adds(&rest, w->rest.buf);
	if (rest.len >= PATH_MAX)
		return fail(ENAMETOOLONG);
	strbuf_done(&w->rest);
	w->rest = rest;
	strbuf_init(&rest);
	return 0;
}

static int walk_last(struct walk *w, const char *name, bool is_folder)
{
	int oflags = w->oflags | O_NOFOLLOW | O_CLOEXEC;

	if (is_folder) {
		if ((oflags & O_TMPFILE) != O_TMPFILE && oflags & O_CREAT)
			return fail(EISDIR);
		oflags |= O_DIRECTORY;
	}
	return openat(w->at, name, oflags, w->mode);
}

/* Takes one component off the rest. Returns false at the end. */
static bool next_component(
	struct walk *w, char *name, bool *ret_is_last, bool *ret_is_folder)
{
	size_t skip = strspn(w->rest.buf, "/");
	size_t len;

	strbuf_remove(&w->rest, 0, skip);
	len = strcspn(w->rest.buf, "/");
	if (len == 0 || len > NAME_MAX)
		return false;
	memcpy(name, w->rest.buf, len);
	name[len] = '\0';
	strbuf_remove(&w->rest, 0, len);
	*ret_is_folder = w->rest.len > 0;
	*ret_is_last = strspn(w->rest.buf, "/") == w->rest.len;
	return true;
}

/* One component. 1 and *RET_FD when it was the last, 0 to go on, -1 with errno. */
static int walk_step(
	struct walk *w, const char *name, bool is_last, bool is_folder, int *ret_fd)
{
	char target[PATH_MAX];
	bool keep_link = is_last && !is_folder &&
			 (w->oflags & O_NOFOLLOW ||
				 (w->oflags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL));
	bool is_up = str_eq(name, "..");
	ssize_t n;

	if (is_up && walk_up(w) < 0)
		return -1;
	if (is_up || str_eq(name, ".")) {
		if (!is_last)
			return 0;
		*ret_fd = walk_last(w, ".", true);
		return *ret_fd < 0 ? -1 : 1;
	}
	n = keep_link ? -1 : readlinkat(w->at, name, target, sizeof(target) - 1);
	if (n >= 0) {
		target[n] = '\0';
		return walk_link(w, target);
	}
	if (!is_last)
		return walk_into(w, name);
	*ret_fd = walk_last(w, name, is_folder);
	return *ret_fd < 0 ? -1 : 1;
}

static int open_by_walk(
	int dir, const char *path, int oflags, mode_t mode, enum path_flags flags)
{
	_cleanup_(walk_done) struct walk w = { .root = dir,
		.oflags = oflags,
		.mode = mode,
		.flags = flags,
		.at = -1,
		.done = STRVEC_INIT,
		.rest = STRBUF_INIT };
	char name[NAME_MAX + 1];
	bool is_last, is_folder;

	if (*path == '\0')
		return fail(ENOENT);
	if (*path == '/')
		return fail(EXDEV);
	if (strlen(path) >= PATH_MAX)
		return fail(ENAMETOOLONG);
	w.at = open_folder(dir, ".");
	if (w.at < 0)
		return -1;
	strbuf_adds(&w.rest, path);
	while (next_component(&w, name, &is_last, &is_folder)) {
		int fd = -1;
		int r = walk_step(&w, name, is_last, is_folder, &fd);

		if (r != 0)
			return r < 0 ? -1 : fd;
	}
	/* A link to nothing but slashes cannot be: what is left is a name too long. */
	return fail(w.rest.len ? ENAMETOOLONG : ENOENT);
}

/* ---- openat2 ---- */

static int open_beneath(
	int dir, const char *path, int oflags, mode_t mode, enum path_flags flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(oflags | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};

	if (flags & PATH_NO_SYMLINKS)
		how.resolve |= RESOLVE_NO_SYMLINKS;
	for (int races = 0; !path_is_walk_forced() && races < RACES_MAX; races++) {
		int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));

		if (fd >= 0 || (errno != EAGAIN && errno != EINTR && errno != ENOSYS &&
				       errno != EPERM))
			return fd;
		/* Old kernel, or a container whose filter answers so: the walk is as strict. */
		if (errno == ENOSYS || errno == EPERM)
			break;
	}
	return open_by_walk(dir, path, oflags, mode, flags);
}

int path_open(int dir, const char *path, int oflags, mode_t mode, enum path_flags flags,
	struct err *err)
{
	bool creates = oflags & O_CREAT || (oflags & O_TMPFILE) == O_TMPFILE;
	/* openat2 refuses what open ignores. */
	int fd = open_beneath(dir, path, oflags, creates ? mode & 07777 : 0, flags);
	int sys = errno;

	if (fd >= 0)
		return fd;
	if (sys == EXDEV)
		err_set(err, ERR_INPUT, "'%s' leads out of its folder", path);
	else if (sys == ELOOP)
		err_set(err, ERR_INPUT, "'%s' has a symlink where none may be", path);
	else
		err_sys(err, "cannot open '%s'", path);
	if (err) {
		if (sys == ENOENT || sys == ENOTDIR)
			err->code = ERR_NOT_FOUND;
		else if (sys == EEXIST)
			err->code = ERR_CONFLICT;
		err->sys = sys;
	}
	errno = sys;
	return -1;
}

/* ---- folders ---- */

int path_mkdirs(int dir, const char *path, mode_t mode, struct err *err)
{
	_cleanup_(strvec_done) struct strvec names = STRVEC_INIT;
	_cleanup_close_ int at = -1;

	if (!path_is_clean(path))
		return err_set(err, ERR_INPUT, "'%s' is not a clean relative path", path);
	strvec_split(&names, path, '/');
	strvec_foreach (name, &names) {
		int here = at < 0 ? dir : at;
		int fd;

		if (mkdirat(here, *name, mode) < 0 && errno != EEXIST)
			return err_sys(err, "cannot make folder '%s'", path);
		fd = open_folder(here, *name);
		if (fd < 0)
			return err_sys(err, "cannot make folder '%s': '%s'", path, *name);
		cleanup_closep(&at);
		at = fd;
	}
	return 0;
}

int path_mkdirs_own(const char *path, mode_t mode, struct err *err)
{
	_cleanup_free_ char *prefix = xstrdup(path);
	struct stat st;

	for (char *p = prefix; *p;) {
		char kept;

		p += strspn(p, "/");
		p += strcspn(p, "/");
		kept = *p;
		*p = '\0';
		if (*prefix && mkdir(prefix, mode) < 0 && errno != EEXIST)
			return err_sys(err, "cannot make folder '%s'", prefix);
		*p = kept;
	}
	if (stat(path, &st) < 0)
		return err_sys(err, "cannot make folder '%s'", path);
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return err_sys(err, "cannot make folder '%s'", path);
	}
	return 0;
}

/* ---- text ---- */

bool path_is_clean(const char *path)
{
	for (;;) {
		size_t n = strcspn(path, "/");

		if (n == 0 || (n == 1 && path[0] == '.') ||
			(n == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		if (path[n] == '\0')
			return true;
		path += n + 1;
	}
}

bool path_is_name(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"0123456789._-";
	size_t n = strspn(name, allowed);

	return n > 0 && n <= NAME_MAX && name[n] == '\0' && name[0] != '.' &&
	       name[0] != '-';
}

char *path_join(const char *a, const char *b)
{
	if (*b == '/' || *a == '\0')
		return xstrdup(b);
	if (*b == '\0')
		return xstrdup(a);
	return xasprintf("%s%s%s", a, str_ends(a, "/") ? "" : "/", b);
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *path_normalise(const char *path)
{
	_cleanup_(strvec_done) struct strvec parts = STRVEC_INIT;
	_cleanup_(strvec_done) struct strvec kept = STRVEC_INIT;
	struct strbuf out = STRBUF_INIT;
	bool is_absolute = *path == '/';

	strvec_split(&parts, path, '/');
	strvec_foreach (part, &parts) {
		bool is_up = str_eq(*part, "..");

		if (**part == '\0' || str_eq(*part, "."))
			continue;
		if (is_up && kept.len > 0 && !str_eq(kept.v[kept.len - 1], "..")) {
			free(kept.v[--kept.len]);
			kept.v[kept.len] = NULL;
		} else if (!is_up || !is_absolute) {
			strvec_push(&kept, *part);
		}
	}
	strvec_foreach (part, &kept)
		strbuf_addf(&out, "%s%s", is_absolute || out.len ? "/" : "", *part);
	if (out.len == 0)
		strbuf_adds(&out, is_absolute ? "/" : ".");
	return strbuf_take(&out);
}

char *path_self(void)
{
	char buf[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", buf, sizeof(buf));

	if (n <= 0 || (size_t)n >= sizeof(buf))
		return NULL;
	return xstrndup(buf, (size_t)n);
}
