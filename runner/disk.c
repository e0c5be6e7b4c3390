/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that runs full: work that can wait is not taken while the last of the space is
 * left to what cannot, the ends of running jobs and the decisions of people. Nobody has to
 * do anything when there is space again.
 */
#include "runner/disk.h"

#include <string.h>
#include <sys/statvfs.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "runner/core-internal.h"

#define LOOK_AGAIN_MS 5000

void disk_space(int fd, struct disk_space *ret)
{
	struct statvfs fs;

	memset(ret, 0, sizeof(*ret));
	if (fstatvfs(fd, &fs) < 0)
		return; /* then writing says what is wrong */
	ret->size_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
	ret->free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	ret->reserve = ret->size_bytes / LIMIT_DISK_RESERVE_PART;
	if (ret->reserve > LIMIT_DISK_RESERVE)
		ret->reserve = LIMIT_DISK_RESERVE;
	ret->is_low = ret->free_bytes < ret->reserve ||
		      (fs.f_files && fs.f_favail < LIMIT_DISK_RESERVE_FILES);
}

void disk_describe(const struct disk_space *d, struct json *j)
{
	struct json *o = json_new_object();

	json_set_int(o, "free", (int64_t)d->free_bytes);
	json_set_int(o, "size", (int64_t)d->size_bytes);
	json_set_int(o, "reserve", (int64_t)d->reserve);
	json_set_bool(o, "is_low", d->is_low);
	json_set(j, "disk", o);
}

char *disk_words(const struct json *disk)
{
	if (!json_get_bool(disk, "is_low", false))
		return NULL;
	return xasprintf("the disk of the data directory is nearly full (%.1f MB free, %.1f MB "
			 "are kept back): nothing new is accepted or started until there is "
			 "space, then all goes on by itself",
		(double)json_get_int(disk, "free", 0) / 1e6,
		(double)json_get_int(disk, "reserve", 0) / 1e6);
}

bool disk_is_low(struct core *c)
{
	struct disk_space d = { 0 };
	bool low;

	if (c->o->has_git) /* `sluice run` has nobody to wait for */
		disk_space(c->data, &d);
	low = d.is_low;
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
