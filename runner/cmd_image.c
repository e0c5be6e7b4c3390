/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice image: prepared roots for labels. They are built beside the store of roots and
 * appear in it whole (executor/rootstore.h); no server need run. Started as root, so that
 * files belong to whom the image says.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strvec.h"
#include "executor/helper.h"
#include "executor/rootstore.h"
#include "runner/cmd.h"
#include "runner/config.h"

struct build {
	const struct cli_args *args;
	const char *name;
	char *data; /* path of the data directory */
	int roots;  /* its store of roots */
	int image;  /* what is unpacked */
	char *tar;  /* a file of our own in roots/, or NULL */
	char *tag;
	char *source; /* in words, for the list */
	char stage[ROOTSTORE_STAGE_MAX];
	int stage_fd;
};

static void build_done(struct build *b)
{
	if (b->tar)
		(void)unlinkat(b->roots, path_base(b->tar), 0); /* it may not be there */
	if (b->stage[0])
		(void)path_remove_tree(b->roots, b->stage, NULL); /* published: gone */
	free(b->data);
	free(b->tar);
	free(b->tag);
	free(b->source);
	cleanup_closep(&b->image);
	cleanup_closep(&b->stage_fd);
	cleanup_closep(&b->roots);
}

/* ---- the store ------------------------------------------------------------------------ */

static int open_roots(
	const struct cli_args *a, char **ret_data, int *ret, struct err *err)
{
	_cleanup_(config_freep) struct config *c = NULL;
	_cleanup_(strvec_done) struct strvec overrides = STRVEC_INIT;
	_cleanup_close_ int data = -1;
	struct stat st;

	if (cli_get(a, "data"))
		(void)strvec_pushf(&overrides, "data=%s", cli_get(a, "data"));
	if (config_load(cli_get(a, "config"), &overrides, stderr, &c, err) < 0)
		return -1;
	data = open(c->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (data < 0 || fstat(data, &st) < 0)
		return err_sys(err, "cannot open the data directory '%s'", c->data_dir);
	if (mkdirat(data, ROOTSTORE_DIR, 0700) == 0) {
		/* As a server would have made it, which then looks into it. */
		if (fchownat(data, ROOTSTORE_DIR, st.st_uid, st.st_gid,
			    AT_SYMLINK_NOFOLLOW) < 0)
			return err_sys(err, "cannot hand over '" ROOTSTORE_DIR "'");
	} else if (errno != EEXIST) {
		return err_sys(err, "cannot make '%s/" ROOTSTORE_DIR "'", c->data_dir);
	}
	*ret = path_open(
		data, ROOTSTORE_DIR, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
	if (*ret < 0)
		return -1;
	if (ret_data)
		*ret_data = xstrdup(c->data_dir);
	rootstore_sweep(*ret);
	return 0;
}

/* ---- what it is made of ---------------------------------------------------------------- */

/* Runs ARGV with our output, which is its progress; ERR_NOT_FOUND: there is none. */
static int run_program(const struct strvec *argv, struct err *err)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return err_sys(err, "cannot start '%s'", argv->v[0]);
	if (pid == 0) {
		if (dup2(2, 1) >= 0) /* our own output stays ours */
			(void)execvp(argv->v[0], argv->v);
		_exit(errno == ENOENT ? 127 : 126);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_sys(err, "cannot wait for '%s'", argv->v[0]);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, ERR_NOT_FOUND, "there is no '%s'", argv->v[0]);
	return err_set(
		err, ERR_UNAVAILABLE, "'%s' failed; its words are above", argv->v[0]);
}

static int open_tar(struct build *b, struct err *err)
{
	b->image = open(b->tar, O_RDONLY | O_CLOEXEC);
	return b->image < 0 ? err_sys(err, "cannot open '%s'", b->tar) : 0;
}

static void own_tar(struct build *b)
{
	_cleanup_free_ char *name = rootstore_stage_tar(b->stage);

	b->tar = xasprintf("%s/" ROOTSTORE_DIR "/%s", b->data, name);
}

/* The sources of packages: the administrator's file, else what this host itself uses. */
static void add_sources(const struct cli_args *a, struct strvec *argv)
{
	static const char *const places[] = { "/etc/apt/sources.list",
		"/etc/apt/sources.list.d/*.list", "/etc/apt/sources.list.d/*.sources" };

	if (cli_get(a, "sources")) {
		(void)strvec_push(argv, cli_get(a, "sources"));
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		glob_t found;

		if (glob(places[i], 0, NULL, &found) != 0)
			continue;
		for (size_t k = 0; k < found.gl_pathc; k++)
			(void)strvec_push(argv, found.gl_pathv[k]);
		globfree(&found);
	}
}

/* VERSION_CODENAME of os-release, heap; NULL: none. */
static char *own_suite(void)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	static const char key[] = "VERSION_CODENAME=";
	const char *at;

	if (fd_read_file(AT_FDCWD, "/usr/lib/os-release", 64 * KiB, &text, NULL) < 0)
		return NULL;
	at = strstr(text.buf, key);
	if (!at)
		return NULL;
	at += strlen(key);
	at += *at == '"';
	return xstrndup(at, strcspn(at, "\"\n"));
}

