/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines as markup: colours to classes, every other escape sequence dropped. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runner/html-internal.h"
#include "runner/html.h"

static const struct {
	const char *prefix;
	enum log_line_kind kind;
} kinds[] = {
	{ "##[group]", LOG_LINE_GROUP },	{ "##[endgroup]", LOG_LINE_ENDGROUP },
	{ "##[error]", LOG_LINE_ERROR },	{ "##[warning]", LOG_LINE_WARNING },
	{ "##[notice]", LOG_LINE_NOTICE },	{ "##[debug]", LOG_LINE_DEBUG },
	{ "##[command]", LOG_LINE_COMMAND },	{ "##[sluice]", LOG_LINE_SLUICE },
};

enum log_line_kind log_line_kind(const char *line, size_t len, size_t *ret_skip)
{
	*ret_skip = 0;
	if (len < 3 || memcmp(line, "##[", 3) != 0)
		return LOG_LINE_PLAIN;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t n = strlen(kinds[i].prefix);

		if (len >= n && memcmp(line, kinds[i].prefix, n) == 0) {
			*ret_skip = n;
			return kinds[i].kind;
		}
	}
	return LOG_LINE_PLAIN;
}

struct sgr {
	int color; /* 0 none, 1..6 red green yellow blue magenta cyan, 7 white, 8 dim */
	bool bold;
};

static const char *const color_classes[] = { "", "ar", "ag", "ay", "ab", "am", "ac", "aw",
	"ad" };

/* The nearest of our six for a 24-bit colour: output must be readable in both themes. */
static int snap(int r, int g, int b)
{
	int max = r > g ? (r > b ? r : b) : (g > b ? g : b);
	int min = r < g ? (r < b ? r : b) : (g < b ? g : b);
	int half = (max + min) / 2;

	if (max - min < 40)
		return max > 160 ? 7 : 8;
	if (r > half && g > half)
		return 3;
	if (r > half && b > half)
		return 5;
	if (g > half && b > half)
		return 6;
	return r == max ? 1 : g == max ? 2 : 4;
}

static int snap_256(int n)
{
	static const int basic[] = { 8, 1, 2, 3, 4, 5, 6, 7 };
	int c = n - 16;

	if (n < 16)
		return basic[n % 8];
	if (n >= 232)
		return n > 243 ? 7 : 8;
	return snap(c / 36 * 51, c / 6 % 6 * 51, c % 6 * 51);
}

static void apply_sgr(struct sgr *s, const int *p, int n)
{
	for (int i = 0; i < n; i++) {
		if (p[i] == 0) {
			s->color = 0;
			s->bold = false;
		} else if (p[i] == 1) {
			s->bold = true;
		} else if (p[i] == 2) {
			s->color = 8;
		} else if (p[i] == 22) {
			s->bold = false;
		} else if ((p[i] >= 30 && p[i] <= 37) || (p[i] >= 90 && p[i] <= 97)) {
			s->color = snap_256(p[i] % 10);
		} else if (p[i] == 39) {
			s->color = 0;
		} else if ((p[i] == 38 || p[i] == 48) && i + 2 < n && p[i + 1] == 5) {
			if (p[i] == 38)
				s->color = snap_256(p[i + 2] & 255);
			i += 2;
		} else if ((p[i] == 38 || p[i] == 48) && i + 4 < n && p[i + 1] == 2) {
			if (p[i] == 38)
				s->color = snap(p[i + 2], p[i + 3], p[i + 4]);
			i += 4;
		}
	}
}

/* Length of the CSI sequence at S (ESC [ ...); SGR is applied to G. */
static size_t csi(const char *s, size_t len, struct sgr *g)
{
	int params[16] = { 0 }, n = 0;
	size_t i = 2;

	for (; i < len && (unsigned char)s[i] >= 0x20 && (unsigned char)s[i] < 0x40; i++) {
		if (s[i] >= '0' && s[i] <= '9') {
			if (params[n] < 10000)
				params[n] = params[n] * 10 + (s[i] - '0');
		} else if ((s[i] == ';' || s[i] == ':') && n < 15) {
			n++;
		}
	}
	if (i < len && s[i] == 'm')
		apply_sgr(g, params, n + 1);
	return i < len ? i + 1 : len;
}

