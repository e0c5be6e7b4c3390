/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value of every kind at every place of files that have every key, linted and planned:
 * what is of the wrong kind is a finding, never the end of us.
 */
#include "tests/lib/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "workflows/action.h"
#include "workflows/lint.h"
#include "workflows/plan.h"

static const char *const kinds[] = { "null", "[]", "{}", "[\"a\",\"b\"]", "{\"a\":\"b\"}",
	"[[\"x\"]]", "[{\"a\":1}]", "\"text\"", "\"\"", "5", "true", "{\"a\":{\"b\":[\"c\"]}}",
	"\"${{ github.ref }}\"", "{\"${{ insert }}\":\"x\"}" };

/* J with the value number AT (in the order of writing) made KIND; AT counts down. */
static void write_with(const struct json *j, long *at, const char *kind, struct strbuf *out)
{
	const char *comma = "";

	if ((*at)-- == 0) {
		strbuf_adds(out, kind);
	} else if (json_is(j, JSON_KIND_OBJECT)) {
		strbuf_addc(out, '{');
		json_foreach (it, j) {
			_cleanup_(json_freep) struct json *key = json_new_str(it.key);

			strbuf_adds(out, comma);
			json_write(key, 0, out);
			strbuf_addc(out, ':');
			write_with(it.value, at, kind, out);
			comma = ",";
		}
		strbuf_addc(out, '}');
	} else if (json_is(j, JSON_KIND_ARRAY)) {
		strbuf_addc(out, '[');
		for (size_t i = 0; i < json_count(j); i++) {
			strbuf_adds(out, comma);
			write_with(json_at(j, i), at, kind, out);
			comma = ",";
		}
		strbuf_addc(out, ']');
	} else {
		json_write(j, 0, out);
	}
}

static void read_workflow(const struct strbuf *text)
{
	static const struct lint_options lint = { .with_extra = true };
	struct plan_request req = PLAN_REQUEST_INIT;
	_cleanup_(diagnostics_done) struct diagnostics d = DIAGNOSTICS_INIT;
	_cleanup_(strbuf_done) struct strbuf shown = STRBUF_INIT;
	_cleanup_(json_freep) struct json *plan = NULL, *github = json_new_object();
	struct err err = ERR_INIT;

	lint_workflow("f.yml", text->buf, text->len, &lint, &d);
	diagnostics_write_text(&d, "f.yml", text->buf, text->len, &shown);
	diagnostics_done(&d);
	json_set_str(github, "ref", "refs/heads/main");
	req.path = "f.yml";
	req.data = text->buf;
	req.len = text->len;
	req.event = "push";
	req.github = github;
	(void)plan_build(&req, &plan, &d, &err); /* a refusal is an answer too */
}

static void read_action(const struct strbuf *text)
{
	_cleanup_(diagnostics_done) struct diagnostics d = DIAGNOSTICS_INIT;
	struct action *a = NULL;
	struct err err = ERR_INIT;

	if (action_parse("action.yml", text->buf, text->len, &a, &d, &err) == 0)
		action_free(a);
}

static void put_everything_everywhere(
	const char *path, void (*read)(const struct strbuf *text))
{
	_cleanup_free_ char *text = test_read(path);
	_cleanup_(json_freep) struct json *j = NULL;
	struct err err = ERR_INIT;
	long places = 0;

	assert_ok(json_parse(text, strlen(text), &j, &err), &err);
	for (bool more = true; more; places++) {
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
			long at = places;

			write_with(j, &at, kinds[i], &out);
			more = at < 0;
			read(&out);
		}
	}
	assert_true(places > 10); /* the last one is behind the end */
}

static void any_kind_anywhere_in_a_workflow(void **state)
{
	put_everything_everywhere("tests/data/workflows/every-key.json", read_workflow);
}

static void any_kind_anywhere_in_an_action(void **state)
{
	put_everything_everywhere("tests/data/workflows/action-composite.json", read_action);
	put_everything_everywhere("tests/data/workflows/action-docker.json", read_action);
	put_everything_everywhere("tests/data/workflows/action-node.json", read_action);
}

TEST_MAIN(TEST(any_kind_anywhere_in_a_workflow), TEST(any_kind_anywhere_in_an_action))
