/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of a commit to files. Not libgit2's checkout: here every file is created new,
 * beneath the descriptor of a folder that was created new, so that no name in the tree can
 * lead anywhere else, and objects are read once for the files, the pack and the index.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/mem.h"
#include "executor/git-internal.h"

struct writer {
	git_repository *repo;
	git_odb *odb;
	git_commit *commit;
	struct git_pack *pack;
	git_index *index;
	struct git_files *counts;
	struct strbuf path; /* of the entry being written */
	bool has_attributes;
	int64_t entries;
};

/* ---- first look at all names, before anything is written ---- */

/* Git sorts a folder as if its name ended in a slash; equal neighbours are not enough. */
static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A name twice, once a symlink and once a folder, is the way out of a workspace. */
static int check_twice(git_tree *tree, const char *path, struct err *err)
{
	size_t n = git_tree_entrycount(tree);
	_cleanup_free_ const char **names = xcalloc(n + 1, sizeof(*names));

	for (size_t i = 0; i < n; i++)
		names[i] = git_tree_entry_name(git_tree_entry_byindex(tree, i));
	qsort(names, n, sizeof(*names), compare_names);
	for (size_t i = 1; i < n; i++) {
		if (strcmp(names[i - 1], names[i]) == 0)
			return err_set(err, ERR_INPUT,
				"the commit is not checked out: '%.100s%.100s' is there twice",
				path, names[i]);
	}
	return 0;
}

static int check_entry(struct writer *w, const git_tree_entry *e, struct err *err)
{
	const char *name = git_tree_entry_name(e), *why;

	switch (git_tree_entry_filemode(e)) {
	case GIT_FILEMODE_TREE:
	case GIT_FILEMODE_BLOB:
	case GIT_FILEMODE_BLOB_EXECUTABLE:
	case GIT_FILEMODE_LINK:
	case GIT_FILEMODE_COMMIT:
		break;
	case GIT_FILEMODE_UNREADABLE:
		return err_set(err, ERR_INPUT,
			"the commit is not checked out: '%.100s%.100s' is of no known kind",
			w->path.buf, name);
	}
	if (!git_name_is_safe(name, strlen(name),
		    git_tree_entry_filemode(e) == GIT_FILEMODE_LINK, &why))
		return err_set(err, ERR_INPUT,
			"the commit is not checked out: '%.80s%.80s' has %s", w->path.buf,
			name, why);
	if (w->path.len + strlen(name) > GIT_PATH_MAX)
		return err_set(err, ERR_LIMIT,
			"the commit is not checked out: a path has more than %d bytes",
			GIT_PATH_MAX);
	if (++w->entries > GIT_TREE_ENTRIES_MAX)
		return err_set(err, ERR_LIMIT,
			"the commit is not checked out: it has more than %d files",
			GIT_TREE_ENTRIES_MAX);
	if (strcmp(name, ".gitattributes") == 0)
		w->has_attributes = true;
	return 0;
}

static int check_tree(struct writer *w, const git_oid *oid, int depth, struct err *err)
{
	_cleanup_(git_tree_freep) git_tree *tree = NULL;
	size_t at = w->path.len;
	int rc = git_tree_lookup(&tree, w->repo, oid);

	if (rc < 0)
		return git_fault(err, rc, "cannot read the folder '%.100s'", w->path.buf);
	if (depth > GIT_TREE_DEPTH_MAX)
		return err_set(err, ERR_LIMIT,
			"the commit is not checked out: folders are nested more than %d deep",
			GIT_TREE_DEPTH_MAX);
	if (check_twice(tree, w->path.buf, err) < 0)
		return -1;
	for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
		const git_tree_entry *e = git_tree_entry_byindex(tree, i);

		if (check_entry(w, e, err) < 0)
			return -1;
		if (git_tree_entry_type(e) != GIT_OBJECT_TREE)
			continue;
		strbuf_addf(&w->path, "%s/", git_tree_entry_name(e));
		if (check_tree(w, git_tree_entry_id(e), depth + 1, err) < 0)
			return -1;
		strbuf_truncate(&w->path, at);
	}
	return 0;
}

/* ---- then write ---- */

static int add_index(
	struct writer *w, const git_tree_entry *e, const struct stat *st, struct err *err)
{
	git_index_entry entry = { 0 };
	int rc;

