/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The documents that are derived from the tables of workflows/:
 *
 *   workflow_docs syntax          docs/workflow-syntax.md
 *   workflow_docs schema          docs/workflow.schema.json, for editors
 *   workflow_docs codes           the codes of lint, one a line
 *   workflow_docs code CODE       docs/lint/CODE.md
 *   workflow_docs lint            docs/lint/README.md
 */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/strbuf.h"
#include "workflows/lint.h"
#include "workflows/schema.h"

/* ---- syntax ----------------------------------------------------------------------- */

static void kind_words(const struct schema_def *d, struct strbuf *out)
{
	static const char *const words[] = { "nothing", "boolean", "number", "text",
		"list", "mapping" };
	const char *sep = "";

	if (d->values) {
		for (size_t i = 0; d->values[i] && i < 8; i++) {
			strbuf_addf(out, "%s`%s`", sep, d->values[i]);
			sep = ", ";
		}
		if (d->kinds & KIND_SEQ)
			strbuf_adds(out, ", or a list of them");
		if (d->kinds & KIND_MAP)
			strbuf_adds(out, ", or a mapping");
		return;
	}
	if (d->flags & SCHEMA_EXPRESSION) {
		strbuf_adds(out, "condition");
		return;
	}
	for (unsigned k = YAML_NULL; k <= YAML_MAPPING; k++)
		if (d->kinds & (1u << k) && !(k == YAML_NULL && d->kinds == KIND_ANY)) {
			strbuf_addf(out, "%s%s", sep, words[k]);
			sep = ", ";
		}
}

static void scope_words(unsigned scope, struct strbuf *out)
{
	const char *names[SCOPE_CONTEXT_COUNT + 1];

	scope_contexts(scope, names);
	for (size_t i = 0; names[i]; i++)
		strbuf_addf(out, "%s%s", i ? " " : "", names[i]);
	if (scope & (SCOPE_FN_STATUS | SCOPE_FN_JOB_STATUS))
		strbuf_adds(out, " success() failure() cancelled() always()");
	if (scope & SCOPE_FN_HASHFILES)
		strbuf_adds(out, " hashFiles()");
}

static bool seen(const char **list, size_t *len, const char *path)
{
	for (size_t i = 0; i < *len; i++)
		if (strcmp(list[i], path) == 0)
			return true;
	list[(*len)++] = path;
	return false;
}

static void print_def(
	const char *path, const struct schema_def *d, unsigned scope, unsigned depth);

static void print_row(const char *path, const struct schema_prop *p, unsigned scope)
{
	struct strbuf kind = STRBUF_INIT, names = STRBUF_INIT;

	kind_words(p->def, &kind);
	if (p->def->flags & SCHEMA_SCOPE)
		scope = p->def->scope;
	scope_words(scope, &names);
	printf("| `%s%s%s`%s | %s | %s | %s |\n", path, *path ? "." : "", p->key,
		p->is_required ? " *" : "", kind.buf, p->doc,
		names.len ? names.buf : "-");
	strbuf_done(&kind);
	strbuf_done(&names);
}

static void print_below(
	const char *path, const struct schema_prop *p, unsigned scope, unsigned depth)
{
	char inner[256];

	if (p->def->flags & SCHEMA_SCOPE)
		scope = p->def->scope;
	(void)snprintf(inner, sizeof(inner), "%s%s%s", path, *path ? "." : "", p->key);
	print_def(inner, p->def, scope, depth + 1);
}

static void print_shape(const char *path, const struct schema_def *d, unsigned scope,
	unsigned depth, const char **keys, size_t *len)
{
	for (const struct schema_prop *p = d->props; p && p->key; p++) {
		if (seen(keys, len, p->key))
			continue;
		print_row(path, p, scope);
		print_below(path, p, scope, depth);
	}
}

