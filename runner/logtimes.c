/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When lines were written. The journal has a frame for each piece of the log, in the order
 * of the log, so the one for an offset is found by halving, without an index.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "executor/journal.h"
#include "executor/link.h"
#include "runner/logfile.h"

#define NEAR (32 * 1024) /* so much of a journal is walked frame by frame */
#define PROBE (64 * 1024)
#define WALK_MAX 4096	/* frames at one question */

struct logtimes {
	int fd;
	uint64_t at;	   /* where the next frame begins */
	uint64_t from, to; /* of the log, by the last LOG frame read */
	int64_t time;
	bool is_set;
};

struct logtimes *logtimes_open(int jobs, int64_t job, int64_t try)
{
	struct logtimes *t;
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "%lld/%lld/" JOB_FILE_JOURNAL, (long long)job,
		(long long)try);
	fd = openat(jobs, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return NULL;
	t = xcalloc(1, sizeof(*t));
	t->fd = fd;
	return t;
}

void logtimes_free(struct logtimes *t)
{
	if (!t)
		return;
	(void)close(t->fd);
	free(t);
}

/* The next LOG frame from T->at on; false at the end. */
static bool next_log(struct logtimes *t)
{
	for (int i = 0; i < WALK_MAX; i++) {
		struct journal_frame f = JOURNAL_FRAME_INIT;
		struct err err = ERR_INIT;
		bool found;

		if (journal_read(t->fd, t->at, &f, &err) != 1)
			return false;
		t->at = f.end;
		found = f.type == JOURNAL_LOG;
		if (found) {
			t->from = (uint64_t)json_get_int(f.payload, "from", 0);
			t->to = (uint64_t)json_get_int(f.payload, "to", 0);
			t->time = json_get_int(f.payload, "t", 0);
		}
		journal_frame_done(&f);
		if (found)
			return true;
	}
	return false;
}

/* Where a frame begins at AT or soon after; the end of the journal when there is none. */
static uint64_t frame_after(struct logtimes *t, uint64_t at, uint64_t end)
{
	_cleanup_free_ char *buf = xmalloc(PROBE);
	static const uint32_t magic = JOURNAL_MAGIC;
	ssize_t n = pread(t->fd, buf, PROBE, (off_t)at);
	char *p = buf;

	while (n > 0 && (p = memmem(p, (size_t)(buf + n - p), &magic, sizeof(magic))) != NULL) {
		struct journal_frame f = JOURNAL_FRAME_INIT;
		struct err err = ERR_INIT;
		uint64_t here = at + (uint64_t)(p - buf);

		if (journal_read(t->fd, here, &f, &err) == 1) {
			journal_frame_done(&f);
			return here;
		}
		p++;
	}
	return end;
}

static void seek(struct logtimes *t, uint64_t offset)
{
	struct stat st;
	uint64_t lo = 0, hi;

	if (fstat(t->fd, &st) < 0)
		return;
	hi = (uint64_t)st.st_size;
	while (hi - lo > NEAR) {
		uint64_t mid = lo + (hi - lo) / 2;
		uint64_t here = frame_after(t, mid, hi);

		t->at = here;
		if (here >= hi || !next_log(t) || t->from > offset)
			hi = mid;
		else
			lo = here;
	}
	t->at = lo;
	t->is_set = next_log(t);
}

int64_t logtimes_at(struct logtimes *t, uint64_t offset)
{
	if (!t)
		return 0;
	if (!t->is_set || offset < t->from || offset > t->to + (1 << 20))
		seek(t, offset);
	while (t->is_set && offset >= t->to)
		t->is_set = next_log(t);
	return t->is_set ? t->time : 0;
}
