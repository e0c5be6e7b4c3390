/* SPDX-License-Identifier: Apache-2.0 */
/* Fixtures of the unit tests. */
#include "tests/lib/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/path.h"

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "test fixture failed: %s\n", what);
	abort();
}

struct test_dir *test_tempdir(void)
{
	const char *tmp = getenv("TMPDIR");
	struct test_dir *dir = xcalloc(1, sizeof(*dir));

	dir->path = xasprintf("%s/sluice-test.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	must(mkdtemp(dir->path) != NULL, dir->path);
	dir->fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(dir->fd >= 0, dir->path);
	return dir;
}

void test_tempdir_free(struct test_dir *dir)
{
	struct err err = ERR_INIT;

	if (!dir)
		return;
	cleanup_closep(&dir->fd);
	must(path_remove_tree(AT_FDCWD, dir->path, &err) == 0, err.msg);
	free(dir->path);
	free(dir);
}

int test_dir_setup(void **state)
{
	*state = test_tempdir();
	return 0;
}

int test_dir_teardown(void **state)
{
	test_tempdir_free(*state);
	return 0;
}

void test_write(const struct test_dir *dir, const char *name, const char *text)
{
	struct err err = ERR_INIT;
	_cleanup_close_ int fd = -1;
	const char *base = path_base(name);

	if (base != name) {
		_cleanup_free_ char *folder = xstrndup(name, (size_t)(base - name - 1));

		must(path_mkdirs(dir->fd, folder, 0755, &err) == 0, err.msg);
	}
	fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	must(fd >= 0, name);
	must(fd_write_all(fd, text, strlen(text)) == 0, name);
}

char *test_read(const char *path)
{
	struct strbuf b = STRBUF_INIT;
	struct err err = ERR_INIT;

	assert_ok(fd_read_file(AT_FDCWD, path, 64u << 20, &b, &err), &err);
	return strbuf_take(&b);
}

size_t test_count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	must(d != NULL, "/proc/self/fd");
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n - 3; /* ".", ".." and the one that reads */
}
