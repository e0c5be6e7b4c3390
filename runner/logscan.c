/* SPDX-License-Identifier: Apache-2.0 */
/* One pass over a log, in slices: what is searched, or its groups and errors. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runner/html.h"
#include "runner/logfile.h"

#define BLOCK (1024 * 1024)
#define LINE_KEPT (1024 * 1024) /* a longer line counts as several pieces of one */
#define DEPTH 16
#define NAME_MAX_SHOWN 120

struct logscan {
	struct logfile *f;
	char *find;
	size_t find_len;
	bool exact;
	uint64_t offset, end; /* what was written when the scan began */
	uint64_t line;	      /* number of the line that begins at buf */
	bool hit_in_line;     /* the piece before belonged to the same line and was a hit */
	struct strbuf buf;
	struct logscan_result r;
	size_t hits_alloc, errors_alloc, groups_alloc;
	size_t open[DEPTH], depth;
};

static bool has_capital(const char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			return true;
	return false;
}

int logscan_new(struct logfile *f, const char *find, struct logscan **ret, struct err *err)
{
	struct logscan *s;
	size_t len = find ? strlen(find) : 0;

	if (find && (len == 0 || len > 1024)) {
		logfile_free(f);
		return err_set(err, ERR_INPUT, "search for 1 to 1024 bytes");
	}
	s = xcalloc(1, sizeof(*s));
	s->f = f;
	s->find = xstrdup_null(find);
	s->find_len = len;
	s->exact = find && has_capital(find);
	s->end = logfile_size(f);
	s->line = 1;
	strbuf_init(&s->buf);
	*ret = s;
	return 0;
}

void logscan_free(struct logscan *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->r.groups_len; i++)
		free(s->r.groups[i].name);
	free(s->r.groups);
	free(s->r.hits);
	free(s->r.errors);
	free(s->find);
	strbuf_done(&s->buf);
	logfile_free(s->f);
	free(s);
}

const struct logscan_result *logscan_result(const struct logscan *s)
{
	return &s->r;
}

static void add_number(uint64_t **list, size_t *len, size_t *alloc, uint64_t *count, uint64_t n)
{
	(*count)++;
	if (*len == LOGSCAN_MAX)
		return;
	GROW(*list, *alloc, *len + 1);
	(*list)[(*len)++] = n;
}

static void open_group(struct logscan *s, const char *name, size_t len)
{
	struct logscan_result *r = &s->r;

	if (r->groups_len == LOGSCAN_MAX || s->depth == DEPTH)
		return;
	GROW(r->groups, s->groups_alloc, r->groups_len + 1);
	r->groups[r->groups_len] = (struct log_group){ .from = s->line,
		.name = xstrndup(name, len < NAME_MAX_SHOWN ? len : NAME_MAX_SHOWN) };
	s->open[s->depth++] = r->groups_len++;
}

static void mark_line(struct logscan *s, const char *line, size_t len)
{
	size_t skip;

	switch (log_line_kind(line, len, &skip)) {
	case LOG_LINE_GROUP:
		open_group(s, line + skip, len - skip);
		return;
	case LOG_LINE_ENDGROUP:
		if (s->depth > 0)
			s->r.groups[s->open[--s->depth]].to = s->line;
		return;
	case LOG_LINE_ERROR:
		add_number(&s->r.errors, &s->r.errors_len, &s->errors_alloc, &s->r.errors_count,
			s->line);
		for (size_t i = 0; i < s->depth; i++)
			s->r.groups[s->open[i]].errors++;
		return;
	case LOG_LINE_PLAIN:
	case LOG_LINE_WARNING:
	case LOG_LINE_NOTICE:
	case LOG_LINE_DEBUG:
	case LOG_LINE_COMMAND:
	case LOG_LINE_SLUICE:
		return;
	}
}

static void add_hit(struct logscan *s)
{
	if (!s->hit_in_line)
		add_number(&s->r.hits, &s->r.hits_len, &s->hits_alloc, &s->r.hits_count, s->line);
	s->hit_in_line = true;
}

/* Whole lines, or one piece of a very long one. */
static void find_in(struct logscan *s, const char *p, const char *end)
{
	while (p < end) {
		const char *hit = memmem(p, (size_t)(end - p), s->find, s->find_len);
		const char *upto = hit ? hit : end, *nl;

		while ((nl = memchr(p, '\n', (size_t)(upto - p))) != NULL) {
			s->line++;
			s->hit_in_line = false;
			p = nl + 1;
		}
		if (!hit)
			return;
		add_hit(s);
		nl = memchr(hit, '\n', (size_t)(end - hit));
		if (!nl)
			return;
		s->line++;
		s->hit_in_line = false;
		p = nl + 1;
	}
}

static void mark_in(struct logscan *s, const char *p, const char *end)
{
	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		const char *stop = nl ? nl : end;

		if (stop - p > 3 && p[0] == '#' && p[1] == '#' && p[2] == '[')
			mark_line(s, p, (size_t)(stop - p));
		if (!nl)
			return;
		s->line++;
		p = nl + 1;
	}
}

static void lower(char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] | 0x20);
}

static void use(struct logscan *s, size_t len)
{
	if (s->find)
		find_in(s, s->buf.buf, s->buf.buf + len);
	else
		mark_in(s, s->buf.buf, s->buf.buf + len);
	strbuf_remove(&s->buf, 0, len);
}

int logscan_step(struct logscan *s, size_t bytes, struct err *err)
{
	for (size_t done = 0; done < bytes && s->offset < s->end; done += BLOCK) {
		size_t before = s->buf.len;
		uint64_t left = s->end - s->offset;
		const char *nl;

		if (logfile_read(s->f, s->offset, left < BLOCK ? (size_t)left : BLOCK,
			    &s->buf, err) < 0)
			return -1;
		if (s->buf.len == before)
			s->end = s->offset; /* it was cut: the executor recovered */
		s->offset += s->buf.len - before;
		if (s->find && !s->exact)
			lower(s->buf.buf + before, s->buf.len - before);
		nl = memrchr(s->buf.buf, '\n', s->buf.len);
		if (nl)
			use(s, (size_t)(nl + 1 - s->buf.buf));
		else if (s->buf.len > LINE_KEPT) /* what may straddle two pieces is kept */
			use(s, s->buf.len - s->find_len);
	}
	if (s->offset < s->end)
		return 1;
	s->r.lines = s->line - 1;
	use(s, s->buf.len);
	return 0;
}
