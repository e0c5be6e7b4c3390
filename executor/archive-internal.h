/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by archive.c (unpacking), archive_pack.c and their tests. */
#ifndef EXECUTOR_ARCHIVE_INTERNAL_H
#define EXECUTOR_ARCHIVE_INTERNAL_H

#include <stdbool.h>

/* Does a symbolic link at PATH (clean, relative) with this TARGET stay beneath the root? */
bool archive_link_stays(const char *path, const char *target);

#endif
