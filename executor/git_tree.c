/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A person's working tree as a job's workspace: what is tracked and what is untracked but
 * not ignored, as it lies there, uncommitted changes included, and a `.git` of its own
 * whose index is the person's. The tree itself is only read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/git-internal.h"
#include "executor/git.h"

#define CHANGED_MAX	 1000
#define PACKS_COPIED_MAX (256 * MiB) /* beyond it only the objects of HEAD */
#define LOOSE_COPIED_MAX 2000
#define INDEX_MAX	 (512 * MiB)

/* ---- start ---- */

/*
 * libgit2 refuses repositories of others, since their configuration could run programs.
 * Here nothing of it is run, and who hands us the descriptor vouches for the folder: its
 * owner must be that of its .git, then a folder of another user is fine.
 */
int git_vouch(int fd, struct err *err)
{
	struct stat dir, git;

	if (fstat(fd, &dir) < 0)
		return err_sys(err, "cannot look at the working tree");
	if (dir.st_uid == geteuid() || fstatat(fd, ".git", &git, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (git.st_uid != dir.st_uid)
		return err_set(err, ERR_DENIED,
			"the working tree belongs to uid %u, but its '.git' to uid %u",
			dir.st_uid, git.st_uid);
	return git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0) < 0
		       ? err_set(err, ERR_BUG, "libgit2 cannot be told whose tree it is")
		       : 0;
}

/* A linked worktree has a file `.git` that names a folder elsewhere; that one names the
 * repository. Both must be readable under the confinement. */
static void add_linked(struct helper_request *r)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT, common = STRBUF_INIT;
	_cleanup_free_ char *dir = NULL, *joined = NULL;
	int fd;

	if (fd_read_file(r->fds[0], ".git", 8192, &text, NULL) < 0 ||
		!str_starts(text.buf, "gitdir: /"))
		return;
	dir = xstrndup(text.buf + 8, strcspn(text.buf + 8, "\n"));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	r->extra[r->extra_len++] = fd;
	if (fd_read_file(fd, "commondir", 8192, &common, NULL) < 0)
		return;
	common.buf[strcspn(common.buf, "\n")] = '\0';
	joined = common.buf[0] == '/' ? xstrdup(common.buf) : path_join(dir, common.buf);
	fd = open(joined, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		r->extra[r->extra_len++] = fd;
}

int git_tree_start(struct helper_request *r, struct err *err)
{
	add_linked(r);
	return git_start(r, err) < 0 ? -1 : git_vouch(r->fds[0], err);
}

/* ---- what is there ---- */

struct tree {
	struct helper_request *r;
	git_repository *repo; /* NULL: no git */
	git_index *index;
	git_status_list *status;
	git_oid head;
	bool has_head;
	char *branch; /* "refs/heads/x" or NULL */
};

static void tree_done(struct tree *t)
{
	git_status_list_free(t->status);
	git_index_free(t->index);
	git_repository_free(t->repo);
	free(t->branch);
}

static int read_head(struct tree *t, struct err *err)
{
	_cleanup_(git_reference_freep) git_reference *head = NULL;
	int rc = git_reference_lookup(&head, t->repo, "HEAD");

	if (rc < 0)
		return git_fault(err, rc, "cannot read HEAD");
	if (git_reference_type(head) == GIT_REFERENCE_SYMBOLIC)
		t->branch = xstrdup(git_reference_symbolic_target(head));
	t->has_head = git_ref_commit(t->repo, "HEAD", &t->head, NULL) == 0;
	return 0;
}

static int open_tree(struct tree *t, struct err *err)
{
	git_status_options o = GIT_STATUS_OPTIONS_INIT;
	struct stat st;
	int rc;

	if (fstatat(t->r->fds[0], ".git", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	rc = git_repository_open_ext(
		&t->repo, t->r->state, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
	if (rc < 0)
		return git_fault(
			err, rc, "cannot open the repository of the working tree");
	if (git_repository_is_bare(t->repo))
		return err_set(err, ERR_INPUT, "the repository has no working tree");
	if (read_head(t, err) < 0)
		return -1;
	rc = git_repository_index(&t->index, t->repo);
	o.show = GIT_STATUS_SHOW_INDEX_AND_WORKDIR;
	o.flags = GIT_STATUS_OPT_INCLUDE_UNTRACKED |
		  GIT_STATUS_OPT_RECURSE_UNTRACKED_DIRS |
		  GIT_STATUS_OPT_EXCLUDE_SUBMODULES;
	if (rc == 0)
		rc = git_status_list_new(&t->status, t->repo, &o);
	return rc < 0 ? git_fault(err, rc, "cannot compare the working tree") : 0;
}

static const char *path_of(const git_status_entry *e)
{
	const git_diff_delta *d =
		e->index_to_workdir ? e->index_to_workdir : e->head_to_index;

	return d->new_file.path ? d->new_file.path : d->old_file.path;
}

/* The address without anything that could be a credential. */
static char *clean_url(const char *url)
{
	const char *scheme = strstr(url, "://"), *at, *slash;

	if (!scheme || strncmp(url, "http", 4) != 0)
		return xstrdup(url);
	slash = strchr(scheme + 3, '/');
	at = memrchr(scheme + 3, '@',
		slash ? (size_t)(slash - scheme - 3) : strlen(scheme + 3));
	return at ? xasprintf("%.*s%s", (int)(scheme + 3 - url), url, at + 1)
		  : xstrdup(url);
}

/* By the configuration: git_remote_lookup of libgit2 1.5 leaks for each expression it tries. */
static char *origin_of(git_repository *repo)
{
	_cleanup_(git_config_freep) git_config *cfg = NULL;
	const char *url;

	if (git_repository_config_snapshot(&cfg, repo) < 0 ||
		git_config_get_string(&url, cfg, "remote.origin.url") < 0)
		return NULL;
	return clean_url(url);
}

static void tell(struct tree *t, struct json *a)
{
	struct json *changed = json_new_array();
	int64_t count = 0, untracked = 0;
	char hex[GIT_OID_HEXSZ + 1];

	json_set_bool(a, "is_git", t->repo != NULL);
	json_set(a, "changed", changed);
	for (size_t i = 0; t->status && i < git_status_list_entrycount(t->status); i++) {
		const git_status_entry *e = git_status_byindex(t->status, i);

		count++;
		untracked += (e->status & GIT_STATUS_WT_NEW) != 0;
		if (json_count(changed) < CHANGED_MAX)
			json_push_str(changed, path_of(e));
	}
	json_set_int(a, "changed_count", count);
	json_set_int(a, "untracked_count", untracked);
	if (!t->repo)
		return;
	git_hex(&t->head, hex);
	json_set(a, "sha", t->has_head ? json_new_str(hex) : NULL);
	json_set(a, "ref", t->branch ? json_new_str(t->branch) : NULL);
	json_set(a, "branch",
		t->branch && str_starts(t->branch, "refs/heads/")
			? json_new_str(t->branch + 11)
			: NULL);
	{
		_cleanup_free_ char *url = origin_of(t->repo);

		json_set(a, "url", url ? json_new_str(url) : NULL);
	}
}

/* ---- files ---- */

struct copier {
	int from, to;
	char *folder; /* the one the two below are open for */
	int from_dir, to_dir;
	int64_t files, bytes;
};

static void copier_close(struct copier *c)
{
	cleanup_closep(&c->from_dir);
	cleanup_closep(&c->to_dir);
	c->from_dir = c->to_dir = -1;
	free(c->folder);
	c->folder = NULL;
}

/* Opens the folder of PATH on both sides; most calls find it open. 1: it is not there. */
static int enter(struct copier *c, const char *path, struct err *err)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *folder =
		slash ? xstrndup(path, (size_t)(slash - path)) : xstrdup(".");
	struct err gone = ERR_INIT;

	if (c->folder && strcmp(c->folder, folder) == 0)
		return 0;
	copier_close(c);
	c->from_dir = path_open(
		c->from, folder, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, &gone);
	if (c->from_dir < 0)
		return 1; /* removed, or no folder any more: a change like others */
	if (slash && path_mkdirs(c->to, folder, 0755, err) < 0)
		return -1;
	c->to_dir = path_open(
		c->to, folder, O_RDONLY | O_DIRECTORY, 0, PATH_NO_SYMLINKS, err);
	if (c->to_dir < 0)
		return -1;
	c->folder = take_ptr(folder);
	return 0;
}

static int copy_link(
	struct copier *c, const char *name, const char *path, struct err *err)
{
	char target[GIT_PATH_MAX + 1];
	ssize_t n = readlinkat(c->from_dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return err_sys(err, "cannot read '%.150s'", path);
	target[n] = '\0';
	if (symlinkat(target, c->to_dir, name) < 0)
		return err_sys(err, "cannot write '%.150s'", path);
	return 0;
}

static int copy_bytes(int in, int out, int64_t *bytes)
{
	for (;;) {
		ssize_t n = copy_file_range(in, NULL, out, NULL, 1u << 30, 0);

		if (n < 0)
			return -1;
		if (n == 0)
			return 0;
		*bytes += n;
	}
}

static int copy_regular(struct copier *c, const char *name, const char *path,
	const struct stat *st, struct err *err)
{
	_cleanup_close_ int in =
		openat(c->from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_cleanup_close_ int out = -1;

	if (in < 0)
		return err_sys(err, "cannot read '%.150s' (mode %o, of uid %u)", path,
			st->st_mode & 07777, st->st_uid);
	out = openat(c->to_dir, name,
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		st->st_mode & 0111 ? 0755 : 0644);
	if (out < 0 || copy_bytes(in, out, &c->bytes) < 0)
		return err_sys(err, "cannot write '%.150s'", path);
	/* So that the copied index finds most files unchanged; nothing depends on it. */
	(void)futimens(out, (const struct timespec[]){ st->st_atim, st->st_mtim });
	c->files++;
	return 0;
}

static int copy_path(struct copier *c, const char *path, struct err *err)
{
	const char *name = path_base(path);
	struct stat st;
	int rc = enter(c, path, err);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (fstatat(c->from_dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0
				       : err_sys(err, "cannot look at '%.150s'", path);
	if (S_ISLNK(st.st_mode))
		return copy_link(c, name, path, err);
	if (S_ISREG(st.st_mode))
		return copy_regular(c, name, path, &st, err);
	return 0; /* a folder where a file was, a socket, a pipe: nothing git would take */
}

static int copy_tracked(struct tree *t, struct copier *c, struct err *err)
{
	for (size_t i = 0; i < git_index_entrycount(t->index); i++) {
		const git_index_entry *e = git_index_get_byindex(t->index, i);
		const git_index_entry *last =
			i ? git_index_get_byindex(t->index, i - 1) : NULL;

		if (!path_is_clean(e->path))
			return err_set(err, ERR_INPUT, "'%.150s' is no path in the tree",
				e->path);
		if (last && strcmp(last->path, e->path) == 0)
			continue; /* a conflict has up to three entries */
		if (e->mode == GIT_FILEMODE_COMMIT) {
			if (path_mkdirs(c->to, e->path, 0755, err) < 0)
				return -1;
		} else if (copy_path(c, e->path, err) < 0) {
			return -1;
		}
	}
	return 0;
}

static int copy_untracked(struct tree *t, struct copier *c, struct err *err)
{
	for (size_t i = 0; i < git_status_list_entrycount(t->status); i++) {
		const git_status_entry *e = git_status_byindex(t->status, i);
		const char *path = path_of(e);

		/* A repository inside the tree is listed as a folder and left out. */
		if (!(e->status & GIT_STATUS_WT_NEW) || !path_is_clean(path))
			continue;
		if (copy_path(c, path, err) < 0)
			return -1;
	}
	return 0;
}

/* ---- its .git ---- */

static int64_t count_objects(int git, int64_t *ret_packs)
{
	_cleanup_close_ int objects =
		openat(git, "objects", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t loose = 0;

	*ret_packs = 0;
	for (int i = -1; i < 256; i++) {
		char name[8];
		int fd;
		DIR *d;
		struct dirent *e;
		struct stat st;

		(void)snprintf(
			name, sizeof(name), i < 0 ? "pack" : "%02x", (unsigned)i & 255);
		fd = openat(objects, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		d = fd < 0 ? NULL : fdopendir(fd);
		while (d && (e = readdir(d))) {
			if (e->d_name[0] == '.')
				continue;
			if (i >= 0)
				loose++;
			else if (fstatat(fd, e->d_name, &st, 0) == 0)
				*ret_packs += st.st_size;
		}
		if (d)
			(void)closedir(d); /* only read */
	}
	return loose;
}

/* HEAD's commit and trees, and every blob the index names. */
static int store_head(struct tree *t, int git, struct err *err)
{
	_cleanup_(git_pack_freep) struct git_pack *pack = NULL;
	_cleanup_(git_odb_freep) git_odb *odb = NULL;
	_cleanup_(git_commit_freep) git_commit *head = NULL;
	_cleanup_close_ int dir =
		openat(git, "objects/pack", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct git_files counts;
	int rc;

	if (dir < 0)
		return err_sys(err, "cannot open the pack folder");
	rc = git_repository_odb(&odb, t->repo);
	if (rc == 0)
		rc = git_commit_lookup(&head, t->repo, &t->head);
	if (rc < 0)
		return git_fault(err, rc, "cannot read HEAD");
	if (git_pack_new(dir, &pack, err) < 0 ||
		git_write_files(t->repo, head, -1, pack, NULL, &counts, err) < 0)
		return -1;
	for (size_t i = 0; i < git_index_entrycount(t->index); i++) {
		const git_index_entry *e = git_index_get_byindex(t->index, i);
		_cleanup_(git_odb_object_freep) git_odb_object *obj = NULL;

		if (e->mode == GIT_FILEMODE_COMMIT || git_pack_has(pack, &e->id) ||
			git_odb_read(&obj, odb, &e->id) < 0)
			continue; /* a missing one is git's to tell */
		if (git_pack_add(pack, &e->id, git_odb_object_type(obj),
			    git_odb_object_data(obj), git_odb_object_size(obj), err) < 0)
			return -1;
	}
	if (git_commit_parentcount(head) > 0) {
		char line[GIT_OID_HEXSZ + 2];

		git_hex(&t->head, line);
		line[GIT_OID_HEXSZ] = '\n';
		if (fd_replace_file(git, "shallow", line, GIT_OID_HEXSZ + 1, 0644,
			    FD_REPLACE_NOSYNC, err) < 0)
			return -1;
	}
	return git_pack_finish(pack, err);
}

static int copy_whole(int from, const char *name, int to, size_t max, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct err why = ERR_INIT;

	if (fd_read_file(from, name, max, &text, &why) < 0) {
		if (why.code == ERR_NOT_FOUND)
			return 0;
		if (err)
			*err = why;
		return -1;
	}
	return fd_replace_file(
		to, name, text.buf, text.len, 0644, FD_REPLACE_NOSYNC, err);
}

/* All refs when all objects came along, else the one of HEAD. */
static int write_tree_refs(struct tree *t, int git, bool has_all, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf packed = STRBUF_INIT, head = STRBUF_INIT;
	git_reference_iterator *it = NULL;
	git_reference *ref;
	char hex[GIT_OID_HEXSZ + 1];

	if (has_all && git_reference_iterator_new(&it, t->repo) == 0) {
		while (git_reference_next(&ref, it) == 0) {
			const git_oid *oid = git_reference_target(ref);

			if (oid && str_starts(git_reference_name(ref), "refs/")) {
				git_hex(oid, hex);
				strbuf_addf(
					&packed, "%s %s\n", hex, git_reference_name(ref));
			}
			git_reference_free(ref);
		}
		git_reference_iterator_free(it);
	}
	git_hex(&t->head, hex);
	if (!has_all && t->has_head && t->branch)
		strbuf_addf(&packed, "%s %s\n", hex, t->branch);
	if (t->branch)
		strbuf_addf(&head, "ref: %s\n", t->branch);
	else
		strbuf_addf(&head, "%s\n", hex);
	if (fd_replace_file(git, "packed-refs", packed.buf, packed.len, 0644,
		    FD_REPLACE_NOSYNC, err) < 0)
		return -1;
	return fd_replace_file(
		git, "HEAD", head.buf, head.len, 0644, FD_REPLACE_NOSYNC, err);
}

static int make_git(struct tree *t, int to, struct err *err)
{
	static const char *const folders[] = { ".git/objects/pack", ".git/objects/info",
		".git/refs/heads", ".git/refs/tags", ".git/info" };
	_cleanup_close_ int git = -1, own = -1, common = -1;
	_cleanup_free_ char *path = NULL, *url = origin_of(t->repo);
	int64_t packs, loose;
	bool has_all;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		if (path_mkdirs(to, folders[i], 0755, err) < 0)
			return -1;
	}
	git = openat(to, ".git", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	own = open(git_repository_path(t->repo), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	common = open(
		git_repository_commondir(t->repo), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (git < 0 || own < 0 || common < 0)
		return err_sys(err, "cannot open '.git'");
	loose = count_objects(common, &packs);
	has_all = !t->has_head ||
		  (packs <= PACKS_COPIED_MAX && loose <= LOOSE_COPIED_MAX &&
			  faccessat(common, "objects/info/alternates", F_OK, 0) < 0);
	if (helper_reach(git, &path, err) < 0)
		return -1;
	if ((has_all ? git_copy_objects(common, git, false, err)
		     : store_head(t, git, err)) < 0)
		return -1;
	if (has_all && copy_whole(common, "shallow", git, 1 << 20, err) < 0)
		return -1;
	if (write_tree_refs(t, git, has_all, err) < 0 ||
		git_write_config(path, url,
			t->branch && str_starts(t->branch, "refs/heads/") ? t->branch + 11
									  : NULL,
			err) < 0)
		return -1;
	return copy_whole(own, "index", git, INDEX_MAX, err);
}

/* ---- operations ---- */

static int copy_all(struct tree *t, struct err *err)
{
	const char *path = json_get_str(t->r->head, "path", NULL);
	struct copier c = {
		.from = t->r->fds[0], .to = -1, .from_dir = -1, .to_dir = -1
	};
	int rc = 0;

	if (path && path[0] && strcmp(path, ".") != 0) {
		if (!path_is_clean(path))
			return err_set(err, ERR_INPUT,
				"'%.100s' is no path in the workspace", path);
		if (path_mkdirs(t->r->fds[1], path, 0755, err) < 0)
			return -1;
		c.to = path_open(t->r->fds[1], path, O_RDONLY | O_DIRECTORY, 0,
			PATH_NO_SYMLINKS, err);
	} else {
		c.to = openat(t->r->fds[1], ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (c.to < 0)
		return err_sys(err, "cannot open the workspace");
	if (!t->repo)
		rc = path_copy_tree(c.from, c.to, err);
	else if (copy_tracked(t, &c, err) < 0 || copy_untracked(t, &c, err) < 0 ||
		 make_git(t, c.to, err) < 0)
		rc = -1;
	json_set_int(t->r->answer, "files", c.files);
	json_set_int(t->r->answer, "bytes", c.bytes);
	copier_close(&c);
	(void)close(c.to); /* a folder */
	return rc;
}

static int serve(struct helper_request *r, bool is_copy, struct err *err)
{
	struct tree t = { .r = r };
	int64_t start = clock_boot_ms();
	int rc = open_tree(&t, err);

	if (rc == 0)
		tell(&t, r->answer);
	if (rc == 0 && is_copy)
		rc = r->fds_len < 2
			     ? err_set(err, ERR_INPUT, "there is no workspace to copy to")
			     : copy_all(&t, err);
	json_set_int(r->answer, "ms", clock_boot_ms() - start);
	tree_done(&t);
	return rc;
}

int git_op_tree(struct helper_request *r, struct err *err)
{
	return serve(r, true, err);
}

int git_op_info(struct helper_request *r, struct err *err)
{
	return serve(r, false, err);
}
