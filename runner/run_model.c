/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `sluice run` shows, kept up to date from two sources: the rows of the store (which
 * job is in which state) and the journals (steps, notes, where the log stands). The log
 * itself is read from the job's file, so every byte shown is a masked byte on disk.
 */
#include "runner/run-internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "executor/journal.h"
#include "executor/link.h"

enum {
	NOTES_MAX = 20,
	READ_SIZE = 64 * 1024,
};

/* ---- jobs -------------------------------------------------------------------------- */

struct run_job *run_view_job(struct run_view *v, int64_t id)
{
	for (size_t i = 0; i < v->jobs_len; i++)
		if (v->jobs[i]->id == id)
			return v->jobs[i];
	return NULL;
}

static struct run_job *job_add(struct run_view *v, int64_t id)
{
	struct run_job *j = xcalloc(1, sizeof(*j));

	*j = (struct run_job){ .id = id,
		.try = 1,
		.step = -1,
		.log = -1,
		.line = STRBUF_INIT,
		.needs = STRVEC_INIT,
		.notes = STRVEC_INIT,
		.weaker = STRVEC_INIT };
	GROW(v->jobs, v->jobs_cap, v->jobs_len + 1);
	v->jobs[v->jobs_len++] = j;
	return j;
}

static void step_done(struct run_step *s)
{
	free(s->name);
	free(s->kind);
	free(s->state);
	free(s->conclusion);
	free(s->reason);
}

static void job_free(struct run_job *j)
{
	for (size_t i = 0; i < j->steps_len; i++)
		step_done(&j->steps[i]);
	free(j->steps);
	free(j->node);
	free(j->name);
	free(j->state);
	free(j->conclusion);
	free(j->reason);
	free(j->file);
	strvec_done(&j->needs);
	strvec_done(&j->notes);
	strvec_done(&j->weaker);
	strbuf_done(&j->line);
	if (j->log >= 0)
		(void)close(j->log);
	free(j);
}

void run_view_done(struct run_view *v)
{
	for (size_t i = 0; i < v->jobs_len; i++)
		job_free(v->jobs[i]);
	free(v->jobs);
	strvec_done(&v->weaker);
	strvec_done(&v->talked);
	free(v->conclusion);
	free(v->log_path);
	if (v->whole)
		(void)fclose(v->whole); /* flushed line by line already */
}

static void set_text(char **to, const char *text)
{
	if (*to && str_eq(*to, text))
		return;
	free(*to);
	*to = xstrdup_null(text);
}

/* ---- steps ------------------------------------------------------------------------- */

static struct run_step *step_get(struct run_job *j, int64_t n)
{
	struct run_step *s;

	for (size_t i = 0; i < j->steps_len; i++)
		if (j->steps[i].n == n)
			return &j->steps[i];
	GROW(j->steps, j->steps_cap, j->steps_len + 1);
	s = &j->steps[j->steps_len++];
	*s = (struct run_step){ .n = n,
		.name = xstrdup(""),
		.kind = xstrdup("post"),
		.exit_code = -1,
		.log_to = -1 };
	return s;
}

void run_step_why(const struct run_step *s, struct strbuf *out)
{
	/* The runner's own sentence for an exit code says no more than the code. */
	if (s->exit_code > 0 &&
		(!s->reason || !*s->reason || str_starts(s->reason, "Process completed")))
		strbuf_addf(out, "exit %" PRId64, s->exit_code);
	else if (s->reason)
		strbuf_adds(out, s->reason);
}

static const struct run_job *job_of_node(const struct run_view *v, const char *node)
{
	for (size_t i = 0; i < v->jobs_len; i++)
		if (str_eq(v->jobs[i]->node, node) && *v->jobs[i]->conclusion &&
			!str_eq(v->jobs[i]->conclusion, "success"))
			return v->jobs[i];
	return NULL;
}

void run_job_why(const struct run_view *v, const struct run_job *j, struct strbuf *out)
{
	const char *sep = "needs ";

	for (size_t i = 0; i < j->steps_len; i++)
		if (j->steps[i].conclusion && str_eq(j->steps[i].conclusion, "failure"))
			return;
	for (size_t i = 0; i < j->needs.len && str_eq(j->conclusion, "skipped"); i++) {
		const struct run_job *n = job_of_node(v, j->needs.v[i]);

		if (!n)
			continue;
		strbuf_addf(out, "%s%s: %s", sep, n->name, n->conclusion);
		sep = ", ";
	}
	if (out->len == 0)
		strbuf_adds(out, j->reason);
}

