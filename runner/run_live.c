/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sluice run` on a terminal: what happened scrolls up and stays, below it a block with a
 * line for each job is redrawn in place, at most ten times a second, changed lines only.
 * No alternate screen, nothing is cleared that others printed.
 */
#include "runner/run-internal.h"

#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum {
	TAIL_LINES = 20,
	BLOCK_MAX = 60,
};

#define AGAIN_MAX 4 /* failed jobs named in the command that runs them again */

struct live_state {
	struct strvec block; /* as drawn; the cursor stands below it */
	bool is_single;	     /* one job: its whole log streams */
	struct strbuf last;  /* last line printed by any job, for the block */
};

static struct live_state *state(struct run_view *v)
{
	if (!v->state) {
		struct live_state *s = xcalloc(1, sizeof(*s));

		s->block = (struct strvec)STRVEC_INIT;
		strbuf_init(&s->last);
		v->state = s;
	}
	return v->state;
}

static int screen_rows(void)
{
	struct winsize w;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 4 ? w.ws_row : 24;
}

static void erase(struct run_view *v)
{
	struct live_state *s = state(v);

	if (s->block.len == 0)
		return;
	(void)fprintf(stdout, "\r\033[%zuA\033[J", s->block.len);
	strvec_clear(&s->block);
}

/* One line cut to the screen; only the tail is cut, which is free text. */
static void add_line(struct run_view *v, struct strvec *lines, const struct strbuf *text)
{
	int width = cli_width(stdout);
	size_t n = 0, cols = 0;

	(void)v;
	while (n < text->len && cols < (size_t)width - 1) {
		n++;
		while (n < text->len && ((unsigned char)text->buf[n] & 0xc0) == 0x80)
			n++; /* the rest of one UTF-8 character */
		cols++;
	}
	strvec_push_take(lines, xstrndup(text->buf, n));
}

static const char *mark_of(const struct run_job *j)
{
	return cli_mark(*j->conclusion ? j->conclusion : j->state);
}

static enum cli_color color_of(const char *word)
{
	if (str_eq(word, "failure"))
		return CLI_RED;
	if (str_eq(word, "success"))
		return CLI_GREEN;
	if (str_eq(word, "awaiting_approval") || str_eq(word, "cancelled") ||
		str_eq(word, "lost"))
		return CLI_YELLOW;
	return CLI_DIM;
}

static const struct run_step *current(const struct run_job *j)
{
	for (size_t i = 0; i < j->steps_len; i++)
		if (j->steps[i].n == j->step)
			return &j->steps[i];
	return NULL;
}

static const char *state_words(const char *state)
{
	if (str_eq(state, "awaiting_approval"))
		return "waits for approval";
	return str_eq(state, "claimed") || str_eq(state, "released") ? "starting" : state;
}

static void job_line(struct run_view *v, const struct run_job *j, struct strvec *lines)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	const struct run_step *s = current(j);
	char took[CLOCK_TEXT_MAX];

	strbuf_addf(&text, "%s %-*s ", mark_of(j), v->width, j->name);
	if (*j->conclusion) {
		strbuf_addf(
			&text, "%8s", j->took_ms ? clock_duration(j->took_ms, took) : "");
		if (*j->reason)
			strbuf_addf(&text, "  %s", j->reason);
	} else if (j->began_ms) {
		strbuf_addf(&text, "%8s",
			clock_duration(clock_wall_ms() - j->began_ms, took));
		if (s && str_eq(s->kind, "main"))
			strbuf_addf(&text, "  %" PRId64 "/%" PRId64 " %s", s->n, j->mains,
				s->name);
		else if (s)
			strbuf_addf(&text, "  %s", s->name);
	} else {
		strbuf_addf(&text, "%8s  %s", "", state_words(j->state));
		for (size_t i = 0; i < j->needs.len && str_eq(j->state, "waiting"); i++)
			strbuf_addf(&text, "%s%s", i ? ", " : " for ", j->needs.v[i]);
	}
	add_line(v, lines, &text);
}

static void counts(struct run_view *v, struct strvec *lines)
{
	static const char *const words[] = { "running", "success", "failure", "cancelled",
		"skipped", "queued", "waiting", "awaiting_approval" };
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	char took[CLOCK_TEXT_MAX];

	for (size_t w = 0; w < ARRAY_SIZE(words); w++) {
		size_t n = 0;

		for (size_t i = 0; i < v->jobs_len; i++) {
			const struct run_job *j = v->jobs[i];

			n += str_eq(*j->conclusion ? j->conclusion : j->state, words[w]);
		}
		if (n)
			strbuf_addf(&text, "%s%zu %s", text.len ? ", " : "", n,
				str_eq(words[w], "awaiting_approval") ? "at a gate"
								      : words[w]);
	}
	strbuf_addf(&text, "   %s   Ctrl-C cancels, a second one kills",
		clock_duration(clock_boot_ms() - v->began_ms, took));
	add_line(v, lines, &text);
}

static bool is_shown(const struct run_job *j)
{
	/* What failed stands above already, what was skipped has its reason in the end. */
	return !j->is_call && (!*j->conclusion || str_eq(j->conclusion, "success"));
}

static void compose(struct run_view *v, struct strvec *lines)
{
	int max = screen_rows() / 2, left = 0;

	if (max > BLOCK_MAX)
		max = BLOCK_MAX;
	for (int pass = 0; pass < 2;
		pass++) { /* at work first, when there is no room for all */
		for (size_t i = 0; i < v->jobs_len; i++) {
			const struct run_job *j = v->jobs[i];
			bool is_busy = !*j->conclusion && j->began_ms;

			if (!is_shown(j) || is_busy != (pass == 0))
				continue;
			if ((int)lines->len < max - 2)
				job_line(v, j, lines);
			else
				left++;
		}
	}
	if (left) {
		_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

		strbuf_addf(&text, "  and %d more", left);
		add_line(v, lines, &text);
	}
	counts(v, lines);
}

static void draw(struct run_view *v)
{
	struct live_state *s = state(v);
	struct strvec lines = STRVEC_INIT;

	compose(v, &lines);
	if (lines.len != s->block.len) {
		erase(v);
		strvec_foreach (l, &lines)
			(void)fprintf(stdout, "%s\n", *l);
	} else {
		(void)fprintf(stdout, "\r\033[%zuA", lines.len);
		for (size_t i = 0; i < lines.len; i++) {
			if (!str_eq(lines.v[i], s->block.v[i]))
				(void)fprintf(stdout, "%s\033[K", lines.v[i]);
			(void)fputc('\n', stdout);
		}
	}
	strvec_done(&s->block);
	s->block = lines;
	(void)fflush(stdout);
}

/* ---- what scrolls up --------------------------------------------------------------- */

static void on_begin(struct run_view *v)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	size_t n = 0;

	for (size_t i = 0; i < v->jobs_len; i++)
		n += !v->jobs[i]->is_call;
	state(v)->is_single = n == 1;
	run_event_files(v->e, &text);
	for (size_t i = 0; i < v->e->files_len; i++)
		if (v->e->files_len == 1 && *v->e->files[i].name)
			strbuf_addf(&text, " \"%s\"", v->e->files[i].name);
	strbuf_addf(&text, " on %s, ", v->e->name);
	run_event_commit(v->e, &text);
	(void)fprintf(stdout, "%s: %zu job%s\nprofile %s, network %s\n", text.buf, n,
		n == 1 ? "" : "s", v->profile, v->network);
	draw(v);
}

static void on_line(struct run_view *v, struct run_job *j, const char *text, size_t len)
{
	const char *level;

	if (!state(v)->is_single)
		return;
	level = run_line_level(&text, &len);
	if (level && (str_eq(level, "endgroup") ||
			     (str_eq(level, "debug") && !v->o->is_verbose)))
		return;
	/* Errors and warnings are shown wherever they stand. */
	if ((!level || str_eq(level, "command") || str_eq(level, "group")) &&
		(!run_line_is_shown(v, j) || (j->is_header && !v->o->is_verbose)))
		return;
	erase(v);
	if (level && !str_eq(level, "command") && !str_eq(level, "group"))
		(void)fprintf(stdout, "%s: ", level);
	cli_print_safe(stdout, text, len, true);
	(void)fputc('\n', stdout);
}

static void on_step(struct run_view *v, struct run_job *j, struct run_step *s)
{
	_cleanup_(strbuf_done) struct strbuf why = STRBUF_INIT, tail = STRBUF_INIT;
	char took[CLOCK_TEXT_MAX];

	if (!str_eq(s->state, "completed") || !str_eq(s->conclusion, "failure"))
		return;
	run_step_why(s, &why);
	erase(v);
	(void)fprintf(stdout, "%s%s %s / %s: %s after %s%s", cli_color(stdout, CLI_RED),
		cli_mark("failure"), j->name, s->name, why.len ? why.buf : "failure",
		clock_duration(s->took_ms, took), cli_color(stdout, CLI_PLAIN));
	if (s->line)
		(void)fprintf(stdout, "   %s:%" PRId64, j->file, s->line);
	(void)fputc('\n', stdout);
	if (!state(v)->is_single)
		run_view_tail(v, j, s, TAIL_LINES,
			cli_is_utf8() ? "  \xe2\x94\x82 " : "  | ", &tail);
	for (const char *at = tail.buf; *at;) {
		size_t len = strcspn(at, "\n");

		cli_print_safe(stdout, at, len, true);
		(void)fputc('\n', stdout);
		at += len + (at[len] == '\n');
	}
	strvec_foreach (note, &j->notes)
		(void)fprintf(stdout, "  %s\n", *note);
	strvec_clear(&j->notes);
	draw(v);
}

static void on_say(struct run_view *v, struct run_job *j, const char *text)
{
	erase(v);
	(void)fprintf(stdout, "%s%s%s\n", j ? j->name : "", j ? ": " : "", text);
	draw(v);
}

static void on_tick(struct run_view *v)
{
	draw(v);
}

static const struct run_step *failed_step(const struct run_job *j)
{
	for (size_t i = 0; i < j->steps_len; i++)
		if (j->steps[i].conclusion && str_eq(j->steps[i].conclusion, "failure"))
			return &j->steps[i];
	return NULL;
}

static void summary_line(struct run_view *v, const struct run_job *j)
{
	_cleanup_(strbuf_done) struct strbuf why = STRBUF_INIT;
	const struct run_step *s = failed_step(j);
	const char *word = *j->conclusion ? j->conclusion : j->state;
	char took[CLOCK_TEXT_MAX];

	if (s) {
		if (str_eq(s->kind, "main"))
			strbuf_addf(&why, "step %" PRId64 " ", s->n);
		strbuf_addf(&why, "%s: ", s->name);
		run_step_why(s, &why);
	} else {
		run_job_why(v, j, &why);
	}
	(void)fprintf(stdout, "  %s%s%s %-*s  %-9s %6s%s%s\n",
		cli_color(stdout, color_of(word)), mark_of(j),
		cli_color(stdout, CLI_PLAIN), v->width, j->name, word,
		j->took_ms ? clock_duration(j->took_ms, took) : "", why.len ? "  " : "",
		why.buf);
}

/* What failed, to be run once more without the rest; a called workflow has no -j of its own. */
static void again(const struct run_view *v)
{
	const char *last = "";
	int shown = 0;

	for (size_t i = 0; i < v->jobs_len; i++) {
		const struct run_job *j = v->jobs[i];

		if (!str_eq(j->conclusion, "failure") || j->is_call || strchr(j->node, '/') ||
			str_eq(j->node, last) || shown == AGAIN_MAX)
			continue;
		(void)fputs(shown++ ? "" : "        again: sluice run", stdout);
		if (shown == 1 && v->o->where) {
			(void)fputs(" -W ", stdout);
			cli_put(stdout, v->o->where);
		}
		(void)fputs(" -j ", stdout);
		cli_put(stdout, j->node);
		last = j->node;
	}
	(void)fputc('\n', stdout);
}

static void on_end(struct run_view *v)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	struct live_state *s = state(v);
	const char *sep = "  talked to  ";
	char took[CLOCK_TEXT_MAX];

	erase(v);
	run_event_files(v->e, &text);
	strbuf_addf(&text, " on %s, ", v->e->name);
	run_event_commit(v->e, &text);
	(void)fprintf(stdout, "%s%s%s  %s   %s\n",
		cli_color(stdout, color_of(v->conclusion)), v->conclusion,
		cli_color(stdout, CLI_PLAIN), text.buf,
		clock_duration(clock_boot_ms() - v->began_ms, took));
	for (size_t i = 0; i < v->jobs_len; i++)
		if (!v->jobs[i]->is_call)
			summary_line(v, v->jobs[i]);
	strvec_foreach (w, &v->weaker)
		(void)fprintf(stdout, "  %s weaker here: %s (mend: sluice doctor)\n",
			cli_mark("weaker"), *w);
	strvec_foreach (t, &v->talked) {
		(void)fprintf(stdout, "%s%s", sep, *t);
		sep = ", ";
	}
	if (v->talked.len)
		(void)fputc('\n', stdout);
	if (v->log_path)
		(void)fprintf(stdout, "  whole log  %s", v->log_path);
	if (v->log_path)
		again(v);
	strvec_done(&s->block);
	strbuf_done(&s->last);
	free(s);
	v->state = NULL;
}

const struct run_show run_show_live = {
	.begin = on_begin,
	.step = on_step,
	.line = on_line,
	.say = on_say,
	.tick = on_tick,
	.end = on_end,
};
