/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A workflow or action file of a stranger: loaded, typed, checked against the syntax,
 * linted with everything. What is accepted must be within its budgets, and the same when it
 * is written out and read again; every finding has a place that can be printed.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "workflows/action.h"
#include "workflows/lint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int load(const struct source *src, struct strbuf *out, struct err *err, void *data)
{
	const struct strbuf *self = data;

	/* The file calls itself, whatever it names. */
	if (src->path[0] == 'n')
		return err_set(err, ERR_NOT_FOUND, "no '%s'", src->path);
	strbuf_add(out, self->buf, self->len);
	return 0;
}

static void print(struct diagnostics *d, const char *text, size_t len)
{
	struct strbuf out = STRBUF_INIT;

	for (size_t i = 0; i < d->len; i++) {
		diag_write_text(&d->items[i], text, len, &out);
		json_free(diag_to_json(&d->items[i]));
		if (!lint_find_rule(d->items[i].code))
			abort(); /* a code without a page */
	}
	strbuf_done(&out);
	diagnostics_done(d);
}

/*
 * JSON is YAML: what was read is the same when it is written as such and read again. Keys
 * over 1,024 characters and control characters YAML does not take there.
 */
static void check_again(const struct json *first)
{
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct strbuf text = STRBUF_INIT;
	struct yaml_doc *doc = NULL;

	json_write(first, 0, &text);
	if (yaml_parse("f.json", text.buf, text.len, &doc, &d) == 0) {
		struct json *second = yaml_to_json(doc->root);

		if (!json_same(first, second))
			abort();
		json_free(second);
	} else if (strcmp(d.items[0].code, "duplicate-key") == 0)
		abort();
	yaml_doc_free(doc);
	diagnostics_done(&d);
	strbuf_done(&text);
}

static void check_tree(const char *text, size_t size)
{
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct yaml_doc *doc = NULL;

	if (yaml_parse("f.yml", text, size, &doc, &d) == 0) {
		struct json *j = yaml_to_json(doc->root);

		if (doc->root->weight > LIMIT_YAML_NODES ||
			doc->root->height > LIMIT_YAML_DEPTH)
			abort();
		check_again(j);
		json_free(j);
		value_unref(yaml_to_value(doc->root));
	} else if (d.len == 0)
		abort(); /* refused without a word */
	yaml_doc_free(doc);
	diagnostics_done(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf self = STRBUF_INIT;
	struct lint_options opt = {
		.with_extra = true, .load = load, .load_data = &self
	};
	struct diagnostics d = DIAGNOSTICS_INIT;
	struct action *a = NULL;
	struct err err = ERR_INIT;

	strbuf_add(&self, data, size);
	check_tree(self.buf, size);
	lint_workflow("f.yml", self.buf, size, &opt, &d);
	print(&d, self.buf, size);
	if (action_parse("action.yml", self.buf, size, &a, &d, &err) == 0)
		action_free(a);
	diagnostics_done(&d);
	strbuf_done(&self);
	return 0;
}