static void on_steps(struct run_job *j, const struct json *p)
{
	const struct json *steps = json_get(p, "steps");

	for (size_t i = 0; i < json_count(steps); i++) {
		const struct json *k = json_at(steps, i);
		struct run_step *s = step_get(j, json_get_int(k, "n", 0));

		set_text(&s->name, json_get_str(k, "name", ""));
		set_text(&s->kind, json_get_str(k, "kind", "main"));
		s->line = json_get_int(k, "line", 0);
	}
	j->mains = 0;
	for (size_t i = 0; i < j->steps_len; i++)
		j->mains += str_eq(j->steps[i].kind, "main");
}

static void on_step(struct run_view *v, struct run_job *j, const struct json *p)
{
	struct run_step *s = step_get(j, json_get_int(p, "n", 0));
	int64_t at = json_get_int(p, "t", clock_wall_ms()),
		log = json_get_int(p, "log", 0);
	const char *state = json_get_str(p, "state", "");

	/* What was printed before this moment is shown before it. */
	run_view_log(v, j->id, log);
	if (*json_get_str(p, "name", ""))
		set_text(&s->name, json_get_str(p, "name", ""));
	set_text(&s->state, state);
	if (str_eq(state, "running")) {
		s->began_ms = json_get_int(p, "started", at);
		s->log_from = log;
		j->step = s->n;
		j->is_header = str_eq(s->kind, "main");
	} else {
		if (!s->began_ms)
			s->log_from = log;
		s->took_ms = json_get_int(p, "elapsed_ms",
			s->began_ms ? json_get_int(p, "ended", at) - s->began_ms : 0);
		s->log_to = log;
		s->exit_code = json_get_int(p, "exit_code", -1);
		set_text(&s->conclusion, json_get_str(p, "conclusion", ""));
		set_text(&s->reason, json_get_str(p, "reason", ""));
		if (json_get(p, "signal") && !*s->reason) {
			char text[32];

			(void)snprintf(text, sizeof(text), "signal %" PRId64,
				json_get_int(p, "signal", 0));
			set_text(&s->reason, text);
		}
		if (j->step == s->n)
			j->step = -1;
	}
	if (v->show->step)
		v->show->step(v, j, s);
}

/* ---- the rest of a journal --------------------------------------------------------- */

static void add_note(struct run_job *j, char *text)
{
	if (j->notes.len < NOTES_MAX)
		strvec_push_take(&j->notes, text);
	else
		free(text);
}

/* The runner's own sentence for an exit code, which the end of the step says anyway. */
static bool is_exit_sentence(const char *text, size_t len)
{
	return len >= 17 && memcmp(text, "Process completed", 17) == 0;
}

static void on_note(struct run_view *v, struct run_job *j, const struct json *p)
{
	const char *level = json_get_str(p, "level", "notice"),
		   *message = json_get_str(p, "message", ""),
		   *file = json_get_str(p, "file", "");
	struct strbuf text = STRBUF_INIT;

	if (*file)
		strbuf_addf(&text, "%s:%" PRId64 ": ", file, json_get_int(p, "line", 0));
	strbuf_adds(&text, message);
	if (str_eq(level, "error") && !is_exit_sentence(message, strlen(message)))
		add_note(j, xasprintf("%-8s %s", level, text.buf));
	if (v->show->note)
		v->show->note(v, j, level, text.buf);
	strbuf_done(&text);
}

static void talk(struct run_view *v, const char *host, int64_t count)
{
	strvec_foreach (t, &v->talked) {
		size_t n = strlen(host);

		if (strncmp(*t, host, n) == 0 && (*t)[n] == ' ') {
			char *text = xasprintf(
				"%s %lld", host, strtoll(*t + n, NULL, 10) + count);

			free(*t);
			*t = text;
			return;
		}
	}
	if (v->talked.len < 64)
		strvec_push_take(&v->talked, xasprintf("%s %" PRId64, host, count));
}

/* A tool that tries again and again is told about once. */
static void add_once(struct run_job *j, char *text)
{
	if (strvec_has(&j->notes, text))
		free(text);
	else
		add_note(j, text);
}

