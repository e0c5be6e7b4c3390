/* SPDX-License-Identifier: Apache-2.0 */
/* The one form of requests' answers, see rpc.h. */
#include "runner/rpc.h"

#include <string.h>

#include "base/strbuf.h"

struct json *rpc_answer_head(int64_t seq, struct json *fields)
{
	struct json *head = fields ? fields : json_new_object();

	json_set_str(head, "op", "answer");
	json_set_int(head, "seq", seq);
	json_set_bool(head, "ok", true);
	return head;
}

int rpc_answer(int fd, int64_t seq, struct json *fields, const void *body, size_t len,
	const int *fds, size_t fds_len, struct err *err)
{
	_cleanup_(json_freep) struct json *head = rpc_answer_head(seq, fields);

	return chan_send(fd, head, body, len, fds, fds_len, err);
}

struct json *rpc_error_json(const struct err *why, const char *hint)
{
	struct json *error = json_new_object();

	json_set_str(error, "code", err_code_name(why->code));
	json_set_str(error, "message", why->msg);
	if (hint && *hint)
		json_set_str(error, "hint", hint);
	return error;
}

struct json *rpc_refusal_head(int64_t seq, const struct err *why, const char *hint)
{
	struct json *head = json_new_object();

	json_set_str(head, "op", "answer");
	json_set_int(head, "seq", seq);
	json_set_bool(head, "ok", false);
	json_set(head, "error", rpc_error_json(why, hint));
	return head;
}

int rpc_refuse(
	int fd, int64_t seq, const struct err *why, const char *hint, struct err *err)
{
	_cleanup_(json_freep) struct json *head = rpc_refusal_head(seq, why, hint);

	return chan_send(fd, head, NULL, 0, NULL, 0, err);
}

enum err_code rpc_code_of(const char *name)
{
	for (int code = ERR_INPUT; code <= ERR_BUG; code++)
		if (str_eq(err_code_name((enum err_code)code), name))
			return (enum err_code)code;
	return ERR_BUG;
}

void rpc_error_of(const struct json *error, struct err *err)
{
	(void)err_set(err, rpc_code_of(json_get_str(error, "code", NULL)), "%s",
		json_get_str(error, "message", "refused without a reason"));
}

int rpc_notice(int fd, const char *op, struct json *fields, struct err *err)
{
	_cleanup_(json_freep) struct json *head = fields ? fields : json_new_object();

	json_set_str(head, "op", op);
	return chan_send(fd, head, NULL, 0, NULL, 0, err);
}
