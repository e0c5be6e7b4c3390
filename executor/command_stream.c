/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes to lines to commands. Output is mostly text, so whole stretches of lines are
 * handed on unlooked at but for a search of "::" and "##[".
 */
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "executor/command-internal.h"
#include "executor/command.h"

_Static_assert(COMMAND_LINE_MAX > LIMIT_LOG_LINE, "a command may be longer than a line");

enum mode {
	MODE_LINE, /* at the start of a line, or in one that is buffered */
	MODE_LONG, /* in a line over the limit: text until its end */
	MODE_DROP, /* in a command over its limit: nothing until its end */
};

struct command_stream {
	struct command_state *st;
	const struct command_stream_ops *ops;
	void *ctx;
	struct strbuf line; /* the unfinished line */
	enum mode mode;
	bool is_by_line;
};

struct command_stream *command_stream_new(
	struct command_state *st, const struct command_stream_ops *ops, void *ctx)
{
	struct command_stream *cs = xcalloc(1, sizeof(*cs));

	cs->st = st;
	cs->ops = ops;
	cs->ctx = ctx;
	strbuf_init(&cs->line);
	return cs;
}

void command_stream_free(struct command_stream *cs)
{
	if (!cs)
		return;
	explicit_bzero(cs->line.buf, cs->line.len); /* may hold an add-mask */
	strbuf_done(&cs->line);
	free(cs);
}

void command_stream_by_line(struct command_stream *cs, bool on)
{
	cs->is_by_line = on;
}

static void text(struct command_stream *cs, const char *p, size_t len)
{
	if (len > 0)
		cs->ops->text(p, len, cs->ctx);
}

/* Past the first line end in P, which is complete; LEN if there is none. A CR as the last
 * byte is not: an LF may follow. */
static size_t line_end(const char *p, size_t len)
{
	const char *lf = memchr(p, '\n', len);
	size_t n = lf ? (size_t)(lf - p) : len;
	const char *cr = memchr(p, '\r', n);

	if (!cr)
		return lf ? n + 1 : 0;
	n = (size_t)(cr - p) + 1;
	if (n == len)
		return 0;
	return p[n] == '\n' ? n + 1 : n;
}

/* Past the last complete line end, 0 if there is none. */
static size_t last_line_end(const char *p, size_t len)
{
	const char *lf = memrchr(p, '\n', len);
	const char *cr = len > 1 ? memrchr(p, '\r', len - 1) : NULL;
	size_t after_lf = lf ? (size_t)(lf - p) + 1 : 0;
	size_t after_cr = cr ? (size_t)(cr - p) + 1 : 0;

	return after_lf > after_cr ? after_lf : after_cr;
}

static size_t content_len(const char *line, size_t len)
{
	if (len > 0 && line[len - 1] == '\n')
		len--;
	if (len > 0 && line[len - 1] == '\r')
		len--;
	return len;
}

/* A line that may be a command of the new form, judged by its first LIMIT_LOG_LINE bytes. */
static bool is_candidate(const char *line, size_t len)
{
	size_t i = 0;

	if (len > LIMIT_LOG_LINE)
		len = LIMIT_LOG_LINE;
	while (i < len &&
		(line[i] == ' ' || line[i] == '\t' || line[i] == '\v' || line[i] == '\f'))
		i++;
	return len - i >= 2 && line[i] == ':' && line[i + 1] == ':';
}

/* The same for one that is over every limit: does it name a command? */
static bool is_long_command(const struct command_stream *cs, const char *line, size_t len)
{
	const char *name = memchr(line, ':', len);
	enum command_kind kind;
	size_t n = 0;

	name += 2;
	len -= (size_t)(name - line);
	while (n < len && n < 256 && name[n] != ' ' && name[n] != ':')
		n++;
	return command_kind_of(cs->st, name, n, &kind) &&
	       (!cs->st->token || kind == COMMAND_RESUME);
}

static void too_long(struct command_stream *cs)
{
	static char none[1] = "";
	const struct command c = { .kind = COMMAND_TOO_LONG, .data = none };

	cs->ops->command(&c, "", 0, cs->ctx);
}

