/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths that strangers had a hand in. Nothing here joins strings and hopes: files are
 * opened beneath a directory descriptor with openat2(RESOLVE_BENEATH|NO_MAGICLINKS
 * [|NO_SYMLINKS]), or, where the kernel has no openat2, by a walk of O_NOFOLLOW opens.
 */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/strvec.h"

enum path_flags {
	PATH_NO_SYMLINKS = 1 << 0, /* refuse every symlink, also the last component */
};

/*
 * open(2) beneath DIR. O_CLOEXEC is added. -1 with *ERR and errno set: ERR_INPUT when the
 * path leads out of DIR or meets a forbidden symlink, ERR_NOT_FOUND, ERR_CONFLICT (O_EXCL
 * and it exists), ERR_SYS. O_PATH|O_NOFOLLOW opens a last symlink itself, as open(2) does.
 */
int path_open(int dir, const char *path, int oflags, mode_t mode, enum path_flags flags,
	struct err *err);

/* Makes PATH and its parents beneath DIR, never through a symlink; an existing one is fine. */
int path_mkdirs(int dir, const char *path, mode_t mode, struct err *err);
/* Like path_mkdirs with AT_FDCWD, for absolute paths of our own choosing (symlinks fine). */
int path_mkdirs_own(const char *path, mode_t mode, struct err *err);

/*
 * Removes DIR/NAME and all below it. By descriptor, iterative (any depth), never through
 * a symlink, never into another mount; unreadable folders of ours are made readable
 * first. Stops with ERR_SYS at the first thing that cannot go (EXDEV: a mount). A NAME that
 * is not there is fine. Its last component is never followed; earlier ones are trusted.
 */
int path_remove_tree(int dir, const char *name, struct err *err);

/*
 * Copies regular files, folders and symlinks of SRC to DST (both folders); modes (without
 * set-id bits) and times are kept, sockets, FIFOs and devices left out. Nothing in DST is
 * overwritten. Stops with ERR_SYS at names over PATH_MAX.
 */
int path_copy_tree(int src, int dst, struct err *err);

/* A clean relative path: not empty, not absolute, no '.', '..', empty part or NUL. */
bool path_is_clean(const char *path);
/* One component that is safe as a file name: [A-Za-z0-9._-]+, not led by '.' or '-'. */
bool path_is_name(const char *name);
/* A '/' b, heap. */
char *path_join(const char *a, const char *b);
/* Last component; borrowed from PATH. */
const char *path_base(const char *path);
/* "." and ".." of a textual path are folded without looking at the disk; heap. */
char *path_normalise(const char *path);
/* The absolute path of this very program (/proc/self/exe), heap, or NULL. */
char *path_self(void);

#endif
