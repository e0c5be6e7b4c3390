/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is not kept for ever: artifacts past their time, and blobs that no row names. Rows
 * go first, in the turn's transaction; files only after its commit.
 */
#include "runner/core-internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "store/artifacts.h"

enum {
	BLOBS_MAX = 512, /* of one sweep: the next one goes on */
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

int keep_sweep(struct core *c, struct err *err)
{
	struct doomed *d = xcalloc(1, sizeof(*d));
	int expired = 0, blobs;

	if (artifacts_expire(c->store, &expired, err) < 0) {
		free(d);
		return -1;
	}
	blobs = blobs_collect(c->store, GRACE_MS, d->digests, BLOBS_MAX, err);
	if (blobs < 0) {
		free(d);
		return -1;
	}
	d->len = (size_t)blobs;
	if (expired || blobs)
		log_info("kept no longer: %d artifacts, %d blobs", expired, blobs);
	core_after(c, unlink_blobs, d);
	return 0;
}
