/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of one `sluice run`, see run_place.h. */
#include "runner/run_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "runner/core.h"

enum { NUMBERS_MAX = 1000000 };

static char *base_dir(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");

	if (state && *state == '/')
		return path_join(state, "sluice/runs");
	if (home && *home == '/')
		return path_join(home, ".local/state/sluice/runs");
	return NULL;
}

/* Numbers only grow, so that the youngest has the highest. */
static long long number_of(const char *name)
{
	long long n;

	return str_to_int(name, 1, NUMBERS_MAX, &n) == 0 ? n : 0;
}

static long long last_number(const char *base)
{
	DIR *d = opendir(base);
	const struct dirent *e;
	long long last = 0;

	while (d && (e = readdir(d)))
		if (number_of(e->d_name) > last)
			last = number_of(e->d_name);
	if (d)
		(void)closedir(d);
	return last;
}

static int make_numbered(struct run_place *p, struct err *err)
{
	for (long long n = last_number(p->base) + 1; n < NUMBERS_MAX; n++) {
		_cleanup_free_ char *dir = xasprintf("%s/%lld", p->base, n);

		if (mkdir(dir, 0700) == 0) {
			p->dir = take_ptr(dir);
			p->keeps = true;
			return 0;
		}
		if (errno != EEXIST)
			return err_sys(err, "cannot make '%s'", dir);
	}
	return err_set(err, ERR_LIMIT, "no number is left in '%s'", p->base);
}

static int make_temporary(struct run_place *p, struct err *err)
{
	const char *tmp = getenv("TMPDIR");
	_cleanup_free_ char *dir =
		path_join(tmp && *tmp == '/' ? tmp : "/tmp", "sluice-run-XXXXXX");

	if (!mkdtemp(dir))
		return err_sys(err, "cannot make '%s'", dir);
	p->dir = take_ptr(dir);
	return 0;
}

int run_place_open(struct run_place *p, struct err *err)
{
	_cleanup_free_ char *lock = NULL;
	int rc = -1;

	p->base = base_dir();
	if (p->base && path_mkdirs_own(p->base, 0700, NULL) == 0)
		rc = make_numbered(p, err);
	if (rc < 0 && make_temporary(p, err) < 0)
		return -1;
	lock = path_join(p->dir, "lock");
	p->lock = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (p->lock < 0 || fd_lock(p->lock) != 1)
		return err_sys(err, "cannot lock '%s'", lock);
	return core_prepare_dirs(p->dir, err);
}

static void clear(const char *dir, bool keeps_log)
{
	_cleanup_close_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? opendir(dir) : NULL;
	const struct dirent *e;
	struct err err = ERR_INIT;

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
			(keeps_log && strcmp(e->d_name, "log") == 0))
			continue;
		if (path_remove_tree(fd, e->d_name, &err) < 0)
			log_debug("left in '%s': %s", dir, err.msg);
	}
	if (d)
		(void)closedir(d);
	if (!keeps_log)
		(void)rmdir(dir); /* not empty: what could not go was named above */
}

static bool is_in_use(const char *dir)
{
	_cleanup_free_ char *path = path_join(dir, "lock");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	return fd >= 0 && fd_is_locked(fd) == 1;
}

static void drop_old(const char *base)
{
	long long last = last_number(base);
	DIR *d = opendir(base);
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		long long n = number_of(e->d_name);
		_cleanup_free_ char *dir = path_join(base, e->d_name);

		if (n > 0 && n <= last - RUN_PLACES_KEPT && !is_in_use(dir))
			clear(dir, false);
	}
	if (d)
		(void)closedir(d);
}

void run_place_done(struct run_place *p)
{
	if (p->dir) {
		clear(p->dir, p->keeps);
		if (p->keeps)
			drop_old(p->base);
	}
	if (p->lock >= 0)
		(void)close(p->lock);
	free(p->dir);
	free(p->base);
}