static int from_packages(struct build *b, struct err *err)
{
	_cleanup_(strvec_done) struct strvec argv = STRVEC_INIT;
	_cleanup_free_ char *suite = cli_get(b->args, "suite")
					     ? xstrdup(cli_get(b->args, "suite"))
					     : own_suite();
	const char *packages = cli_get(b->args, "packages");
	struct err why = ERR_INIT;

	if (!suite || !path_is_name(suite))
		return err_set(
			err, ERR_INPUT, "give the distribution's --suite, or --from");
	if (packages && packages[0] == '-')
		return err_set(err, ERR_INPUT, "'%s' names no packages", packages);
	own_tar(b);
	(void)strvec_push(&argv, "mmdebstrap");
	(void)strvec_push(&argv, "--variant=apt");
	if (packages)
		(void)strvec_pushf(&argv, "--include=%s", packages);
	(void)strvec_push(&argv, suite);
	(void)strvec_push(&argv, b->tar);
	add_sources(b->args, &argv);
	b->source = xasprintf("suite %s%s%s", suite, packages ? " with " : "",
		packages ? packages : "");
	fprintf(stderr, "image: packages of '%s' are fetched and installed\n", suite);
	if (run_program(&argv, &why) == 0)
		return open_tar(b, err);
	if (why.code == ERR_NOT_FOUND)
		return err_set(err, ERR_UNSUPPORTED,
			"there is no mmdebstrap, which makes a root of packages: "
			"apt-get install mmdebstrap; or give --from an image or a folder");
	if (err)
		*err = why;
	return -1;
}

static int from_folder(struct build *b, const char *dir, struct err *err)
{
	_cleanup_(strvec_done) struct strvec argv = STRVEC_INIT;

	own_tar(b);
	strvec_push_all(&argv,
		(const char *const[]){ "tar", "--numeric-owner", "--one-file-system",
			"--exclude=./proc/*", "--exclude=./sys/*", "-C", dir, "-cf",
			b->tar, ".", NULL });
	if (run_program(&argv, err) < 0)
		return -1;
	return open_tar(b, err);
}

/* PATH[:TAG]: what stands after the last colon is a tag when there is no such path. */
static int from_image(struct build *b, const char *text, struct err *err)
{
	_cleanup_free_ char *path = xstrdup(text);
	char *colon = strrchr(path, ':');

	if (access(path, F_OK) < 0 && colon) {
		*colon = '\0';
		b->tag = xstrdup(colon + 1);
	}
	b->image = open(path, O_RDONLY | O_CLOEXEC);
	return b->image < 0 ? err_sys(err, "cannot open '%s'", path) : 0;
}

static int open_source(struct build *b, struct err *err)
{
	const char *from = cli_get(b->args, "from");

	if (from && (cli_get(b->args, "suite") || cli_get(b->args, "packages")))
		return err_set(
			err, ERR_INPUT, "--from and --suite are two ways: take one");
	if (!from)
		return from_packages(b, err);
	b->source = xstrdup(from);
	if (str_starts(from, "dir:"))
		return from_folder(b, from + strlen("dir:"), err);
	return from_image(
		b, str_starts(from, "oci:") ? from + strlen("oci:") : from, err);
}

/* ---- building --------------------------------------------------------------------------- */

static int unpack(struct build *b, struct json **ret, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	_cleanup_(helper_cleanup) struct helper h = HELPER_INIT;
	struct helper_options o = HELPER_OPTIONS_INIT;
	int fds[2] = { b->image, b->stage_fd };

	o.mode = "image";
	o.fds = fds;
	o.fds_len = 2;
	json_set_str(head, "op", "unpack");
	if (b->tag)
		json_set_str(head, "tag", b->tag);
	fprintf(stderr, "image: unpacking\n");
	if (helper_spawn(&o, &h, err) < 0 ||
		helper_call(&h, head, NULL, 0, NULL, 0, -1, &m, err) < 0)
		return -1;
	*ret = json_clone(m.head);
	return 0;
}

static struct json *describe(const struct build *b, const struct json *made)
{
	static const char *const numbers[] = { "files", "bytes", "layers", "left_out" };
	struct json *info = json_new_object();

	json_set_str(info, "name", b->name);
	json_set_str(info, "digest", json_get_str(made, "digest", ""));
	json_set_str(info, "source", b->source);
	json_set_int(info, "created_ms", clock_wall_ms());
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		json_set_int(info, numbers[i], json_get_int(made, numbers[i], 0));
	return info;
}