static void on_net(struct run_view *v, struct run_job *j, const struct json *p)
{
	const char *host = json_get_str(p, "host", ""),
		   *rule = json_get_str(p, "rule", ""),
		   *text = json_get_str(p, "text", ""),
		   *allow = json_get_str(p, "allow", "");

	if (str_eq(json_get_str(p, "verdict", ""), "allowed"))
		talk(v, host, json_get_int(p, "count", 1));
	if (!str_eq(json_get_str(p, "verdict", ""), "refused"))
		return;
	add_once(j, *text ? xasprintf("refused  %s", text)
			  : xasprintf("refused  %s:%" PRId64 ": rule %s", host,
				    json_get_int(p, "port", 0), rule));
	if (*allow)
		add_once(j, xasprintf("allow it %s", allow));
}

static void on_ready(struct run_view *v, struct run_job *j, const struct json *p)
{
	const struct json *weaker = json_get(p, "weaker");

	for (size_t i = 0; i < json_count(weaker); i++) {
		const char *w = json_as_str(json_at(weaker, i), "");

		(void)strvec_push(&j->weaker, w);
		if (!strvec_has(&v->weaker, w))
			(void)strvec_push(&v->weaker, w);
	}
}

void run_view_frame(struct run_view *v, int64_t job, const struct journal_frame *f)
{
	struct run_job *j = run_view_job(v, job);
	const struct json *p = f->payload;

	if (!j)
		return;
	switch (f->type) {
	case JOURNAL_START:
		j->try = json_get_int(p, "try", 1);
		j->began_ms = json_get_int(p, "t", clock_wall_ms());
		break;
	case JOURNAL_STEPS:
		on_steps(j, p);
		break;
	case JOURNAL_STEP:
		on_step(v, j, p);
		break;
	case JOURNAL_NOTE:
		on_note(v, j, p);
		break;
	case JOURNAL_NET:
		on_net(v, j, p);
		break;
	case JOURNAL_READY:
		on_ready(v, j, p);
		break;
	case JOURNAL_EXIT:
		run_view_log(v, job, json_get_int(p, "log", 0));
		j->took_ms = json_get_int(p, "t", clock_wall_ms()) - j->began_ms;
		break;
	default: /* the others show themselves in the store or the log */
		break;
	}
}

/* ---- the log ----------------------------------------------------------------------- */

static int open_log(struct run_view *v, struct run_job *j)
{
	_cleanup_free_ char *path =
		xasprintf("%s/jobs/%" PRId64 "/%" PRId64 "/" JOB_FILE_LOG, v->data_dir,
			j->id, j->try);

	if (j->log < 0)
		j->log = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return j->log;
}

static void one_line(struct run_view *v, struct run_job *j, const char *text, size_t len)
{
	if (v->whole) {
		(void)fprintf(
			v->whole, "%-*s | %.*s\n", v->width, j->name, (int)len, text);
		(void)fflush(v->whole); /* the whole log is a convenience */
	}
	if (v->show->line)
		v->show->line(v, j, text, len);
	if (len >= strlen("##[endgroup]") && memcmp(text, "##[endgroup]", 12) == 0)
		j->is_header = false;
}

static void take_bytes(
	struct run_view *v, struct run_job *j, const char *data, size_t len)
{
	const char *end = data + len, *nl;

	for (; (nl = memchr(data, '\n', (size_t)(end - data))); data = nl + 1) {
		if (j->line.len == 0) {
			one_line(v, j, data, (size_t)(nl - data));
			continue;
		}
		strbuf_add(&j->line, data, (size_t)(nl - data));
		one_line(v, j, j->line.buf, j->line.len);
		strbuf_clear(&j->line);
	}
	strbuf_add(&j->line, data, (size_t)(end - data));
	if (j->line.len > LIMIT_LOG_LINE) {
		one_line(v, j, j->line.buf, j->line.len);
		strbuf_clear(&j->line);
	}
}

void run_view_log(struct run_view *v, int64_t job, int64_t size)
{
	struct run_job *j = run_view_job(v, job);
	char *buf;

	if (!j || size <= j->log_at || open_log(v, j) < 0)
		return;
	buf = xmalloc(READ_SIZE);
	while (j->log_at < size) {
		size_t want = (size_t)(size - j->log_at) < READ_SIZE
				      ? (size_t)(size - j->log_at)
				      : READ_SIZE;
		ssize_t n = pread(j->log, buf, want, j->log_at);

		if (n <= 0)
			break;
		j->log_at += n;
		take_bytes(v, j, buf, (size_t)n);
	}
	free(buf);
}

