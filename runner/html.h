/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way text reaches a page. Names, branches, titles, logs and file names are
 * hostile: html_text escapes markup, shows bidi and invisible characters as ⟨U+202E⟩ and
 * drops C0, C1; html_log also turns SGR colours into classes and drops every other escape
 * sequence (OSC 8 links keep their text and show the address). Output is valid UTF-8
 * whatever went in.
 */
#ifndef RUNNER_HTML_H
#define RUNNER_HTML_H

#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

void html_text(struct strbuf *out, const char *s); /* NULL: nothing */
void html_textn(struct strbuf *out, const char *s, size_t len);
/*
 * `%s`-free printf of markup: "$" stands for the next const char *, escaped; "@" for the
 * next const char *, as it is (markup of our own); "#" for the next long long. Two of one
 * kind stand for the character itself.
 */
void html_put(struct strbuf *out, const char *fmt, ...);

/*
 * One log line (no newline in it). MARK: mark occurrences of it (case-insensitively unless
 * it has a capital), or NULL. Lines over MAX bytes are cut with a note.
 */
void html_log(struct strbuf *out, const char *line, size_t len, const char *mark,
	size_t max);
/* What a line of the log is by its prefix ("##[group]", "##[error]" ...). */
enum log_line_kind {
	LOG_LINE_PLAIN,
	LOG_LINE_GROUP,
	LOG_LINE_ENDGROUP,
	LOG_LINE_ERROR,
	LOG_LINE_WARNING,
	LOG_LINE_NOTICE,
	LOG_LINE_DEBUG,
	LOG_LINE_COMMAND,
	LOG_LINE_SLUICE, /* our own word: refusals of the network and the like */
};
enum log_line_kind log_line_kind(const char *line, size_t len, size_t *ret_skip);

/* A subset of Markdown without raw HTML and remote images, for step summaries. */
void html_markdown(struct strbuf *out, const char *text, size_t len);

/* "<svg ...>" with the state's shape from the sprite; the word follows by the caller. */
void html_glyph(struct strbuf *out, const char *word);
void html_glyph_at(struct strbuf *out, const char *word, int x, int y, int size); /* in SVG */
/* Glyph and word together, the word in the state's class. */
void html_state(struct strbuf *out, const char *word);
void html_state_as(struct strbuf *out, const char *word, const char *shown);
/* The word people read for a state of the store: "starting" for claimed. */
const char *html_state_word(const char *word);
/* The class of a state word: "ok", "fail", "wait", "run", "idle", "lost", "skip", "cancel". */
const char *html_state_class(const char *word);

/* <time datetime=...>12:02:03</time>, 12:02, 21 Nov 2026 12:02; nothing for 0. All UTC. */
void html_time(struct strbuf *out, int64_t wall_ms);
void html_clock(struct strbuf *out, int64_t wall_ms);
void html_day(struct strbuf *out, int64_t wall_ms);
/* "3m 12s" */
void html_span(struct strbuf *out, int64_t ms);
/* A duration that ticks while END is 0 (class tick, data-since). */
void html_duration(struct strbuf *out, int64_t start, int64_t end, int64_t now);
/* <code> with the first seven digits, all of them in its title. */
void html_sha(struct strbuf *out, const char *sha);
/* Percent-encoded for a path or a query; '/' stays. */
void html_url(struct strbuf *out, const char *s);
/* "5 187" with thin spaces. */
void html_count(struct strbuf *out, long long n);
/* "812 kB" */
void html_bytes(struct strbuf *out, long long n);

#endif
