/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sluice run` in a pipe: one line at a time, `|` before what a step printed and `=`
 * before a word of sluice, in a fixed column, so that no step can forge one.
 */
#include "runner/run-internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum { SILENT_MS = 60 * 1000 };

struct text_state {
	int64_t last_ms; /* when something was printed */
};

static struct text_state *state(struct run_view *v)
{
	if (!v->state)
		v->state = xcalloc(1, sizeof(struct text_state));
	return v->state;
}

static void put(struct run_view *v, const struct run_job *j, char mark, const char *text,
	size_t len)
{
	state(v)->last_ms = clock_boot_ms();
	(void)fprintf(stdout, "%-*s %c ", v->width, j ? j->name : "sluice", mark);
	/* Colours of steps are stripped here, other escapes shown. */
	cli_print_safe(stdout, text, len, false);
	(void)fputc('\n', stdout);
	(void)fflush(stdout);
}

static void word(struct run_view *v, const struct run_job *j, const struct strbuf *text)
{
	put(v, j, '=', text->buf, text->len);
}

static void on_begin(struct run_view *v)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	strbuf_adds(&text, "run: ");
	run_event_files(v->e, &text);
	strbuf_addf(&text, " on %s, ", v->e->name);
	run_event_commit(v->e, &text);
	strbuf_addf(&text, ", %zu job%s, profile %s, network %s", v->jobs_len,
		v->jobs_len == 1 ? "" : "s", v->profile, v->network);
	word(v, NULL, &text);
}

static void on_step(struct run_view *v, struct run_job *j, struct run_step *s)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT, why = STRBUF_INIT;
	bool is_main = str_eq(s->kind, "main"), is_running = str_eq(s->state, "running");
	char took[CLOCK_TEXT_MAX];

	if (!is_main && !v->o->is_verbose &&
		(is_running || !str_eq(s->conclusion, "failure")))
		return;
	strbuf_adds(&text, "step ");
	if (is_main)
		strbuf_addf(&text, "%" PRId64 "/%" PRId64, s->n, j->mains);
	else
		strbuf_adds(&text, s->kind);
	if (is_running) {
		strbuf_addf(&text, " %s", s->name);
		if (s->line)
			strbuf_addf(&text, "   %s:%" PRId64, j->file, s->line);
		word(v, j, &text);
		return;
	}
	if (str_eq(s->conclusion, "skipped") && is_main)
		strbuf_addf(&text, " %s", s->name);
	strbuf_addf(&text, " %s", s->conclusion);
	if (s->began_ms)
		strbuf_addf(&text, " %s", clock_duration(s->took_ms, took));
	run_step_why(s, &why);
	if (why.len && !str_eq(s->conclusion, "success"))
		strbuf_addf(&text, ": %s", why.buf);
	word(v, j, &text);
}

static void on_line(struct run_view *v, struct run_job *j, const char *text, size_t len)
{
	const char *level = run_line_level(&text, &len);
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;

	if (level && str_eq(level, "error") && len > 17 &&
		strncmp(text, "Process completed", 17) == 0)
		return; /* the end of the step says it */
	if (level && str_eq(level, "sluice")) {
		strbuf_add(&out, text, len);
		word(v, j, &out);
		return;
	}
	if (level && (str_eq(level, "error") || str_eq(level, "warning") ||
			     str_eq(level, "notice"))) {
		strbuf_addf(&out, "%s: ", level);
		strbuf_add(&out, text, len);
		word(v, j, &out);
		return;
	}
	if (!run_line_is_shown(v, j) || (j->is_header && !v->o->is_verbose) ||
		(level && str_eq(level, "endgroup")))
		return;
	if (level && str_eq(level, "debug")) {
		if (v->o->is_verbose) {
			strbuf_adds(&out, "debug: ");
			strbuf_add(&out, text, len);
			word(v, j, &out);
		}
		return;
	}
	put(v, j, '|', text, len);
}

static void on_job_ended(struct run_view *v, struct run_job *j)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT, why = STRBUF_INIT;
	char took[CLOCK_TEXT_MAX];

	if (j->is_call)
		return;
	strbuf_adds(&text, j->conclusion);
	if (j->took_ms > 0)
		strbuf_addf(&text, " %s", clock_duration(j->took_ms, took));
	run_job_why(v, j, &why);
	if (why.len)
		strbuf_addf(&text, ": %s", why.buf);
	word(v, j, &text);
}

static void on_say(struct run_view *v, struct run_job *j, const char *text)
{
	put(v, j, '=', text, strlen(text));
}

static void on_tick(struct run_view *v)
{
	int64_t now = clock_wall_ms();
	char took[CLOCK_TEXT_MAX];

	if (clock_boot_ms() - state(v)->last_ms < SILENT_MS)
		return;
	for (size_t i = 0; i < v->jobs_len; i++) {
		struct run_job *j = v->jobs[i];
		_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

		if (j->is_ended || j->step < 0)
			continue;
		strbuf_addf(&text, "still running %s",
			clock_duration(now - j->began_ms, took));
		word(v, j, &text);
	}
	state(v)->last_ms = clock_boot_ms();
}

static void on_end(struct run_view *v)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	char took[CLOCK_TEXT_MAX];
	const char *sep = ": ";

	strbuf_addf(&text, "%s %s", v->conclusion,
		clock_duration(clock_boot_ms() - v->began_ms, took));
	for (size_t i = 0; i < v->jobs_len; i++) {
		const struct run_job *j = v->jobs[i];

		if (j->is_call)
			continue;
		strbuf_addf(&text, "%s%s %s", sep, j->name,
			*j->conclusion ? j->conclusion : j->state);
		sep = ", ";
	}
	word(v, NULL, &text);
	strvec_foreach (w, &v->weaker) {
		strbuf_clear(&text);
		strbuf_addf(&text, "weaker here: %s", *w);
		word(v, NULL, &text);
	}
	if (v->talked.len) {
		strbuf_clear(&text);
		sep = "talked to: ";
		strvec_foreach (t, &v->talked) {
			strbuf_addf(&text, "%s%s", sep, *t);
			sep = ", ";
		}
		word(v, NULL, &text);
	}
	if (v->log_path && !str_eq(v->conclusion, "success")) {
		strbuf_clear(&text);
		strbuf_addf(&text, "whole log: %s", v->log_path);
		word(v, NULL, &text);
	}
	free(v->state);
	v->state = NULL;
}

const struct run_show run_show_text = {
	.begin = on_begin,
	.step = on_step,
	.line = on_line,
	.job_ended = on_job_ended,
	.say = on_say,
	.tick = on_tick,
	.end = on_end,
};