	if (!w->index)
		return 0;
	entry.ctime.seconds = (int32_t)st->st_ctim.tv_sec;
	entry.ctime.nanoseconds = (uint32_t)st->st_ctim.tv_nsec;
	entry.mtime.seconds = (int32_t)st->st_mtim.tv_sec;
	entry.mtime.nanoseconds = (uint32_t)st->st_mtim.tv_nsec;
	entry.dev = (uint32_t)st->st_dev;
	entry.ino = (uint32_t)st->st_ino;
	entry.uid = st->st_uid;
	entry.gid = st->st_gid;
	entry.file_size = (uint32_t)st->st_size;
	entry.mode = git_tree_entry_filemode(e);
	entry.id = *git_tree_entry_id(e);
	entry.path = w->path.buf;
	rc = git_index_add(w->index, &entry);
	return rc < 0 ? git_fault(err, rc, "'%.150s'", w->path.buf) : 0;
}

/* The bytes of a file as they belong on disk: line ends and $Id$ by its attributes. */
static int filtered(struct writer *w, const git_tree_entry *e, git_buf *ret,
	bool *is_filtered, struct err *err)
{
	git_filter_options o = GIT_FILTER_OPTIONS_INIT;
	_cleanup_(git_blob_freep) git_blob *blob = NULL;
	git_filter_list *filters = NULL;
	int rc;

	*is_filtered = false;
	o.flags = GIT_FILTER_ATTRIBUTES_FROM_COMMIT | GIT_FILTER_NO_SYSTEM_ATTRIBUTES |
		  GIT_FILTER_ALLOW_UNSAFE;
	o.attr_commit_id = *git_commit_id(w->commit);
	rc = git_blob_lookup(&blob, w->repo, git_tree_entry_id(e));
	if (rc == 0)
		rc = git_filter_list_load_ext(
			&filters, w->repo, blob, w->path.buf, GIT_FILTER_TO_WORKTREE, &o);
	if (rc == 0 && filters) {
		rc = git_filter_list_apply_to_blob(ret, filters, blob);
		*is_filtered = rc == 0;
		git_filter_list_free(filters);
	}
	return rc < 0 ? git_fault(err, rc, "'%.150s'", w->path.buf) : 0;
}

static int write_bytes(struct writer *w, int dir, const git_tree_entry *e,
	const void *data, size_t len, struct stat *ret_st, struct err *err)
{
	mode_t mode =
		git_tree_entry_filemode(e) == GIT_FILEMODE_BLOB_EXECUTABLE ? 0755 : 0644;
	_cleanup_close_ int fd = openat(dir, git_tree_entry_name(e),
		O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd < 0 || fd_write_all(fd, data, len) < 0 || fstat(fd, ret_st) < 0)
		return err_sys(err, "cannot write '%.150s'", w->path.buf);
	w->counts->bytes += (int64_t)len;
	return 0;
}

