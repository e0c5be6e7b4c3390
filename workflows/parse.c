/* SPDX-License-Identifier: Apache-2.0 */
/* From nodes that fit the schema to the model, and the rules a schema cannot say. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/limits.h"
#include "workflows/parse-internal.h"

struct diag *parse_error(
	struct parser *p, struct mark mark, const char *code, const char *fmt, ...)
{
	struct diag *d;
	va_list ap;

	va_start(ap, fmt);
	d = diag_vadd(p->diags, p->w->path, mark, SEVERITY_ERROR, code, fmt, ap);
	va_end(ap);
	return d;
}

/* ---- ids -------------------------------------------------------------------------- */

const char *id_problem(const char *id)
{
	size_t len = strlen(id);

	if (len == 0)
		return "an id must not be empty";
	if (len >= 100)
		return "an id must be shorter than 100 characters";
	if (!isalpha((unsigned char)id[0]) && id[0] != '_')
		return "an id must start with a letter or '_'";
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)id[i]) && id[i] != '_' && id[i] != '-')
			return "an id may only have letters, digits, '_' and '-'";
	if (str_starts(id, "__"))
		return "ids that start with '__' are reserved";
	return NULL;
}

bool has_template(const struct yaml_node *scalar)
{
	return yaml_is_scalar(scalar) && strstr(scalar->str, "${{") != NULL;
}

bool has_template_below(const struct yaml_node *n)
{
	if (!n)
		return false;
	if (yaml_is_scalar(n))
		return has_template(n);
	for (size_t i = 0; i < n->len; i++) {
		if (n->kind == YAML_SEQUENCE && has_template_below(n->items[i]))
			return true;
		if (n->kind == YAML_MAPPING &&
			(has_template(n->pairs[i].key) ||
				has_template_below(n->pairs[i].value)))
			return true;
	}
	return false;
}

const char *const *parse_strings(struct parser *p, const struct yaml_node *n)
{
	const char **list;
	size_t len = 0;

	if (!n)
		return NULL;
	list = arena_alloc(
		p->arena, ((n->kind == YAML_SEQUENCE ? n->len : 1) + 1) * sizeof(*list));
	if (yaml_is_scalar(n))
		list[len++] = yaml_text(n, p->arena);
	for (size_t i = 0; n->kind == YAML_SEQUENCE && i < n->len; i++)
		if (yaml_is_scalar(n->items[i]))
			list[len++] = yaml_text(n->items[i], p->arena);
	list[len] = NULL;
	return list;
}

/* ---- uses ------------------------------------------------------------------------- */

static bool is_word(const char *s, size_t len)
{
	return len > 0 && !(len == 1 && s[0] == '.') &&
	       !(len == 2 && memcmp(s, "..", 2) == 0);
}

static bool climbs_out(const char *path)
{
	const char *p = path;

	while (*p) {
		size_t n = strcspn(p, "/\\");

		if (n == 2 && memcmp(p, "..", 2) == 0)
			return true;
		p += n;
		p += strspn(p, "/\\");
	}
	return false;
}

struct uses uses_parse(const char *text, struct arena *arena)
{
	struct uses u = { .kind = USES_INVALID };
	const char *at, *slash, *rest;

	if (str_starts(text, "docker://")) {
		u.kind = USES_DOCKER;
		u.path = arena_strdup(arena, text + strlen("docker://"));
		return u;
	}
	if (str_starts(text, "./") || str_starts(text, ".\\") || str_starts(text, "$/")) {
		u.kind = text[0] == '$' ? USES_SELF : USES_LOCAL;
		u.path = arena_strdup(arena, text + 2);
		if (climbs_out(u.path))
			u.kind = USES_INVALID;
		return u;
	}
	at = strchr(text, '@');
	slash = strpbrk(text, "/\\");
	if (!at || strchr(at + 1, '@') || !slash || slash > at || at[1] == '\0' ||
		at[1] == '-')
		return u;
	rest = strpbrk(slash + 1, "/\\");
	if (!rest || rest > at)
		rest = at;
	if (!is_word(text, (size_t)(slash - text)) ||
		!is_word(slash + 1, (size_t)(rest - slash - 1)) || text[0] == '.')
		return u;
	u.owner = arena_strndup(arena, text, (size_t)(slash - text));
	u.repo = arena_strndup(arena, slash + 1, (size_t)(rest - slash - 1));
	u.path = rest < at ? arena_strndup(arena, rest + 1, (size_t)(at - rest - 1))
			   : NULL;
	u.ref = arena_strdup(arena, at + 1);
	if (!u.path || !climbs_out(u.path))
		u.kind = USES_REMOTE;
	return u;
}

/* ---- jobs ------------------------------------------------------------------------- */

