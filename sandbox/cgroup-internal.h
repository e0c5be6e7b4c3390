/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by cgroup.c (one group) and cgroup_tree.c (where groups are made). */
#ifndef SANDBOX_CGROUP_INTERNAL_H
#define SANDBOX_CGROUP_INTERNAL_H

#include "sandbox/sandbox.h"

enum { G_V2, G_MEMORY, G_PIDS, G_CPU }; /* indices of struct sandbox_cgroup's fds */

struct sandbox_cgroup_tree {
	enum sandbox_cgroup_kind kind;
	enum sandbox_controllers controllers;
	int parents[SANDBOX_CGROUP_FDS]; /* the groups "sluice" */
	uid_t bearer; /* sandbox_cgroup_tree_hand; or -1 */
};

#define CGROUP_SELF "self" /* in v2's "sluice": no job's */

int cgroup_open_dir(int dir, const char *name);

#endif
