/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <dirent.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/fd.h"
#include "webhooks/event.h"

#define CASES "tests/data/hooks"
#define SHA   "8d1f0c4e5b6a79880f1e2d3c4b5a69788796a5b4"

static struct json *load(const char *name, const char *part)
{
	_cleanup_free_ char *path = xasprintf(CASES "/%s/%s.json", name, part);
	_cleanup_free_ char *text = test_read(path);
	struct json *j = NULL;
	struct err err = ERR_INIT;

	if (json_parse(text, strlen(text), &j, &err))
		fail_msg("%s: %s", path, err.msg);
	return j;
}

/* Headers name the forge; our own bodies get the time of now. */
static const char *forge_of(const char *name)
{
	static const char *const forges[] = { "github", "gitlab", "generic" };

	for (size_t i = 0; i < 3; i++)
		if (str_starts(name, forges[i]))
			return forges[i];
	return "gitea";
}

static int read_event(const char *forge, const struct json *headers,
	const struct json *body, struct hook_event *ret, struct err *err)
{
	_cleanup_free_ char *text = json_text(body);

	return hook_event_read(forge, headers, text, strlen(text), ret, err);
}

static void compare(const char *name, const char *path, const struct json *want,
	const struct json *got)
{
	_cleanup_free_ char *a = NULL, *b = NULL;

	if (json_is(want, JSON_KIND_NULL) ? got == NULL : json_same(want, got))
		return;
	a = json_text(want);
	b = json_text(got);
	fail_msg("%s: %s is %s, not %s", name, path, b, a);
}

/* Reads BODY as NAME's forge: is it kept as it came? Then it is what the document says. */
static bool is_as_sent(const char *name, const struct json *body, struct hook_event *ret)
{
	_cleanup_(json_freep) struct json *headers = load(name, "headers");
	_cleanup_free_ char *text = json_text(body);
	struct json *again = NULL;
	struct err err = ERR_INIT;
	bool is;

	if (hook_event_read(forge_of(name), headers, text, strlen(text), ret, &err))
		fail_msg("%s: %s", name, err.msg);
	is = ret->payload != NULL;
	if (is) {
		assert_ptr_equal(ret->payload, text);
		assert_int_equal(ret->payload_len, strlen(text));
		assert_ok(json_parse(ret->payload, ret->payload_len, &again, &err), &err);
		assert_true(json_same(again, json_path(ret->document, "github.event")));
		json_free(again);
	}
	ret->payload = NULL; /* TEXT goes */
	return is;
}

static void a_body_that_lacks_nothing_is_kept_as_it_came(void **state)
{
	static const struct {
		const char *name;
		const char *without; /* a member taken out before */
		bool is_as_sent;
	} rows[] = {
		{ "github-push", NULL, true },
		{ "github-push", "created", false },
		{ "github-push", "head_commit", false },
		{ "github-pull-request-fork", NULL, true },
		{ "gitea-push", NULL, false },
		{ "gitlab-merge-request-fork", NULL, false },
		{ "generic-push", NULL, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup_(json_freep) struct json *body = load(rows[i].name, "body");
		_cleanup_(hook_event_done) struct hook_event first = { 0 }, again = { 0 };
		const struct json *whole;

		if (json_get(body, "time"))
			json_set_int(body, "time", clock_wall_ms() / 1000);
		if (rows[i].without)
			json_unset(body, rows[i].without);
		if (is_as_sent(rows[i].name, body, &first) != rows[i].is_as_sent)
			fail_msg("%s without %s", rows[i].name,
				rows[i].without ? rows[i].without : "nothing");
		/* With what was missing it is whole: our own form and GitHub's. */
		whole = json_path(first.document, "github.event");
		if (str_starts(rows[i].name, "generic") ||
			str_starts(rows[i].name, "github"))
			assert_true(is_as_sent(rows[i].name, whole, &again));
	}
}

static void check_case(const char *name)
{
	_cleanup_(json_freep) struct json *headers = load(name, "headers");
	_cleanup_(json_freep) struct json *body = load(name, "body");
	_cleanup_(json_freep) struct json *expected = load(name, "expected");
	_cleanup_(hook_event_done) struct hook_event e = { 0 };
	struct err err = ERR_INIT;

	if (json_get(body, "time"))
		json_set_int(body, "time", clock_wall_ms() / 1000);
	if (read_event(forge_of(name), headers, body, &e, &err))
		fail_msg("%s: %s", name, err.msg);
	json_foreach (it, json_get(expected, "document"))
		compare(name, it.key, it.value, json_path(e.document, it.key));
	if (!str_eq(json_get_str(expected, "ignore", NULL), e.ignore))
		fail_msg("%s: ignore is '%s'", name, e.ignore ? e.ignore : "");
	if (json_get(expected, "key"))
		assert_string_equal(e.key, json_get_str(expected, "key", ""));
}

static void reads_every_forge_as_documented(void **state)
{
	DIR *dir = opendir(CASES);
	const struct dirent *d;
	int n = 0;

	assert_non_null(dir);
	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		check_case(d->d_name);
		n++;
	}
	closedir(dir);
	assert_true(n >= 25);
}

