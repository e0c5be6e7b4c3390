/* SPDX-License-Identifier: Apache-2.0 */
/* The list of findings and how one is printed. */
#include "workflows/diag.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const char *severity_name(enum severity s)
{
	static const char *const names[] = { "error", "warning", "note" };

	return names[s];
}

void diagnostics_done(struct diagnostics *d)
{
	for (size_t i = 0; i < d->len; i++) {
		free(d->items[i].file);
		free(d->items[i].msg);
		free(d->items[i].hint);
	}
	free(d->items);
	*d = (struct diagnostics)DIAGNOSTICS_INIT;
}

static bool diag_same(const struct diag *a, const char *file, struct mark mark,
	const char *code, const char *msg)
{
	return a->mark.line == mark.line && a->mark.column == mark.column &&
	       strcmp(a->code, code) == 0 && strcmp(a->file, file) == 0 &&
	       strcmp(a->msg, msg) == 0;
}

struct diag *diag_vadd(struct diagnostics *d, const char *file, struct mark mark,
	enum severity severity, const char *code, const char *fmt, va_list ap)
{
	struct strbuf msg = STRBUF_INIT;

	if (diagnostics_is_full(d)) {
		d->dropped++;
		return NULL;
	}
	strbuf_vaddf(&msg, fmt, ap);
	for (size_t i = 0; i < d->len; i++)
		if (diag_same(&d->items[i], file, mark, code, msg.buf)) {
			strbuf_done(&msg);
			return NULL;
		}
	GROW(d->items, d->alloc, d->len + 1);
	d->items[d->len] = (struct diag){
		.file = xstrdup(file),
		.mark = mark,
		.severity = severity,
		.code = code,
		.msg = strbuf_take(&msg),
	};
	return &d->items[d->len++];
}

struct diag *diag_add(struct diagnostics *d, const char *file, struct mark mark,
	enum severity severity, const char *code, const char *fmt, ...)
{
	struct diag *item;
	va_list ap;

	va_start(ap, fmt);
	item = diag_vadd(d, file, mark, severity, code, fmt, ap);
	va_end(ap);
	return item;
}

void diag_hint(struct diag *item, const char *fmt, ...)
{
	struct strbuf hint = STRBUF_INIT;
	va_list ap;

	if (!item)
		return;
	va_start(ap, fmt);
	strbuf_vaddf(&hint, fmt, ap);
	va_end(ap);
	free(item->hint);
	item->hint = strbuf_take(&hint);
}

void diag_nearest(struct diag *item, const char *word, const char *const *names)
{
	const char *near = item ? str_nearest(word, names) : NULL;

	if (near)
		diag_hint(item, "did you mean '%s'?", near);
}

void diag_drop_last(struct diagnostics *d)
{
	struct diag *it = &d->items[--d->len];

	free(it->file);
	free(it->msg);
	free(it->hint);
}

static int diag_cmp(const void *pa, const void *pb)
{
	const struct diag *a = pa, *b = pb;
	int by_file = strcmp(a->file, b->file);

	if (by_file)
		return by_file;
	if (a->mark.line != b->mark.line)
		return a->mark.line < b->mark.line ? -1 : 1;
	if (a->mark.column != b->mark.column)
		return a->mark.column < b->mark.column ? -1 : 1;
	if (strcmp(a->code, b->code) != 0)
		return strcmp(a->code, b->code);
	return strcmp(a->msg, b->msg);
}

void diagnostics_sort(struct diagnostics *d)
{
	if (d->len > 1)
		qsort(d->items, d->len, sizeof(*d->items), diag_cmp);
}

bool diagnostics_has_errors(const struct diagnostics *d)
{
	for (size_t i = 0; i < d->len; i++)
		if (d->items[i].severity == SEVERITY_ERROR)
			return true;
	return false;
}

int diagnostics_to_err(const struct diagnostics *d, struct err *err)
{
	for (size_t i = 0; i < d->len; i++) {
		const struct diag *it = &d->items[i];

		if (it->severity == SEVERITY_ERROR)
			return err_set(err, ERR_INPUT, "%s:%u:%u: %s", it->file,
				it->mark.line, it->mark.column, it->msg);
	}
	return err_set(err, ERR_BUG, "no error was recorded");
}

/* Text of strangers on a terminal: what is not printable ASCII or whole UTF-8 is spelled. */
static void add_visible(struct strbuf *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '\t')
			strbuf_addc(out, ' '); /* one column, as the mark counts it */
		else if (c < 0x20 || c == 0x7f)
			strbuf_addf(out, "\\x%02x", c);
		else if (c == 0xc2 && i + 1 < len && (unsigned char)s[i + 1] < 0xa0)
			strbuf_addf(out, "\\u%04x", (unsigned char)s[++i]); /* C1 */
		else if (c == 0xe2 && i + 2 < len && (unsigned char)s[i + 1] == 0x80 &&
			 (unsigned char)s[i + 2] >= 0xaa &&
			 (unsigned char)s[i + 2] <= 0xae) {
			strbuf_adds(out, "\\u20"); /* bidi overrides */
			strbuf_addf(out, "%02x", (unsigned char)s[i + 2] - 0x80);
			i += 2;
		} else
			strbuf_addc(out, (char)c);
	}
}

