/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hashFiles() of workflow expressions over a folder: SHA-256 of the concatenated binary
 * SHA-256 of each file that the patterns select, in GitHub's order (search folders as the
 * patterns name them, then depth first, names sorted by bytes).
 *
 * The tree may be hostile: everything is opened beneath the root, a symbolic link counts
 * when it leads to a regular file within, other links, FIFOs and devices are left out
 * unopened, and the number of entries and the time are bounded.
 */
#ifndef EXECUTOR_HASH_FILES_H
#define EXECUTOR_HASH_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"

struct hash_files_options {
	const char
		*root_path; /* absolute, as patterns may name the root; NULL: none does */
	int64_t timeout_ms; /* 0: GitHub's 120 seconds */
	size_t entries_max; /* 0: a million */
};

/*
 * PATTERNS are the arguments of the call: path patterns (see workflows/glob.h), several
 * in one separated by line breaks, '#' begins a comment, `!` takes files away again, the
 * last that matches decides; the first may be "--follow-symbolic-links". Appends 64 hex
 * digits to OUT, or nothing when no file matches. ERR_INPUT for a bad pattern, ERR_LIMIT,
 * ERR_TIMEOUT, ERR_SYS for a file that cannot be read.
 */
int hash_files_in(int root, const struct hash_files_options *opt,
	const char *const *patterns, size_t len, struct strbuf *out, struct err *err);
/* The same with the defaults. */
int hash_files(int root, const char *const *patterns, size_t len, struct strbuf *out,
	struct err *err);

#endif
