/* SPDX-License-Identifier: Apache-2.0 */
/* Escaping, states, times and numbers of the pages. */
#include "runner/html.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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

/* WORD is what the store says; SHOWN what people read; nine words have a glyph of their own. */
static const struct {
	const char *word, *shown, *glyph, *class;
} states[] = {
	{ "queued", "queued", "queued", "idle" },
	{ "pending", "queued", "queued", "idle" },
	{ "blocked", "blocked", "queued", "idle" },
	{ "held", "held", "queued", "idle" },
	{ "waiting", "waiting", "waiting", "wait" },
	{ "awaiting_approval", "waiting", "waiting", "wait" },
	{ "claimed", "starting", "running", "run" },
	{ "released", "running", "running", "run" },
	{ "running", "running", "running", "run" },
	{ "finalising", "running", "running", "run" },
	{ "cancelling", "cancelling", "running", "run" },
	{ "in_progress", "deploying", "running", "run" },
	{ "listening", "listening", "running", "run" },
	{ "success", "success", "success", "ok" },
	{ "approved", "approved", "success", "ok" },
	{ "planned", "planned", "success", "ok" },
	{ "accepted", "accepted", "success", "ok" },
	{ "done", "done", "success", "ok" },
	{ "failure", "failure", "failure", "fail" },
	{ "failed", "event failed", "failure", "fail" },
	{ "rejected", "rejected", "failure", "fail" },
	{ "expired", "expired", "failure", "fail" },
	{ "refused", "refused", "failure", "fail" },
	{ "cancelled", "cancelled", "cancelled", "cancel" },
	{ "superseded", "superseded", "cancelled", "cancel" },
	{ "void", "void", "cancelled", "cancel" },
	{ "skipped", "skipped", "skipped", "skip" },
	{ "ignored", "ignored", "skipped", "skip" },
	{ "duplicate", "duplicate", "skipped", "skip" },
	{ "carried", "carried", "skipped", "skip" },
	{ "lost", "lost", "lost", "lost" },
	{ "error", "error", "failure", "fail" },
	{ "warning", "warning", "warning", "wait" },
	{ "notice", "notice", "notice", "note" },
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

const char *html_state_word(const char *word)
{
	return states[state_index(word)].shown;
}

void html_glyph(struct strbuf *out, const char *word)
{
	size_t i = state_index(word);

	strbuf_addf(out, "<svg class=\"g %s\" aria-hidden=\"true\"><use href=\"#g-%s\"/></svg>",
		states[i].class, states[i].glyph);
}

void html_glyph_at(struct strbuf *out, const char *word, int x, int y, int size)
{
	size_t i = state_index(word);

	strbuf_addf(out,
		"<svg class=\"g %s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\">"
		"<use href=\"#g-%s\"/></svg>",
		states[i].class, x, y, size, size, states[i].glyph);
}

void html_state_as(struct strbuf *out, const char *word, const char *shown)
{
	html_put(out, "<span class=\"st @\">", html_state_class(word));
	html_glyph(out, word);
	html_put(out, "<span class=\"w\">$</span></span>", shown);
}

void html_state(struct strbuf *out, const char *word)
{
	html_state_as(out, word, html_state_word(word));
}

/* ---- times and numbers ---- */

static void utc(int64_t wall_ms, struct tm *tm)
{
	time_t t = (time_t)(wall_ms / 1000);

	memset(tm, 0, sizeof(*tm));
	(void)gmtime_r(&t, tm); /* years of our clock always fit */
}

static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
	"Sep", "Oct", "Nov", "Dec" };

/* The script knows by the length of the text what to write in the reader's own zone. */
static void open_time(struct strbuf *out, int64_t wall_ms, struct tm *tm)
{
	utc(wall_ms, tm);
	strbuf_addf(out, "<time datetime=\"%04d-%02d-%02dT%02d:%02d:%02dZ\">",
		tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday, tm->tm_hour, tm->tm_min,
		tm->tm_sec);
}

void html_time(struct strbuf *out, int64_t wall_ms)
{
	struct tm tm;

	if (wall_ms <= 0)
		return;
	open_time(out, wall_ms, &tm);
	strbuf_addf(out, "%02d:%02d:%02d</time>", tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void html_clock(struct strbuf *out, int64_t wall_ms)
{
	struct tm tm;

	if (wall_ms <= 0)
		return;
	open_time(out, wall_ms, &tm);
	strbuf_addf(out, "%02d:%02d</time>", tm.tm_hour, tm.tm_min);
}

void html_day(struct strbuf *out, int64_t wall_ms)
{
	struct tm tm;

	if (wall_ms <= 0)
		return;
	open_time(out, wall_ms, &tm);
	strbuf_addf(out, "%d %s %d %02d:%02d</time>", tm.tm_mday, months[tm.tm_mon],
		tm.tm_year + 1900, tm.tm_hour, tm.tm_min);
}

/* "40 ms" "0.4s" "14s" "3m 12s" "2h 05m" "6 days"; the script has the same. */
void html_span(struct strbuf *out, int64_t ms)
{
	long long s = ms > 0 ? ms / 1000 : 0;

	if (ms < 0)
		ms = 0;
	if (ms < 100)
		strbuf_addf(out, "%lld ms", (long long)ms);
	else if (ms < 9950)
		strbuf_addf(out, "%lld.%llds", (long long)(ms + 50) / 1000,
			(long long)(ms + 50) / 100 % 10);
	else if (s < 60)
		strbuf_addf(out, "%llds", s);
	else if (s < 3600)
		strbuf_addf(out, "%lldm %02llds", s / 60, s % 60);
	else if (s < 2 * 86400)
		strbuf_addf(out, "%lldh %02lldm", s / 3600, s % 3600 / 60);
	else
		strbuf_addf(out, "%lld days", s / 86400);
}

void html_duration(struct strbuf *out, int64_t start, int64_t end, int64_t now)
{
	if (start <= 0) {
		strbuf_adds(out, "—");
		return;
	}
	if (end > 0) {
		html_span(out, end - start);
		return;
	}
	strbuf_addf(out, "<span class=\"tick\" data-since=\"%lld\">", (long long)start);
	html_span(out, now - start);
	strbuf_adds(out, "</span>");
}

void html_sha(struct strbuf *out, const char *sha)
{
	size_t len = sha ? strlen(sha) : 0;

	html_put(out, "<code title=\"$\">", sha);
	html_textn(out, sha ? sha : "", len < 7 ? len : 7);
	strbuf_adds(out, "</code>");
}

void html_url(struct strbuf *out, const char *s)
{
	for (; s && *s; s++) {
		if (strchr("-._~/", *s) || (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') ||
			(*s >= 'A' && *s <= 'Z'))
			strbuf_addc(out, *s);
		else
			strbuf_addf(out, "%%%02X", (unsigned char)*s);
	}
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
