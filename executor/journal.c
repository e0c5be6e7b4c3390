/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames in, frames out. A reader never trusts a length before the checksum that covers it
 * has been seen to hold, and never allocates for more than JOURNAL_PAYLOAD_MAX.
 */
#include "executor/journal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/fd.h"
#include "base/mem.h"

static const char *const type_names[] = {
	[JOURNAL_START] = "start",
	[JOURNAL_STEPS] = "steps",
	[JOURNAL_READY] = "ready",
	[JOURNAL_GO] = "go",
	[JOURNAL_STEP] = "step",
	[JOURNAL_LOG] = "log",
	[JOURNAL_NOTE] = "note",
	[JOURNAL_DROPPED] = "dropped",
	[JOURNAL_SUMMARY] = "summary",
	[JOURNAL_ARTIFACT] = "artifact",
	[JOURNAL_NET] = "net",
	[JOURNAL_STATE] = "state",
	[JOURNAL_OUTPUTS] = "outputs",
	[JOURNAL_DEPLOY] = "deploy",
	[JOURNAL_RESOLVED] = "resolved",
	[JOURNAL_EXIT] = "exit",
};

const char *journal_type_name(unsigned type)
{
	return type < ARRAY_SIZE(type_names) ? type_names[type] : NULL;
}

