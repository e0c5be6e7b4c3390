/* SPDX-License-Identifier: Apache-2.0 */
/* `sluice run --format json`: one object a line. A finished job has no "step". */
#include "runner/run-internal.h"

#include "base/clock.h"

static void put(struct json *j)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	char now[CLOCK_TEXT_MAX];

	json_set_str(j, "time", clock_format(clock_wall_ms(), now));
	json_write(j, 0, &text);
	strbuf_addc(&text, '\n');
	(void)fwrite(
		text.buf, 1, text.len, stdout); /* a reader that left: seen at the end */
	(void)fflush(stdout);
	json_free(j);
}

static struct json *object(const char *type, const struct run_job *j)
{
	struct json *o = json_new_object();

	json_set_str(o, "type", type);
	if (j) {
		json_set_str(o, "job", j->node);
		json_set_str(o, "name", j->name);
	}
	return o;
}

static void on_step(struct run_view *v, struct run_job *j, struct run_step *s)
{
	struct json *o = object("step", j), *step = json_new_object();

	(void)v;
	json_set_int(step, "number", s->n);
	json_set_str(step, "name", s->name);
	json_set_str(step, "kind", s->kind);
	json_set_str(step, "state", s->state);
	if (s->line)
		json_set_int(step, "line", s->line);
	if (s->conclusion && *s->conclusion) {
		json_set_str(step, "conclusion", s->conclusion);
		json_set_real(step, "seconds", (double)s->took_ms / 1000.0);
		if (s->exit_code >= 0)
			json_set_int(step, "exit_code", s->exit_code);
		if (s->reason && *s->reason)
			json_set_str(step, "reason", s->reason);
	}
	json_set(o, "step", step);
	put(o);
}

static void on_line(struct run_view *v, struct run_job *j, const char *text, size_t len)
{
	struct json *o = object("log", j);

	(void)v;
	if (j->step >= 0)
		json_set_int(o, "step", j->step);
	json_set(o, "line", json_new_strn(text, len));
	put(o);
}

static void on_job_ended(struct run_view *v, struct run_job *j)
{
	struct json *o = object("job", j);

	(void)v;
	json_set_str(o, "conclusion", j->conclusion);
	json_set_real(o, "seconds", (double)j->took_ms / 1000.0);
	if (*j->reason)
		json_set_str(o, "reason", j->reason);
	put(o);
}

static void on_note(
	struct run_view *v, struct run_job *j, const char *level, const char *text)
{
	struct json *o = object("annotation", j);

	(void)v;
	json_set_str(o, "level", level);
	json_set_str(o, "message", text);
	put(o);
}

static void on_say(struct run_view *v, struct run_job *j, const char *text)
{
	struct json *o = object("message", j);

	(void)v;
	json_set_str(o, "message", text);
	put(o);
}

static void on_begin(struct run_view *v)
{
	struct json *o = object("run", NULL);
	_cleanup_(strbuf_done) struct strbuf files = STRBUF_INIT;

	run_event_files(v->e, &files);
	json_set_str(o, "workflow", files.buf);
	json_set_str(o, "event", v->e->name);
	json_set_str(o, "sha", v->e->git.sha);
	json_set_str(o, "profile", v->profile);
	json_set_str(o, "network", v->network);
	json_set_str(o, "state", "running");
	put(o);
}

static void on_end(struct run_view *v)
{
	struct json *o = object("run", NULL), *weaker = json_new_array();

	json_set_str(o, "state", "completed");
	json_set_str(o, "result", v->conclusion);
	json_set_real(o, "seconds", (double)(clock_boot_ms() - v->began_ms) / 1000.0);
	strvec_foreach (w, &v->weaker)
		json_push_str(weaker, *w);
	json_set(o, "weaker", weaker);
	if (v->log_path)
		json_set_str(o, "log", v->log_path);
	put(o);
}

const struct run_show run_show_json = {
	.begin = on_begin,
	.step = on_step,
	.line = on_line,
	.note = on_note,
	.job_ended = on_job_ended,
	.say = on_say,
	.end = on_end,
};