static void parse_runs_on(struct parser *p, const struct yaml_node *n)
{
	const struct yaml_node *group = yaml_get(n, "group");
	const char *slash, *text;
	size_t len;

	if (!yaml_is_scalar(group) || has_template(group))
		return;
	text = group->str;
	slash = strchr(text, '/');
	if (!slash)
		return;
	len = (size_t)(slash - text);
	if (strchr(slash + 1, '/') || slash[1] == '\0' ||
		!((len == 3 && memcmp(text, "org", 3) == 0) ||
			(len == 12 && memcmp(text, "organization", 12) == 0) ||
			(len == 3 && memcmp(text, "ent", 3) == 0) ||
			(len == 10 && memcmp(text, "enterprise", 10) == 0)))
		diag_hint(parse_error(p, group->mark, "runner-group",
				  "'%.60s' is no name of a runner group", text),
			"a group is NAME, organization/NAME or enterprise/NAME");
}

static void parse_container(struct parser *p, const struct yaml_node *n, const char *what)
{
	const struct yaml_node *image = yaml_get(n, "image");

	if (!yaml_is(n, YAML_MAPPING))
		return;
	for (size_t i = 0; i < n->len; i++)
		if (has_template(n->pairs[i].key))
			return;
	if (!image)
		(void)parse_error(p, n->mark, "missing-key", "%s has no 'image'", what);
	else if (yaml_is_scalar(image) && image->str_len == 0)
		(void)parse_error(p, image->mark, "empty-value",
			"the image of %s must not be empty", what);
}

static void parse_services(struct parser *p, const struct yaml_node *n)
{
	for (size_t i = 0; yaml_is(n, YAML_MAPPING) && i < n->len; i++)
		parse_container(p, n->pairs[i].value, "a service");
}

#define CONCURRENCY_MAX 400

static void parse_concurrency(struct parser *p, const struct yaml_node *n)
{
	const struct yaml_node *group =
		yaml_is(n, YAML_MAPPING) ? yaml_get(n, "group") : n;

	if (!yaml_is_scalar(group) || has_template(group))
		return;
	if (group->str_len == 0)
		(void)parse_error(p, group->mark, "empty-value",
			"the group of 'concurrency' must not be empty");
	else if (group->str_len > CONCURRENCY_MAX)
		(void)parse_error(p, group->mark, "limit",
			"the group of 'concurrency' is longer than %d characters",
			CONCURRENCY_MAX);
}

static void parse_job_uses(struct parser *p, struct job *job)
{
	struct uses u;

	job->uses = yaml_get(job->node, "uses");
	if (!yaml_is_scalar(job->uses) || has_template(job->uses))
		return;
	u = uses_parse(job->uses->str, p->arena);
	if (u.kind == USES_INVALID || u.kind == USES_DOCKER ||
		(u.kind == USES_REMOTE && !u.path) ||
		(u.kind != USES_REMOTE && strchr(job->uses->str, '@')))
		diag_hint(parse_error(p, job->uses->mark, "bad-uses",
				  "'%.80s' does not name a workflow", job->uses->str),
			"write ./.github/workflows/FILE or OWNER/REPO/PATH@REF");
}

static void parse_job(struct parser *p, struct job *job)
{
	const struct yaml_node *n = job->node;

	if (id_problem(job->id))
		diag_hint(parse_error(p, job->key->mark, "bad-id",
				  "'%.60s' cannot be the id of a job", job->id),
			"%s", id_problem(job->id));
	if (yaml_get(n, "uses"))
		parse_job_uses(p, job);
	else
		parse_steps(p, job);
	parse_runs_on(p, yaml_get(n, "runs-on"));
	parse_container(p, yaml_get(n, "container"), "the container");
	parse_services(p, yaml_get(n, "services"));
	parse_concurrency(p, yaml_get(n, "concurrency"));
	parse_strategy(p, yaml_get(n, "strategy"));
}

/* ---- needs ------------------------------------------------------------------------ */

/* Of so many jobs the ids are compared with what was needed, and so many are listed. */
#define NEEDS_COMPARED_MAX 128
#define NEEDS_LISTED_MAX   12

static void unknown_need(
	struct parser *p, const struct job *job, const struct yaml_node *node)
{
	_cleanup_(strbuf_done) struct strbuf all = STRBUF_INIT;
	const char *ids[NEEDS_COMPARED_MAX + 1] = { NULL };
	const char *near;
	struct diag *d;
	size_t len = p->w->jobs_len;

