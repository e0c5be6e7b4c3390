/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The output of a step as a stream: scanner, masks and line limit together, cut as the
 * first byte says. The log must be the same for every cut, a value added by `::add-mask::`
 * must not be in what is shown after it, and memory stays bounded by the line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "executor/command.h"
#include "executor/mask.h"

static void must(bool holds)
{
	if (!holds)
		abort();
}

struct step {
	struct command_state st;
	struct mask *masks;
	struct mask_stream *stream;
	struct line_limit limit;
	struct strbuf masked, log;
};

static void show(struct step *s)
{
	line_limit_write(&s->limit, s->masked.buf, s->masked.len, &s->log);
	strbuf_clear(&s->masked);
}

static void on_text(const char *data, size_t len, void *ctx)
{
	struct step *s = ctx;

	mask_stream_write(s->stream, data, len, &s->masked);
	show(s);
}

static void on_command(const struct command *c, const char *line, size_t len, void *ctx)
{
	struct step *s = ctx;
	_cleanup_free_ char *text = NULL;
	struct err err = ERR_INIT;
	enum mask_verdict v;

	must(strlen(command_name(c->kind)) > 0);
	for (size_t i = 0; i < c->props_len; i++)
		must(c->props[i].name[0] && command_prop(c, c->props[i].name) != NULL);
	if (c->kind == COMMAND_ADD_MASK) {
		(void)mask_add(
			s->masks, c->data, c->data_len, &v, &err); /* a limit is fine */
		return;
	}
	if (c->kind == COMMAND_STOP)
		(void)command_stop(&s->st, c, &err); /* a bad token is fine */
	if (c->kind == COMMAND_RESUME)
		command_resume(&s->st);
	text = xasprintf("##[%s]", command_name(c->kind));
	on_text(text, strlen(text), ctx);
	on_text(c->data, c->data_len, ctx);
	on_text("\n", 1, ctx);
}

static const struct command_stream_ops ops = { on_text, on_command };

static void run(const char *p, size_t len, size_t cut, bool by_line, struct strbuf *ret)
{
	struct step s = { .st = COMMAND_STATE_INIT,
		.masks = mask_new(),
		.masked = STRBUF_INIT,
		.log = STRBUF_INIT };
	struct command_stream *cs;

	s.stream = mask_stream_new(s.masks);
	cs = command_stream_new(&s.st, &ops, &s);
	command_stream_by_line(cs, by_line);
	for (size_t at = 0; at < len;) {
		size_t n = len - at < cut ? len - at : cut;

		command_stream_write(cs, p + at, n);
		at += n;
	}
	command_stream_flush(cs);
	mask_stream_flush(s.stream, &s.masked);
	show(&s);
	command_stream_free(cs);
	mask_stream_free(s.stream);
	mask_free(s.masks);
	command_state_done(&s.st);
	strbuf_done(&s.masked);
	*ret = s.log;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf whole, parts;

	if (size < 2)
		return 0;
	run((const char *)data + 1, size - 1, size, false, &whole);
	run((const char *)data + 1, size - 1, data[0] % 64 + 1, data[0] & 64, &parts);
	must(whole.len == parts.len && memcmp(whole.buf, parts.buf, whole.len) == 0);
	strbuf_done(&whole);
	strbuf_done(&parts);
	return 0;
}
