/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A verb of core's table where no server runs: takes the instance lock, opens the store,
 * asks, leaves. Nothing is scheduled and no process is started meanwhile.
 */
#ifndef RUNNER_LOCAL_H
#define RUNNER_LOCAL_H

#include "base/err.h"
#include "base/json.h"

/* ERR_UNAVAILABLE when another holds the lock; ERR_NOT_FOUND when DATA_DIR holds no store. */
int local_call(const char *data_dir, const char *config, const char *verb,
	const struct json *args, struct json **ret, struct err *err);

#endif
