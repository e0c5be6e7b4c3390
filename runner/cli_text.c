/* SPDX-License-Identifier: Apache-2.0 */
/* How the command line looks: colours, marks, widths, tables, text from strangers. */
#include <langinfo.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "runner/cli.h"

/* Set once by main() from --color; the streams are asked each time. */
static int color_forced = -1;

void cli_set_color(const char *when)
{
	if (str_eq(when, "always"))
		color_forced = 1;
	else if (str_eq(when, "never"))
		color_forced = 0;
}

bool cli_is_terminal(FILE *f)
{
	const char *term = getenv("TERM");

	return isatty(fileno(f)) == 1 && !(term && strcmp(term, "dumb") == 0);
}

bool cli_use_color(FILE *f)
{
	const char *off = getenv("NO_COLOR"), *on = getenv("CLICOLOR_FORCE");

	if (color_forced >= 0)
		return color_forced == 1;
	if (off && off[0])
		return false;
	if (on && on[0] && strcmp(on, "0") != 0)
		return true;
	return cli_is_terminal(f);
}

static const char *const color_codes[] = {
	[CLI_RED] = "\033[31m",
	[CLI_GREEN] = "\033[32m",
	[CLI_YELLOW] = "\033[33m",
	[CLI_BLUE] = "\033[34m",
	[CLI_DIM] = "\033[2m",
	[CLI_BOLD] = "\033[1m",
	[CLI_PLAIN] = "\033[0m",
};

const char *cli_color(FILE *f, enum cli_color c)
{
	return cli_use_color(f) ? color_codes[c] : "";
}

int cli_width(FILE *f)
{
	struct winsize ws;

	if (ioctl(fileno(f), TIOCGWINSZ, &ws) == 0 && ws.ws_col > 20)
		return ws.ws_col;
	return 80;
}

bool cli_is_utf8(void)
{
	const char *names[] = { "LC_ALL", "LC_CTYPE", "LANG" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *v = getenv(names[i]);

		if (v && v[0])
			return strcasestr(v, "utf-8") || strcasestr(v, "utf8");
	}
	return false;
}

static const struct {
	const char *word, *utf8, *ascii;
} marks[] = {
	{ "success", "✓", "+" },   { "failure", "✗", "x" },  { "running", "●", "*" },
	{ "queued", "○", "o" },	   { "waiting", "‖", "=" },  { "skipped", "-", "-" },
	{ "cancelled", "!", "!" }, { "lost", "!", "!" },     { "weaker", "!", "!" },
	{ "released", "●", "*" },  { "claimed", "●", "*" },  { "finalising", "●", "*" },
	{ "cancelling", "●", "*" }, { "awaiting_approval", "‖", "=" },
};

const char *cli_mark(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		if (str_eq(word, marks[i].word))
			return cli_is_utf8() ? marks[i].utf8 : marks[i].ascii;
	return cli_is_utf8() ? "○" : "o";
}

enum cli_color cli_state_color(const char *word)
{
	return str_eq(word, "failure")		? CLI_RED :
		str_eq(word, "success")		? CLI_GREEN :
		str_eq(word, "waiting") || str_eq(word, "awaiting_approval") ||
			str_eq(word, "lost")	? CLI_YELLOW :
		str_eq(word, "running")		? CLI_PLAIN :
						  CLI_DIM;
}

/* "✓ success" and "‖ 1 waiting" are coloured by their word; anything else is CLI_PLAIN. */
static enum cli_color cell_color(const char *cell)
{
	const char *word = strrchr(cell, ' ');

	if (!word || strncmp(cell, cli_mark(word + 1), strlen(cli_mark(word + 1))) != 0)
		return CLI_PLAIN;
	return cli_state_color(word + 1);
}

/* Text from outside in one cell: what would begin another cell or row is shown, not obeyed. */
static void print_cell(FILE *f, const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = strcspn(text + i, "\t\n");

		if (n > len - i)
			n = len - i;
		cli_print_safe(f, text + i, n, false);
		i += n;
		if (i < len)
			fputs(text[i++] == '\t' ? "\\t" : "\\n", f);
	}
}

/* Bytes of one UTF-8 character at S, 0 if it is none. *RET is the code point. */
static size_t utf8_one(const unsigned char *s, size_t len, unsigned *ret)
{
	size_t n = s[0] < 0x80 ? 1 :
		(s[0] >> 5) == 6   ? 2 :
		(s[0] >> 4) == 14  ? 3 :
		(s[0] >> 3) == 30  ? 4 :
				     0;

	if (n == 0 || n > len)
		return 0;
	*ret = n == 1 ? s[0] : s[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		*ret = *ret << 6 | (s[i] & 0x3f);
	}
	return n;
}

