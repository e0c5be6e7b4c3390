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
#define BOX_W 190
#define ROW_H 26
#define GAP_X 76
#define GAP_Y 18
#define GATE_W 64

struct gnode {
	const char *key;
	const struct json *rows[ROWS_MAX + 1];
	size_t rows_len, rows_all;
	int column, y, h;
	bool is_done, is_dry, has_gate;
	const struct json *gate;
};

struct graph {
	struct gnode nodes[NODES_MAX];
	size_t len;
	int column_x[NODES_MAX + 1], columns, height;
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
		x += BOX_W + GAP_X;
	}
	g->column_x[g->columns] = x - GAP_X + 8;
	for (size_t i = 0; i < g->len; i++) {
		int c = g->nodes[i].column;

		g->nodes[i].y += (g->height - fill[c]) / 2 + 12;
	}
	g->height += 24;
}

static void channel(struct strbuf *out, const struct graph *g, const struct gnode *a,
	const struct gnode *b)
{
	int x1 = g->column_x[a->column] + BOX_W, y1 = a->y + (a->rows_all > 1 ? a->h / 2 : 17);
	int x2 = g->column_x[b->column], y2 = b->y + (b->rows_all > 1 ? b->h / 2 : 17);
	int mid = x2 - (b->gate ? GATE_W + 30 : 30);

	strbuf_addf(out, "<path class=\"ch%s\" d=\"M%d %dH%dV%dH%d\"/>",
		a->is_done && !b->gate ? " wet" :
		a->is_done && b->gate && str_eq(json_get_str(b->gate, "state", ""), "approved") ?
					 " wet" :
					 "",
		x1, y1, mid, y2, x2);
	if (a->is_done && b->gate)
		strbuf_addf(out, "<path class=\"ch wet\" d=\"M%d %dH%dV%dH%d\"/>", x1, y1, mid, y2,
			x2 - GATE_W / 2 - 10);
}

static void gate(struct strbuf *out, const struct graph *g, const struct gnode *n)
{
	int x = g->column_x[n->column] - GATE_W / 2, y = n->y + (n->rows_all > 1 ? n->h / 2 : 17);
	const char *state = json_get_str(n->gate, "state", "pending");
	const char *class = str_eq(state, "pending") ? "wait" : html_state_class(state);

	strbuf_addf(out,
		"<svg class=\"g %s\" x=\"%d\" y=\"%d\" width=\"28\" height=\"28\" viewBox=\"0 0 16 "
		"16\"><use href=\"#g-waiting\"/></svg>",
		class, x - 14, y - 14);
	html_put(out, "<text class=\"tw\" x=\"#\" y=\"#\" text-anchor=\"middle\">$</text>",
		(long long)x, (long long)y - 22, json_get_str(n->gate, "environment", ""));
	html_put(out,
		"<text class=\"t2\" x=\"#\" y=\"#\" text-anchor=\"middle\"># of #</text>",
		(long long)x, (long long)y + 30,
		(long long)json_get_int(n->gate, "approvals", 0),
		(long long)json_get_int(n->gate, "required", 1));
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

static void line(struct strbuf *out, const struct json *job, const char *text, int x, int y)
{
	const char *state = json_get_str(job, "state", "");
	int64_t a = json_get_int(job, "started_at", 0), b = json_get_int(job, "completed_at", 0);

	html_put(out, "<a href=\"/jobs/#\"><svg x=\"#\" y=\"#\" width=\"14\" height=\"14\" ",
		(long long)json_get_int(job, "id", 0), (long long)x + 10, (long long)y - 11);
	html_put(out, "class=\"g @\" viewBox=\"0 0 16 16\"><use href=\"##g-@\"/></svg>",
		html_state_class(state),
		str_eq(state, "awaiting_approval") ? "waiting" :
		str_eq(html_state_class(state), "run") ? "running" :
		str_eq(html_state_class(state), "idle") ? "queued" : state);
	html_put(out, "<title>$: $</title><text x=\"#\" y=\"#\">", text, state,
		(long long)x + 32, (long long)y);
	clipped(out, text, 18);
	strbuf_adds(out, "</text>");
	if (a > 0 && b > 0) {
		html_put(out, "<text class=\"t2\" x=\"#\" y=\"#\" text-anchor=\"end\">",
			(long long)x + BOX_W - 10, (long long)y);
		html_duration(out, a, b, b);
		strbuf_adds(out, "</text>");
	}
	strbuf_adds(out, "</a>");
}

/* "build (api)" inside the box "build": api */
static const char *row_name(const struct gnode *n, const char *name)
{
	size_t len = strcspn(json_get_str(n->rows[0], "name", ""), "(");

	return strlen(name) > len && name[len] == '(' ? name + len : name;
}

static void box(struct strbuf *out, const struct graph *g, const struct gnode *n)
{
	int x = g->column_x[n->column], y = n->y;

	strbuf_addf(out,
		"<rect class=\"box%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\"/>",
		n->is_dry ? " dry" : "", x, y, BOX_W, n->h);
	if (n->rows_all == 1) {
		line(out, n->rows[0], json_get_str(n->rows[0], "name", ""), x, y + 21);
		return;
	}
	const char *title = json_get_str(n->rows[0], "name", "");
	size_t len = strcspn(title, "(");
	_cleanup_free_ char *base = xstrndup(title, len);

	html_put(out, "<text class=\"t2\" x=\"#\" y=\"#\">", (long long)x + 10,
		(long long)y + 17);
	clipped(out, base, 18);
	html_put(out, " · #</text>", (long long)n->rows_all);
	for (size_t i = 0; i < n->rows_len; i++)
		line(out, n->rows[i],
			row_name(n, json_get_str(n->rows[i], "name", "")), x,
			y + ROW_H * (int)(i + 1) + 17);
	if (n->rows_all > n->rows_len)
		html_put(out, "<text class=\"t2\" x=\"#\" y=\"#\">and # more</text>",
			(long long)x + 32, (long long)(y + ROW_H * (int)(n->rows_len + 1) + 17),
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
