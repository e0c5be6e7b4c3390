/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken is written, and what was written is taken again as the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(json_freep) struct json *a = NULL;
	_cleanup_(json_freep) struct json *b = NULL;
	_cleanup_(strbuf_done) struct strbuf first = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf second = STRBUF_INIT;
	struct err err = ERR_INIT;

	if (json_parse((const char *)data, size, &a, &err) < 0) {
		if (err.code != ERR_INPUT || strncmp(err.msg, "json:", 5) != 0)
			abort();
		return 0;
	}
	json_write(a, JSON_WRITE_SORTED, &first);
	if (json_parse(first.buf, first.len, &b, &err) < 0)
		abort();
	json_write(b, JSON_WRITE_SORTED, &second);
	if (first.len != second.len || memcmp(first.buf, second.buf, first.len) != 0)
		abort();
	return 0;
}