	d = parse_error(p, node->mark, "unknown-need",
		"job '%s' needs '%.60s', which is not a job of this workflow", job->id,
		node->str);
	if (!d)
		return;
	if (len > NEEDS_COMPARED_MAX)
		len = NEEDS_COMPARED_MAX;
	for (size_t i = 0; i < len; i++) {
		ids[i] = p->w->jobs[i].id;
		if (i < NEEDS_LISTED_MAX && &p->w->jobs[i] != job)
			strbuf_addf(&all, "%s%s", all.len ? ", " : "", ids[i]);
	}
	near = str_nearest(node->str, ids);
	for (size_t i = 0; near && i < len; i++)
		if (ids[i] == near)
			diag_hint(d, "did you mean '%s' (line %u)?", near,
				p->w->jobs[i].key->mark.line);
	if (!near && all.len > 0)
		diag_hint(d, "the other jobs are: %s%s", all.buf,
			p->w->jobs_len > NEEDS_LISTED_MAX ? ", ..." : "");
	else if (!near)
		diag_hint(d, "there is no other job: drop the need");
}

static void add_need(
	struct parser *p, bool *seen, struct job *job, const struct yaml_node *node)
{
	const char *text = yaml_text(node, p->arena);
	const struct name_entry *e;
	struct need *need;

	if (!yaml_is_scalar(node) || *text == '\0')
		return;
	e = names_find(&p->w->job_names, text, strlen(text));
	if (!e) {
		unknown_need(p, job, node);
		return;
	}
	if (seen[e->value])
		return;
	seen[e->value] = true;
	need = &job->needs[job->needs_len++];
	*need = (struct need){ p->w->jobs[e->value].id, node, e->value };
}

static void parse_needs(struct parser *p, struct job *job)
{
	const struct yaml_node *n = yaml_get(job->node, "needs");
	_cleanup_free_ bool *seen = NULL;
	size_t max;

	if (!n || n->kind == YAML_MAPPING)
		return;
	max = n->kind == YAML_SEQUENCE ? n->len : 1;
	/* More needs than jobs are repetitions. */
	if (max > p->w->jobs_len + 1)
		max = p->w->jobs_len + 1;
	job->needs = arena_alloc(p->arena, (max + 1) * sizeof(*job->needs));
	seen = xcalloc(p->w->jobs_len + 1, sizeof(*seen));
	if (yaml_is_scalar(n))
		add_need(p, seen, job, n);
	for (size_t i = 0; n->kind == YAML_SEQUENCE && i < n->len; i++)
		add_need(p, seen, job, n->items[i]);
}

/* Edges grouped by where they start: those of I are edges[first[I]] to edges[first[I+1]]. */
struct graph {
	size_t *first, *edges;
};

static struct graph needs_graph(
	const struct workflow *w, struct arena *arena, bool reversed)
{
	struct graph g;
	size_t n = w->jobs_len, total = 0;

	g.first = arena_alloc(arena, (n + 2) * sizeof(*g.first));
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < w->jobs[i].needs_len; k++, total++)
			g.first[(reversed ? w->jobs[i].needs[k].job : i) + 2]++;
	g.edges = arena_alloc(arena, (total + 1) * sizeof(*g.edges));
	for (size_t i = 2; i < n + 2; i++)
		g.first[i] += g.first[i - 1];
	/* first[i + 1] is where the next edge of i goes, and ends as where i + 1 begins. */
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < w->jobs[i].needs_len; k++) {
			size_t to = w->jobs[i].needs[k].job;

			if (reversed)
				g.edges[g.first[to + 1]++] = i;
			else
				g.edges[g.first[i + 1]++] = to;
		}
	return g;
}

/* Takes away, again and again, what has no edge left; follows BACK to what that frees. */
static void peel(struct graph g, struct graph back, size_t n, bool *gone)
{
	_cleanup_free_ size_t *degree = xcalloc(n + 1, sizeof(*degree));
	_cleanup_free_ size_t *queue = xcalloc(n + 1, sizeof(*queue));
	size_t head = 0, tail = 0;

	for (size_t i = 0; i < n; i++) {
		for (size_t k = g.first[i]; !gone[i] && k < g.first[i + 1]; k++)
			degree[i] += !gone[g.edges[k]];
		if (!gone[i] && degree[i] == 0)
			queue[tail++] = i;
	}
	for (size_t i = 0; i < tail; i++)
		gone[queue[i]] = true;
	while (head < tail) {
		size_t i = queue[head++];

		for (size_t k = back.first[i]; k < back.first[i + 1]; k++) {
			size_t user = back.edges[k];

			if (gone[user] || --degree[user] > 0)
				continue;
			gone[user] = true;
			queue[tail++] = user;
		}
	}
}

/*
 * Peels off jobs whose needs are all gone, then those that nothing left needs: what stays
 * are the cycles. Each need among them is one to report.
 */
