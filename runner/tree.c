/* SPDX-License-Identifier: Apache-2.0 */
/* Files around a workflow, on this machine and out of git. */
#include "runner/tree.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strvec.h"

/* One more than allowed, so that the parser says that it is too much. */
#define READ_MAX (LIMIT_WORKFLOW_FILE + 1)

int tree_read_file(const char *file, struct strbuf *out, struct err *err)
{
	_cleanup_close_ int fd = -1;

	if (strcmp(file, "-") == 0)
		return fd_read_to_end(STDIN_FILENO, READ_MAX, out, err);
	fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return err_sys(err, "cannot open '%s'", file);
	if (fd_read_to_end(fd, READ_MAX, out, err) < 0)
		return err_wrap(err, "cannot read '%s'", file);
	return 0;
}

/* ---- the root --------------------------------------------------------------------- */

static bool has_git(const char *dir)
{
	_cleanup_free_ char *git = path_join(dir, ".git");
	struct stat st;

	return stat(git, &st) == 0;
}

/* DIR cut to the folder above it; false at the top. */
static bool go_up(char *dir)
{
	char *slash = strrchr(dir, '/');

	if (!slash || strcmp(dir, "/") == 0)
		return false;
	slash[slash == dir ? 1 : 0] = '\0';
	return true;
}

static char *find_root(const char *dir)
{
	_cleanup_free_ char *at = xstrdup(dir);
	const char *github;

	do {
		if (has_git(at))
			return take_ptr(at);
	} while (go_up(at));
	github = strstr(dir, "/.github/workflows");
	if (github && github > dir)
		return xstrndup(dir, (size_t)(github - dir));
	return xstrdup(dir);
}

int tree_open(
	const char *file, const char *actions_dir, struct tree *ret, struct err *err)
{
	_cleanup_free_ char *dir = NULL, *whole = NULL;
	_cleanup_close_ int fd = -1;
	char *root;
	size_t len;

	whole = strcmp(file, "-") == 0 ? realpath(".", NULL) : realpath(file, NULL);
	if (!whole)
		return err_sys(err, "cannot open '%s'", file);
	dir = xstrdup(whole);
	if (strcmp(file, "-") != 0)
		(void)go_up(dir); /* a file is in a folder */
	root = find_root(dir);
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		(void)err_sys(err, "cannot open '%s'", root);
		free(root);
		return -1;
	}
	len = strlen(root);
	*ret = (struct tree){
		.root = root, .root_fd = take_fd(&fd), .actions_dir = actions_dir
	};
	if (strcmp(file, "-") == 0)
		ret->path = xstrdup("-");
	else
		ret->path = xstrdup(whole + (len > 1 ? len + 1 : len));
	return 0;
}

void tree_done(struct tree *t)
{
	free(t->root);
	free(t->path);
	if (t->root_fd >= 0)
		(void)close(t->root_fd); /* it was only read from */
	*t = (struct tree)TREE_INIT;
}

/* ---- files below it --------------------------------------------------------------- */

static int load_local(
	const struct tree *t, const char *path, struct strbuf *out, struct err *err)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *clean = path_normalise(path);

	fd = path_open(t->root_fd, clean, O_RDONLY | O_NOCTTY, 0, 0, err);
	if (fd < 0)
		return err_set(err, ERR_NOT_FOUND, "there is no file '%s' in '%s'", path,
			t->root);
	return fd_read_to_end(fd, READ_MAX, out, err);
}

/* ---- other repositories ----------------------------------------------------------- */

/* Standard output of git; no shell, no configuration of the user, nothing asked. */
static int run_git(char *const *argv, struct strbuf *out, struct err *err)
{
	static char *const env[] = { (char *)"PATH=/usr/local/bin:/usr/bin:/bin",
		(char *)"GIT_CONFIG_NOSYSTEM=1", (char *)"GIT_CONFIG_GLOBAL=/dev/null",
		(char *)"GIT_TERMINAL_PROMPT=0", (char *)"LC_ALL=C", NULL };
	_cleanup_close_ int from = -1;
	int ends[2], status, rc;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, "cannot make a pipe");
	pid = fork();
	if (pid < 0) {
		(void)err_sys(err, "cannot start git");
		(void)close(ends[0]); /* the error is already told */
		(void)close(ends[1]);
		return -1;
	}
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		if (null < 0 || dup2(null, 0) < 0 || dup2(ends[1], 1) < 0 ||
			dup2(null, 2) < 0)
			_exit(126);
		execvpe("git", argv, env);
		_exit(127);
	}
	(void)close(ends[1]); /* the child holds its own */
	from = ends[0];
	rc = fd_read_to_end(from, READ_MAX, out, err);
	if (rc < 0)
		(void)close(take_fd(&from)); /* so that git does not wait for us */
	while (waitpid(pid, &status, 0) < 0)
		;
	if (rc < 0)
		return -1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, ERR_UNAVAILABLE, "git is not installed");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(err, ERR_NOT_FOUND, "git has no such file");
	return 0;
}

static bool is_repository(const char *s)
{
	const char *slash = strchr(s, '/');
	_cleanup_free_ char *owner = NULL;

	if (!slash)
		return false;
	owner = xstrndup(s, (size_t)(slash - s));
	return path_is_name(owner) && path_is_name(slash + 1);
}

static int load_remote(
	const struct tree *t, const struct source *s, struct strbuf *out, struct err *err)
{
	_cleanup_(strvec_done) struct strvec argv = STRVEC_INIT;
	_cleanup_free_ char *dir = NULL;
	struct stat st;

	if (!t->actions_dir)
		return err_set(err, ERR_UNAVAILABLE,
			"it is in repository '%s': give --actions-dir DIR with DIR/%s",
			s->repository, s->repository);
	if (!is_repository(s->repository) || s->ref[0] == '-')
		return err_set(err, ERR_INPUT, "'%s@%s' is no repository with a ref",
			s->repository, s->ref);
	dir = path_join(t->actions_dir, s->repository);
	if (stat(dir, &st) < 0)
		return err_set(err, ERR_NOT_FOUND, "there is no '%s'", dir);
	strvec_push(&argv, "git");
	strvec_push(&argv, "-c");
	strvec_push(&argv, "safe.directory=*");
	strvec_push(&argv, "-C");
	strvec_push(&argv, dir);
	strvec_push(&argv, "cat-file");
	strvec_push(&argv, "blob");
	strvec_pushf(&argv, "%s:%s", s->ref, s->path);
	if (run_git(argv.v, out, err) < 0) {
		if (err->code == ERR_NOT_FOUND)
			return err_set(err, ERR_NOT_FOUND,
				"there is no '%s' at '%s' in '%s'", s->path, s->ref, dir);
		return -1;
	}
	return 0;
}

int tree_load(
	const struct source *source, struct strbuf *out, struct err *err, void *data)
{
	const struct tree *t = data;

	if (source->repository)
		return load_remote(t, source, out, err);
	return load_local(t, source->path, out, err);
}
