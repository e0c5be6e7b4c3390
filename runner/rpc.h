/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Question and answer over base/chan.h. A request is {"op", "seq", ...}; its answer is
 * {"op":"answer","seq":N,"ok":true,...} or, when it could not be done,
 * {"op":"answer","seq":N,"ok":false,"error":{"code","message","hint"}}.
 */
#ifndef RUNNER_RPC_H
#define RUNNER_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/chan.h"
#include "base/err.h"
#include "base/json.h"

/* The answer to SEQ with the members of FIELDS (taken, may be NULL), a body and descriptors. */
int rpc_answer(int fd, int64_t seq, struct json *fields, const void *body, size_t len,
	const int *fds, size_t fds_len, struct err *err);
/* The refusal WHY of request SEQ; HINT says what to do, or NULL. */
int rpc_refuse(
	int fd, int64_t seq, const struct err *why, const char *hint, struct err *err);
/* Their heads alone, for who sends them himself. FIELDS are taken. */
struct json *rpc_answer_head(int64_t seq, struct json *fields);
struct json *rpc_refusal_head(int64_t seq, const struct err *why, const char *hint);
/* An error as the object {"code","message"[,"hint"]}. */
struct json *rpc_error_json(const struct err *why, const char *hint);
/* The reverse: fills *ERR from such an object, ERR_BUG if it is none. */
void rpc_error_of(const struct json *error, struct err *err);
/* The code of a name of err_code_name, ERR_BUG if unknown. */
enum err_code rpc_code_of(const char *name);
/* Sends op OP alone with the members of FIELDS (taken): a notice nobody answers. */
int rpc_notice(int fd, const char *op, struct json *fields, struct err *err);

#endif