/* ---- bytes ---- */

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void put64(uint8_t *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v = 0;

	for (int i = 3; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* The checksum covers the header (with itself as 0) and the payload. */
static uint32_t frame_crc(
	const uint8_t head[JOURNAL_HEADER], const void *data, size_t len)
{
	uint8_t copy[JOURNAL_HEADER];

	memcpy(copy, head, sizeof(copy));
	put32(copy + 16, 0);
	return crc32_of(crc32_of(0, copy, sizeof(copy)), data, len);
}

void journal_encode(
	unsigned type, uint64_t seq, const struct json *payload, struct strbuf *out)
{
	uint8_t head[JOURNAL_HEADER];
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	json_write(payload, 0, &text);
	put32(head, JOURNAL_MAGIC);
	put32(head + 4, (uint32_t)text.len);
	put64(head + 8, seq);
	put32(head + 16, 0);
	put32(head + 20, type);
	put32(head + 16, frame_crc(head, text.buf, text.len));
	strbuf_add(out, head, sizeof(head));
	strbuf_add(out, text.buf, text.len);
}

/* ---- reading ---- */

void journal_frame_done(struct journal_frame *f)
{
	json_free(f->payload);
	*f = (struct journal_frame)JOURNAL_FRAME_INIT;
}

/* Bytes read at AT, fewer at the end of the file; -1 with errno. */
static ssize_t read_at(int fd, void *buf, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int journal_read(int fd, uint64_t at, struct journal_frame *ret, struct err *err)
{
	uint8_t head[JOURNAL_HEADER];
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct json *payload = NULL;
	ssize_t n = read_at(fd, head, sizeof(head), at);
	uint32_t len;

	if (n < 0)
		return err_sys(err, "cannot read the journal");
	if ((size_t)n < sizeof(head) || get32(head) != JOURNAL_MAGIC)
		return 0;
	len = get32(head + 4);
	if (len > JOURNAL_PAYLOAD_MAX)
		return 0;
	strbuf_reserve(&text, len);
	n = read_at(fd, text.buf, len, at + sizeof(head));
	if (n < 0)
		return err_sys(err, "cannot read the journal");
	if ((size_t)n < len)
		return 0;
	strbuf_commit(&text, len);
	if (frame_crc(head, text.buf, len) != get32(head + 16))
		return 0;
	/* The checksum holds, so this is what the executor wrote: it must be JSON. */
	if (json_parse(text.buf, text.len, &payload, err) < 0)
		return 0;
	ret->type = get32(head + 20);
	ret->seq = get64(head + 8);
	ret->payload = payload;
	ret->end = at + sizeof(head) + len;
	return 1;
}

int journal_each(int fd, uint64_t at, uint64_t after, journal_frame_fn *fn, void *data,
	uint64_t *ret_end, struct err *err)
{
	for (;;) {
		_cleanup_(journal_frame_done) struct journal_frame f = JOURNAL_FRAME_INIT;
		int got = journal_read(fd, at, &f, err);

		if (got < 0)
			return -1;
		/* A gap is as good as a frame that does not verify. */
		if (got == 0 || f.seq != after + 1)
			break;
		if (fn && fn(&f, data, err) < 0)
			return -1;
		after = f.seq;
		at = f.end;
	}
	if (ret_end)
		*ret_end = at;
	return 0;
}

static int note_seq(const struct journal_frame *f, void *data, struct err *err)
{
	uint64_t *seq = data;

	(void)err; /* it cannot fail */
	*seq = f->seq;
	return 0;
}

int journal_recover(int fd, uint64_t *ret_seq, uint64_t *ret_end, struct err *err)
{
	uint64_t seq = 0, end = 0;
	struct stat st;

	if (journal_each(fd, 0, 0, note_seq, &seq, &end, err) < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return err_sys(err, "cannot look at the journal");
	if ((uint64_t)st.st_size > end) {
		if (ftruncate(fd, (off_t)end) < 0)
			return err_sys(err, "cannot cut the torn end of the journal");
		if (fdatasync(fd) < 0)
			return err_sys(err, "cannot sync the journal");
	}
	*ret_seq = seq;
	*ret_end = end;
	return 0;
}

/* ---- writing ---- */

struct journal {
	int fd;
	int dir; /* -1 once the name is durable */
	uint64_t seq, end;
	bool is_dirty;
};

int journal_open(int dir, const char *name, struct journal **ret, struct err *err)
{
	_cleanup_(journal_freep) struct journal *j = xcalloc(1, sizeof(*j));

	j->fd = j->dir = -1;
	j->fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (j->fd < 0)
		return err_sys(err, "cannot open '%s'", name);
	if (journal_recover(j->fd, &j->seq, &j->end, err) < 0)
		return -1;
	j->dir = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	if (j->dir < 0)
		return err_sys(err, "cannot keep the folder of '%s'", name);
	*ret = take_ptr(j);
	return 0;
}

void journal_free(struct journal *j)
{
	if (!j)
		return;
	cleanup_closep(&j->fd);
	cleanup_closep(&j->dir);
	free(j);
}

int journal_add(
	struct journal *j, enum journal_type type, struct json *payload, struct err *err)
{
	_cleanup_(json_freep) struct json *owned = payload;
	_cleanup_(strbuf_done) struct strbuf buf = STRBUF_INIT;

	json_set_int(owned, "t", clock_wall_ms());
	journal_encode(type, j->seq + 1, owned, &buf);
	if (buf.len > JOURNAL_HEADER + JOURNAL_PAYLOAD_MAX)
		return err_set(
			err, ERR_LIMIT, "a frame of %zu bytes is too large", buf.len);
	if (fd_pwrite_all(j->fd, buf.buf, buf.len, (off_t)j->end) < 0) {
		int code = errno;

		/* Half a frame would only be cut by the next reader; do it now. */
		if (ftruncate(j->fd, (off_t)j->end) < 0)
			errno = code;
		errno = code;
		return err_sys(err, "cannot write the journal");
	}
	j->end += buf.len;
	j->seq++;
	j->is_dirty = true;
	return 0;
}

int journal_sync_name(struct journal *j, struct err *err)
{
	if (j->dir < 0)
		return 0;
	if (fsync(j->dir) < 0)
		return err_sys(err, "cannot sync the folder of the journal");
	(void)close(take_fd(&j->dir)); /* durable: its descriptor has served */
	return 0;
}

int journal_sync(struct journal *j, struct err *err)
{
	if (!j->is_dirty)
		return 0;
	if (fdatasync(j->fd) < 0)
		return err_sys(err, "cannot sync the journal");
	if (journal_sync_name(j, err) < 0)
		return -1;
	j->is_dirty = false;
	return 0;
}

uint64_t journal_seq(const struct journal *j)
{
	return j->seq;
}
