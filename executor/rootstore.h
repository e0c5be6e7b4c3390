/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of prepared roots in the data directory, which jobs see and never change:
 *	roots/NAME.json			{"name", "digest", "source", "created_ms", "files", "bytes"}
 *	roots/sha256/HEX/root/		the tree
 *	roots/sha256/HEX/owners		what of it is not root's: "UID GID PATH\0"
 *	roots/sha256/HEX/lock		read-locked by each job that uses it
 * A root appears whole, under the digest of what it was made of, or not at all. All
 * functions take the folder roots/.
 */
#ifndef EXECUTOR_ROOTSTORE_H
#define EXECUTOR_ROOTSTORE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/crypto.h"
#include "base/err.h"
#include "base/json.h"

#define ROOTSTORE_DIR	    "roots"
#define ROOTSTORE_STAGE_MAX 32

/* The description of NAME; ERR_NOT_FOUND says how to make it. */
int rootstore_find(int roots, const char *name, struct json **ret, struct err *err);
/* All of them, by name: an array of descriptions. */
int rootstore_list(int roots, struct json **ret, struct err *err);

struct rootstore_root {
	int tree, owners; /* root/ and owners, for reading */
	int lock;	  /* while it is open, nobody removes the root */
};
#define ROOTSTORE_ROOT_INIT \
	{                   \
		-1, -1, -1  \
	}
int rootstore_open(
	int roots, const char *hex, struct rootstore_root *ret, struct err *err);
void rootstore_close(struct rootstore_root *root); /* fine on ROOTSTORE_ROOT_INIT */
/* Did root prepare it, so that its files belong to whom the image says? */
bool rootstore_is_owned(const struct rootstore_root *root);
/* Files beneath TREE get the owners that OWNERS names, counted from UID and GID. */
int rootstore_give(int tree, int owners, uid_t uid, gid_t gid, struct err *err);

/* A folder to prepare one in; its name goes to NAME. It is ours while *RET is open. */
int rootstore_stage(
	int roots, char name[ROOTSTORE_STAGE_MAX], int *ret, struct err *err);
/* The file beside it that an archive may be put in, which goes when STAGE has: ".tar-...", heap. */
char *rootstore_stage_tar(const char *stage);
/* Removes what builds and removals that were killed have left, as far as we may. */
void rootstore_sweep(int roots);
/* As root: the files of STAGE get the owners that were written down. */
int rootstore_own(int stage, struct err *err);
/* The staged folder becomes the root that INFO (with "name" and "digest") describes. */
int rootstore_publish(
	int roots, const char *stage, const struct json *info, struct err *err);
/* ERR_CONFLICT while a job uses it. */
int rootstore_remove(int roots, const char *name, struct err *err);

#endif
