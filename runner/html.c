/* SPDX-License-Identifier: Apache-2.0 */
/* Escaping, states, times and numbers of the pages. */
#include "runner/html.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "runner/html-internal.h"

size_t html_utf8(const char *text, size_t len, unsigned *ret)
{
	const unsigned char *s = (const unsigned char *)text;
	static const unsigned least[] = { 0, 0, 0x80, 0x800, 0x10000 };
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
	if (*ret < least[n] || *ret > 0x10ffff || (*ret >= 0xd800 && *ret < 0xe000))
		return 0;
	return n;
}

/* Characters that change how others look without being seen themselves. */
static bool is_invisible(unsigned c)
{
	return (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
		(c >= 0x2060 && c <= 0x206f) || c == 0x061c || c == 0x00ad || c == 0xfeff ||
		(c >= 0xe0000 && c <= 0xe0fff);
}

void html_char(struct strbuf *out, const char *s, size_t n, unsigned c)
{
	switch (c) {
	case '&':
		strbuf_adds(out, "&amp;");
		return;
	case '<':
		strbuf_adds(out, "&lt;");
		return;
	case '>':
		strbuf_adds(out, "&gt;");
		return;
	case '"':
		strbuf_adds(out, "&quot;");
		return;
	case '\'':
		strbuf_adds(out, "&#39;");
		return;
	}
	if (c == '\t' || c == '\n')
		strbuf_addc(out, (char)c);
	else if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return;
	else if (is_invisible(c))
		strbuf_addf(out, "<span class=\"odd\">⟨U+%04X⟩</span>", c);
	else
		strbuf_add(out, s, n);
}

void html_textn(struct strbuf *out, const char *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		unsigned c = 0;
		size_t n = html_utf8(s + i, len - i, &c);

		if (n == 0) {
			strbuf_adds(out, "\xef\xbf\xbd");
			n = 1;
		} else {
			html_char(out, s + i, n, c);
		}
		i += n;
	}
}

void html_text(struct strbuf *out, const char *s)
{
	if (s)
		html_textn(out, s, strlen(s));
}

void html_put(struct strbuf *out, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	for (; *fmt; fmt++) {
		if (!strchr("$@#", *fmt)) {
			strbuf_addc(out, *fmt);
		} else if (fmt[1] == fmt[0]) {
			strbuf_addc(out, *fmt++);
		} else if (*fmt == '$') {
			html_text(out, va_arg(ap, const char *));
		} else if (*fmt == '@') {
			const char *s = va_arg(ap, const char *);

			strbuf_adds(out, s ? s : "");
		} else {
			strbuf_addf(out, "%lld", va_arg(ap, long long));
		}
	}
	va_end(ap);
}

/* ---- states ---- */

static const struct {
	const char *word, *glyph, *class;
} states[] = {
	{ "queued", "queued", "idle" },
	{ "pending", "queued", "idle" },
	{ "blocked", "queued", "idle" },
	{ "held", "queued", "idle" },
	{ "waiting", "waiting", "wait" },
	{ "awaiting_approval", "waiting", "wait" },
	{ "claimed", "running", "run" },
	{ "released", "running", "run" },
	{ "running", "running", "run" },
	{ "finalising", "running", "run" },
	{ "cancelling", "running", "run" },
	{ "in_progress", "running", "run" },
	{ "success", "success", "ok" },
	{ "approved", "success", "ok" },
	{ "planned", "success", "ok" },
	{ "accepted", "success", "ok" },
	{ "failure", "failure", "fail" },
	{ "failed", "failure", "fail" },
	{ "rejected", "failure", "fail" },
	{ "expired", "failure", "fail" },
	{ "cancelled", "cancelled", "cancel" },
	{ "superseded", "cancelled", "cancel" },
	{ "void", "cancelled", "cancel" },
	{ "skipped", "skipped", "skip" },
	{ "ignored", "skipped", "skip" },
	{ "duplicate", "skipped", "skip" },
	{ "lost", "lost", "lost" },
};

static size_t state_index(const char *word)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (str_eq(states[i].word, word))
			return i;
	return 0;
}

const char *html_state_class(const char *word)
{
	return states[state_index(word)].class;
}

void html_glyph(struct strbuf *out, const char *word)
{
	size_t i = state_index(word);

	strbuf_addf(out,
		"<svg class=\"g %s\" aria-hidden=\"true\" viewBox=\"0 0 16 16\">"
		"<use href=\"#g-%s\"/></svg>",
		states[i].class, states[i].glyph);
}

void html_state(struct strbuf *out, const char *word)
{
	html_put(out, "<span class=\"st @\">", html_state_class(word));
	html_glyph(out, word);
	html_put(out, "<span class=\"w\">$</span></span>",
		str_eq(word, "awaiting_approval") ? "waiting" :
		str_eq(word, "claimed") || str_eq(word, "released") || str_eq(word, "finalising") ?
						    "running" :
						    word);
}

/* ---- times and numbers ---- */

static void utc(int64_t wall_ms, struct tm *tm)
{
	time_t t = (time_t)(wall_ms / 1000);

	memset(tm, 0, sizeof(*tm));
	(void)gmtime_r(&t, tm); /* years of our clock always fit */
}

void html_time(struct strbuf *out, int64_t wall_ms)
{
	char iso[CLOCK_TEXT_MAX];
	struct tm tm;

	if (wall_ms <= 0)
		return;
	utc(wall_ms, &tm);
	strbuf_addf(out, "<time datetime=\"%s\" title=\"%s\">%02d:%02d:%02d</time>",
		clock_format(wall_ms, iso), iso, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void html_day(struct strbuf *out, int64_t wall_ms)
{
	char iso[CLOCK_TEXT_MAX];
	struct tm tm;

	if (wall_ms <= 0)
		return;
	utc(wall_ms, &tm);
	strbuf_addf(out, "<time datetime=\"%s\" title=\"%s\">%04d-%02d-%02d %02d:%02d</time>",
		clock_format(wall_ms, iso), iso, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
		tm.tm_hour, tm.tm_min);
}

void html_duration(struct strbuf *out, int64_t start, int64_t end, int64_t now)
{
	char text[CLOCK_TEXT_MAX];

	if (start <= 0) {
		strbuf_adds(out, "—");
		return;
	}
	clock_duration((end > 0 ? end : now) - start, text);
	if (end > 0)
		strbuf_adds(out, text);
	else
		strbuf_addf(out, "<span class=\"tick\" data-since=\"%lld\">%s</span>",
			(long long)start, text);
}

void html_count(struct strbuf *out, long long n)
{
	char digits[32];
	int len = snprintf(digits, sizeof(digits), "%lld", n);

	for (int i = 0; i < len; i++) {
		strbuf_addc(out, digits[i]);
		if ((len - i - 1) % 3 == 0 && i + 1 < len && digits[i] != '-')
			strbuf_adds(out, "\xe2\x80\x89");
	}
}

void html_bytes(struct strbuf *out, long long n)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	double v = (double)n;
	size_t u = 0;

	while (v >= 999.5 && u < 4) {
		v /= 1000;
		u++;
	}
	strbuf_addf(out, u && v < 10 ? "%.1f %s" : "%.0f %s", v, units[u]);
}
