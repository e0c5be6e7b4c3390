/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit log: append-only, one row per change of state and per act of a person, each
 * holding the SHA-256 of the row before it, so that edits, gaps and reorderings show.
 * A row is written in the transaction of what it speaks of; if it fails, that fails.
 */
#ifndef STORE_AUDIT_H
#define STORE_AUDIT_H

#include <stdint.h>

#include "base/json.h"
#include "store/store.h"

/* Who did it. Names of keys are "key:NAME". */
struct actor {
	const char *kind; /* "user", "key", "token", "hook", "system" */
	const char *name;
	const char *request; /* request id, may be NULL */
};
#define ACTOR_CORE ((struct actor){ "system", "core", NULL })

/*
 * An act that is no change of a state machine: VERB "secret.set", OBJECT "secret". DETAIL
 * is a JSON object (lent) or NULL, never with a secret value in it.
 */
int audit_add(struct store *s, const struct actor *who, const char *verb,
	const char *object, int64_t object_id, int64_t run, const struct json *detail,
	struct err *err);

/*
 * Recomputes the chain. 1 whole, 0 broken (*RET_BAD is the first bad row), -1 error.
 * RET_ROWS and RET_HEAD (SHA256_HEX_MAX bytes, the last hash) may be NULL. The head can be
 * written elsewhere now and then; audit_has_head tells whether a head seen before is still
 * in the chain (a log that was rolled back does not have it).
 */
int audit_verify(struct store *s, int64_t *ret_rows, int64_t *ret_bad, char *ret_head,
	struct err *err);
int audit_has_head(struct store *s, const char *head_hex, struct err *err);

#endif