void run_view_tail(struct run_view *v, struct run_job *j, const struct run_step *s,
	int lines, const char *prefix, struct strbuf *out)
{
	int64_t to = s->log_to >= 0 ? s->log_to : j->log_at, from = to - READ_SIZE;
	_cleanup_free_ char *buf = NULL;
	const char *at, *end, *head, *start;
	ssize_t n;

	if (from < s->log_from)
		from = s->log_from;
	if (to <= from || open_log(v, j) < 0)
		return;
	buf = xmalloc((size_t)(to - from) + 1);
	n = pread(j->log, buf, (size_t)(to - from), from);
	if (n <= 0)
		return;
	buf[n] = '\0';
	end = buf + n;
	/* Its own head (command, shell, environment) is no output of it. */
	head = from == s->log_from ? strstr(buf, "##[endgroup]\n") : NULL;
	start = head ? head + strlen("##[endgroup]\n") : buf;
	if (end > start && end[-1] == '\n')
		end--;
	for (at = end; at > start && lines > 0; at--)
		if (at[-1] == '\n' && --lines == 0)
			break;
	while (at < end) {
		const char *nl = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((nl ? nl : end) - at);
		const char *text = at;

		at += len + 1;
		if ((run_line_level(&text, &len) && len == 0) ||
			is_exit_sentence(text, len))
			continue;
		strbuf_adds(out, prefix);
		strbuf_add(out, text, len);
		strbuf_addc(out, '\n');
	}
}

const char *run_line_level(const char **text, size_t *len)
{
	static const struct {
		const char *mark, *level;
	} marks[] = { { "##[error]", "error" }, { "##[warning]", "warning" },
		{ "##[notice]", "notice" }, { "##[debug]", "debug" },
		{ "##[group]", "group" }, { "##[endgroup]", "endgroup" },
		{ "##[command]", "command" }, { "##[sluice]", "sluice" } };

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		size_t n = strlen(marks[i].mark);

		if (*len < n || memcmp(*text, marks[i].mark, n) != 0)
			continue;
		*text += n;
		*len -= n;
		return marks[i].level;
	}
	return NULL;
}

/* ---- rows -------------------------------------------------------------------------- */

static void read_row(struct run_job *j, const struct json *row, const char *file)
{
	const struct json *needs = json_get(row, "needs");

	set_text(&j->node, json_get_str(row, "node", ""));
	set_text(&j->name, json_get_str(row, "name", ""));
	set_text(&j->state, json_get_str(row, "state", ""));
	set_text(&j->conclusion, json_get_str(row, "conclusion", ""));
	set_text(&j->reason, json_get_str(row, "reason", ""));
	set_text(&j->file, file);
	j->is_call = json_get_bool(row, "is_call", j->is_call);
	strvec_clear(&j->needs);
	for (size_t i = 0; i < json_count(needs); i++)
		(void)strvec_push(&j->needs, json_as_str(json_at(needs, i), ""));
}

void run_view_update(struct run_view *v, const struct json *run)
{
	const struct json *rows = json_get(run, "jobs");
	const char *path = json_get_str(run, "workflow_path", "");
	const char *slash = strrchr(path, '/');

	for (size_t i = 0; i < json_count(rows); i++) {
		const struct json *row = json_at(rows, i);
		struct run_job *j = run_view_job(v, json_get_int(row, "id", 0));
		bool is_new = !j;

		if (is_new)
			j = job_add(v, json_get_int(row, "id", 0));
		read_row(j, row, slash ? slash + 1 : path);
		if ((int)strlen(j->name) > v->width)
			v->width = strlen(j->name) < 24 ? (int)strlen(j->name) : 24;
		if (is_new && v->show->job_added)
			v->show->job_added(v, j);
		if (j->is_ended || !*j->conclusion)
			continue;
		if (j->line.len > 0) {
			one_line(v, j, j->line.buf, j->line.len);
			strbuf_clear(&j->line);
		}
		j->is_ended = true;
		if (v->show->job_ended)
			v->show->job_ended(v, j);
	}
}

/* The set-up of a job prints what only matters when it fails; its notes are shown anyway. */
bool run_line_is_shown(const struct run_view *v, const struct run_job *j)
{
	if (v->o->is_quiet)
		return false;
	if (v->o->is_verbose || j->step < 0)
		return v->o->is_verbose;
	for (size_t i = 0; i < j->steps_len; i++)
		if (j->steps[i].n == j->step)
			return !str_eq(j->steps[i].kind, "setup") &&
			       !str_eq(j->steps[i].kind, "complete");
	return true;
}
