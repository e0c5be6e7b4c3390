/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command files against a reader written the slow way, line by line on copies, after the
 * runner's EnvFileKeyValuePairs: the same pairs in the same order, and a fault where it
 * has one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "executor/envfile.h"

static void must(bool holds)
{
	if (!holds)
		abort();
}

static int note(
	const char *name, const char *value, size_t len, void *ctx, struct err *err)
{
	struct strbuf *out = ctx;

	must(strlen(value) == len);
	strbuf_addf(out, "%zu:%s=%zu:", strlen(name), name, len);
	strbuf_add(out, value, len);
	strbuf_addc(out, ';');
	return 0;
}

/* One line as a copy; NULL at the end. *ENDED: there was a newline. */
static char *line_at(
	const char *text, size_t len, size_t *at, size_t *ret_len, bool *ended)
{
	size_t start = *at;
	char *line;

	if (start >= len)
		return NULL;
	while (*at < len && text[*at] != '\n')
		(*at)++;
	*ret_len = *at - start;
	*ended = *at < len;
	*at += *ended;
	line = xmalloc(*ret_len + 1); /* may hold NUL */
	memcpy(line, text + start, *ret_len);
	line[*ret_len] = '\0';
	return line;
}

static long find(const char *s, size_t len, const char *what)
{
	for (size_t i = 0; i + strlen(what) <= len; i++) {
		if (memcmp(s + i, what, strlen(what)) == 0)
			return (long)i;
	}
	return -1;
}

static int put(const char *name, size_t name_len, const char *value, size_t value_len,
	size_t *count, struct strbuf *out)
{
	if (memchr(name, 0, name_len) || memchr(value, 0, value_len) ||
		name_len + value_len > LIMIT_ENV_VALUE || ++*count > LIMIT_ENV_KEYS)
		return -1;
	strbuf_addf(out, "%zu:", name_len);
	strbuf_add(out, name, name_len);
	strbuf_addf(out, "=%zu:", value_len);
	strbuf_add(out, value, value_len);
	strbuf_addc(out, ';');
	return 0;
}

static int heredoc(const char *text, size_t len, size_t *at, const char *delim,
	size_t delim_len, struct strbuf *value)
{
	bool is_first = true;

	for (;;) {
		size_t n;
		bool ended;
		char *line = line_at(text, len, at, &n, &ended);

		if (!line)
			return -1;
		if (n == delim_len && memcmp(line, delim, n) == 0) {
			free(line);
			return 0;
		}
		if (!is_first)
			strbuf_addc(value, '\n');
		is_first = false;
		strbuf_add(value, line, n);
		free(line);
		if (!ended)
			return -1;
	}
}

static int slow(const char *text, size_t len, struct strbuf *out)
{
	size_t at = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0, n,
	       count = 0;
	bool ended;
	char *line;
	int rc = 0;

	while (rc == 0 && (line = line_at(text, len, &at, &n, &ended))) {
		long equals = find(line, n, "="), mark = find(line, n, "<<");

		if (n == 0) {
			;
		} else if (equals >= 0 && (mark < 0 || equals < mark)) {
			rc = put(line, (size_t)equals, line + equals + 1,
				n - (size_t)equals - 1, &count, out);
		} else if (mark > 0 && (size_t)mark + 2 < n) {
			struct strbuf value = STRBUF_INIT;

			rc = heredoc(text, len, &at, line + mark + 2,
				n - (size_t)mark - 2, &value);
			if (rc == 0)
				rc = put(line, (size_t)mark, value.buf, value.len, &count,
					out);
			strbuf_done(&value);
		} else {
			rc = -1;
		}
		free(line);
	}
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf fast_out = STRBUF_INIT, slow_out = STRBUF_INIT;
	struct strvec paths = STRVEC_INIT, list = STRVEC_INIT;
	struct err err = ERR_INIT;
	int fast_rc = envfile_parse(
		(const char *)data, size, LIMIT_ENV_VALUE, note, &fast_out, &err);
	int slow_rc = slow((const char *)data, size, &slow_out);

	must(fast_rc == slow_rc);
	must(fast_rc == 0 || err.msg[0]);
	must(fast_out.len == slow_out.len &&
		memcmp(fast_out.buf, slow_out.buf, fast_out.len) == 0);
	(void)envfile_parse_paths(
		(const char *)data, size, &paths, &err); /* faults are fine */
	strvec_foreach (p, &paths) {
		must(**p && !strpbrk(*p, "\r\n"));
		if (list.len < 64)
			envfile_path_add(&list, *p);
	}
	for (size_t i = 0; i < list.len; i++) {
		for (size_t j = 0; j < i; j++)
			must(strcmp(list.v[i], list.v[j]) != 0);
	}
	free(envfile_path_join(&list, "x"));
	strvec_done(&paths);
	strvec_done(&list);
	strbuf_done(&fast_out);
	strbuf_done(&slow_out);
	return 0;
}
