/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workspace from a mirror: the files of exactly one commit and a `.git` that needs no
 * network and holds no credential. The objects come as hard links of the mirror's packs
 * (trusted, and the caller says that the job cannot write them), as copies of them
 * (trusted, whole history), or as a new pack of exactly what the commit leads to.
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
#include "base/mem.h"
#include "base/path.h"
#include "executor/git-internal.h"
#include "executor/git.h"

#define DEPTH_MAX    100000
#define STORED_FREE  (128u << 20)
#define STORED_RATIO 4
#define COPIED_MAX   (256u << 20) /* packs copied whole for one commit of them */

enum objects { OBJECTS_LINK, OBJECTS_COPY, OBJECTS_STORED, OBJECTS_BUILT };

struct checkout {
	const struct json *head;
	git_repository *mirror;
	git_commit *commit;
	const char *sha, *ref;
	int64_t depth; /* 0: all */
	bool is_trusted;
	enum objects how;
	int mirror_fd;
	int dir;		 /* where the files go */
	int git;		 /* its .git */
	char *git_path;		 /* the same for libgit2 */
	struct git_set *history; /* commits within the depth */
	struct strbuf shallow;	 /* lines of .git/shallow */
};

/* ---- the folder ---- */

static int empty_folder(int dir, struct err *err)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;
	int rc = 0;

	if (!d)
		return err_sys(err, "cannot read the workspace");
	while (rc == 0 && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = path_remove_tree(dir, e->d_name, err);
	}
	(void)closedir(d); /* only read */
	return rc;
}

static bool is_empty(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	size_t n = 0;

	if (!d)
		return false;
	while (n < 3 && readdir(d))
		n++;
	(void)closedir(d); /* only read */
	return n <= 2;
}

