/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by archive.c (unpacking), archive_pack.c, archive_layer.c, image.c and their tests. */
#ifndef EXECUTOR_ARCHIVE_INTERNAL_H
#define EXECUTOR_ARCHIVE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "base/strvec.h"

/* Does a symbolic link at PATH (clean, relative) with this TARGET stay beneath the root? */
bool archive_link_stays(const char *path, const char *target);

/* Unpacks the archive FD into DIR by the rules of `unpack`; no more than MAX_BYTES. */
int archive_unpack_to(int fd, int dir, int64_t max_bytes, struct err *err);

/*
 * A root file system, made of layers one over the other (tar, plain or packed). Links of
 * the image are obeyed as they would be inside it: every name is looked up with ROOT as
 * '/', so no link and no name leads out. Devices, pipes and sockets are left out; set-id
 * bits of files are dropped (no job could use them).
 */
struct layers {
	int root;
	int owners; /* a file: "UID GID PATH\0" of what is not root's; -1: not wanted */
	int64_t max_bytes, max_entries;
	int64_t bytes, entries, files, left_out;
	unsigned count;
	struct strvec
		closed; /* "MODE PATH": folders whose owner may not write, for later */
	struct strbuf said; /* owners not written yet */
	int parent;	    /* the folder of the last name, or -1 */
	char *parent_name;
};
#define LAYERS_INIT                                                                   \
	{                                                                             \
		.root = -1, .owners = -1, .closed = STRVEC_INIT, .said = STRBUF_INIT, \
		.parent = -1                                                          \
	}
/* One more layer: its whiteouts first, then its entries. FD is read twice. */
int layers_add(struct layers *l, int fd, struct err *err);
/* Modes of closed folders, the rest of the owners. */
int layers_finish(struct layers *l, struct err *err);
void layers_done(struct layers *l);
/* Which of NAMES (NULL-ended, at most 32) the archive FD holds, as bits; -1: no archive. */
int64_t layers_look(int fd, const char *const *names, struct err *err);

#endif