static int build(struct build *b, struct err *err)
{
	_cleanup_(json_freep) struct json *made = NULL, *info = NULL;

	if (!path_is_name(b->name))
		return err_set(err, ERR_INPUT, "'%.60s' is no name of an image", b->name);
	if (open_roots(b->args, &b->data, &b->roots, err) < 0 ||
		rootstore_stage(b->roots, b->stage, &b->stage_fd, err) < 0 ||
		open_source(b, err) < 0 || unpack(b, &made, err) < 0)
		return -1;
	if (geteuid() == 0 && rootstore_own(b->stage_fd, err) < 0)
		return -1;
	info = describe(b, made);
	if (rootstore_publish(b->roots, b->stage, info, err) < 0)
		return -1;
	printf("image: '%s' is %.12s, %lld files, %lld MiB\n", b->name,
		json_get_str(info, "digest", ""),
		(long long)json_get_int(info, "files", 0),
		(long long)(json_get_int(info, "bytes", 0) / MiB));
	fprintf(stderr,
		"image: a label stands for it by, in the configuration: labels: "
		"[%s=%s], or [%s=%s:root]\n",
		b->name, b->name, b->name, b->name);
	return 0;
}

static int run_build(const struct cli_args *a)
{
	struct build b = {
		.args = a, .name = cli_arg(a, 1), .roots = -1, .image = -1, .stage_fd = -1
	};
	struct err err = ERR_INIT;
	int rc;

	(void)umask(022);
	rc = build(&b, &err);
	build_done(&b);
	return rc < 0 ? cli_fail(a, &err) : CLI_OK;
}

/* ---- the other words ---------------------------------------------------------------------- */

static int run_list(const struct cli_args *a)
{
	static const char *const headers[] = { "NAME", "DIGEST", "MIB", "FROM", NULL };
	_cleanup_(json_freep) struct json *list = NULL;
	_cleanup_close_ int roots = -1;
	struct err err = ERR_INIT;
	struct cli_table *t;

	if (open_roots(a, NULL, &roots, &err) < 0 ||
		rootstore_list(roots, &list, &err) < 0)
		return cli_fail(a, &err);
	if (cli_json(a)) {
		_cleanup_free_ char *text = json_text(list);

		puts(text);
		return CLI_OK;
	}
	if (json_count(list) == 0) {
		fputs("no image yet: sluice image build NAME makes one (docs/roots.md)\n", stderr);
		return CLI_OK;
	}
	t = cli_table_new(headers, 3);
	for (size_t i = 0; i < json_count(list); i++) {
		const struct json *one = json_at(list, i);
		_cleanup_free_ char *size = xasprintf(
			"%lld", (long long)(json_get_int(one, "bytes", 0) / MiB));
		_cleanup_free_ char *digest =
			xstrndup(json_get_str(one, "digest", ""), 12);

		cli_table_row(t, json_get_str(one, "name", ""), digest, size,
			json_get_str(one, "source", ""));
	}
	cli_table_print(t, stdout);
	cli_table_free(t);
	return CLI_OK;
}

static int run_remove(const struct cli_args *a)
{
	_cleanup_close_ int roots = -1;
	struct err err = ERR_INIT;

	if (open_roots(a, NULL, &roots, &err) < 0 ||
		rootstore_remove(roots, cli_arg(a, 1), &err) < 0)
		return cli_fail(a, &err);
	return CLI_OK;
}

static int run_image(const struct cli_args *a)
{
	static const struct {
		const char *name;
		size_t args;
		int (*run)(const struct cli_args *a);
	} subs[] = { { "build", 1, run_build }, { "list", 0, run_list },
		{ "remove", 1, run_remove } };

	for (size_t i = 0; i < ARRAY_SIZE(subs); i++) {
		if (!str_eq(subs[i].name, cli_arg(a, 0)))
			continue;
		if (cli_count(a) - 1 != subs[i].args)
			return cli_error(a, CLI_USAGE, "'%s' takes %zu argument%s",
				subs[i].name, subs[i].args, subs[i].args == 1 ? "" : "s");
		return subs[i].run(a);
	}
	return cli_error(a, CLI_USAGE,
		"unknown word '%s'; it is one of: build, list, remove", cli_arg(a, 0));
}

static const struct cli_opt opts[] = {
	{ "from", 0, "IMAGE",
		"oci:DIR[:TAG], a tar of an image or a root, or dir:DIR" },
	{ "suite", 0, "SUITE", "of the distribution; default: this host's own" },
	{ "packages", 0, "A,B", "installed beside what apt itself needs" },
	{ "sources", 0, "FILE", "where packages come from; default: as on this host" },
	{ "data", 0, "DIR", "the data directory" },
	{ "config", 0, "FILE", "instead of $SLUICE_CONFIG or /etc/sluice/sluice.yml" },
	{ "format", 0, "text|json", "of list" },
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_image = {
	.name = "image",
	.group = "operate",
	.usage = "build NAME [--from IMAGE | --suite SUITE [--packages A,B]]\nlist\n"
		 "remove NAME",
	.summary = "Prepare roots that labels of the configuration stand for",
	.opts = opts,
	.example = "sluice image build bookworm --suite bookworm --packages git,gcc",
	.args_min = 1,
	.args_max = 2,
	.run = run_image,
};
