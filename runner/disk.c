/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that runs full: work that can wait is not taken while the last of the space is
 * left to what cannot, the ends of running jobs and the decisions of people. Nobody has to
 * do anything when there is space again.
 */
#include "runner/core-internal.h"

#include <sys/statvfs.h>

#include "base/limits.h"
#include "base/log.h"

#define LOOK_AGAIN_MS 5000

static bool is_low(const struct core *c)
{
	struct statvfs fs;
	uint64_t reserve;

	if (fstatvfs(c->data, &fs) < 0)
		return false; /* then writing says what is wrong */
	reserve = (uint64_t)fs.f_blocks * fs.f_frsize / LIMIT_DISK_RESERVE_PART;
	if (reserve > LIMIT_DISK_RESERVE)
		reserve = LIMIT_DISK_RESERVE;
	return (uint64_t)fs.f_bavail * fs.f_frsize < reserve ||
	       (fs.f_files && fs.f_favail < LIMIT_DISK_RESERVE_FILES);
}

bool disk_is_low(struct core *c)
{
	bool low = c->o->has_git && is_low(c); /* `sluice run` has nobody to wait for */

	if (low != c->is_disk_low)
		log_warnx("%s",
			low ? "the disk of the data directory is nearly full: nothing is "
			      "accepted or started until there is space"
			    : "there is space on the disk again");
	c->is_disk_low = low;
	if (low)
		core_retry_in(c, LOOK_AGAIN_MS);
	return low;
}
