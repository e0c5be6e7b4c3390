/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pack file of whole, uncompressed objects and its index, version 2. libgit2's own
 * builder compares every object with its neighbours and deflates them, which takes ten
 * times as long as writing the files; a workspace lives for minutes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/fd.h"
#include "base/mem.h"
#include "executor/git-internal.h"

#define BUFFER	   (1u << 20)
#define STORED_MAX 65535
#define TEMP	   "pack.tmp"

struct item {
	uint32_t crc;
	uint64_t offset;
};

struct git_pack {
	int dir;
	int fd;
	struct strbuf buffer;
	uint64_t offset;
	uint32_t crc; /* of the object being written */
	uint32_t crc_table[8][256];
	struct git_set *ids;
	struct item *items; /* of the ids, in their order */
	size_t len, cap;
};

/* Eight bytes a step; the table of base/crypto.c does one. */
static void crc_init(uint32_t table[8][256])
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? c >> 1 ^ 0xedb88320 : c >> 1;
		table[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++) {
		for (int n = 1; n < 8; n++)
			table[n][i] =
				table[0][table[n - 1][i] & 255] ^ table[n - 1][i] >> 8;
	}
}

static uint32_t crc_add(
	uint32_t table[8][256], uint32_t crc, const uint8_t *p, size_t len)
{
	crc = ~crc;
	for (; len >= 8; p += 8, len -= 8) {
		uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 |
					     (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);

		crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^
		      table[5][low >> 16 & 255] ^ table[4][low >> 24] ^ table[3][p[4]] ^
		      table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
	}
	for (; len > 0; p++, len--)
		crc = table[0][(crc ^ *p) & 255] ^ crc >> 8;
	return ~crc;
}

static uint32_t adler_of(const uint8_t *p, size_t len)
{
	uint32_t a = 1, b = 0;

	while (len > 0) {
		size_t n = len < 5552 ? len : 5552; /* no overflow before this many */

		for (size_t i = 0; i < n; i++) {
			a += p[i];
			b += a;
		}
		a %= 65521;
		b %= 65521;
		p += n;
		len -= n;
	}
	return b << 16 | a;
}

static int flush(struct git_pack *p, struct err *err)
{
	if (fd_write_all(p->fd, p->buffer.buf, p->buffer.len) < 0)
		return err_sys(err, "cannot write the pack of a workspace");
	strbuf_clear(&p->buffer);
	return 0;
}

static int put(struct git_pack *p, const void *data, size_t len, struct err *err)
{
	p->crc = crc_add(p->crc_table, p->crc, data, len);
	p->offset += len;
	strbuf_add(&p->buffer, data, len);
	return p->buffer.len >= BUFFER ? flush(p, err) : 0;
}

static int put32(struct git_pack *p, uint32_t v, struct err *err)
{
	v = htonl(v);
	return put(p, &v, sizeof(v), err);
}

