/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The space below the data directory, for whoever shows it or goes by it. A part of it
 * (LIMIT_DISK_RESERVE) is kept for what cannot wait: ends of jobs, decisions of people.
 */
#ifndef RUNNER_DISK_H
#define RUNNER_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"

struct disk_space {
	uint64_t free_bytes, size_bytes;
	uint64_t reserve; /* below it nothing is accepted or started */
	bool is_low;	  /* of bytes or of files */
};

/* FD lies on the file system in question. All zeros when it cannot be told. */
void disk_space(int fd, struct disk_space *ret);
/* "disk": {free, size, reserve, is_low} of J. */
void disk_describe(const struct disk_space *d, struct json *j);
/* What to say of such a "disk" where it is low ("the disk ..."), else NULL. Heap. */
char *disk_words(const struct json *disk);

#endif
