/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes -> command_stream -> (matchers) -> mask_stream -> line_limit -> log. The limit comes
 * last, so that its mark never splits a secret.
 */
#include "executor/output.h"

#include "base/limits.h"
#include "base/mem.h"
#include "executor/mask.h"
#include "executor/matchers.h"

struct stream {
	struct output *o;
	enum joblog_stream kind;
	struct command_stream *commands;
	struct mask_stream *masks;
	struct line_limit limit;
};

struct output {
	struct jobrun *job;
	int n;
	struct stream streams[2];
	struct stream *current; /* while one of its commands is handled */
	struct command_state state;
	output_command_fn *fn;
	void *data;
	struct strbuf masked, shown;
};

/* Text that needs no more looking at: masked and shown. */
static void show(struct stream *s, const char *data, size_t len)
{
	struct output *o = s->o;

	strbuf_clear(&o->masked);
	mask_stream_write(s->masks, data, len, &o->masked);
	strbuf_clear(&o->shown);
	line_limit_write(&s->limit, o->masked.buf, o->masked.len, &o->shown);
	job_log_raw(o->job, o->n, s->kind, o->shown.buf, o->shown.len);
}

static void on_text(const char *data, size_t len, void *ctx)
{
	struct stream *s = ctx;

	if (matchers_active(s->o->job))
		matchers_lines(s->o->job, s->o->n, data, len);
	show(s, data, len);
}

static void on_command(const struct command *c, const char *line, size_t len, void *ctx)
{
	struct stream *s = ctx;
	struct output *o = s->o;

	if (!o->fn) {
		show(s, line, len);
		return;
	}
	o->current = s;
	o->fn(c, line, len, o->data);
	o->current = NULL;
}

static const struct command_stream_ops stream_ops = { on_text, on_command };

struct output *output_new(struct jobrun *job, int n, output_command_fn *fn, void *data)
{
	struct output *o = xcalloc(1, sizeof(*o));

	o->job = job;
	o->n = n;
	o->fn = fn;
	o->data = data;
	strbuf_init(&o->masked);
	strbuf_init(&o->shown);
	for (int i = 0; i < 2; i++) {
		struct stream *s = &o->streams[i];

		s->o = o;
		s->kind = i == 0 ? JOBLOG_OUT : JOBLOG_ERR;
		s->commands = command_stream_new(&o->state, &stream_ops, s);
		s->masks = mask_stream_new(job->mask);
		s->limit = (struct line_limit)LINE_LIMIT_INIT;
	}
	return o;
}

void output_free(struct output *o)
{
	if (!o)
		return;
	for (int i = 0; i < 2; i++) {
		command_stream_free(o->streams[i].commands);
		mask_stream_free(o->streams[i].masks);
	}
	command_state_done(&o->state);
	strbuf_done(&o->masked);
	strbuf_done(&o->shown);
	free(o);
}

void output_write(struct output *o, int stream, const char *data, size_t len)
{
	command_stream_write(o->streams[stream].commands, data, len);
}

void output_say(struct output *o, const char *text, size_t len)
{
	struct stream *s = o->current ? o->current : &o->streams[0];

	show(s, text, len);
	show(s, "\n", 1);
}

void output_flush(struct output *o)
{
	for (int i = 0; i < 2; i++) {
		struct stream *s = &o->streams[i];

		command_stream_flush(s->commands);
		strbuf_clear(&o->masked);
		mask_stream_flush(s->masks, &o->masked);
		strbuf_clear(&o->shown);
		line_limit_write(&s->limit, o->masked.buf, o->masked.len, &o->shown);
		/* The log of the next step starts on a line of its own. */
		if (s->limit.at > 0) {
			strbuf_addc(&o->shown, '\n');
			s->limit = (struct line_limit)LINE_LIMIT_INIT;
		}
		job_log_raw(o->job, o->n, s->kind, o->shown.buf, o->shown.len);
	}
}

void output_detach(struct output *o)
{
	o->fn = NULL;
	o->data = NULL;
}

struct command_state *output_commands(struct output *o)
{
	return &o->state;
}