int git_pack_new(int dir, struct git_pack **ret, struct err *err)
{
	struct git_pack *p = xcalloc(1, sizeof(*p));

	p->dir = dir;
	p->ids = git_set_new();
	strbuf_init(&p->buffer);
	crc_init(p->crc_table);
	p->fd = openat(
		dir, TEMP, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	if (p->fd < 0) {
		(void)err_sys(err, "cannot create the pack of a workspace");
		git_pack_free(p);
		return -1;
	}
	/* The count is filled in at the end. */
	if (put(p, "PACK\0\0\0\2\0\0\0\0", 12, err) < 0) {
		git_pack_free(p);
		return -1;
	}
	*ret = p;
	return 0;
}

void git_pack_free(struct git_pack *p)
{
	if (!p)
		return;
	if (p->fd >= 0) {
		(void)close(p->fd); /* unfinished: of no use to anybody */
		(void)unlinkat(p->dir, TEMP, 0);
	}
	strbuf_done(&p->buffer);
	git_set_free(p->ids);
	free(p->items);
	free(p);
}

bool git_pack_has(const struct git_pack *p, const git_oid *oid)
{
	return git_set_has(p->ids, oid);
}

/* Type and size, seven bits a byte, the first with four. */
static size_t object_header(git_object_t type, size_t len, uint8_t out[16])
{
	size_t n = 0;
	uint8_t c = (uint8_t)((unsigned)type << 4 | (len & 15));

	for (len >>= 4; len > 0; len >>= 7) {
		out[n++] = c | 0x80;
		c = len & 0x7f;
	}
	out[n++] = c;
	return n;
}

/* A zlib stream of stored blocks. */
static int put_stored(
	struct git_pack *p, const uint8_t *data, size_t len, struct err *err)
{
	size_t left = len;

	if (put(p, "\x78\x01", 2, err) < 0)
		return -1;
	do {
		size_t n = left < STORED_MAX ? left : STORED_MAX;
		const uint8_t head[5] = { n == left, n & 255, n >> 8, ~n & 255,
			~n >> 8 & 255 };

		if (put(p, head, 5, err) < 0 || put(p, data + (len - left), n, err) < 0)
			return -1;
		left -= n;
	} while (left > 0);
	return put32(p, adler_of(data, len), err);
}

int git_pack_add(struct git_pack *p, const git_oid *oid, git_object_t type,
	const void *data, size_t len, struct err *err)
{
	uint8_t head[16];
	struct item *item;

	if (!git_set_add(p->ids, oid))
		return 0;
	GROW(p->items, p->cap, p->len + 1);
	item = &p->items[p->len++];
	item->offset = p->offset;
	p->crc = 0;
	if (put(p, head, object_header(type, len, head), err) < 0 ||
		put_stored(p, data, len, err) < 0)
		return -1;
	p->items[p->len - 1].crc = p->crc;
	return 0;
}

struct sorted {
	const git_oid *oid;
	const struct item *item;
};

static int compare_ids(const void *a, const void *b)
{
	return git_oid_cmp(
		((const struct sorted *)a)->oid, ((const struct sorted *)b)->oid);
}

static struct sorted *sort_ids(const struct git_pack *p)
{
	struct sorted *all = xcalloc(p->len + 1, sizeof(*all));

	for (size_t i = 0; i < p->len; i++)
		all[i] = (struct sorted){ git_set_at(p->ids, i), &p->items[i] };
	qsort(all, p->len, sizeof(*all), compare_ids);
	return all;
}

static void add32(struct strbuf *sb, uint32_t v)
{
	v = htonl(v);
	strbuf_add(sb, &v, sizeof(v));
}

static void make_index(
	const struct git_pack *p, const uint8_t trailer[SHA1_LEN], struct strbuf *out)
{
	_cleanup_(strbuf_done) struct strbuf large = STRBUF_INIT;
	_cleanup_(sha1_freep) struct sha1 *sha = sha1_new();
	_cleanup_free_ struct sorted *all = sort_ids(p);
	uint8_t digest[SHA1_LEN];
	uint32_t n = 0;
	size_t i = 0;

	strbuf_add(out, "\377tOc\0\0\0\2", 8);
	for (unsigned first = 0; first < 256; first++) {
		while (i < p->len && all[i].oid->id[0] == first)
			i++;
		add32(out, (uint32_t)i);
	}
	for (i = 0; i < p->len; i++)
		strbuf_add(out, all[i].oid->id, GIT_OID_RAWSZ);
	for (i = 0; i < p->len; i++)
		add32(out, all[i].item->crc);
	for (i = 0; i < p->len; i++) {
		uint64_t at = all[i].item->offset;

		if (at < 0x80000000u) {
			add32(out, (uint32_t)at);
			continue;
		}
		add32(out, 0x80000000u | n++);
		add32(&large, (uint32_t)(at >> 32));
		add32(&large, (uint32_t)at);
	}
	strbuf_add(out, large.buf, large.len);
	strbuf_add(out, trailer, SHA1_LEN);
	sha1_add(sha, out->buf, out->len);
	sha1_end(sha, digest);
	strbuf_add(out, digest, SHA1_LEN);
}

/* Hashed at the end: the count in the head is known only now. */
static int seal(struct git_pack *p, uint8_t ret[SHA1_LEN], struct err *err)
{
	const uint32_t count = htonl((uint32_t)p->len);
	_cleanup_(sha1_freep) struct sha1 *sha = sha1_new();
	_cleanup_free_ char *buf = xmalloc(BUFFER);
	ssize_t n;

	if (fd_pwrite_all(p->fd, &count, sizeof(count), 8) < 0 ||
		lseek(p->fd, 0, SEEK_SET) < 0)
		return err_sys(err, "cannot write the pack of a workspace");
	while ((n = fd_read_full(p->fd, buf, BUFFER)) > 0)
		sha1_add(sha, buf, (size_t)n);
	if (n < 0)
		return err_sys(err, "cannot read the pack of a workspace");
	sha1_end(sha, ret);
	if (fd_write_all(p->fd, ret, SHA1_LEN) < 0)
		return err_sys(err, "cannot write the pack of a workspace");
	return 0;
}

int git_pack_finish(struct git_pack *p, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf index = STRBUF_INIT;
	uint8_t trailer[SHA1_LEN];
	char hex[SHA1_LEN * 2 + 1], name[64];

	if (flush(p, err) < 0 || seal(p, trailer, err) < 0)
		return -1;
	hex_encode(trailer, SHA1_LEN, hex);
	make_index(p, trailer, &index);
	(void)snprintf(name, sizeof(name), "pack-%s.pack", hex);
	if (renameat(p->dir, TEMP, p->dir, name) < 0)
		return err_sys(err, "cannot name the pack of a workspace");
	(void)close(take_fd(&p->fd)); /* written in full */
	(void)snprintf(name, sizeof(name), "pack-%s.idx", hex);
	return fd_replace_file(
		p->dir, name, index.buf, index.len, 0444, FD_REPLACE_NOSYNC, err);
}

/* ---- the objects of a history ---- */

struct adder {
	struct git_pack *pack;
	git_repository *repo;
	git_odb *odb;
	uint64_t max;
};

/* 0 added, 1 over the size, -1 error. */
static int add_object(struct adder *a, const git_oid *oid, struct err *err)
{
	_cleanup_(git_odb_object_freep) git_odb_object *obj = NULL;
	int rc = git_odb_read(&obj, a->odb, oid);

	if (rc < 0)
		return git_fault(err, rc, "the history is not complete");
	if (a->pack->offset + git_odb_object_size(obj) > a->max)
		return 1;
	return git_pack_add(a->pack, oid, git_odb_object_type(obj),
		git_odb_object_data(obj), git_odb_object_size(obj), err);
}

/* A tree that is in the pack has all it names in it too. */
static int add_tree(struct adder *a, const git_oid *oid, int depth, struct err *err)
{
	_cleanup_(git_tree_freep) git_tree *tree = NULL;
	int rc;

	if (git_pack_has(a->pack, oid))
		return 0;
	if (depth > GIT_TREE_DEPTH_MAX)
		return err_set(err, ERR_LIMIT, "folders are nested more than %d deep",
			GIT_TREE_DEPTH_MAX);
	rc = git_tree_lookup(&tree, a->repo, oid);
	if (rc < 0)
		return git_fault(err, rc, "the history is not complete");
	rc = add_object(a, oid, err);
	for (size_t i = 0; rc == 0 && i < git_tree_entrycount(tree); i++) {
		const git_tree_entry *e = git_tree_entry_byindex(tree, i);

		if (git_tree_entry_type(e) == GIT_OBJECT_TREE)
			rc = add_tree(a, git_tree_entry_id(e), depth + 1, err);
		else if (git_tree_entry_type(e) == GIT_OBJECT_BLOB &&
			 !git_pack_has(a->pack, git_tree_entry_id(e)))
			rc = add_object(a, git_tree_entry_id(e), err);
	}
	return rc;
}

int git_pack_add_history(struct git_pack *p, git_repository *repo,
	const struct git_set *commits, uint64_t max, struct err *err)
{
	_cleanup_(git_odb_freep) git_odb *odb = NULL;
	struct adder a = { p, repo, NULL, max };
	int rc = git_repository_odb(&odb, repo);

	if (rc < 0)
		return git_fault(err, rc, "cannot read the mirror");
	a.odb = odb;
	for (size_t i = 0; rc == 0 && i < git_set_len(commits); i++) {
		_cleanup_(git_commit_freep) git_commit *c = NULL;

		rc = git_commit_lookup(&c, repo, git_set_at(commits, i));
		if (rc < 0)
			return git_fault(err, rc, "the history is not complete");
		rc = add_object(&a, git_commit_id(c), err);
		if (rc == 0)
			rc = add_tree(&a, git_commit_tree_id(c), 0, err);
	}
	return rc;
}