static int open_folder(struct checkout *c, int workspace, struct err *err)
{
	const char *path = json_get_str(c->head, "path", NULL);

	if (!path || !path[0] || strcmp(path, ".") == 0) {
		c->dir = openat(workspace, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else {
		if (!path_is_clean(path))
			return err_set(err, ERR_INPUT,
				"'%.100s' is no path in the workspace", path);
		if (path_mkdirs(workspace, path, 0755, err) < 0)
			return -1;
		c->dir = path_open(workspace, path, O_RDONLY | O_DIRECTORY, 0,
			PATH_NO_SYMLINKS, err);
		if (c->dir < 0)
			return -1;
	}
	if (c->dir < 0)
		return err_sys(err, "cannot open the workspace");
	if (json_get_bool(c->head, "clean", false) && empty_folder(c->dir, err) < 0)
		return -1;
	if (!is_empty(c->dir))
		return err_set(err, ERR_CONFLICT, "the workspace is not empty");
	return 0;
}

static int make_git_folder(struct checkout *c, struct err *err)
{
	static const char *const folders[] = { "objects/pack", "objects/info",
		"refs/heads", "refs/tags", "info" };

	if (mkdirat(c->dir, ".git", 0755) < 0)
		return err_sys(err, "cannot create '.git'");
	c->git = openat(c->dir, ".git", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->git < 0)
		return err_sys(err, "cannot open '.git'");
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		if (path_mkdirs(c->git, folders[i], 0755, err) < 0)
			return -1;
	}
	return helper_reach(c->git, &c->git_path, err);
}

/* ---- history ---- */

static void add_shallow(struct checkout *c, const git_commit *commit)
{
	char hex[GIT_OID_HEXSZ + 1];

	git_hex(git_commit_id(commit), hex);
	strbuf_addf(&c->shallow, "%s\n", hex);
}

/* A mirror that was fetched with a depth has commits without their parents. */
static void add_parents(struct checkout *c, git_odb *odb, const git_commit *commit)
{
	unsigned n = git_commit_parentcount(commit);

	for (unsigned i = 0; i < n; i++) {
		if (!git_odb_exists(odb, git_commit_parent_id(commit, i))) {
			add_shallow(c, commit);
			return;
		}
	}
	for (unsigned i = 0; i < n; i++)
		(void)git_set_add(c->history, git_commit_parent_id(commit, i));
}

/* Breadth first, so that a commit counts with its shortest way. */
static int walk_history(struct checkout *c, struct err *err)
{
	_cleanup_(git_odb_freep) git_odb *odb = NULL;
	size_t level_end, at = 0;
	int64_t depth = 1;
	int rc = git_repository_odb(&odb, c->mirror);

	if (rc < 0)
		return git_fault(err, rc, "cannot read the mirror");

	(void)git_set_add(c->history, git_commit_id(c->commit));
	level_end = git_set_len(c->history);
	for (; at < git_set_len(c->history); at++) {
		_cleanup_(git_commit_freep) git_commit *commit = NULL;

		rc = git_commit_lookup(&commit, c->mirror, git_set_at(c->history, at));
		if (rc < 0)
			return git_fault(err, rc, "the history is not complete");
		if (at == level_end) {
			depth++;
			level_end = git_set_len(c->history);
		}
		if (c->depth > 0 && depth >= c->depth) {
			if (git_commit_parentcount(commit) > 0)
				add_shallow(c, commit);
			continue;
		}
		add_parents(c, odb, commit);
	}
	return 0;
}

/* A mirror that was itself fetched with a depth ends where its own file says. */
static int inherit_shallow(struct checkout *c, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf own = STRBUF_INIT;
	struct err none = ERR_INIT;

	if (fd_read_file(c->mirror_fd, "shallow", 1 << 20, &own, &none) < 0)
		return none.code == ERR_NOT_FOUND
			       ? 0
			       : err_set(err, none.code, "%s", none.msg);
	if (own.len > 0 && own.buf[own.len - 1] != '\n')
		strbuf_addc(&own, '\n');
	strbuf_add(&c->shallow, own.buf, own.len);
	return 0;
}

/* ---- objects ---- */

static int copy_file(int from, const char *name, int to, struct err *err)
{
	_cleanup_close_ int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int out = -1;
	struct stat st;
	off_t left;

	if (in < 0 || fstat(in, &st) < 0 || !S_ISREG(st.st_mode))
		return err_sys(err, "cannot open '%s' of the mirror", name);
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (out < 0)
		return err_sys(err, "cannot create '%s'", name);
	for (left = st.st_size; left > 0;) {
		ssize_t n = copy_file_range(in, NULL, out, NULL, (size_t)left, 0);

		if (n <= 0)
			return err_sys(err, "cannot copy '%s' of the mirror", name);
		left -= n;
	}
	return 0;
}

/* A pack, its index, and what belongs to them: no temporary and no keep files. */
static bool is_pack_file(const char *name)
{
	return strncmp(name, "pack-", 5) == 0 &&
	       (str_ends(name, ".pack") || str_ends(name, ".idx"));
}

static int each_file(
	int from, int to, bool is_link, bool (*want)(const char *name), struct err *err)
{
	int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;
	int rc = 0;

	if (!d)
		return err_sys(err, "cannot read the objects of the mirror");
	while (rc == 0 && (e = readdir(d))) {
		if (e->d_name[0] == '.' || (want && !want(e->d_name)))
			continue;
		if (is_link && linkat(from, e->d_name, to, e->d_name, 0) == 0)
			continue;
		rc = copy_file(from, e->d_name, to, err);
	}
	(void)closedir(d); /* only read */
	return rc;
}

/* Loose objects: a fetch leaves none, a repository of a person may have many. */
static int copy_loose(int from, int to, struct err *err)
{
	for (unsigned i = 0; i < 256; i++) {
		_cleanup_close_ int in = -1;
		_cleanup_close_ int out = -1;
		char name[3];

		(void)snprintf(name, sizeof(name), "%02x", i);
		in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (in < 0)
			continue;
		if (mkdirat(to, name, 0755) < 0)
			return err_sys(err, "cannot create a folder of objects");
		out = openat(to, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (out < 0 || each_file(in, out, false, NULL, err) < 0)
			return out < 0 ? err_sys(err, "cannot open a folder of objects")
				       : -1;
	}
	return 0;
}

int git_copy_objects(int from_git, int to_git, bool is_link, struct err *err)
{
	_cleanup_close_ int from = openat(
		from_git, "objects", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int to = openat(
		to_git, "objects", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int from_pack =
		openat(from, "pack", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_close_ int to_pack =
		openat(to, "pack", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (from < 0 || to < 0 || to_pack < 0)
		return err_sys(err, "cannot open the objects");
	if (from_pack >= 0 &&
		each_file(from_pack, to_pack, is_link, is_pack_file, err) < 0)
		return -1;
	return copy_loose(from, to, err);
}

static uint64_t pack_bytes(int mirror)
{
	int fd = openat(mirror, "objects/pack", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	struct stat st;
	uint64_t sum = 0;

	while (d && (e = readdir(d))) {
		if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	}
	if (d)
		(void)closedir(d); /* only read */
	return sum;
}

/* The whole objects of the history, unless that is much more than the mirror's deltas. */
static int store_history(struct checkout *c, int dir, struct err *err)
{
	_cleanup_(git_pack_freep) struct git_pack *pack = NULL;
	uint64_t max = STORED_FREE + STORED_RATIO * pack_bytes(c->mirror_fd);
	int rc;

	if (git_pack_new(dir, &pack, err) < 0)
		return -1;
	rc = git_pack_add_history(pack, c->mirror, c->history, max, err);
	return rc != 0 ? rc : git_pack_finish(pack, err);
}

/* Every object of the commits within the depth, as deltas: slow and small. */
static int build_pack(struct checkout *c, struct err *err)
{
	_cleanup_(git_packbuilder_freep) git_packbuilder *pb = NULL;
	_cleanup_free_ char *dir = path_join(c->git_path, "objects/pack");
	int rc = git_packbuilder_new(&pb, c->mirror);

	if (rc == 0)
		(void)git_packbuilder_set_threads(pb, 1);
	if (rc == 0 && c->depth == 0) {
		_cleanup_(git_revwalk_freep) git_revwalk *walk = NULL;

		rc = git_revwalk_new(&walk, c->mirror);
		if (rc == 0)
			rc = git_revwalk_push(walk, git_commit_id(c->commit));
		if (rc == 0)
			rc = git_packbuilder_insert_walk(pb, walk);
	}
	for (size_t i = 0; rc == 0 && c->depth > 0 && i < git_set_len(c->history); i++)
		rc = git_packbuilder_insert_commit(pb, git_set_at(c->history, i));
	if (rc == 0)
		rc = git_packbuilder_write(pb, dir, 0444, NULL, NULL);
	return rc < 0 ? git_fault(err, rc, "cannot pack the history") : 0;
}

/* ---- refs and configuration ---- */

static void add_ref(struct strbuf *packed, const git_oid *oid, const char *name)
{
	char hex[GIT_OID_HEXSZ + 1];

	git_hex(oid, hex);
	strbuf_addf(packed, "%s %s\n", hex, name);
}

/* Annotated tags live in the mirror's packs; a pack of our own holds commits alone. */
static const git_oid *tag_target(
	const struct checkout *c, git_reference *ref, git_oid *commit)
{
	_cleanup_(git_object_freep) git_object *obj = NULL;

	if (git_reference_peel(&obj, ref, GIT_OBJECT_COMMIT) < 0)
		return NULL;
	*commit = *git_object_id(obj);
	if (!git_set_has(c->history, commit))
		return NULL;
	return c->how == OBJECTS_LINK || c->how == OBJECTS_COPY
		       ? git_reference_target(ref)
		       : commit;
}

/* Tags of the history; with all of it and trust, the other branches too. */
static int add_refs(
	struct checkout *c, bool with_tags, struct strbuf *packed, struct err *err)
{
	git_reference_iterator *it = NULL;
	git_reference *ref;
	bool with_branches = c->is_trusted && c->depth == 0;
	int rc = git_reference_iterator_new(&it, c->mirror);

	while (rc == 0 && git_reference_next(&ref, it) == 0) {
		const char *name = git_reference_name(ref);
		const git_oid *target = git_reference_target(ref);
		git_oid commit;

		if (target && with_branches && strncmp(name, "refs/heads/", 11) == 0) {
			_cleanup_free_ char *remote =
				xasprintf("refs/remotes/origin/%s", name + 11);

			add_ref(packed, target, remote);
		} else if (target && with_tags && strncmp(name, "refs/tags/", 10) == 0 &&
			   (!c->ref || strcmp(name, c->ref) != 0)) {
			const git_oid *oid =
				with_branches ? target : tag_target(c, ref, &commit);
			if (oid)
				add_ref(packed, oid, name);
		}
		git_reference_free(ref);
	}
	git_reference_iterator_free(it);
	return rc < 0 ? git_fault(err, rc, "cannot list the refs of the mirror") : 0;
}

/* What actions/checkout leaves: a branch is checked out as one, all else is detached. */
static int write_refs(struct checkout *c, struct err *err)
{
	const git_oid *oid = git_commit_id(c->commit);
	bool is_branch = c->ref && strncmp(c->ref, "refs/heads/", 11) == 0;
	bool with_tags = json_get_bool(c->head, "tags", c->depth == 0);
	_cleanup_(strbuf_done) struct strbuf packed = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf head = STRBUF_INIT;

	if ((with_tags || c->depth == 0) && add_refs(c, with_tags, &packed, err) < 0)
		return -1;
	if (is_branch) {
		_cleanup_free_ char *remote =
			xasprintf("refs/remotes/origin/%s", c->ref + 11);

		strbuf_addf(&head, "ref: %s\n", c->ref);
		add_ref(&packed, oid, c->ref);
		if (!strstr(packed.buf, remote))
			add_ref(&packed, oid, remote);
	} else {
		strbuf_addf(&head, "%s\n", c->sha);
	}
	if (c->ref && strncmp(c->ref, "refs/tags/", 10) == 0)
		add_ref(&packed, oid, c->ref);
	if (c->ref && strncmp(c->ref, "refs/pull/", 10) == 0) {
		_cleanup_free_ char *remote = xasprintf("refs/remotes/%s", c->ref + 5);

		add_ref(&packed, oid, remote);
	}
	if (c->shallow.len > 0 &&
		fd_replace_file(c->git, "shallow", c->shallow.buf, c->shallow.len, 0644,
			FD_REPLACE_NOSYNC, err) < 0)
		return -1;
	if (fd_replace_file(c->git, "packed-refs", packed.buf, packed.len, 0644,
		    FD_REPLACE_NOSYNC, err) < 0)
		return -1;
	return fd_replace_file(
		c->git, "HEAD", head.buf, head.len, 0644, FD_REPLACE_NOSYNC, err);
}

int git_write_config(
	const char *git_path, const char *url, const char *branch, struct err *err)
{
	_cleanup_free_ char *path = path_join(git_path, "config");
	_cleanup_(git_config_freep) git_config *cfg = NULL;
	int rc = git_config_open_ondisk(&cfg, path);

	if (rc == 0)
		rc = git_config_set_int32(cfg, "core.repositoryformatversion", 0);
	if (rc == 0)
		rc = git_config_set_bool(cfg, "core.filemode", 1);
	if (rc == 0)
		rc = git_config_set_bool(cfg, "core.bare", 0);
	if (rc == 0)
		rc = git_config_set_bool(cfg, "core.logallrefupdates", 1);
	if (rc == 0 && url) {
		rc = git_config_set_string(cfg, "remote.origin.url", url);
		if (rc == 0)
			rc = git_config_set_string(cfg, "remote.origin.fetch",
				"+refs/heads/*:refs/remotes/origin/*");
	}
	if (rc == 0)
		rc = git_config_set_int32(cfg, "gc.auto", 0);
	if (rc == 0 && url && branch) {
		_cleanup_free_ char *remote = xasprintf("branch.%s.remote", branch);
		_cleanup_free_ char *merge = xasprintf("branch.%s.merge", branch);
		_cleanup_free_ char *full = xasprintf("refs/heads/%s", branch);

		/* A branch name that is no name for a section is left without. */
		if (git_config_set_string(cfg, remote, "origin") == 0)
			(void)git_config_set_string(cfg, merge, full);
	}
	return rc < 0 ? git_fault(
				err, rc, "cannot write the configuration of a workspace")
		      : 0;
}

/* ---- all of it ---- */

/* What is least work: links cost nothing, a copy less than making a pack, up to a size. */
static enum objects choose_objects(const struct checkout *c)
{
	if (c->is_trusted && json_get_bool(c->head, "link", false))
		return OBJECTS_LINK;
	if (c->is_trusted && (c->depth != 1 || pack_bytes(c->mirror_fd) <= COPIED_MAX))
		return OBJECTS_COPY;
	return c->depth == 1 ? OBJECTS_STORED : OBJECTS_BUILT;
}

static int read_request(
	struct checkout *c, const struct helper_request *r, struct err *err)
{
	c->head = r->head;
	c->sha = helper_str(r->head, "sha", err);
	if (!c->sha)
		return -1;
	c->ref = json_get_str(r->head, "ref", NULL);
	if (c->ref && !git_ref_is(c->ref))
		return err_set(
			err, ERR_INPUT, "'%.100s' is no full name of a ref", c->ref);
	c->depth = json_get_int(r->head, "depth", 1);
	if (c->depth < 0 || c->depth > DEPTH_MAX)
		return err_set(err, ERR_INPUT, "a depth of %" PRId64 " is not possible",
			c->depth);
	if (json_get_bool(r->head, "submodules", false) ||
		json_get_bool(r->head, "lfs", false) ||
		json_count(json_get(r->head, "sparse")) > 0)
		return err_set(err, ERR_UNSUPPORTED,
			"checkout knows no submodules, lfs and sparse yet");
	c->is_trusted = json_get_bool(r->head, "trusted", false);
	c->how = choose_objects(c);
	return 0;
}

/*
 * Landlock lets nobody link from a folder that may be read into one that may be written,
 * since that would give more rights. So the links are made before: by name alone, nothing
 * of the objects is looked at.
 */
static int link_packs(struct checkout *c, struct err *err)
{
	return c->how == OBJECTS_LINK ? git_copy_objects(c->mirror_fd, c->git, true, err)
				      : 0;
}

static int write_objects_and_files(
	struct checkout *c, struct git_files *ret, struct err *err)
{
	_cleanup_(git_pack_freep) struct git_pack *pack = NULL;
	_cleanup_(git_index_freep) git_index *index = NULL;
	_cleanup_free_ char *path = path_join(c->git_path, "index");
	_cleanup_close_ int dir =
		openat(c->git, "objects/pack", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = git_index_open(&index, path);

	if (rc < 0)
		return git_fault(err, rc, "cannot make the index of a workspace");
	if (dir < 0)
		return err_sys(err, "cannot open the pack folder of a workspace");
	if (c->how == OBJECTS_STORED && git_pack_new(dir, &pack, err) < 0)
		return -1;
	if (c->how == OBJECTS_BUILT) {
		rc = store_history(c, dir, err);
		if (rc < 0 || (rc > 0 && build_pack(c, err) < 0))
			return -1;
	}
	if (c->how == OBJECTS_COPY &&
		git_copy_objects(c->mirror_fd, c->git, false, err) < 0)
		return -1;
	if (git_write_files(c->mirror, c->commit, c->dir, pack, index, ret, err) < 0)
		return -1;
	if (pack && git_pack_finish(pack, err) < 0)
		return -1;
	rc = git_index_write(index);
	return rc < 0 ? git_fault(err, rc, "cannot write the index of a workspace") : 0;
}

static int run(struct checkout *c, struct helper_request *r, struct err *err)
{
	const char *branch =
		c->ref && strncmp(c->ref, "refs/heads/", 11) == 0 ? c->ref + 11 : NULL;
	struct git_files counts = { 0 };

	if (git_lookup_commit(c->mirror, c->sha, &c->commit, err) < 0)
		return -1;
	if (walk_history(c, err) < 0 || (c->how == OBJECTS_COPY || c->how == OBJECTS_LINK
							? inherit_shallow(c, err)
							: 0) < 0)
		return -1;
	if (git_write_config(
		    c->git_path, json_get_str(c->head, "url", NULL), branch, err) < 0 ||
		write_refs(c, err) < 0 || write_objects_and_files(c, &counts, err) < 0)
		return -1;
	json_set_str(r->answer, "sha", c->sha);
	json_set(r->answer, "ref", c->ref ? json_new_str(c->ref) : NULL);
	json_set_int(r->answer, "files", counts.files);
	json_set_int(r->answer, "bytes", counts.bytes);
	json_set_bool(r->answer, "linked", c->how == OBJECTS_LINK);
	json_set_bool(r->answer, "shallow", c->shallow.len > 0);
	return 0;
}

static void checkout_free(struct checkout *c)
{
	cleanup_closep(&c->dir);
	cleanup_closep(&c->git);
	strbuf_done(&c->shallow);
	git_set_free(c->history);
	git_commit_free(c->commit);
	git_repository_free(c->mirror);
	free(c->git_path);
	free(c);
}

int git_checkout_before(struct helper_request *r, struct err *err)
{
	struct checkout *c = xcalloc(1, sizeof(*c));

	c->dir = c->git = -1;
	c->mirror_fd = r->fds[0];
	strbuf_init(&c->shallow);
	c->history = git_set_new();
	if (read_request(c, r, err) < 0 || open_folder(c, r->fds[1], err) < 0 ||
		make_git_folder(c, err) < 0 || link_packs(c, err) < 0) {
		checkout_free(c);
		return -1;
	}
	r->prepared = c;
	return 0;
}

int git_op_checkout(struct helper_request *r, struct err *err)
{
	struct checkout *c = r->prepared;
	int64_t start = clock_boot_ms();
	int rc = git_open_mirror(r->state, &c->mirror, err);

	if (rc == 0)
		rc = run(c, r, err);
	json_set_int(r->answer, "ms", clock_boot_ms() - start);
	r->prepared = NULL;
	checkout_free(c);
	return rc;
}
