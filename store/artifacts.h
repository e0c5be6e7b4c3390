/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Artifacts: (run, attempt, name) names a blob of the content-addressed store. The file is
 * in place (written, fsynced, renamed) before its row is; rows go before files.
 */
#ifndef STORE_ARTIFACTS_H
#define STORE_ARTIFACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/audit.h"

struct artifact {
	int64_t id;
	int64_t run;
	int64_t attempt;
	int64_t job;
	char *name;
	char *digest; /* SHA-256, hex */
	char *media_type;
	int64_t size;
	int64_t files;
	int64_t created_at;
	int64_t expires_at;
};
void artifact_done(struct artifact *a);
void artifacts_free(struct artifact *list, size_t len);

struct artifact_new {
	int64_t job;
	int64_t epoch; /* the writer must own the job (ERR_CONFLICT) */
	const char *name;
	const char *digest;
	const char *media_type;
	int64_t size;
	int64_t files;
	int64_t expires_at;
	bool overwrites; /* replaces one of the same name written by this very job */
};
/* ERR_CONFLICT when the name is taken in this attempt. */
int artifacts_publish(
	struct store *s, const struct artifact_new *a, int64_t *ret_id, struct err *err);
int artifacts_get(struct store *s, int64_t id, struct artifact *ret, struct err *err);
/* Of a run as a job of ATTEMPT sees them: of each name the newest attempt not after it. */
int artifacts_list(struct store *s, int64_t run, int64_t attempt, struct artifact **ret,
	size_t *ret_len, struct err *err);
int artifacts_find(struct store *s, int64_t run, int64_t attempt, const char *name,
	struct artifact *ret, struct err *err);

/* How many are past their time, and their bytes: added to *RET_BYTES. */
int artifacts_due(struct store *s, int64_t *ret_count, int64_t *ret_bytes, struct err *err);
/* Deletes rows past their time; then blobs nobody names, older than GRACE_MS. */
int artifacts_expire(struct store *s, int *ret_count, struct err *err);
/*
 * Up to MAX blobs without a row that needs them, older than GRACE_MS: rows are deleted,
 * digests (SHA256_HEX_MAX each) returned; the caller unlinks. The count, or -1.
 */
int blobs_collect(struct store *s, int64_t grace_ms, char (*digests)[SHA256_HEX_MAX],
	size_t max, struct err *err);
/* Is a blob needed by some row? For the orphan sweep. 1, 0, -1. */
int blobs_is_known(struct store *s, const char *digest, struct err *err);

#endif
