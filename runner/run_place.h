/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where `sluice run` works: a folder of its own under the XDG state directory, outside the
 * user's tree. Afterwards the whole log is left in it; the last RUN_PLACES_KEPT stay.
 */
#ifndef RUNNER_RUN_PLACE_H
#define RUNNER_RUN_PLACE_H

#include <stdbool.h>

#include "base/err.h"

#define RUN_PLACES_KEPT 20

struct run_place {
	char *base; /* ~/.local/state/sluice/runs */
	char *dir;  /* base/NUMBER */
	int lock;   /* held while we live, so that nobody clears us away */
	bool keeps; /* false: no home; the folder is temporary and goes whole */
};
#define RUN_PLACE_INIT                \
	{                             \
		NULL, NULL, -1, false \
	}

int run_place_open(struct run_place *p, struct err *err);
/* Removes all but `log`, then the oldest places over the limit. */
void run_place_done(struct run_place *p);

#endif