/* One whole line with its end, longer than nothing. */
static void one_line(struct command_stream *cs, const char *line, size_t len)
{
	struct command c = COMMAND_INIT;
	size_t n = content_len(line, len);
	bool may = n <= LIMIT_LOG_LINE || is_candidate(line, n);

	if (may && n > COMMAND_LINE_MAX) {
		if (is_long_command(cs, line, n))
			too_long(cs);
		else
			text(cs, line, len);
	} else if (may && command_scan(cs->st, line, n, &c)) {
		cs->ops->command(&c, line, len, cs->ctx);
		command_done(&c);
	} else {
		text(cs, line, len);
	}
}

static bool is_line_end(char c)
{
	return c == '\n' || c == '\r';
}

/* The start of the line that AT is in, not before FROM. */
static size_t line_start(const char *p, size_t from, size_t at)
{
	while (at > from && !is_line_end(p[at - 1]))
		at--;
	return at;
}

/* memmem looks at each byte of a short needle; this one jumps to its first. */
static const char *find(const char *p, size_t len, const char *what, size_t n)
{
	const char *end = p + len;

	while ((size_t)(end - p) >= n) {
		p = memchr(p, what[0], (size_t)(end - p) - n + 1);
		if (!p || memcmp(p, what, n) == 0)
			return p;
		p++;
	}
	return NULL;
}

/* The next "::" at a line's start after blanks; LEN if there is none. */
static size_t next_new_form(const char *p, size_t from, size_t len)
{
	for (size_t at = from; at < len;) {
		const char *hit = find(p + at, len - at, "::", 2);
		size_t i;

		if (!hit)
			return len;
		i = (size_t)(hit - p);
		while (i > from && !is_line_end(p[i - 1]) &&
			(p[i - 1] == ' ' || p[i - 1] == '\t' || p[i - 1] == '\v' ||
				p[i - 1] == '\f'))
			i--;
		if (i == from || is_line_end(p[i - 1]))
			return i;
		at = (size_t)(hit - p) + 1;
	}
	return len;
}

static size_t next_old_form(const char *p, size_t from, size_t len)
{
	const char *hit = find(p + from, len - from, "##[", 3);

	return hit ? line_start(p, from, (size_t)(hit - p)) : len;
}

/* The next places of a block where a command may stand. */
struct forms {
	size_t new_form, old_form;
	bool is_stale;
};

/* Whole lines, up to the first that may be a command or to the end; how many bytes. */
static size_t plain_lines(
	struct command_stream *cs, const char *p, size_t len, struct forms *f, size_t at)
{
	if (cs->is_by_line)
		return 0;
	if (f->new_form < at || f->is_stale)
		f->new_form = next_new_form(p, at, len);
	if (f->old_form < at || f->is_stale)
		f->old_form = next_old_form(p, at, len);
	f->is_stale = false;
	return (f->new_form < f->old_form ? f->new_form : f->old_form) - at;
}

/* Whole lines. */
static void block(struct command_stream *cs, const char *p, size_t len)
{
	struct forms f = { 0, 0, true };

	for (size_t at = 0; at < len;) {
		size_t n = plain_lines(cs, p, len, &f, at);

		text(cs, p + at, n);
		at += n;
		if (at == len)
			return;
		n = line_end(p + at, len - at);
		n = n ? n : len - at;
		one_line(cs, p + at, n);
		at += n;
	}
}

/* The buffered line has outgrown LIMIT_LOG_LINE without an end. */
static void overflow(struct command_stream *cs)
{
	size_t n = cs->line.len;

	if (is_candidate(cs->line.buf, n)) {
		if (n <= COMMAND_LINE_MAX + 1) /* the CR of its end may be in it */
			return;
		if (is_long_command(cs, cs->line.buf, n)) {
			too_long(cs);
			cs->mode = MODE_DROP;
			explicit_bzero(cs->line.buf, n);
			strbuf_clear(&cs->line);
			return;
		}
	}
	cs->mode = MODE_LONG;
	/* A last CR stays: it may be half of the line's end. */
	if (cs->line.buf[n - 1] == '\r')
		n--;
	text(cs, cs->line.buf, n);
	strbuf_remove(&cs->line, 0, n);
}