static void check_cycles(struct parser *p)
{
	size_t n = p->w->jobs_len;
	_cleanup_free_ bool *gone = xcalloc(n + 1, sizeof(*gone));
	struct graph needs = needs_graph(p->w, p->arena, false);
	struct graph users = needs_graph(p->w, p->arena, true);

	peel(needs, users, n, gone);
	peel(users, needs, n, gone);
	for (size_t i = 0; i < n; i++) {
		const struct job *j = &p->w->jobs[i];

		for (size_t k = 0; !gone[i] && k < j->needs_len; k++)
			if (!gone[j->needs[k].job])
				(void)parse_error(p, j->needs[k].node->mark,
					"needs-cycle",
					"job '%s' needs '%s', which needs it in turn",
					j->id, j->needs[k].id);
	}
}

static void check_first(struct parser *p, const struct yaml_node *jobs, size_t before)
{
	for (size_t i = 0; i < p->w->jobs_len; i++)
		if (!yaml_get(p->w->jobs[i].node, "needs") ||
			p->w->jobs[i].needs_len == 0)
			return;
	if (p->diags->len + p->diags->dropped == before)
		(void)parse_error(p, jobs->mark, "no-first-job",
			"the workflow needs at least one job without 'needs'");
}

void parse_jobs(struct parser *p)
{
	const struct yaml_node *jobs = yaml_get(p->w->root, "jobs");
	size_t before = p->diags->len + p->diags->dropped;

	if (!yaml_is(jobs, YAML_MAPPING))
		return;
	if (jobs->len > LIMIT_JOBS) {
		(void)parse_error(p, jobs->mark, "limit",
			"the workflow has more than %d jobs", LIMIT_JOBS);
		return;
	}
	p->w->jobs = arena_alloc(p->arena, (jobs->len + 1) * sizeof(*p->w->jobs));
	for (size_t i = 0; i < jobs->len; i++) {
		struct job *job = &p->w->jobs[p->w->jobs_len];

		if (!yaml_is(jobs->pairs[i].value, YAML_MAPPING) ||
			has_template(jobs->pairs[i].key))
			continue;
		*job = (struct job){ .id = jobs->pairs[i].key->str,
			.key = jobs->pairs[i].key,
			.node = jobs->pairs[i].value };
		names_add(&p->w->job_names, p->arena, job->id, (uint32_t)p->w->jobs_len,
			NULL);
		p->w->jobs_len++;
	}
	for (size_t i = 0; i < p->w->jobs_len; i++) {
		parse_needs(p, &p->w->jobs[i]);
		parse_job(p, &p->w->jobs[i]);
	}
	check_cycles(p);
	check_first(p, jobs, before);
}

/* ---- the whole -------------------------------------------------------------------- */

size_t workflow_find_job(const struct workflow *w, const char *id)
{
	const struct name_entry *e = names_find(&w->job_names, id, strlen(id));

	return e ? e->value : SIZE_MAX;
}

const struct trigger *workflow_find_trigger(const struct workflow *w, const char *event)
{
	for (size_t i = 0; i < w->triggers_len; i++)
		if (strcmp(w->triggers[i].event, event) == 0)
			return &w->triggers[i];
	return NULL;
}

void workflow_parse_lenient(const char *path, const char *data, size_t len,
	struct workflow **ret, struct diagnostics *d)
{
	struct yaml_doc *doc;
	struct parser p = { .diags = d };
	const struct yaml_node *name;

	*ret = NULL;
	yaml_parse_lenient(path, data, len, &doc, d);
	if (!doc)
		return;
	p.arena = doc->arena;
	p.w = arena_alloc(p.arena, sizeof(*p.w));
	*p.w = (struct workflow){ .doc = doc, .path = doc->file, .root = doc->root };
	(void)schema_check(doc, doc->root, &schema_workflow, d);
	if (!yaml_is(doc->root, YAML_MAPPING)) {
		yaml_doc_free(doc);
		return;
	}
	name = yaml_get(doc->root, "name");
	p.w->name = yaml_is_scalar(name) && name->str_len ? yaml_text(name, p.arena)
							  : p.w->path;
	parse_on(&p);
	parse_concurrency(&p, yaml_get(doc->root, "concurrency"));
	parse_jobs(&p);
	*ret = p.w;
}

int workflow_parse(const char *path, const char *data, size_t len, struct workflow **ret,
	struct diagnostics *d)
{
	size_t before = d->len + d->dropped;
	struct workflow *w;

	workflow_parse_lenient(path, data, len, &w, d);
	if (!w || d->len + d->dropped > before) {
		workflow_free(w);
		return -1;
	}
	*ret = w;
	return 0;
}

void workflow_free(struct workflow *w)
{
	if (w)
		yaml_doc_free(w->doc);
}
