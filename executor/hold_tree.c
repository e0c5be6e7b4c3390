/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One walk over each folder. Nothing of the job runs any more, so that what is looked at
 * stays what it is; symlinks are read and never followed all the same.
 */
#include "executor/hold_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "base/strvec.h"
#include "executor/walk.h"

#define READ_SIZE (256 * 1024)

struct taking {
	const struct hold_tree *t;
	const char *place;
	int64_t files, bytes, more;
	struct strvec removed;
	char *buf;
};

static void note_removed(struct taking *k, const char *rel)
{
	_cleanup_free_ char *path = path_join(k->place, rel);
	_cleanup_free_ char *shown = mask_str(k->t->mask, path);

	if (k->removed.len < HOLD_TREE_NAMES_MAX)
		(void)strvec_push(&k->removed, shown);
	else
		k->more++;
}

/* ---- is there a secret in it? ---- */

/* A match always makes the text shorter: no secret is as short as its three stars. */
static int content_has(struct taking *k, int fd, bool *ret, struct err *err)
{
	_cleanup_(mask_stream_freep) struct mask_stream *s = mask_stream_new(k->t->mask);
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
	uint64_t read_len = 0, out_len = 0;
	ssize_t n;

	while ((n = fd_read_full(fd, k->buf, READ_SIZE)) > 0) {
		if (clock_boot_ms() > k->t->deadline)
			return err_set(err, ERR_TIMEOUT,
				"looking through it for secrets takes too long");
		mask_stream_write(s, k->buf, (size_t)n, &out);
		read_len += (uint64_t)n;
		out_len += out.len;
		strbuf_clear(&out);
		if (out_len + mask_stream_held(s) < read_len)
			break;
	}
	if (n < 0)
		return err_sys(err, "cannot read a file");
	mask_stream_flush(s, &out);
	*ret = out_len + out.len < read_len;
	return 0;
}

/* Attributes of the user's hold whatever he likes, and nobody misses them here. */
static void drop_attributes(int fd)
{
	char names[16 * 1024];
	ssize_t n = flistxattr(fd, names, sizeof(names));

	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1)
		if (str_starts(names + at, "user."))
			(void)fremovexattr(fd, names + at); /* then it stays as it is */
}

static int look_into(struct taking *k, int dir, const char *rel, const char *name,
	bool is_dir, bool *ret, struct err *err)
{
	_cleanup_close_ int fd = openat(dir, name,
		O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC |
			(is_dir ? O_DIRECTORY : 0));
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "cannot look into '%s/%s'", k->place, rel);
	drop_attributes(fd);
	if (is_dir)
		return 0;
	/* Files with holes are as long as their owner says: what is on disk counts. */
	if (st.st_size / 64 > (off_t)st.st_blocks * 512 + READ_SIZE)
		return err_set(
			err, ERR_LIMIT, "'%s/%s' is nearly all hole", k->place, rel);
	return content_has(k, fd, ret, err);
}

static bool link_has(const struct taking *k, int dir, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof(target));

	return n < 0 || mask_contains(k->t->mask, target, (size_t)n);
}

static int has_secret(struct taking *k, int dir, const char *rel, const char *name,
	const struct stat *st, bool *ret, struct err *err)
{
	*ret = false;
	if (!k->t->mask)
		return 0;
	if (mask_contains(k->t->mask, rel, strlen(rel))) {
		*ret = true;
		return 0;
	}
	if (S_ISLNK(st->st_mode)) {
		*ret = link_has(k, dir, name);
		return 0;
	}
	/* A pack that is hard-linked with the mirror is what was pushed, no more. */
	if (S_ISREG(st->st_mode) && st->st_nlink > 1 && st->st_uid != k->t->uid)
		return 0;
	return look_into(k, dir, rel, name, S_ISDIR(st->st_mode), ret, err);
}

/* ---- the walk ---- */

static int take_entry(int dir, const char *rel, const char *name, const struct stat *st,
	void *data, struct err *err)
{
	struct taking *k = data;
	bool is_kept =
		S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) || S_ISLNK(st->st_mode);
	bool has = false;

	if (clock_boot_ms() > k->t->deadline)
		return err_set(err, ERR_TIMEOUT, "putting it aside takes too long");
	if (is_kept && has_secret(k, dir, rel, name, st, &has, err) < 0)
		return -1;
	if (!is_kept || has) {
		if (has)
			note_removed(k, rel);
		return path_remove_tree(dir, name, err) < 0 ? -1 : 1;
	}
	k->files++;
	k->bytes += (int64_t)st->st_blocks * 512;
	if (k->files > HOLD_TREE_FILES_MAX)
		return err_set(
			err, ERR_LIMIT, "it has more than %d files", HOLD_TREE_FILES_MAX);
	if (k->t->bytes_max && k->bytes > k->t->bytes_max)
		return err_set(err, ERR_LIMIT, "it is larger than keep.held_size");
	if (st->st_uid == k->t->uid && fchownat(dir, name, 0, 0, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "cannot take '%s/%s' from the job", k->place, rel);
	return 0;
}

static int take_place(struct taking *k, const struct hold_place *p, struct err *err)
{
	struct stat st;

	k->place = p->name;
	if (walk_tree(p->fd, take_entry, k, err) < 0)
		return -1;
	if (k->t->mask)
		drop_attributes(p->fd);
	/* Last, and so that its owner may move it: a step may have forbidden that. */
	if (fstat(p->fd, &st) < 0 || fchown(p->fd, 0, 0) < 0 ||
		fchmod(p->fd, (st.st_mode & 0777) | 0700) < 0)
		return err_sys(err, "cannot take '%s' from the job", p->name);
	return 0;
}

static struct json *result_of(const struct taking *k)
{
	struct json *j = json_new_object(), *list = json_new_array();

	json_set_int(j, "files", k->files);
	json_set_int(j, "bytes", k->bytes);
	json_set_int(j, "more", k->more);
	strvec_foreach (r, &k->removed)
		json_push_str(list, *r);
	json_set(j, "removed", list);
	return j;
}

int hold_tree_run(void *data)
{
	const struct hold_tree *t = data;
	struct taking k = { .t = t, .removed = STRVEC_INIT, .buf = xmalloc(READ_SIZE) };
	struct err err = ERR_INIT;
	_cleanup_free_ char *text = NULL;
	struct json *j;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < t->places_len; i++)
		rc = take_place(&k, &t->places[i], &err);
	j = rc == 0 ? result_of(&k) : json_new_object();
	if (rc < 0) {
		_cleanup_free_ char *why = mask_str(t->mask, err.msg);

		json_set_str(j, "error", t->mask ? why : err.msg);
	}
	text = json_text(j);
	return fd_write_all(t->out, text, strlen(text)) < 0;
}