/* The header is not signed: whatever it says, another shape is refused (SECURITY WH04). */
static void refuses_a_body_under_another_events_name(void **state)
{
	static const struct {
		const char *name;
		const char *header;
		const char *value;
		const char *part;
	} swaps[] = {
		{ "github-push", "x-github-event", "pull_request",
			"'action' is no string" },
		{ "github-push", "x-github-event", "ping", "'zen' is no string" },
		{ "github-pull-request-fork", "x-github-event", "push",
			"'ref' is no string" },
		{ "github-ping", "x-github-event", "push", "'ref' is no string" },
		{ "gitea-push", "x-gitea-event", "pull_request",
			"'action' is no string" },
		{ "gitea-pull-request-fork", "x-gitea-event", "push",
			"'ref' is no string" },
		{ "gitlab-push", "x-gitlab-event", "Merge Request Hook",
			"the header says" },
		{ "gitlab-push", "x-gitlab-event", "Note Hook", "the header says" },
		{ "gitlab-merge-request-fork", "x-gitlab-event", "Push Hook",
			"the header says" },
		{ "generic-push", "x-sluice-event", "ping", "the header says" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(swaps); i++) {
		_cleanup_(json_freep) struct json *headers =
			load(swaps[i].name, "headers");
		_cleanup_(json_freep) struct json *body = load(swaps[i].name, "body");
		_cleanup_(hook_event_done) struct hook_event e = { 0 };
		struct err err = ERR_INIT;

		if (json_get(body, "time"))
			json_set_int(body, "time", clock_wall_ms() / 1000);
		json_set_str(headers, swaps[i].header, swaps[i].value);
		if (read_event(forge_of(swaps[i].name), headers, body, &e, &err) == 0)
			fail_msg("case %zu was read", i);
		assert_err_has(&err, ERR_INPUT, swaps[i].part);
		json_unset(headers, swaps[i].header);
		if (!str_eq(forge_of(swaps[i].name), "gitea")) {
			assert_int_equal(read_event(forge_of(swaps[i].name), headers,
						 body, &e, &err),
				-1);
			assert_err_has(&err, ERR_INPUT, "is missing");
		}
	}
}

/* One member of a good body is made bad. */
static void refuses_members_that_are_not_what_they_should_be(void **state)
{
	static const struct {
		const char *name;
		const char *member;
		const char *json;
	} spoils[] = {
		{ "github-push", "ref", "\"main\"" },
		{ "github-push", "ref", "\"refs/heads/../x\"" },
		{ "github-push", "ref", "\"refs/heads/a b\"" },
		{ "github-push", "ref", "\"refs/heads/--upload-pack=x\\n\"" },
		{ "github-push", "ref", "\"refs/heads/x.lock\"" },
		{ "github-push", "ref", "\"refs/heads/a..b\"" },
		{ "github-push", "ref", "\"refs/heads/\"" },
		{ "github-push", "ref", "7" },
		{ "github-push", "after", "\"8d1f0c4\"" },
		{ "github-push", "after",
			"\"8D1F0C4E5B6A79880F1E2D3C4B5A69788796A5B4\"" },
		{ "github-push", "after",
			"\"$(touch pwned)aaaaaaaaaaaaaaaaaaaaaaaaaa\"" },
		{ "github-push", "before", "null" },
		{ "github-push", "repository", "\"acme/archive\"" },
		{ "github-pull-request-fork", "number", "0" },
		{ "github-pull-request-fork", "number", "\"5\"" },
		{ "github-pull-request-fork", "pull_request", "[]" },
		{ "gitlab-push", "project", "null" },
		{ "gitlab-push", "checkout_sha", "\"nonsense\"" },
		{ "generic-push", "nonce", "\"short\"" },
		{ "generic-push", "nonce", "null" },
		{ "generic-push", "time", "1" },
		{ "generic-push", "time", "9223372036854775807" },
		{ "generic-push", "time", "-9223372036854775808" },
		{ "generic-push", "time", "\"now\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(spoils); i++) {
		_cleanup_(json_freep) struct json *headers =
			load(spoils[i].name, "headers");
		_cleanup_(json_freep) struct json *body = load(spoils[i].name, "body");
		_cleanup_(hook_event_done) struct hook_event e = { 0 };
		struct json *v = NULL;
		struct err err = ERR_INIT;

		if (json_get(body, "time"))
			json_set_int(body, "time", clock_wall_ms() / 1000);
		assert_ok(json_parse(spoils[i].json, strlen(spoils[i].json), &v, &err),
			&err);
		json_set(body, spoils[i].member, v);
		if (read_event(forge_of(spoils[i].name), headers, body, &e, &err) == 0)
			fail_msg("case %zu (%s) was read", i, spoils[i].json);
		assert_int_equal(err.code, ERR_INPUT);
	}
}

static void refuses_hostile_json(void **state)
{
	static const char *const bad[] = { "", "null", "[]", "{", "{\"a\":1,\"a\":2}",
		"{\"ref\":\"\\ud800\"}", "{}x", "\x00{}", "{\"a\\u0000b\":1}",
		"payload=%7B%7D" };
	_cleanup_(json_freep) struct json *headers = load("github-push", "headers");
	_cleanup_(strbuf_done) struct strbuf deep = STRBUF_INIT, wide = STRBUF_INIT;
	struct hook_event e;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(hook_event_read("github", headers, bad[i],
					 strlen(bad[i]), &e, &err),
			-1);
		assert_err(&err, ERR_INPUT, NULL);
	}
	for (int i = 0; i < 100000; i++)
		strbuf_adds(&deep, "{\"a\":");
	assert_int_equal(
		hook_event_read("github", headers, deep.buf, deep.len, &e, &err), -1);
	assert_err(&err, ERR_INPUT, NULL);
	strbuf_clear(&deep);
	for (int i = 0; i < 61; i++)
		strbuf_adds(&deep, i ? "[" : "{\"a\":");
	for (int i = 0; i < 61; i++)
		strbuf_addc(&deep, i < 60 ? ']' : '}');
	assert_int_equal(
		hook_event_read("github", headers, deep.buf, deep.len, &e, &err), -1);
	assert_err(&err, ERR_INPUT, "the body is nested deeper than 60");
	strbuf_addc(&wide, '[');
	for (int i = 0; i < 500001; i++)
		strbuf_adds(&wide, "0,");
	strbuf_adds(&wide, "0]");
	assert_int_equal(
		hook_event_read("github", headers, wide.buf, wide.len, &e, &err), -1);
	assert_err(&err, ERR_LIMIT, "the body has more than 500000 values");
	json_set_str(headers, "content-type", "application/x-www-form-urlencoded");
	assert_int_equal(hook_event_read("github", headers, "{}", 2, &e, &err), -1);
	assert_err_has(&err, ERR_INPUT, "choose application/json");
	assert_int_equal(hook_event_read("svn", headers, "{}", 2, &e, &err), -1);
	assert_err(&err, ERR_INPUT, "no forge 'svn'");
}

/* Names in commits look like whoever they like; trust and actor are the forge's (WH06). */
static void commit_authors_give_no_trust(void **state)
{
	_cleanup_(json_freep) struct json *headers =
		load("github-pull-request-fork", "headers");
	_cleanup_(json_freep) struct json *body =
		load("github-pull-request-fork", "body");
	_cleanup_(hook_event_done) struct hook_event e = { 0 };
	struct err err = ERR_INIT;

	json_set_str(json_path(body, "pull_request.user"), "login", "mira");
	json_set_str(json_path(body, "pull_request.head.user"), "login", "acme");
	json_set_str(
		json_path(body, "pull_request.head.repo"), "full_name", "acme/archive");
	json_set_str(json_path(body, "pull_request"), "author_association", "OWNER");
	assert_ok(read_event("github", headers, body, &e, &err), &err);
	assert_int_equal(e.trust, TRUST_UNTRUSTED);
	assert_string_equal(e.actor, "stranger");
	assert_string_equal(e.actor_id, "21");
}

static void a_long_title_is_cut_at_a_character(void **state)
{
	_cleanup_(json_freep) struct json *headers =
		load("github-pull-request-fork", "headers");
	_cleanup_(json_freep) struct json *body =
		load("github-pull-request-fork", "body");
	_cleanup_(strbuf_done) struct strbuf title = STRBUF_INIT;
	_cleanup_(hook_event_done) struct hook_event e = { 0 };
	struct err err = ERR_INIT;

	strbuf_addc(&title, 'x');
	for (int i = 0; i < 500; i++)
		strbuf_adds(&title, "\xc3\xa4");
	json_set_str(json_get(body, "pull_request"), "title", title.buf);
	assert_ok(read_event("github", headers, body, &e, &err), &err);
	assert_int_equal(strlen(e.title), 255);
}

static void more_changed_files_than_filters_look_at_are_left_to_git(void **state)
{
	_cleanup_(json_freep) struct json *headers = load("github-push", "headers");
	_cleanup_(json_freep) struct json *body = load("github-push", "body");
	struct json *added = json_get(json_at(json_get(body, "commits"), 1), "added");
	_cleanup_(hook_event_done) struct hook_event e = { 0 };
	struct err err = ERR_INIT;

	for (int i = 0; i < 300; i++) {
		_cleanup_free_ char *path = xasprintf("f%d", i);

		json_push_str(added, path);
	}
	assert_ok(read_event("github", headers, body, &e, &err), &err);
	assert_null(json_get(e.document, "changed"));
}

TEST_MAIN(TEST(reads_every_forge_as_documented),
	TEST(refuses_a_body_under_another_events_name),
	TEST(refuses_members_that_are_not_what_they_should_be),
	TEST(a_body_that_lacks_nothing_is_kept_as_it_came), TEST(refuses_hostile_json),
	TEST(commit_authors_give_no_trust), TEST(a_long_title_is_cut_at_a_character),
	TEST(more_changed_files_than_filters_look_at_are_left_to_git))