/* Bytes without a complete line end. A last CR waits for what follows it. */
static void more_of_line(struct command_stream *cs, const char *p, size_t len)
{
	bool is_cr = p[len - 1] == '\r';

	switch (cs->mode) {
	case MODE_LINE:
		strbuf_add(&cs->line, p, len);
		if (cs->line.len > LIMIT_LOG_LINE + 1)
			overflow(cs);
		return;
	case MODE_LONG:
		text(cs, p, is_cr ? len - 1 : len);
		break;
	case MODE_DROP:
		break;
	}
	if (is_cr)
		strbuf_addc(&cs->line, '\r');
}

static void end_line(struct command_stream *cs)
{
	if (cs->mode == MODE_LINE && cs->line.len > 0)
		one_line(cs, cs->line.buf, cs->line.len);
	else if (cs->mode == MODE_LONG)
		text(cs, cs->line.buf, cs->line.len);
	explicit_bzero(cs->line.buf, cs->line.len);
	strbuf_clear(&cs->line);
	cs->mode = MODE_LINE;
}

/* Takes bytes up to and with the end of the line begun, or all; how many. */
static size_t finish_line(struct command_stream *cs, const char *p, size_t len)
{
	size_t end;

	if (cs->line.len > 0 && cs->line.buf[cs->line.len - 1] == '\r')
		end = p[0] == '\n' ? 1 : 0;
	else if ((end = line_end(p, len)) == 0) {
		more_of_line(cs, p, len);
		return len;
	}
	if (cs->mode == MODE_LONG) {
		text(cs, cs->line.buf, cs->line.len);
		text(cs, p, end);
		strbuf_clear(&cs->line);
	} else if (cs->mode == MODE_LINE) {
		strbuf_add(&cs->line, p, end);
	}
	end_line(cs);
	return end;
}

void command_stream_write(struct command_stream *cs, const char *data, size_t len)
{
	size_t at = 0, whole;

	if (len == 0)
		return;
	if (cs->line.len > 0 || cs->mode != MODE_LINE)
		at = finish_line(cs, data, len);
	if (at == len)
		return;
	whole = last_line_end(data + at, len - at);
	block(cs, data + at, whole);
	at += whole;
	if (at < len)
		(void)finish_line(cs, data + at, len - at); /* takes all of it */
}

void command_stream_flush(struct command_stream *cs)
{
	end_line(cs);
}

/*
 * A line of the step that would pass for our own word. What masks hold back may cut it: a
 * beginning of it that ends here counts too.
 */
static bool is_our_word(const char *data, size_t len)
{
	static const char ours[] = "##[sluice]";

	return len >= strlen("##[s") &&
	       memcmp(data, ours, len < sizeof(ours) - 1 ? len : sizeof(ours) - 1) == 0;
}

/* The first line behind DATA's own that is_our_word; LEN if there is none. */
static size_t next_our_word(const char *data, size_t len)
{
	for (size_t at = 1; at < len; at++) {
		const char *hit = find(data + at, len - at, "##[s", strlen("##[s"));

		if (!hit)
			break;
		at = (size_t)(hit - data);
		if (hit[-1] == '\n' && is_our_word(hit, len - at))
			return at;
	}
	return len;
}

/*
 * How many bytes lie in lines that are surely short enough, of which the last is whole, and
 * none but the first is_our_word.
 */
static size_t short_lines(const struct line_limit *ll, const char *data, size_t len)
{
	size_t room = LIMIT_LOG_LINE - ll->at;
	size_t window = next_our_word(data, len < room ? len : room);
	const char *lf = memrchr(data, '\n', window);

	return lf ? (size_t)(lf - data) + 1 : 0;
}

void line_limit_write(
	struct line_limit *ll, const char *data, size_t len, struct strbuf *out)
{
	while (len > 0) {
		size_t n = short_lines(ll, data, len), room = LIMIT_LOG_LINE - ll->at;

		if (ll->at == 0 && is_our_word(data, len))
			strbuf_addc(out, ' ');
		if (n > 0) {
			strbuf_add(out, data, n);
			ll->at = 0;
		} else if (len > room && data[room] != '\n') {
			n = room;
			strbuf_add(out, data, n);
			strbuf_adds(out, LINE_LIMIT_MARK);
			ll->at = 0;
			ll->splits++;
		} else {
			/* Room for all of it, or for all but the end of its line. */
			n = len > room ? room + 1 : len;
			strbuf_add(out, data, n);
			ll->at = n > room ? 0 : ll->at + n;
		}
		data += n;
		len -= n;
	}
}
