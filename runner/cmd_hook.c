/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sluice hook install PATH`: the push hook of a bare repository on this machine. What it
 * needs to know (address, name, secret) comes from flags, or from the server, where the
 * repository is found by its path and given a new secret.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/cmd.h"
#include "runner/remote.h"
#include "webhooks/hook_script.h"

#define SECRET_MAX 64 /* a block of SHA-256: what the script's HMAC takes */
#define HOOK_MAX   (1024 * 1024)

struct install {
	const struct cli_args *args;
	char *path; /* real */
	int dir;
	int hooks;
	struct stat owner;
	char *url;
	char *repo;
	char *branch;
	char *secret;
};

static void install_done(struct install *x)
{
	free(x->path);
	free(x->url);
	free(x->repo);
	free(x->branch);
	if (x->secret)
		mem_wipe_free(x->secret, strlen(x->secret));
	cleanup_closep(&x->dir);
	cleanup_closep(&x->hooks);
}

/* ---- the repository ---------------------------------------------------------------- */

static bool has_dir(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static bool is_git_dir(int dir)
{
	return has_dir(dir, "objects") && has_dir(dir, "refs") &&
	       faccessat(dir, "HEAD", R_OK, 0) == 0;
}

static int open_repo(struct install *x, const char *path, struct err *err)
{
	int fd;

	x->path = realpath(path, NULL);
	if (!x->path)
		return err_sys(err, "cannot open '%s'", path);
	x->dir = open(x->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x->dir < 0)
		return err_sys(err, "cannot open '%s'", x->path);
	fd = is_git_dir(x->dir)
		     ? -1
		     : openat(x->dir, ".git", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		close(x->dir);
		x->dir = fd;
	}
	if (!is_git_dir(x->dir))
		return err_set(err, ERR_INPUT, "'%s' is no git repository", path);
	if (fstat(x->dir, &x->owner) != 0)
		return err_sys(err, "cannot look at '%s'", path);
	if (mkdirat(x->dir, "hooks", 0755) != 0 && errno != EEXIST)
		return err_sys(err, "cannot make '%s/hooks'", path);
	x->hooks = openat(x->dir, "hooks", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return x->hooks < 0 ? err_sys(err, "cannot open '%s/hooks'", path) : 0;
}

/* *RET: something is there that we did not write. */
static int is_foreign(const struct install *x, bool *ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;
	struct err why = ERR_INIT;

	*ret = false;
	if (fd_read_file(x->hooks, "post-receive", HOOK_MAX, &sb, &why) == 0)
		*ret = strstr(sb.buf, HOOK_SCRIPT_MARK) == NULL;
	else if (why.code == ERR_INPUT || why.code == ERR_LIMIT)
		*ret = true;
	else if (why.code != ERR_NOT_FOUND)
		return err_set(err, why.code, "%s", why.msg);
	return 0;
}

/* ---- what the hook has to know ----------------------------------------------------- */

static int read_secret(struct install *x, const char *path, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;

	if (fd_read_file(AT_FDCWD, path, SECRET_MAX + 2, &sb, err))
		return err_wrap(err, "the secret");
	x->secret = xstrndup(sb.buf, strcspn(sb.buf, "\r\n"));
	explicit_bzero(sb.buf, sb.len);
	return 0;
}

static bool is_at(const struct json *repo, const char *path)
{
	const char *url = json_get_str(repo, "url", "");
	_cleanup_free_ char *real = NULL;

	if (str_starts(url, "file://"))
		url += strlen("file://");
	real = *url == '/' ? realpath(url, NULL) : NULL;
	return str_eq(real ? real : url, path);
}

/* The repository of the server that lies at our path, or has the name asked for. */
static const struct json *find_repo(const struct install *x, const struct json *items)
{
	for (size_t i = 0; i < json_count(items); i++) {
		const struct json *repo = json_at(items, i);

		if (x->repo ? str_eq(json_get_str(repo, "name", ""), x->repo)
			    : is_at(repo, x->path))
			return repo;
	}
	return NULL;
}

static int ask_server(struct install *x)
{
	_cleanup_(json_freep) struct json *list = NULL, *ret = NULL;
	const struct json *repo;
	struct json *args;
	int r = remote_call(x->args, "repo.list", NULL, &list);

	if (r)
		return r;
	repo = find_repo(x, json_get(list, "items"));
	if (!repo)
		return cli_error(x->args, CLI_NO,
			"no repository of the server lies at '%s'; first: sluice repo"
			" add "
			"OWNER/NAME --url %s",
			x->path, x->path);
	if (!str_eq(json_get_str(repo, "forge", ""), "generic"))
		return cli_error(x->args, CLI_NO,
			"'%s' is on %s: its webhook is made there, see: sluice repo"
			" rotate %s",
			json_get_str(repo, "name", ""), json_get_str(repo, "forge", ""),
			json_get_str(repo, "name", ""));
	if (!x->repo)
		x->repo = xstrdup(json_get_str(repo, "name", ""));
	x->branch = xstrdup(json_get_str(repo, "default_branch", "main"));
	args = json_new_object();
	json_set_str(args, "repo", x->repo);
	r = remote_call(x->args, "repo.rotate", args, &ret);
	if (r)
		return r;
	x->secret = xstrdup(json_get_str(ret, "hook_secret", ""));
	if (!x->url)
		x->url = xstrdup(json_get_str(ret, "hook_address", ""));
	return 0;
}

static int check_known(const struct install *x)
{
	if (!str_starts(x->url, "http://") && !str_starts(x->url, "https://"))
		return cli_error(x->args, CLI_USAGE,
			"where is the server? give --url https://HOST/hooks/generic");
	if (strlen(x->secret) < 16 || strlen(x->secret) > SECRET_MAX)
		return cli_error(x->args, CLI_NO, "a hook secret has 16 to %d characters",
			SECRET_MAX);
	return 0;
}

static int learn(struct install *x)
{
	struct err err = ERR_INIT;
	const char *file = cli_get(x->args, "secret-file");

	x->url = xstrdup_null(cli_get(x->args, "url"));
	x->repo = xstrdup_null(remote_repo(x->args));
	if (file) {
		if (!x->url || !x->repo)
			return cli_error(x->args, CLI_USAGE,
				"--secret-file comes with --url and --repo");
		if (read_secret(x, file, &err))
			return cli_fail(x->args, &err);
	} else {
		int r = ask_server(x);

		if (r)
			return r;
	}
	return check_known(x);
}

/* ---- writing ----------------------------------------------------------------------- */

/* As root in somebody else's repository: whoever pushes there has to be able to read it. */
static int give(const struct install *x, int dir, const char *name, struct err *err)
{
	if (geteuid() != 0 || x->owner.st_uid == 0)
		return 0;
	if (fchownat(dir, name, x->owner.st_uid, x->owner.st_gid, AT_SYMLINK_NOFOLLOW) !=
		0)
		return err_sys(err, "cannot give '%s' to its owner", name);
	return 0;
}

static int write_files(const struct install *x, const char *name, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf script = STRBUF_INIT;
	const struct hook_script h = { x->url, x->repo, x->branch };

	hook_script_write(&h, &script);
	/* The secret first: a hook without one would only complain. */
	if (fd_replace_file(x->dir, HOOK_SECRET_FILE, x->secret, strlen(x->secret), 0600,
		    0, err) ||
		give(x, x->dir, HOOK_SECRET_FILE, err) ||
		fd_replace_file(x->hooks, name, script.buf, script.len, 0755, 0, err) ||
		give(x, x->hooks, name, err))
		return -1;
	return 0;
}

static int install(const struct cli_args *a)
{
	_cleanup_(install_done) struct install x = { .args = a, .dir = -1, .hooks = -1 };
	struct err err = ERR_INIT;
	bool foreign;
	int r;

	if (!str_eq(cli_arg(a, 0), "install"))
		return cli_error(
			a, CLI_USAGE, "unknown word '%s'; it is: install", cli_arg(a, 0));
	if (cli_count(a) != 2)
		return cli_error(
			a, CLI_USAGE, "'install' takes the path of one repository");
	if (open_repo(&x, cli_arg(a, 1), &err) || is_foreign(&x, &foreign, &err))
		return cli_fail(a, &err);
	r = learn(&x);
	if (r)
		return r;
	if (write_files(&x, foreign ? "post-receive.sluice" : "post-receive", &err))
		return cli_fail(a, &err);
	if (foreign) {
		(void)fputs(
			"hook: hooks/post-receive exists and is not ours: left alone;"
			" call ours "
			"from it: hooks/post-receive.sluice\n",
			stderr);
		return CLI_NO;
	}
	(void)printf("hook: wrote hooks/post-receive (0755) and " HOOK_SECRET_FILE
		     " (0600); the next push starts a run. Undo: rm both\n");
	return CLI_OK;
}

static const struct cli_opt opts[] = {
	{ "url", 0, "URL", "where deliveries go: https://HOST/hooks/generic" },
	{ "repo", 0, "OWNER/NAME",
		"its name on the server, when its path does not tell" },
	{ "secret-file", 0, "FILE", "its secret, instead of a new one from the server" },
	REMOTE_OPTS,
	{ NULL, 0, NULL, NULL },
};

static const struct cli_verb verb = { "hook", "operate",
	"install PATH [--url URL --repo OWNER/NAME --secret-file FILE]",
	"Write the push hook of a bare repository on this machine", opts,
	"sluice hook install /srv/git/mealplan.git", NULL, 1, 2, install, NULL };

int cmd_hook(int argc, char **argv)
{
	return cli_run(&verb, argc, argv);
}