/* Length of the OSC sequence at S (ESC ] ...): to BEL or ESC \. The address of a link is shown. */
static size_t osc(const char *s, size_t len, struct strbuf *out)
{
	size_t i = 2;

	while (i < len && s[i] != '\a' && s[i] != '\033')
		i++;
	if (i > 5 && memcmp(s + 2, "8;;", 3) == 0 && i - 5 < 512) {
		strbuf_adds(out, "<span class=\"odd\">⟨");
		html_textn(out, s + 5, i - 5);
		strbuf_adds(out, "⟩</span>");
	}
	if (i < len && s[i] == '\033')
		return i + 1 < len ? i + 2 : len;
	return i < len ? i + 1 : len;
}

static void open_span(struct strbuf *out, const struct sgr *g, bool *is_open)
{
	if (*is_open)
		strbuf_adds(out, "</span>");
	*is_open = g->color || g->bold;
	if (*is_open)
		strbuf_addf(out, "<span class=\"%s%s%s\">", color_classes[g->color],
			g->color && g->bold ? " " : "", g->bold ? "b" : "");
}

static bool has_capital(const char *s)
{
	for (; *s; s++)
		if (*s >= 'A' && *s <= 'Z')
			return true;
	return false;
}

/* The visible text of a line: what a mark is searched in. */
static size_t visible(const char *line, size_t len, struct sgr *g)
{
	if (line[0] != '\033' || len < 2)
		return 0;
	if (line[1] == '[')
		return csi(line, len, g);
	if (line[1] == ']') {
		struct strbuf sink = STRBUF_INIT;
		size_t n = osc(line, len, &sink);

		strbuf_done(&sink);
		return n;
	}
	return 2;
}

static bool matches(const char *s, size_t len, const char *mark, size_t n, bool exact)
{
	return len >= n && (exact ? memcmp(s, mark, n) : strncasecmp(s, mark, n)) == 0;
}

void html_log(struct strbuf *out, const char *line, size_t len, const char *mark, size_t max)
{
	struct sgr g = { 0 }, before = { 0 };
	bool is_open = false, exact = mark && has_capital(mark);
	size_t cut = len, mark_len = mark ? strlen(mark) : 0, mark_end = 0;
	const char *cr = memrchr(line, '\r', len);

	/* A progress bar rewrites its line: the last state counts. */
	if (cr && cr + 1 < line + len) {
		len -= (size_t)(cr + 1 - line);
		line = cr + 1;
		cut = len;
	}
	if (max && cut > max)
		cut = max;
	for (size_t i = 0; i < cut;) {
		unsigned c = 0;
		size_t n;

		if (line[i] == '\033' && i + 1 < cut) {
			n = line[i + 1] == ']' ? osc(line + i, cut - i, out) :
						 visible(line + i, cut - i, &g);
			if ((g.color != before.color || g.bold != before.bold) && !mark_end)
				open_span(out, &g, &is_open);
			before = g;
			i += n;
			continue;
		}
		if (mark_len && !mark_end && matches(line + i, cut - i, mark, mark_len, exact)) {
			strbuf_adds(out, "<mark>");
			mark_end = i + mark_len;
		}
		n = html_utf8(line + i, cut - i, &c);
		if (n == 0) {
			strbuf_adds(out, "\xef\xbf\xbd");
			n = 1;
		} else {
			html_char(out, line + i, n, c);
		}
		i += n;
		if (mark_end && i >= mark_end) {
			strbuf_adds(out, "</mark>");
			mark_end = 0;
		}
	}
	if (mark_end)
		strbuf_adds(out, "</mark>");
	if (is_open)
		strbuf_adds(out, "</span>");
	if (cut < len) {
		strbuf_adds(out, " <span class=\"odd\">… ");
		html_bytes(out, (long long)(len - cut));
		strbuf_adds(out, " more in the raw log</span>");
	}
}

/* ---- Markdown ---- */

static bool is_link(const char *url, size_t len)
{
	return (len > 8 && memcmp(url, "https://", 8) == 0) ||
		(len > 7 && memcmp(url, "http://", 7) == 0);
}

static const char *find(const char *s, size_t len, const char *what)
{
	return len ? memmem(s, len, what, strlen(what)) : NULL;
}

