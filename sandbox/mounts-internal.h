/* SPDX-License-Identifier: Apache-2.0 */
/* The mount calls by descriptor, raw: older C libraries have no wrappers. All (child). */
#ifndef SANDBOX_MOUNTS_INTERNAL_H
#define SANDBOX_MOUNTS_INTERNAL_H

#include <stdint.h>

/* A detached copy of the mount at DIR/PATH with all below it, or -1. */
int tree_clone(int dir, const char *path);
/* Adds MOUNT_ATTR_ bits to a whole tree and makes it private: no event leaves or enters. */
int tree_restrict(int fd, uint64_t attr);
/* Puts a detached tree on DIR/PATH ("": on DIR itself). Symlinks are not followed. */
int tree_attach(int fd, int dir, const char *path);
/* BITS on this one mount, not on those below it. */
int tree_set(int fd, uint64_t attr);
/* Opens the source of B in our own mount namespace, unless the caller could clone it. */
struct child;
struct bind;
void open_source(struct child *c, struct bind *b);
/* A new, detached file system; KEY/VALUE may be NULL; a KEY without a VALUE is a flag. */
int tree_new(const char *type, const char *const (*options)[2], uint64_t attr);

#endif
