/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The graph of a run: columns by longest path, a matrix is one box, a gate stands on the
 * channel before its job. The channel is water-coloured up to where the run has come.
 * Geometry is SVG attributes; the table below holds every job, so the graph may be absent.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "runner/html.h"
#include "runner/web-internal.h"

#define NODES_MAX 60
#define ROWS_MAX 6
#define BOX_MIN 120
#define BOX_MAX 230
#define CHAR_W 7 /* of the 12 px sans, on average */
#define ROW_H 28
#define GAP_X 56
#define GAP_Y 18
#define GATE_W 96

struct gnode {
	const char *key;
	const struct json *rows[ROWS_MAX + 1];
	size_t rows_len, rows_all;
	int column, y, h;
	size_t ok; /* rows that succeeded */
	bool is_done, is_dry, all_skipped;
	const struct json *gate;
};

struct graph {
	struct gnode nodes[NODES_MAX];
	size_t len;
	int column_x[NODES_MAX + 1], column_w[NODES_MAX], columns, height;
};

static struct gnode *find(struct graph *g, const char *key)
{
	for (size_t i = 0; i < g->len; i++)
		if (str_eq(g->nodes[i].key, key))
			return &g->nodes[i];
	return NULL;
}

static bool state_is_done(const char *s)
{
	return str_eq(s, "success") || str_eq(s, "failure") || str_eq(s, "cancelled") ||
		str_eq(s, "skipped");
}

static bool collect(struct graph *g, const struct json *run)
{
	const struct json *jobs = json_get(run, "jobs"), *gates = json_get(run, "gates");

	for (size_t i = 0; i < json_count(jobs); i++) {
		const struct json *j = json_at(jobs, i);
		const char *key = json_get_str(j, "node", "");
		struct gnode *n = find(g, key);
		const char *state = json_get_str(j, "state", "");
		int64_t gate = json_get_int(j, "gate_id", 0);

		if (!n) {
			if (g->len == NODES_MAX)
				return false;
			n = &g->nodes[g->len++];
			n->key = key;
			n->is_done = n->is_dry = true;
		}
		/* Failed rows are shown first; they push out the last shown. */
		if (n->rows_len < ROWS_MAX)
			n->rows[n->rows_len++] = j;
		else if (str_eq(state, "failure"))
			n->rows[ROWS_MAX - 1] = j;
		n->rows_all++;
		n->is_done = n->is_done && state_is_done(state);
		n->is_dry = n->is_dry && (str_eq(state, "queued") || str_eq(state, "waiting") ||
						 str_eq(state, "awaiting_approval") ||
						 str_eq(state, "skipped"));
		n->all_skipped = n->rows_all == 1 ? str_eq(state, "skipped") :
						    n->all_skipped && str_eq(state, "skipped");
		n->ok += str_eq(state, "success");
		for (size_t k = 0; gate && k < json_count(gates); k++)
			if (json_get_int(json_at(gates, k), "id", 0) == gate &&
				json_get_int(json_at(gates, k), "required", 0) > 0)
				n->gate = json_at(gates, k);
	}
	return g->len > 0;
}

/* Longest path from the start; edges are acyclic, the bound is against hostile plans. */
static void columns(struct graph *g, const struct json *edges)
{
	for (size_t round = 0; round < g->len; round++) {
		bool moved = false;

		for (size_t i = 0; i < json_count(edges); i++) {
			struct gnode *a = find(g, json_as_str(json_at(json_at(edges, i), 0), ""));
			struct gnode *b = find(g, json_as_str(json_at(json_at(edges, i), 1), ""));

			if (a && b && b->column <= a->column && a->column + 1 < NODES_MAX) {
				b->column = a->column + 1;
				moved = true;
			}
		}
		if (!moved)
			break;
	}
}

static size_t text_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n * CHAR_W;
}

/* "build (api)" inside the box "build": api */
static const char *row_name(const struct gnode *n, const char *name)
{
	size_t len = strcspn(json_get_str(n->rows[0], "name", ""), "(");

	return strlen(name) > len && name[len] == '(' ? name + len : name;
}

static int box_width(const struct gnode *n)
{
	int w = BOX_MIN;

	for (size_t i = 0; i < n->rows_len; i++) {
		const char *name = json_get_str(n->rows[i], "name", "");
		int need = (int)text_width(n->rows_all > 1 ? row_name(n, name) : name) + 34 + 62;

		if (need > w)
			w = need;
	}
	if (n->rows_all > 1) {
		const char *name = json_get_str(n->rows[0], "name", "");
		int need = (int)strcspn(name, "(") * CHAR_W + 90;

		if (need > w)
			w = need;
	}
	return w > BOX_MAX ? BOX_MAX : w;
}

