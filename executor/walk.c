/* SPDX-License-Identifier: Apache-2.0 */
/* A stack of paths instead of recursion: a tree may be deeper than any stack. */
#include "executor/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "base/strvec.h"

static bool is_dot(const char *name)
{
	return str_eq(name, ".") || str_eq(name, "..");
}

static char *below(const char *dir, const char *name)
{
	return *dir ? path_join(dir, name) : xstrdup(name);
}

int walk_tree(int root, walk_fn *fn, void *data, struct err *err)
{
	_cleanup_(strvec_done) struct strvec stack = STRVEC_INIT;

	(void)strvec_push(&stack, "");
	while (stack.len) {
		_cleanup_free_ char *dir = stack.v[--stack.len];
		struct dirent *e;
		int result = 0, fd;
		DIR *d;

		stack.v[stack.len] = NULL;
		fd = path_open(root, *dir ? dir : ".", O_RDONLY | O_DIRECTORY, 0,
			PATH_NO_SYMLINKS, err);
		if (fd < 0 && *dir && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) {
			if (err) /* exchanged since it was seen */
				err_clear(err);
			continue;
		}
		if (fd < 0)
			return -1;
		d = fdopendir(fd);
		if (!d) {
			(void)close(fd); /* nothing was opened on it */
			return err_sys(err, "cannot list '%s'", dir);
		}
		while (result >= 0 && (e = readdir(d)) != NULL) {
			_cleanup_free_ char *rel = NULL;
			struct stat st;

			if (is_dot(e->d_name))
				continue;
			if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
				if (errno == ENOENT) /* removed since it was read */
					continue;
				result = err_sys(err, "cannot look at '%s'", e->d_name);
				break;
			}
			rel = below(dir, e->d_name);
			result = fn(fd, rel, e->d_name, &st, data, err);
			/* 0: and what is in it; 1: this entry is done */
			if (result == 0 && S_ISDIR(st.st_mode))
				(void)strvec_push(&stack, rel);
		}
		(void)closedir(d); /* read only */
		if (result < 0)
			return -1;
	}
	return 0;
}
