/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-shot conversations with `sluice-helper` that turn the job's loop while they wait and
 * end early when the job is cancelled.
 */
#ifndef EXECUTOR_ASSIST_H
#define EXECUTOR_ASSIST_H

#include <stdint.h>

#include "base/chan.h"
#include "base/err.h"
#include "base/json.h"
#include "executor/helper.h"
#include "executor/job.h"

/*
 * Starts the helper in MODE with FDS, sends HEAD with BODY and ATTACHED descriptor (-1:
 * none), gives its answer. TIMEOUT_MS <= 0: LIMIT_GIT_SECONDS. RET may be NULL.
 */
int assist(struct jobrun *job, const char *mode, const int *fds, size_t fds_len,
	struct json *head, int attached, int64_t timeout_ms, struct chan_msg *ret,
	struct err *err);

/* A helper that lives on; helper_done it. */
int assist_start(struct jobrun *job, const char *mode, const int *fds, size_t fds_len,
	struct helper *ret, struct err *err);
/* One request over a helper that goes on living. */
int assist_call(struct jobrun *job, struct helper *h, struct json *head, const void *body,
	size_t len, int attached, int64_t timeout_ms, struct chan_msg *ret,
	struct err *err);

/* A folder beneath DIR_STAGE for a helper's output; NAME (64 bytes) gets its name. */
int assist_stage(struct jobrun *job, char name[64], int *ret_fd, struct err *err);

/*
 * Started by root, without an account of the service: what a helper wrote belongs to root,
 * whom the job's namespace does not know. Gives it to the id that stands for us inside.
 */
int assist_hand_over(struct jobrun *job, int tree, struct err *err);

/* The job is being cancelled: a conversation that waits ends with ERR_UNAVAILABLE. */
void assist_interrupt(struct jobrun *job);

#endif