static void place(struct graph *g)
{
	int fill[NODES_MAX] = { 0 }, x = 8;
	bool gates[NODES_MAX] = { false };

	for (size_t i = 0; i < g->len; i++) {
		struct gnode *n = &g->nodes[i];
		bool box = n->rows_all > 1;

		n->h = box ? ROW_H * (int)(n->rows_len + 1 + (n->rows_all > n->rows_len)) : 34;
		n->y = fill[n->column];
		fill[n->column] += n->h + GAP_Y;
		if (n->gate)
			gates[n->column] = true;
		if (box_width(n) > g->column_w[n->column])
			g->column_w[n->column] = box_width(n);
		if (n->column + 1 > g->columns)
			g->columns = n->column + 1;
	}
	for (int c = 0; c < g->columns; c++)
		if (fill[c] > g->height)
			g->height = fill[c];
	for (int c = 0; c < g->columns; c++) {
		if (gates[c])
			x += GATE_W;
		g->column_x[c] = x;
		x += g->column_w[c] + GAP_X;
	}
	g->column_x[g->columns] = x - GAP_X + 8;
	for (size_t i = 0; i < g->len; i++) {
		int c = g->nodes[i].column;

		g->nodes[i].y += (g->height - fill[c]) / 2 + 12;
	}
	g->height += 24 - GAP_Y;
}

static void clipped(struct strbuf *out, const char *text, size_t max)
{
	size_t i = 0, n = 0;

	while (text[i] && n < max) {
		i++;
		while (((unsigned char)text[i] & 0xc0) == 0x80)
			i++;
		n++;
	}
	html_textn(out, text, i);
	if (text[i])
		strbuf_adds(out, "…");
}

static int middle(const struct gnode *n)
{
	return n->y + (n->rows_all > 1 ? n->h / 2 : 17);
}

/* A right-angled channel with rounded corners, from X1 to X2. */
static void channel_path(struct strbuf *out, bool wet, int x1, int y1, int mid, int y2, int x2)
{
	int r = y1 == y2 ? 0 : 6, s = y2 > y1 ? 1 : -1;

	strbuf_addf(out, "<path class=\"ch%s\" d=\"M%d %d", wet ? " wet" : "", x1, y1);
	if (r)
		strbuf_addf(out, "H%dq%d 0 %d %dV%dq0 %d %d %d", mid - r, r, r, s * r, y2 - s * r,
			s * r, r, s * r);
	strbuf_addf(out, "H%d\"/>", x2);
}

/* Water stands up to where the run has come: at a closed gate, or at the next box. */
static void channel(struct strbuf *out, const struct graph *g, const struct gnode *a,
	const struct gnode *b)
{
	int x1 = g->column_x[a->column] + g->column_w[a->column], x2 = g->column_x[b->column];
	int y1 = middle(a), y2 = middle(b), mid = x2 - (b->gate ? GATE_W + 24 : 24);
	bool is_open = !b->gate || str_eq(json_get_str(b->gate, "state", ""), "approved");
	bool wet = a->is_done && !a->all_skipped && is_open && !b->all_skipped;

	channel_path(out, wet, x1, y1, mid, y2, x2);
	if (a->is_done && !is_open)
		channel_path(out, true, x1, y1, mid, y2, x2 - GATE_W / 2 - 14);
}

static void gate(struct strbuf *out, const struct graph *g, const struct gnode *n)
{
	int x = g->column_x[n->column] - GATE_W / 2, y = middle(n);
	const char *state = json_get_str(n->gate, "state", "pending");
	bool pending = str_eq(state, "pending");
	const char *environment = json_get_str(n->gate, "environment", "");

	html_put(out, "<rect class=\"well\" x=\"#\" y=\"#\" width=\"32\" height=\"30\"/>",
		(long long)x - 16, (long long)y - 15);
	if (pending)
		html_glyph_at(out, "waiting", x - 14, y - 14, 28);
	else
		html_put(out,
			"<svg class=\"g @\" x=\"#\" y=\"#\" width=\"28\" height=\"28\">"
			"<use href=\"##g-waiting\"/></svg>",
			html_state_class(state), (long long)x - 14, (long long)y - 14);
	html_put(out, "<text class=\"@\" x=\"#\" y=\"#\" text-anchor=\"middle\">gate",
		pending ? "tw" : "t2", (long long)x, (long long)y - 26);
	if (environment[0]) {
		strbuf_adds(out, ": ");
		clipped(out, environment, 12);
	}
	html_put(out, "</text><text class=\"t2\" x=\"#\" y=\"#\" text-anchor=\"middle\">",
		(long long)x, (long long)y + 34);
	if (pending)
		html_put(out, "# of # approved</text>",
			(long long)json_get_int(n->gate, "approvals", 0),
			(long long)json_get_int(n->gate, "required", 1));
	else
		html_put(out, "$</text>", state);
}

