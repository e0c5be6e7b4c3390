/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans of hostile files: built, listed, each node expanded with some results. The jobs of
 * a plan have no cycle, their number and that of rows keep the limits, and the same input
 * gives the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "workflows/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int load(const struct source *src, struct strbuf *out, struct err *err, void *data)
{
	const struct strbuf *self = data;

	if (src->path[0] == 'n')
		return err_set(err, ERR_NOT_FOUND, "no '%s'", src->path);
	strbuf_add(out, self->buf, self->len);
	return 0;
}

static const char contexts_text[] =
	"{\"github\":{\"ref\":\"refs/heads/"
	"main\",\"event\":{\"a\":[1,{\"b\":\"[1,2]\"}]}},"
	"\"needs\":{\"a\":{\"result\":\"success\",\"outputs\":{\"x\":\"{\\\"y\\\":[1]}\"}"
	"}},"
	"\"ancestors\":{\"a\":\"success\",\"b\":\"failure\"}}";

static struct json *contexts(void)
{
	struct json *j = NULL;
	struct err err = ERR_INIT;

	if (json_parse(contexts_text, strlen(contexts_text), &j, &err) < 0)
		abort();
	return j;
}

/* Needs come before their users, once all needs are peeled off. */
static void check_order(const struct json *plan)
{
	const struct json *jobs = json_get(plan, "jobs");
	size_t n = json_count(jobs), left = n;
	bool *gone = xcalloc(n + 1, sizeof(*gone));

	if (n > LIMIT_JOBS)
		abort();
	for (bool has_changed = true; has_changed;) {
		has_changed = false;
		for (size_t i = 0; i < n; i++) {
			const struct json *needs = json_get(json_at(jobs, i), "needs");
			bool is_ready = !gone[i];

			for (size_t k = 0; is_ready && k < json_count(needs); k++) {
				const struct json *need = plan_node(
					plan, json_as_str(json_at(needs, k), ""));

				if (!need)
					abort(); /* an edge to nowhere */
				for (size_t m = 0; m < n; m++)
					is_ready = is_ready &&
						   (json_at(jobs, m) != need || gone[m]);
			}
			if (!is_ready)
				continue;
			gone[i] = has_changed = true;
			left--;
		}
	}
	free(gone);
	if (left > 0)
		abort(); /* a cycle */
}

static void expand_all(const struct json *plan, const struct json *c)
{
	const struct json *jobs = json_get(plan, "jobs");

	for (size_t i = 0; i < json_count(jobs) && i < 32; i++) {
		const char *id = json_get_str(json_at(jobs, i), "id", "");
		struct json *a = NULL, *b = NULL;
		struct err err = ERR_INIT;

		if (plan_expand(plan, id, c, &a, &err) < 0)
			continue;
		if (json_count(json_get(a, "rows")) > LIMIT_MATRIX_ROWS ||
			plan_expand(plan, id, c, &b, &err) < 0 || !json_same(a, b))
			abort();
		json_free(a);
		json_free(b);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf self = STRBUF_INIT, name = STRBUF_INIT;
	struct plan_request req = PLAN_REQUEST_INIT;
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct json *plan = NULL, *again = NULL, *listed = NULL, *c = contexts();
	struct err err = ERR_INIT;

	strbuf_add(&self, data, size);
	req.path = "f.yml";
	req.data = self.buf;
	req.len = self.len;
	req.event = size > 0 && data[0] % 2 ? "push" : NULL;
	req.github = json_get(c, "github");
	req.load = load;
	req.load_data = &self;
	if (plan_build(&req, &plan, &d, &err) == 0) {
		if (plan_build(&req, &again, &d, &err) < 0 || !json_same(plan, again))
			abort();
		check_order(plan);
		expand_all(plan, c);
		if (plan_list(plan, c, &listed, &err) == 0)
			json_free(listed);
		(void)plan_run_name(plan, c, &name, &err); /* either way is fine */
	}
	json_free(plan);
	json_free(again);
	json_free(c);
	diagnostics_done(&d);
	strbuf_done(&self);
	strbuf_done(&name);
	return 0;
}