static bool is_unsafe(unsigned c)
{
	if (c < 0x20)
		return c != '\n' && c != '\t';
	return (c >= 0x7f && c < 0xa0) ||			/* DEL and C1 */
		(c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || /* bidi */
		c == 0x200e || c == 0x200f || c == 0x061c;
}

/* Length of a colour sequence ESC [ digits ; m at S, else 0. */
static size_t color_sequence(const char *s, size_t len)
{
	size_t n = 2;

	if (len < 3 || s[0] != '\033' || s[1] != '[')
		return 0;
	while (n < len && n < 32 && ((s[n] >= '0' && s[n] <= '9') || s[n] == ';'))
		n++;
	return n < len && s[n] == 'm' ? n + 1 : 0;
}

void cli_print_safe(FILE *f, const char *text, size_t len, bool keep_colors)
{
	for (size_t i = 0; i < len;) {
		unsigned c = 0;
		size_t n = color_sequence(text + i, len - i);

		if (n > 0) {
			if (keep_colors && cli_use_color(f))
				fwrite(text + i, 1, n, f);
			i += n;
			continue;
		}
		n = utf8_one((const unsigned char *)text + i, len - i, &c);
		if (n == 0) {
			fprintf(f, "\\x%02x", (unsigned char)text[i]);
			n = 1;
		} else if (is_unsafe(c)) {
			if (c > 0xff)
				fprintf(f, "\\u%04x", c);
			else
				fprintf(f, "\\x%02x", c);
		} else {
			fwrite(text + i, 1, n, f);
		}
		i += n;
	}
}

void cli_put(FILE *f, const char *text)
{
	cli_print_safe(f, text, strlen(text), false);
}

struct cli_table {
	const char *const *headers;
	size_t columns;
	int free_column;
	char ***rows;
	size_t len, alloc;
};

struct cli_table *cli_table_new(const char *const *headers, int free_column)
{
	struct cli_table *t = xcalloc(1, sizeof(*t));

	t->headers = headers;
	t->free_column = free_column;
	while (headers[t->columns])
		t->columns++;
	return t;
}

void cli_table_row(struct cli_table *t, ...)
{
	char **row = xcalloc(t->columns, sizeof(*row));
	va_list ap;

	va_start(ap, t);
	for (size_t i = 0; i < t->columns; i++) {
		const char *cell = va_arg(ap, const char *);

		row[i] = xstrdup(cell ? cell : "");
	}
	va_end(ap);
	GROW(t->rows, t->alloc, t->len + 1);
	t->rows[t->len++] = row;
}

void cli_table_free(struct cli_table *t)
{
	if (!t)
		return;
	for (size_t r = 0; r < t->len; r++) {
		for (size_t c = 0; c < t->columns; c++)
			free(t->rows[r][c]);
		free(t->rows[r]);
	}
	free(t->rows);
	free(t);
}

/* Columns a text takes on the screen; every character of ours is one wide. */
static size_t text_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		if (((unsigned char)*s & 0xc0) != 0x80)
			n++;
	return n;
}

static size_t cut_at(const char *s, size_t width)
{
	size_t i = 0, n = 0;

	while (s[i]) {
		if (((unsigned char)s[i] & 0xc0) != 0x80 && n++ == width)
			return i;
		i++;
	}
	return i;
}

static void print_cells(FILE *f, const struct cli_table *t, const char *const *cells,
	const size_t *widths)
{
	for (size_t c = 0; c < t->columns; c++) {
		size_t w = text_width(cells[c]);
		enum cli_color color = cell_color(cells[c]);

		if (color != CLI_PLAIN)
			fputs(cli_color(f, color), f);
		if ((int)c == t->free_column && w > widths[c]) {
			print_cell(f, cells[c], cut_at(cells[c], widths[c] - 1));
			fputs(cli_is_utf8() ? "…" : ">", f);
			w = widths[c];
		} else {
			print_cell(f, cells[c], strlen(cells[c]));
		}
		if (color != CLI_PLAIN)
			fputs(cli_color(f, CLI_PLAIN), f);
		if (c + 1 < t->columns)
			for (; w < widths[c] + 2; w++)
				fputc(' ', f);
	}
	fputc('\n', f);
}

static void print_aligned(struct cli_table *t, FILE *f)
{
	_cleanup_free_ size_t *widths = xcalloc(t->columns, sizeof(*widths));
	size_t total = 0, screen = (size_t)cli_width(f);

	for (size_t c = 0; c < t->columns; c++) {
		widths[c] = text_width(t->headers[c]);
		for (size_t r = 0; r < t->len; r++)
			if (text_width(t->rows[r][c]) > widths[c])
				widths[c] = text_width(t->rows[r][c]);
		total += widths[c] + 2;
	}
	if (t->free_column >= 0 && total > screen) {
		size_t over = total - screen, *w = &widths[t->free_column];

		*w = *w > over + 8 ? *w - over : 8;
	}
	fputs(cli_color(f, CLI_DIM), f);
	print_cells(f, t, t->headers, widths);
	fputs(cli_color(f, CLI_PLAIN), f);
	for (size_t r = 0; r < t->len; r++)
		print_cells(f, t, (const char *const *)t->rows[r], widths);
}

void cli_table_print(struct cli_table *t, FILE *f)
{
	if (cli_is_terminal(f)) {
		print_aligned(t, f);
		return;
	}
	for (size_t r = 0; r < t->len; r++)
		for (size_t c = 0; c < t->columns; c++) {
			print_cell(f, t->rows[r][c], strlen(t->rows[r][c]));
			fputc(c + 1 < t->columns ? '\t' : '\n', f);
		}
}
