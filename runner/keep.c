/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not kept for ever: artifacts and logs past their time, blobs that no row names,
 * held jobs whose time is over. Rows go first, in the turn's transaction; files only after
 * its commit.
 */
#include "runner/core-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "executor/hold.h"
#include "executor/link.h"
#include "store/artifacts.h"
#include "store/holds.h"

enum {
	BLOBS_MAX = 512, /* of one sweep: the next one goes on */
	LOGS_MAX = 1024, /* likewise */
	HELD_MAX = 1024,
	GRACE_MS = 3600 * 1000, /* a blob is written before its row */
};

struct doomed {
	size_t len;
	char digests[BLOBS_MAX][SHA256_HEX_MAX];
};

static void unlink_blobs(struct core *c, const struct err *why, void *data)
{
	struct doomed *d = data;
	char path[96];

	for (size_t i = 0; !why && i < d->len; i++) {
		snprintf(path, sizeof(path), "store/sha256/%.2s/%.64s", d->digests[i],
			d->digests[i]);
		if (unlinkat(c->data, path, 0) < 0 && errno != ENOENT)
			log_warn("cannot remove '%s'", path);
	}
	free(d);
}

/* ---- logs -------------------------------------------------------------------------- */

struct old_logs {
	size_t len;
	struct log_row rows[LOGS_MAX];
};

/* All that stands of a try; what else lies there is left alone, and the folder with it. */
static void unlink_try(int data, int64_t job, int64_t try)
{
	static const char *const names[] = { JOB_FILE_LOG, JOB_FILE_INDEX,
		JOB_FILE_JOURNAL, JOB_FILE_SPEC, JOB_FILE_LOCK, JOB_FILE_SLOT,
		HELD_FILE_WHY };
	_cleanup_close_ int dir = -1;
	char path[64];

	(void)snprintf(path, sizeof(path), "jobs/%" PRId64 "/%" PRId64, job, try);
	dir = openat(data, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	for (size_t i = 0; dir >= 0 && i < ARRAY_SIZE(names); i++)
		if (unlinkat(dir, names[i], 0) < 0 && errno != ENOENT)
			log_warn("cannot remove '%s/%s'", path, names[i]);
	(void)unlinkat(data, path, AT_REMOVEDIR);
}

static void unlink_logs(struct core *c, const struct err *why, void *data)
{
	struct old_logs *o = data;
	char path[48];

	for (size_t i = 0; !why && i < o->len; i++) {
		for (int64_t t = 1; t <= o->rows[i].tries; t++)
			unlink_try(c->data, o->rows[i].job, t);
		(void)snprintf(path, sizeof(path), "jobs/%" PRId64, o->rows[i].job);
		(void)unlinkat(c->data, path, AT_REMOVEDIR);
	}
	free(o);
}

static int collect_logs(
	struct core *c, bool is_dry, struct keep_found *ret, struct err *err)
{
	struct old_logs *o;
	int n, rc = 0;

	if (!c->o->keep_logs_ms)
		return 0;
	o = xcalloc(1, sizeof(*o));
	n = logs_due(c->store, clock_wall_ms() - c->o->keep_logs_ms, o->rows, LOGS_MAX,
		err);
	for (int i = 0; i < n; i++) {
		ret->logs++;
		ret->bytes += o->rows[i].size;
		if (!is_dry && rc == 0)
			rc = logs_removed(c->store, o->rows[i].job, err);
	}
	ret->is_more |= n == LOGS_MAX;
	if (n < 0 || rc < 0 || is_dry) {
		free(o);
		return n < 0 ? -1 : rc;
	}
	o->len = (size_t)n;
	core_after(c, unlink_logs, o);
	return 0;
}

/* ---- all ---------------------------------------------------------------------------- */

static int collect_artifacts(
	struct core *c, bool is_dry, struct keep_found *ret, struct err *err)
{
	struct doomed *d;
	int blobs;

	if (artifacts_due(c->store, &ret->artifacts, &ret->bytes, err) < 0)
		return -1;
	if (is_dry)
		return 0;
	if (artifacts_expire(c->store, NULL, err) < 0)
		return -1;
	d = xcalloc(1, sizeof(*d));
	blobs = blobs_collect(c->store, GRACE_MS, d->digests, BLOBS_MAX, err);
	if (blobs < 0) {
		free(d);
		return -1;
	}
	d->len = (size_t)blobs;
	ret->blobs = blobs;
	ret->is_more |= blobs == BLOBS_MAX;
	core_after(c, unlink_blobs, d);
	return 0;
}

static int collect_held(struct core *c, bool is_dry, const struct actor *who,
	struct keep_found *ret, struct err *err)
{
	struct hold_row *rows = xcalloc(HELD_MAX, sizeof(*rows));
	int n = holds_list(c->store, rows, HELD_MAX, err), rc = n < 0 ? -1 : 0;

	for (int i = 0; i < n && rc == 0; i++) {
		if (rows[i].expires_at > clock_wall_ms() ||
			held_is_in_use(c, rows[i].job, rows[i].try))
			continue;
		ret->held++;
		ret->bytes += rows[i].bytes;
		if (!is_dry)
			rc = held_remove(c, &rows[i], "its time is over", who, err);
	}
	free(rows);
	return rc;
}

int keep_collect(struct core *c, bool is_dry, const struct actor *who,
	struct keep_found *ret, struct err *err)
{
	if (!is_dry && core_begin(c, err) < 0)
		return -1;
	if (collect_artifacts(c, is_dry, ret, err) < 0 ||
		collect_logs(c, is_dry, ret, err) < 0 ||
		collect_held(c, is_dry, who, ret, err) < 0 ||
		logs_deployed(c->store, &ret->deployments, err) < 0)
		return -1;
	if (!is_dry && (ret->logs || ret->artifacts || ret->blobs || ret->held))
		log_info("kept no longer: %" PRId64 " logs, %" PRId64
			 " artifacts, %" PRId64 " blobs, %" PRId64 " held jobs",
			ret->logs, ret->artifacts, ret->blobs, ret->held);
	return 0;
}