/* `code`, **bold**, [text](http...): everything else is text. */
static void inline_markdown(struct strbuf *out, const char *s, size_t len)
{
	size_t i = 0, plain = 0;

	while (i < len) {
		const char *end = NULL, *mid = NULL;
		size_t skip = 0;

		if (s[i] == '`')
			end = find(s + i + 1, len - i - 1, "`");
		else if (s[i] == '*' && i + 1 < len && s[i + 1] == '*')
			end = find(s + i + 2, len - i - 2, "**");
		else if (s[i] == '[' && (mid = find(s + i, len - i, "](")) != NULL)
			end = find(mid, len - (size_t)(mid - s), ")");
		if (!end) {
			i++;
			continue;
		}
		html_textn(out, s + plain, i - plain);
		if (s[i] == '`') {
			strbuf_adds(out, "<code>");
			html_textn(out, s + i + 1, (size_t)(end - s) - i - 1);
			strbuf_adds(out, "</code>");
			skip = 1;
		} else if (s[i] == '*') {
			strbuf_adds(out, "<b>");
			html_textn(out, s + i + 2, (size_t)(end - s) - i - 2);
			strbuf_adds(out, "</b>");
			skip = 2;
		} else {
			size_t url = (size_t)(mid - s) + 2, url_len = (size_t)(end - s) - url;
			bool link = is_link(s + url, url_len) && !(i > 0 && s[i - 1] == '!');

			if (link) {
				strbuf_adds(out, "<a rel=\"noopener noreferrer nofollow\" href=\"");
				html_textn(out, s + url, url_len);
				strbuf_adds(out, "\">");
			}
			html_textn(out, s + i + 1, (size_t)(mid - s) - i - 1);
			if (link)
				strbuf_adds(out, "</a>");
			skip = 1;
		}
		i = (size_t)(end - s) + skip;
		plain = i;
	}
	html_textn(out, s + plain, len - plain);
}

struct markdown {
	bool list, table, code, para;
};

static void close_blocks(struct strbuf *out, struct markdown *m)
{
	if (m->para)
		strbuf_adds(out, "</p>\n");
	if (m->list)
		strbuf_adds(out, "</ul>\n");
	if (m->table)
		strbuf_adds(out, "</table></div>\n");
	m->para = m->list = m->table = false;
}

static void table_row(struct strbuf *out, struct markdown *m, const char *s, size_t len)
{
	const char *tag = m->table ? "td" : "th";

	if (!m->table) {
		close_blocks(out, m);
		strbuf_adds(out, "<div class=\"scroll\"><table>");
		m->table = true;
	} else if (strspn(s, "|-: \t") >= len) {
		return; /* the line under the head */
	}
	strbuf_adds(out, "<tr>");
	for (size_t i = 1; i < len;) {
		const char *bar = memchr(s + i, '|', len - i);
		size_t n = bar ? (size_t)(bar - s) - i : len - i;

		strbuf_addf(out, "<%s>", tag);
		inline_markdown(out, s + i, n);
		strbuf_addf(out, "</%s>", tag);
		i += n + 1;
	}
	strbuf_adds(out, "</tr>\n");
}

static void block_line(struct strbuf *out, struct markdown *m, const char *s, size_t len)
{
	size_t level = 0;

	while (level < len && level < 6 && s[level] == '#')
		level++;
	if (len == 0) {
		close_blocks(out, m);
	} else if (level && level < len && s[level] == ' ') {
		close_blocks(out, m);
		strbuf_addf(out, "<h%zu>", level < 3 ? level + 2 : 4);
		inline_markdown(out, s + level + 1, len - level - 1);
		strbuf_addf(out, "</h%zu>\n", level < 3 ? level + 2 : 4);
	} else if (s[0] == '|') {
		table_row(out, m, s, len);
	} else if (len > 2 && (s[0] == '-' || s[0] == '*') && s[1] == ' ') {
		if (!m->list) {
			close_blocks(out, m);
			strbuf_adds(out, "<ul>");
			m->list = true;
		}
		strbuf_adds(out, "<li>");
		inline_markdown(out, s + 2, len - 2);
		strbuf_adds(out, "</li>\n");
	} else {
		if (!m->para) {
			close_blocks(out, m);
			strbuf_adds(out, "<p>");
			m->para = true;
		} else {
			strbuf_adds(out, "<br>");
		}
		inline_markdown(out, s, len);
	}
}

void html_markdown(struct strbuf *out, const char *text, size_t len)
{
	struct markdown m = { 0 };

	while (len > 0) {
		const char *nl = memchr(text, '\n', len);
		size_t n = nl ? (size_t)(nl - text) : len;
		size_t line = n && text[n - 1] == '\r' ? n - 1 : n;

		if (line >= 3 && memcmp(text, "```", 3) == 0) {
			close_blocks(out, &m);
			strbuf_adds(out, m.code ? "</pre>\n" : "<pre>");
			m.code = !m.code;
		} else if (m.code) {
			html_textn(out, text, line);
			strbuf_addc(out, '\n');
		} else {
			block_line(out, &m, text, line);
		}
		text += nl ? n + 1 : n;
		len -= nl ? n + 1 : n;
	}
	if (m.code)
		strbuf_adds(out, "</pre>\n");
	close_blocks(out, &m);
}
