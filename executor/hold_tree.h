/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an agent does to the folders of a job before they are put aside, and after somebody
 * was in them again: everything that is the job's becomes the service's, so that no job id
 * waits for them, and whatever holds a secret goes.
 */
#ifndef EXECUTOR_HOLD_TREE_H
#define EXECUTOR_HOLD_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "executor/mask.h"

#define HOLD_TREE_FILES_MAX 1000000
#define HOLD_TREE_NAMES_MAX 50 /* of what was removed; the rest is counted */

struct hold_place {
	int fd;
	const char *name; /* in what is told of it */
};

struct hold_tree {
	const struct hold_place *places;
	size_t places_len;
	uid_t uid; /* of the job, in the outer namespace */
	gid_t gid;
	struct mask *mask; /* NULL: there is no secret to look for */
	int64_t bytes_max; /* 0: no limit */
	int64_t deadline;  /* CLOCK_BOOTTIME */
	int out; /* gets one JSON object: {files, bytes, removed: [path], more} or {error} */
};

/*
 * A sandbox_agent function; DATA is a struct hold_tree. Looks at names, link targets, file
 * contents and takes away user attributes; a file, link or folder that names or holds a
 * secret in a form that mask.h promises is removed. Sockets, pipes and devices go too.
 */
int hold_tree_run(void *data);

#endif
