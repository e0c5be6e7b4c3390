/* SPDX-License-Identifier: Apache-2.0 */
/* For path.c, path_tree.c and their tests: the way taken on kernels without openat2. */
#ifndef BASE_PATH_INTERNAL_H
#define BASE_PATH_INTERNAL_H

#include <stdbool.h>

/* From here on behave as if openat2 were missing (or not); this process only. */
void path_force_walk(bool on);
bool path_is_walk_forced(void);

#endif