/* One job in a box that is W wide: glyph, name, how long. */
static void line(struct strbuf *out, const struct json *job, const char *text, int x, int y, int w)
{
	const char *state = page_job_state(job);
	int64_t a = json_get_int(job, "started_at", 0), b = json_get_int(job, "completed_at", 0);
	bool timed = a > 0 && b > 0;

	html_put(out, "<a href=\"/jobs/#\"><title>$: $</title>",
		(long long)json_get_int(job, "id", 0), text, html_state_word(state));
	html_glyph_at(out, state, x + 10, y - 11, 14);
	html_put(out, "<text x=\"#\" y=\"#\">", (long long)x + 32, (long long)y);
	clipped(out, text, (size_t)((w - 40 - (timed ? 56 : 0)) / CHAR_W));
	strbuf_adds(out, "</text>");
	if (timed) {
		html_put(out, "<text class=\"t2\" x=\"#\" y=\"#\" text-anchor=\"end\">",
			(long long)x + w - 10, (long long)y);
		html_span(out, b - a);
		strbuf_adds(out, "</text>");
	}
	strbuf_adds(out, "</a>");
}

static void box(struct strbuf *out, const struct graph *g, const struct gnode *n)
{
	int x = g->column_x[n->column], y = n->y, w = g->column_w[n->column];

	strbuf_addf(out,
		"<rect class=\"box%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\"/>",
		n->is_dry ? " dry" : "", x, y, w, n->h);
	if (n->rows_all == 1) {
		line(out, n->rows[0], json_get_str(n->rows[0], "name", ""), x, y + 21, w);
		return;
	}
	const char *title = json_get_str(n->rows[0], "name", "");
	size_t len = strcspn(title, "(");
	_cleanup_free_ char *base =
		xstrndup(title, len > 1 && title[len - 1] == ' ' ? len - 1 : len);

	html_put(out, "<text class=\"t2\" x=\"#\" y=\"#\">", (long long)x + 10, (long long)y + 19);
	clipped(out, base, (size_t)(w - 80) / CHAR_W);
	html_put(out, " · # of #</text>", (long long)n->ok, (long long)n->rows_all);
	for (size_t i = 0; i < n->rows_len; i++) {
		int top = y + ROW_H * (int)(i + 1);

		html_put(out, "<path class=\"rule\" d=\"M# #h#\"/>", (long long)x, (long long)top,
			(long long)w);
		line(out, n->rows[i], row_name(n, json_get_str(n->rows[i], "name", "")), x,
			top + 19, w);
	}
	if (n->rows_all > n->rows_len)
		html_put(out, "<text class=\"t2\" x=\"#\" y=\"#\">and # more</text>",
			(long long)x + 32, (long long)y + ROW_H * (int)(n->rows_len + 1) + 19,
			(long long)(n->rows_all - n->rows_len));
}

void part_run_graph(struct strbuf *out, const struct json *run)
{
	_cleanup_free_ struct graph *g = xcalloc(1, sizeof(*g));
	const struct json *edges = json_get(run, "edges");

	strbuf_adds(out, "<div id=\"run-graph\" class=\"graph\">");
	if (collect(g, run) && g->len > 1) {
		columns(g, edges);
		place(g);
		strbuf_addf(out,
			"<svg class=\"dag\" role=\"img\" aria-label=\"Graph of the jobs, listed in "
			"the table below\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">",
			g->column_x[g->columns], g->height, g->column_x[g->columns], g->height);
		for (size_t i = 0; i < json_count(edges); i++) {
			const struct json *e = json_at(edges, i);
			struct gnode *a = find(g, json_as_str(json_at(e, 0), ""));
			struct gnode *b = find(g, json_as_str(json_at(e, 1), ""));

			if (a && b)
				channel(out, g, a, b);
		}
		for (size_t i = 0; i < g->len; i++) {
			if (g->nodes[i].gate)
				gate(out, g, &g->nodes[i]);
			box(out, g, &g->nodes[i]);
		}
		strbuf_adds(out, "</svg>");
	}
	strbuf_adds(out, "</div>");
}
