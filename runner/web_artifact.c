/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An artifact as a tar archive, made while it is read: the store holds a manifest and the
 * files by digest. The names are a job's: they leave as they are in the manifest, which
 * the executor keeps clean, and nothing here ever opens a file by them.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "runner/web-internal.h"
#include "store/artifacts.h"

#define BLOCK 512
#define MANIFEST_MAX (256 * MiB)
#define SIZE_MAX_USTAR 077777777777LL

struct tar {
	int store;
	struct json *manifest;
	size_t next; /* of the manifest's files */
	int fd;	     /* the one that is being sent */
	int64_t left, padding;
	int64_t mtime;
	struct strbuf head; /* blocks before the next file's bytes */
	size_t at;
	bool ends;
};

static void tar_free(void *p)
{
	struct tar *t = p;

	cleanup_closep(&t->fd);
	json_free(t->manifest);
	strbuf_done(&t->head);
	free(t);
}

static int open_blob(int store, const char *digest)
{
	_cleanup_free_ char *path = NULL;

	if (strlen(digest) != 64 || strspn(digest, "0123456789abcdef") != 64)
		return -1;
	path = xasprintf("sha256/%.2s/%s", digest, digest);
	return openat(store, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static void pad(struct strbuf *out)
{
	static const char zeros[BLOCK];

	strbuf_add(out, zeros, (BLOCK - out->len % BLOCK) % BLOCK);
}

/* One ustar header. NAME is cut to its field; a pax header before it says the whole. */
static void put_header(struct strbuf *out, const char *name, int mode, int64_t size,
	int64_t mtime, char type)
{
	char h[BLOCK] = { 0 };
	unsigned sum = 0;

	memcpy(h, name, strlen(name) < 100 ? strlen(name) : 100);
	snprintf(h + 100, 8, "%07o", (unsigned)mode & 07777);
	snprintf(h + 108, 8, "%07o", 0u);
	snprintf(h + 116, 8, "%07o", 0u);
	snprintf(h + 124, 12, "%011llo", (unsigned long long)(size > SIZE_MAX_USTAR ? 0 : size));
	snprintf(h + 136, 12, "%011llo", (unsigned long long)mtime);
	h[156] = type;
	memcpy(h + 257, "ustar\00000", 8);
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum);
	strbuf_add(out, h, BLOCK);
}

/* "LEN key=value\n", where LEN counts itself. */
static void pax_record(struct strbuf *out, const char *key, const char *value)
{
	size_t body = strlen(key) + strlen(value) + 3, len = body + 1;
	char digits[24];

	while ((size_t)snprintf(digits, sizeof(digits), "%zu", len) + body != len)
		len++;
	strbuf_addf(out, "%zu %s=%s\n", len, key, value);
}

static void put_entry(struct tar *t, const char *name, int mode, int64_t size)
{
	_cleanup_(strbuf_done) struct strbuf pax = STRBUF_INIT;
	char number[24];

	if (strlen(name) > 99)
		pax_record(&pax, "path", name);
	if (size > SIZE_MAX_USTAR) {
		snprintf(number, sizeof(number), "%lld", (long long)size);
		pax_record(&pax, "size", number);
	}
	if (pax.len) {
		put_header(&t->head, "pax", 0644, (int64_t)pax.len, t->mtime, 'x');
		strbuf_add(&t->head, pax.buf, pax.len);
		pad(&t->head);
	}
	put_header(&t->head, name, mode, size, t->mtime, '0');
}

/* The next file of the manifest, or the two empty blocks that end the archive. */
static int next_file(struct tar *t)
{
	const struct json *files = json_get(t->manifest, "files");
	const struct json *f = json_at(files, t->next++);
	struct stat st;

	strbuf_clear(&t->head);
	t->at = 0;
	if (!f) {
		static const char zeros[2 * BLOCK];

		strbuf_add(&t->head, zeros, sizeof(zeros));
		t->ends = true;
		return 0;
	}
	const char *name = json_get_str(f, "path", "");

	cleanup_closep(&t->fd);
	t->fd = open_blob(t->store, json_get_str(f, "sha256", ""));
	if (t->fd < 0 || fstat(t->fd, &st) < 0 || !path_is_clean(name)) {
		log_warnx("an artifact's file is no longer kept: '%.200s'", name);
		return -1;
	}
	t->left = st.st_size;
	t->padding = (BLOCK - st.st_size % BLOCK) % BLOCK;
	put_entry(t, name, (int)json_get_int(f, "mode", 0644), st.st_size);
	return 0;
}

static ssize_t send_bytes(struct tar *t, char *buf, size_t max)
{
	size_t want = (int64_t)max < t->left ? max : (size_t)t->left;
	ssize_t n = read(t->fd, buf, want);

	if (n <= 0)
		return HTTP_PULL_CUT;
	t->left -= n;
	return n;
}

static ssize_t pull(void *stream, char *buf, size_t max)
{
	struct tar *t = stream;
	size_t n;

	while (t->at == t->head.len) {
		if (t->left > 0)
			return send_bytes(t, buf, max);
		if (t->padding > 0) {
			n = (size_t)t->padding < max ? (size_t)t->padding : max;
			memset(buf, 0, n);
			t->padding -= (int64_t)n;
			return (ssize_t)n;
		}
		if (t->ends)
			return -1;
		if (next_file(t) < 0)
			return HTTP_PULL_CUT;
	}
	n = t->head.len - t->at < max ? t->head.len - t->at : max;
	memcpy(buf, t->head.buf + t->at, n);
	t->at += n;
	return (ssize_t)n;
}

static int read_manifest(struct web *w, const struct artifact *a, struct json **ret,
	struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_close_ int fd = open_blob(w->o->store, a->digest);

	if (fd < 0)
		return err_set(err, ERR_NOT_FOUND, "artifact '%.100s' is no longer kept", a->name);
	if (fd_read_to_end(fd, MANIFEST_MAX, &text, err) < 0 ||
		json_parse(text.buf, text.len, ret, err) < 0)
		return err_wrap(err, "artifact '%.100s'", a->name);
	return 0;
}

void web_artifact(struct visit *v, int64_t id)
{
	struct artifact a;
	struct json *manifest = NULL;
	struct tar *t;
	struct err err = ERR_INIT;
	char name[96];

	memset(&a, 0, sizeof(a));
	if (artifacts_get(v->web->store, id, &a, &err) < 0 ||
		read_manifest(v->web, &a, &manifest, &err) < 0) {
		artifact_done(&a);
		api_error(v, &err, NULL);
		return;
	}
	/* Never shown in our origin: an artifact may be HTML with scripts (WH15). */
	snprintf(name, sizeof(name), "attachment; filename=\"%s.tar\"",
		path_is_name(a.name) && strlen(a.name) < 64 ? a.name : "artifact");
	http_add_header(v->r, "Content-Disposition", name);
	http_add_header(v->r, "Content-Security-Policy", "default-src 'none'; sandbox");
	t = xcalloc(1, sizeof(*t));
	t->store = v->web->o->store;
	t->fd = -1;
	t->manifest = manifest;
	t->mtime = a.created_at / 1000;
	strbuf_init(&t->head);
	artifact_done(&a);
	http_stream(v->r, "application/x-tar", pull, tar_free, t);
}
