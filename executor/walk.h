/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every entry of a tree, folders before what is in them: any depth, no recursion, never
 * through a symlink. What is reported may be moved or removed by the callback; what somebody
 * else removes meanwhile is passed over.
 */
#ifndef EXECUTOR_WALK_H
#define EXECUTOR_WALK_H

#include <sys/stat.h>

#include "base/err.h"

/*
 * DIR is the open folder of the entry NAME, REL its path below the root. 0: goes on, also
 * into it when it is a folder; 1: goes on, but not into it; -1 (with *ERR): stops.
 */
typedef int walk_fn(int dir, const char *rel, const char *name, const struct stat *st,
	void *data, struct err *err);

int walk_tree(int root, walk_fn *fn, void *data, struct err *err);

#endif
