/* SPDX-License-Identifier: Apache-2.0 */
/* Mode `match` of the helper. */
#include <string.h>

#include "executor/helper-internal.h"
#include "executor/matcher.h"

int match_start(struct helper_request *r, struct err *err)
{
	r->state = matcher_set_new(&matcher_pcre_ops);
	r->free_state = (void (*)(void *))matcher_set_free;
	return 0;
}

int match_op_add(struct helper_request *r, struct err *err)
{
	struct json *owners;

	if (matcher_set_add(r->state, r->msg->body.buf, r->msg->body.len, &owners, err) <
		0)
		return -1;
	json_set(r->answer, "owners", owners);
	return 0;
}

int match_op_remove(struct helper_request *r, struct err *err)
{
	const char *owner = helper_str(r->head, "owner", err);

	if (!owner)
		return -1;
	json_set_bool(r->answer, "removed", matcher_set_remove(r->state, owner));
	return 0;
}

int match_op_lines(struct helper_request *r, struct err *err)
{
	const char *p = r->msg->body.buf, *end = p + r->msg->body.len;
	struct json *issues = json_new_array();
	struct json *dropped = json_new_array();
	int64_t number = 0;

	json_set(r->answer, "issues", issues);
	for (; p < end; number++) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((lf ? lf : end) - p);
		struct json *issue = matcher_set_line(r->state, p,
			len > 0 && p[len - 1] == '\r' ? len - 1 : len, dropped);

		if (issue) {
			json_set_int(issue, "line", number);
			json_push(issues, issue);
		}
		p = lf ? lf + 1 : end;
	}
	if (json_count(dropped) > 0)
		json_set(r->answer, "dropped", dropped);
	else
		json_free(dropped);
	return 0;
}