static int write_link(struct writer *w, int dir, const git_tree_entry *e,
	const void *data, size_t len, struct stat *ret_st, struct err *err)
{
	_cleanup_free_ char *target = NULL;

	if (len == 0 || len >= GIT_PATH_MAX || memchr(data, '\0', len))
		return err_set(err, ERR_INPUT, "'%.150s' is no usable symbolic link",
			w->path.buf);
	target = xstrndup(data, len);
	if (symlinkat(target, dir, git_tree_entry_name(e)) < 0 ||
		fstatat(dir, git_tree_entry_name(e), ret_st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "cannot write '%.150s'", w->path.buf);
	return 0;
}

static int write_blob(struct writer *w, int dir, const git_tree_entry *e, struct err *err)
{
	_cleanup_(git_odb_object_freep) git_odb_object *obj = NULL;
	const git_oid *oid = git_tree_entry_id(e);
	bool is_link = git_tree_entry_filemode(e) == GIT_FILEMODE_LINK,
	     is_filtered = false;
	git_buf text = GIT_BUF_INIT;
	struct stat st;
	int rc = git_odb_read(&obj, w->odb, oid);

	if (rc < 0)
		return git_fault(err, rc, "cannot read '%.150s'", w->path.buf);
	if (git_odb_object_type(obj) != GIT_OBJECT_BLOB ||
		git_odb_object_size(obj) > (size_t)GIT_BLOB_MAX)
		return err_set(
			err, ERR_LIMIT, "'%.150s' is larger than 2 GiB", w->path.buf);
	if (w->pack &&
		git_pack_add(w->pack, oid, GIT_OBJECT_BLOB, git_odb_object_data(obj),
			git_odb_object_size(obj), err) < 0)
		return -1;
	if (dir < 0)
		return 0;
	if (is_link) {
		rc = write_link(w, dir, e, git_odb_object_data(obj),
			git_odb_object_size(obj), &st, err);
	} else if (w->has_attributes && filtered(w, e, &text, &is_filtered, err) < 0) {
		rc = -1;
	} else {
		rc = write_bytes(w, dir, e,
			is_filtered ? text.ptr : git_odb_object_data(obj),
			is_filtered ? text.size : git_odb_object_size(obj), &st, err);
	}
	git_buf_dispose(&text);
	w->counts->files++;
	return rc < 0 ? -1 : add_index(w, e, &st, err);
}

static int write_tree(struct writer *w, const git_oid *oid, int dir, struct err *err);

/* A new folder; a submodule stays an empty one. */
static int write_folder(
	struct writer *w, int dir, const git_tree_entry *e, struct err *err)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (dir < 0) {
		strbuf_addc(&w->path, '/');
		return git_tree_entry_filemode(e) == GIT_FILEMODE_COMMIT
			       ? 0
			       : write_tree(w, git_tree_entry_id(e), -1, err);
	}
	if (mkdirat(dir, git_tree_entry_name(e), 0755) < 0)
		return err_sys(err, "cannot create '%.150s'", w->path.buf);
	fd = openat(dir, git_tree_entry_name(e),
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "cannot open '%.150s'", w->path.buf);
	if (git_tree_entry_filemode(e) == GIT_FILEMODE_COMMIT)
		return add_index(w, e, &st, err);
	strbuf_addc(&w->path, '/');
	return write_tree(w, git_tree_entry_id(e), fd, err);
}

static int pack_object(struct writer *w, const git_oid *oid, struct err *err)
{
	_cleanup_(git_odb_object_freep) git_odb_object *obj = NULL;
	int rc;

	if (!w->pack)
		return 0;
	rc = git_odb_read(&obj, w->odb, oid);
	if (rc < 0)
		return git_fault(err, rc, "cannot read the folder '%.100s'", w->path.buf);
	return git_pack_add(w->pack, oid, git_odb_object_type(obj),
		git_odb_object_data(obj), git_odb_object_size(obj), err);
}

static int write_tree(struct writer *w, const git_oid *oid, int dir, struct err *err)
{
	_cleanup_(git_tree_freep) git_tree *tree = NULL;
	size_t at = w->path.len;
	int rc = git_tree_lookup(&tree, w->repo, oid);

	if (rc < 0)
		return git_fault(err, rc, "cannot read the folder '%.100s'", w->path.buf);
	if (pack_object(w, oid, err) < 0)
		return -1;
	for (size_t i = 0; i < git_tree_entrycount(tree); i++) {
		const git_tree_entry *e = git_tree_entry_byindex(tree, i);
		bool is_file = git_tree_entry_type(e) == GIT_OBJECT_BLOB;

		strbuf_adds(&w->path, git_tree_entry_name(e));
		if ((is_file ? write_blob(w, dir, e, err)
			     : write_folder(w, dir, e, err)) < 0)
			return -1;
		strbuf_truncate(&w->path, at);
	}
	return 0;
}

int git_write_files(git_repository *repo, git_commit *commit, int dir,
	struct git_pack *pack, git_index *index, struct git_files *ret, struct err *err)
{
	_cleanup_(git_odb_freep) git_odb *odb = NULL;
	struct git_files counts = { 0, 0 };
	struct writer w = { .repo = repo,
		.commit = commit,
		.pack = pack,
		.index = index,
		.counts = &counts,
		.path = STRBUF_INIT };
	int rc = git_repository_odb(&odb, repo);

	if (rc < 0)
		return git_fault(err, rc, "cannot read the mirror");
	w.odb = odb;
	rc = check_tree(&w, git_commit_tree_id(commit), 0, err);
	if (rc == 0)
		rc = pack_object(&w, git_commit_id(commit), err);
	if (rc == 0)
		rc = write_tree(&w, git_commit_tree_id(commit), dir, err);
	strbuf_done(&w.path);
	if (rc == 0)
		*ret = counts;
	return rc;
}