static void print_def(
	const char *path, const struct schema_def *d, unsigned scope, unsigned depth)
{
	const char *keys[128];
	size_t len = 0;
	char inner[256];

	if (depth > 8)
		return;
	if (d->flags & SCHEMA_SCOPE)
		scope = d->scope;
	print_shape(path, d, scope, depth, keys, &len);
	for (size_t i = 0; d->variants && d->variants[i]; i++)
		print_shape(path, d->variants[i], scope, depth, keys, &len);
	if (d->value && d->value->kinds != KIND_ANY &&
		!(d->props && d->kinds & KIND_STRING && d->values)) {
		(void)snprintf(inner, sizeof(inner), "%s.<%s>", path,
			d->value->noun ? d->value->noun : "name");
		print_def(inner, d->value, scope, depth + 1);
	}
	if (d->item && (d->item->props || d->item->variants)) {
		(void)snprintf(inner, sizeof(inner), "%s[]", path);
		print_def(inner, d->item, scope, depth + 1);
	}
}

static void print_syntax(void)
{
	puts("# Workflow syntax\n\n"
	     "Every key that a workflow file may have, made from the table that checks "
	     "it\n"
	     "(`workflows/schema_table.c`). A star marks what must be there. The last "
	     "column\n"
	     "names the contexts and functions an expression there may use; `-`: no\n"
	     "expression. Where there is one, `${{ }}` may also stand for the whole "
	     "value.\n\n"
	     "| key | value | what it is | in expressions |\n"
	     "| --- | --- | --- | --- |");
	print_def("", &schema_workflow, 0, 0);
}

/* ---- JSON Schema ------------------------------------------------------------------ */

static struct json *to_schema(const struct schema_def *d, unsigned scope, unsigned depth);

static struct json *type_of(const char *name)
{
	struct json *j = json_new_object();

	json_set_str(j, "type", name);
	return j;
}

static void add_shape(struct json *props, struct json *required,
	const struct schema_def *d, unsigned scope, unsigned depth)
{
	for (const struct schema_prop *p = d->props; p && p->key; p++) {
		struct json *one;

		if (json_get(props, p->key))
			continue;
		one = to_schema(p->def, scope, depth + 1);
		if (*p->doc)
			json_set_str(one, "description", p->doc);
		json_set(props, p->key, one);
		if (p->is_required)
			json_push_str(required, p->key);
	}
}

static struct json *mapping_schema(
	const struct schema_def *d, unsigned scope, unsigned depth)
{
	struct json *j = type_of("object"), *props = json_new_object();
	struct json *required = json_new_array(), *shapes = json_new_array();

	add_shape(props, required, d, scope, depth);
	for (size_t i = 0; d->variants && d->variants[i]; i++) {
		struct json *shape = json_new_object(), *own = json_new_array();

		add_shape(props, own, d->variants[i], scope, depth);
		json_set(shape, "required", json_new_array());
		for (const struct schema_prop *p = d->variants[i]->props; p->key; p++)
			if (p->is_required)
				json_push_str(json_get(shape, "required"), p->key);
		json_push(shapes, shape);
		json_free(own);
	}
	if (json_count(props))
		json_set(j, "properties", json_share(props));
	if (json_count(required))
		json_set(j, "required", json_share(required));
	if (json_count(shapes))
		json_set(j, "oneOf", json_share(shapes));
	if (d->value && depth < 12)
		json_set(
			j, "additionalProperties", to_schema(d->value, scope, depth + 1));
	else if (!d->value && json_count(props))
		json_set_bool(j, "additionalProperties", false);
	json_free(props);
	json_free(required);
	json_free(shapes);
	return j;
}

static struct json *string_schema(const struct schema_def *d)
{
	struct json *j = type_of("string"), *list;

	if (d->values) {
		list = json_new_array();
		for (size_t i = 0; d->values[i]; i++)
			json_push_str(list, d->values[i]);
		json_set(j, "enum", list);
	}
	if (d->flags & SCHEMA_NON_EMPTY)
		json_set_int(j, "minLength", 1);
	return j;
}

