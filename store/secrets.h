/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets, sealed with the master key; the associated data names repository, scope, name
 * and version, so a row put in another's place does not open. Values leave only through
 * jobs_release and secrets_open (credentials of our own).
 */
#ifndef STORE_SECRETS_H
#define STORE_SECRETS_H

#include <stddef.h>
#include <stdint.h>

#include "store/audit.h"

/* An opened value; the memory is locked as far as allowed, and wiped at the end. */
struct secret {
	char *name;
	char *value; /* NUL-ended, may hold NUL */
	size_t len;
};
struct secret_list {
	struct secret *v;
	size_t len;
};
#define SECRET_LIST_INIT \
	{                \
		NULL, 0  \
	}
void secret_list_done(struct secret_list *l);

/*
 * REPO 0 is the instance, ENVIRONMENT "" the repository itself. Names are GitHub's:
 * [A-Za-z_][A-Za-z0-9_]*, not GITHUB_*, kept in upper case. Value 1 byte to 64 KiB.
 */
#define LIMIT_SECRET_VALUE (64 * 1024)
int secrets_set(struct store *s, int64_t repo, const char *environment, const char *name,
	const void *value, size_t len, const struct actor *who, struct err *err);
int secrets_delete(struct store *s, int64_t repo, const char *environment,
	const char *name, const struct actor *who, struct err *err);
/*
 * Opens NAMES (NULL-ended) as a job of REPO in ENVIRONMENT sees them: environment before
 * repository before instance. Absent ones are left out. For jobs_release; no audit here.
 */
int secrets_open(struct store *s, int64_t repo, const char *environment,
	const char *const *names, struct secret_list *ret, struct err *err);
/*
 * Seals every box anew under NEW_KEY in one transaction, and uses it from then on. A crash
 * leaves all old or all new: secrets_key_fits tells which.
 */
int secrets_rotate_key(struct store *s, const uint8_t new_key[CRYPTO_MASTER_LEN],
	const struct actor *who, struct err *err);
/* 1 the key set opens this store (or nothing is sealed yet), 0 it does not, -1 error. */
int secrets_key_fits(struct store *s, struct err *err);

#endif