/* A source, and the line of it that was looked for last: findings come in order. */
struct reader {
	const char *source, *end;
	const char *at; /* where LINE starts */
	unsigned line;
};

static bool source_line(
	struct reader *r, unsigned line, const char **ret, size_t *ret_len)
{
	const char *nl;

	if (r->line == 0 || line < r->line) {
		r->at = r->source;
		r->line = 1;
	}
	for (; r->line < line; r->line++) {
		nl = memchr(r->at, '\n', (size_t)(r->end - r->at));
		if (!nl) {
			r->line = 0;
			return false;
		}
		r->at = nl + 1;
	}
	*ret = r->at;
	nl = memchr(r->at, '\n', (size_t)(r->end - r->at));
	*ret_len = (size_t)((nl ? nl : r->end) - *ret);
	if (*ret_len > 0 && (*ret)[*ret_len - 1] == '\r')
		(*ret_len)--;
	return true;
}

static size_t utf8_count(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

static unsigned caret_len(const struct mark *m, size_t line_chars)
{
	size_t room = line_chars >= m->column ? line_chars - m->column + 1 : 1;

	if (m->end_line == m->line && m->end_column > m->column &&
		m->end_column - m->column <= room)
		return m->end_column - m->column;
	if (m->end_line > m->line)
		return (unsigned)room;
	return 1;
}

/* Very long lines would push the caret off any screen. */
#define LINE_SHOWN_MAX 200

/* As many bytes of a line as carets can stand below. */
static size_t bytes_shown(size_t len)
{
	return len > 4 * LINE_SHOWN_MAX ? 4 * LINE_SHOWN_MAX : len;
}

static void write_text(const struct diag *item, struct reader *r, struct strbuf *out)
{
	const char *line;
	size_t len;
	int width;

	add_visible(out, item->file, strlen(item->file));
	strbuf_addf(out, ":%u:%u: ", item->mark.line, item->mark.column);
	add_visible(out, item->msg, strlen(item->msg));
	strbuf_addf(out, " [%s]\n", item->code);
	if (!r->source || item->mark.line == 0 ||
		!source_line(r, item->mark.line, &line, &len)) {
		if (item->hint) {
			strbuf_adds(out, "  ");
			add_visible(out, item->hint, strlen(item->hint));
			strbuf_addc(out, '\n');
		}
		return;
	}
	width = item->mark.line < 10 ? 2 : snprintf(NULL, 0, "%u", item->mark.line);
	strbuf_addf(out, "%*u | ", width, item->mark.line);
	add_visible(out, line, len > LINE_SHOWN_MAX ? LINE_SHOWN_MAX : len);
	strbuf_addf(out, "%s\n%*s | ", len > LINE_SHOWN_MAX ? "..." : "", width, "");
	if (item->mark.column <= LINE_SHOWN_MAX) {
		unsigned n = caret_len(&item->mark, utf8_count(line, bytes_shown(len)));

		strbuf_addf(out, "%*s", (int)item->mark.column - 1, "");
		for (unsigned i = 0; i < n && i + item->mark.column <= LINE_SHOWN_MAX;
			i++)
			strbuf_addc(out, '^');
	}
	if (item->hint) {
		strbuf_addc(out, ' ');
		add_visible(out, item->hint, strlen(item->hint));
	}
	strbuf_addc(out, '\n');
}

void diag_write_text(const struct diag *item, const char *source, size_t source_len,
	struct strbuf *out)
{
	struct reader r = { .source = source, .end = source + source_len };

	write_text(item, &r, out);
}

void diagnostics_write_text(const struct diagnostics *d, const char *file,
	const char *source, size_t source_len, struct strbuf *out)
{
	struct reader own = { .source = source, .end = source + source_len };
	struct reader other = { .source = NULL };

	for (size_t i = 0; i < d->len; i++)
		write_text(&d->items[i],
			strcmp(d->items[i].file, file) == 0 ? &own : &other, out);
}

bool diagnostics_is_full(const struct diagnostics *d)
{
	return d->len == DIAG_MAX;
}

struct json *diag_to_json(const struct diag *item)
{
	struct json *j = json_new_object();

	json_set_str(j, "file", item->file);
	json_set_int(j, "line", item->mark.line);
	json_set_int(j, "column", item->mark.column);
	json_set_int(j, "end_column",
		item->mark.end_line == item->mark.line ? item->mark.end_column
						       : item->mark.column + 1);
	json_set_str(j, "severity", severity_name(item->severity));
	json_set_str(j, "code", item->code);
	json_set_str(j, "message", item->msg);
	if (item->hint)
		json_set_str(j, "hint", item->hint);
	return j;
}
