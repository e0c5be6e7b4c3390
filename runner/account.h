/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who we are and what we keep: the service account that root's processes become, the data
 * directory with its lock, the master key.
 */
#ifndef RUNNER_ACCOUNT_H
#define RUNNER_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/crypto.h"
#include "base/err.h"

struct account {
	bool is_root; /* we are root now, and shall be UID soon */
	uid_t uid;    /* who everything but the spawner runs as */
	gid_t gid;
	char name[64];
};

/* As root: USER must exist; else ourselves. */
int account_find(const char *user, struct account *ret, struct err *err);
/* For good: groups, ids, no capabilities; then not dumpable. Nothing to do unless root. */
int account_become(const struct account *a, struct err *err);

/* Makes the data directory and its folders, all of the account's; refuses a wider mode. */
int account_prepare(const struct account *a, const char *data_dir, struct err *err);
/*
 * The instance lock, held until the descriptor is closed. ERR_UNAVAILABLE: another server
 * (or another sluice command) has it.
 */
int account_lock(const char *data_dir, int *ret_fd, struct err *err);

/*
 * Reads the master key; makes one (0400, of the account) when there is neither key nor
 * database yet. A key others can read, or a missing one beside a database, is refused.
 */
int account_key(const struct account *a, const char *key_file, const char *data_dir,
	uint8_t ret[CRYPTO_MASTER_LEN], struct err *err);

#endif
