/* SPDX-License-Identifier: Apache-2.0 */
/* The list of owned strings. */
#include "base/strvec.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"

/* Shared by all empty lists; never written to. */
char *strvec_empty[1];

void strvec_done(struct strvec *vec)
{
	strvec_clear(vec);
	if (vec->alloc)
		free(vec->v);
	*vec = (struct strvec)STRVEC_INIT;
}

void strvec_clear(struct strvec *vec)
{
	for (size_t i = 0; i < vec->len; i++)
		free(vec->v[i]);
	vec->len = 0;
	if (vec->alloc)
		vec->v[0] = NULL;
}

const char *strvec_push(struct strvec *vec, const char *s)
{
	strvec_push_take(vec, xstrdup(s));
	return vec->v[vec->len - 1];
}

const char *strvec_pushf(struct strvec *vec, const char *fmt, ...)
{
	struct strbuf b = STRBUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	strbuf_vaddf(&b, fmt, ap);
	va_end(ap);
	strvec_push_take(vec, strbuf_take(&b));
	return vec->v[vec->len - 1];
}

void strvec_push_take(struct strvec *vec, char *s)
{
	if (vec->alloc == 0) {
		/* The shared one is not ours to grow. */
		vec->alloc = 8;
		vec->v = xcalloc(vec->alloc, sizeof(*vec->v));
	}
	GROW(vec->v, vec->alloc, vec->len + 2);
	vec->v[vec->len++] = s;
	vec->v[vec->len] = NULL;
}

void strvec_push_all(struct strvec *vec, const char *const *list)
{
	for (; *list; list++)
		strvec_push(vec, *list);
}

bool strvec_has(const struct strvec *vec, const char *s)
{
	for (size_t i = 0; i < vec->len; i++)
		if (strcmp(vec->v[i], s) == 0)
			return true;
	return false;
}

static bool is_variable(const char *entry, const char *name, size_t n)
{
	return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

static void remove_at(struct strvec *vec, size_t i)
{
	free(vec->v[i]);
	memmove(vec->v + i, vec->v + i + 1, (vec->len - i) * sizeof(*vec->v));
	vec->len--;
}

void strvec_setenv(struct strvec *vec, const char *name, const char *value)
{
	size_t n = strlen(name);
	char *entry = value ? xasprintf("%s=%s", name, value) : NULL;

	for (size_t i = 0; i < vec->len;) {
		if (!is_variable(vec->v[i], name, n)) {
			i++;
			continue;
		}
		if (!entry) {
			remove_at(vec, i);
			continue;
		}
		free(vec->v[i]);
		vec->v[i++] = entry;
		entry = NULL; /* a second entry of the name goes */
		value = NULL;
	}
	if (value)
		strvec_push_take(vec, entry);
}

const char *strvec_getenv(const struct strvec *vec, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < vec->len; i++)
		if (is_variable(vec->v[i], name, n))
			return vec->v[i] + n + 1;
	return NULL;
}

void strvec_split(struct strvec *vec, const char *s, char sep)
{
	const char *end;

	while ((end = strchr(s, sep)) != NULL) {
		strvec_push_take(vec, xstrndup(s, (size_t)(end - s)));
		s = end + 1;
	}
	strvec_push(vec, s);
}

char **strvec_take(struct strvec *vec)
{
	char **v = vec->alloc ? vec->v : xcalloc(1, sizeof(*v));

	*vec = (struct strvec)STRVEC_INIT;
	return v;
}
