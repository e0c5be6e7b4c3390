/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "runner/labels.h"

static const struct {
	const char *offered, *labels; /* by comma; a JSON array */
	const char *image, *dir;
	bool is_root;
	const char *refused;
} cases[] = {
	{ "*", "[\"ubuntu-latest\"]", NULL, NULL, false, NULL },
	{ "*,deb=bookworm", "[\"deb\"]", "bookworm", NULL, false, NULL },
	{ "*,deb=bookworm", "[\"DEB\"]", "bookworm", NULL, false, NULL },
	{ "*=bookworm,plain=host", "[\"x\"]", "bookworm", NULL, false, NULL },
	{ "*=bookworm,plain=host", "[\"plain\"]", NULL, NULL, false, NULL },
	{ "deb=bookworm:root", "[\"deb\"]", "bookworm", NULL, true, NULL },
	{ "t=/srv/tools", "[\"t\"]", NULL, "/srv/tools", false, NULL },
	{ "self-hosted,deb=b", "[\"self-hosted\", \"deb\"]", "b", NULL, false, NULL },
	{ "a=b,c=b", "[\"a\", \"c\"]", "b", NULL, false, NULL },
	{ "a=b,c=d", "[\"a\", \"c\"]", NULL, NULL, false,
		"'a' and 'c' stand for different" },
	{ "a=b,c=b:root", "[\"a\", \"c\"]", NULL, NULL, false, "different roots" },
};

static void a_job_gets_the_root_of_its_labels(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(strvec_done) struct strvec offered = STRVEC_INIT;
		_cleanup_(json_freep) struct json *labels = NULL;
		struct label_root r = { 0 };
		struct err err = ERR_INIT;
		int rc;

		strvec_split(&offered, cases[i].offered, ',');
		assert_ok(labels_check(&offered, &err), &err);
		assert_ok(json_parse(cases[i].labels, strlen(cases[i].labels), &labels,
				  &err),
			&err);
		rc = labels_root(&offered, labels, &r, &err);
		if (cases[i].refused) {
			assert_int_equal(rc, -1);
			assert_err_has(&err, ERR_INPUT, cases[i].refused);
			continue;
		}
		assert_ok(rc, &err);
		if (!str_eq(r.image, cases[i].image) || !str_eq(r.dir, cases[i].dir) ||
			r.is_root != cases[i].is_root)
			fail_msg("case %zu", i);
		label_root_done(&r);
	}
}

static void the_first_label_that_nobody_offers_is_named(void **state)
{
	_cleanup_(strvec_done) struct strvec offered = STRVEC_INIT;
	_cleanup_(json_freep) struct json *labels = json_new_array();

	(void)state;
	json_push_str(labels, "Self-Hosted");
	json_push_str(labels, "gpu");
	strvec_push(&offered, "self-hosted=bookworm");
	assert_string_equal(labels_missing(&offered, labels), "gpu");
	strvec_push(&offered, "gpu");
	assert_null(labels_missing(&offered, labels));
	strvec_clear(&offered);
	strvec_push(&offered, "*");
	assert_null(labels_missing(&offered, labels));
	assert_null(labels_missing(&offered, NULL));
}

static void what_cannot_be_is_named(void **state)
{
	static const char *const wrong[][2] = {
		{ "=x", "names no label" },
		{ "a=../x", "it takes LABEL=IMAGE" },
		{ "a=", "it takes LABEL=IMAGE" },
		{ "a=/srv/tools:root", "root in an image alone" },
		{ "a=host:root", "root in an image alone" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup_(strvec_done) struct strvec offered = STRVEC_INIT;
		struct err err = ERR_INIT;

		strvec_push(&offered, wrong[i][0]);
		assert_int_equal(labels_check(&offered, &err), -1);
		assert_err_has(&err, ERR_INPUT, wrong[i][1]);
	}
}

static void a_mapped_label_is_offered_by_its_name(void **state)
{
	_cleanup_(strvec_done) struct strvec offered = STRVEC_INIT;

	(void)state;
	strvec_split(&offered, "here,deb=bookworm:root", ',');
	assert_true(labels_offer(&offered, "deb"));
	assert_true(labels_offer(&offered, "here"));
	assert_false(labels_offer(&offered, "bookworm"));
	assert_false(labels_offer(&offered, "deb=bookworm:root"));
}

TEST_MAIN(TEST(a_job_gets_the_root_of_its_labels), TEST(what_cannot_be_is_named),
	TEST(the_first_label_that_nobody_offers_is_named),
	TEST(a_mapped_label_is_offered_by_its_name))