static struct json *to_schema(const struct schema_def *d, unsigned scope, unsigned depth)
{
	struct json *any = json_new_array(), *j, *one;
	static const char *const scalars[] = { "null", "boolean", "number" };

	if (d->flags & SCHEMA_SCOPE)
		scope = d->scope;
	if (d->kinds == KIND_ANY || depth > 14) {
		json_free(any);
		return json_new_object();
	}
	for (unsigned k = YAML_NULL; k <= YAML_NUMBER; k++)
		if (d->kinds & (1u << k) || (d->kinds & KIND_STRING && !d->values))
			json_push(any, type_of(scalars[k]));
	if (d->kinds & KIND_STRING)
		json_push(any, string_schema(d));
	if (scope && !((d->kinds & KIND_STRING) && !d->values)) {
		one = type_of("string");
		json_set_str(one, "pattern", "\\$\\{\\{");
		json_push(any, one);
	}
	if (d->kinds & KIND_SEQ) {
		one = type_of("array");
		if (d->item)
			json_set(one, "items", to_schema(d->item, scope, depth + 1));
		json_push(any, one);
	}
	if (d->kinds & KIND_MAP)
		json_push(any, mapping_schema(d, scope, depth));
	if (json_count(any) == 1) {
		j = json_share(json_at(any, 0));
		json_free(any);
		return j;
	}
	j = json_new_object();
	json_set(j, "anyOf", any);
	return j;
}

static void print_schema(void)
{
	struct json *j = to_schema(&schema_workflow, 0, 0);
	struct json *whole = json_new_object();
	struct strbuf out = STRBUF_INIT;

	json_set_str(whole, "$schema", "http://json-schema.org/draft-07/schema#");
	json_set_str(whole, "title", "workflow file");
	json_foreach (it, j)
		json_set(whole, it.key, json_share(it.value));
	json_write(whole, JSON_WRITE_PRETTY, &out);
	fwrite(out.buf, 1, out.len, stdout);
	strbuf_done(&out);
	json_free(j);
	json_free(whole);
}

/* ---- lint ------------------------------------------------------------------------- */

static const char *class_words(enum lint_class c)
{
	return c == LINT_INVALID   ? "The file is refused; this cannot be silenced."
	       : c == LINT_DEFAULT ? "On by default."
				   : "With `--rules all`.";
}

static int print_code(const char *code)
{
	const struct lint_rule *r = lint_find_rule(code);

	if (!r)
		return 1;
	printf("# %s\n\n%s.\n\n%s\n\n%s", r->code, r->what, r->why,
		class_words(r->class));
	if (r->class != LINT_INVALID)
		printf(" Silence one finding with `# sluice: ignore %s` on its line, or "
		       "alone on "
		       "the line before.",
			r->code);
	puts("");
	return 0;
}

static void print_codes_page(void)
{
	puts("# What lint finds\n\n"
	     "| code | what | |\n| --- | --- | --- |");
	for (const struct lint_rule *r = lint_rules; r->code; r++)
		printf("| [%s](%s.md) | %s | %s |\n", r->code, r->code, r->what,
			r->class == LINT_INVALID   ? "refused"
			: r->class == LINT_DEFAULT ? "default"
						   : "all");
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "syntax") == 0)
		print_syntax();
	else if (argc == 2 && strcmp(argv[1], "schema") == 0)
		print_schema();
	else if (argc == 2 && strcmp(argv[1], "lint") == 0)
		print_codes_page();
	else if (argc == 3 && strcmp(argv[1], "code") == 0)
		return print_code(argv[2]);
	else if (argc == 2 && strcmp(argv[1], "codes") == 0)
		for (const struct lint_rule *r = lint_rules; r->code; r++)
			puts(r->code);
	else {
		fputs("usage: workflow_docs syntax|schema|lint|codes|code CODE\n",
			stderr);
		return 2;
	}
	return 0;
}
