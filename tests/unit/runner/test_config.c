/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "runner/config.h"

static int load(const struct test_dir *dir, const char *text, struct config **ret,
	char **report, struct err *err)
{
	_cleanup_free_ char *path = xasprintf("%s/sluice.yml", dir->path);
	size_t len = 0;
	FILE *f = open_memstream(report, &len);
	int r;

	test_write(dir, "sluice.yml", text);
	r = config_load(path, NULL, f, ret, err);
	fclose(f);
	return r;
}

static void reads_every_kind_of_value(void **state)
{
	_cleanup_(config_freep) struct config *c = NULL;
	_cleanup_free_ char *report = NULL;
	struct err err = ERR_INIT;

	assert_ok(load(*state,
			  "listen: 127.0.0.1:0\nexternal_url: https://ci.example.com/\n"
			  "capacity: 3\nlabel_wait: 90s\nlimits:\n  memory: 2G\n"
			  "network:\n  only_allowed: true\n  allow: [a.example, 10.0.0.0/8]\n"
			  "data: /tmp/x\n",
			  &c, &report, &err),
		&err);
	assert_string_equal(c->external_url, "https://ci.example.com");
	assert_int_equal(c->capacity, 3);
	assert_int_equal(c->label_wait_ms, 90000);
	assert_int_equal(c->job_memory, 2LL << 30);
	assert_true(c->network_only_allowed);
	assert_int_equal(c->network_allow.len, 2);
	assert_string_equal(c->network_allow.v[1], "10.0.0.0/8");
	assert_string_equal(c->key_file, "/tmp/x.key");
	assert_string_equal(c->profile, "standard");
	assert_string_equal(report, "");
}

static const struct {
	const char *text, *words;
} wrong[] = {
	{ "externel_url: x\n", "unknown key 'externel_url'" },
	{ "capacity: many\n", "'capacity' is 'many'; it takes a whole number" },
	{ "capacity: -1\n", "'capacity' is '-1', which is out of range" },
	{ "profile: root\n", "'profile' is 'root'; it takes one of: strict, standard" },
	{ "label_wait: 5\n", "it takes a duration such as 30s, 10m, 24h or 90d" },
	{ "limits:\n  memory: lots\n", "it takes a size such as 512M or 4G" },
	{ "network: none\n", "unknown key 'network'" },
	{ "listen: 8480\n", "it takes ADDRESS:PORT" },
	{ "tls:\n  certificate: x\n", "go together" },
	{ "data: /srv/s\nkey_file: /srv/s/key\n", "lies inside the data directory" },
	{ "external_url: ci.example.com\n", "it begins with http:// or https://" },
	{ "capacity: 1\ncapacity: 2\n", "capacity" },
	{ "- a\n", "a configuration is a mapping of keys" },
	{ "capacity: [1]\n", "'capacity' takes one value" },
};

static void says_what_is_wrong(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct config *c = NULL;
		_cleanup_free_ char *report = NULL;
		struct err err = ERR_INIT;

		assert_int_equal(load(*state, wrong[i].text, &c, &report, &err), -1);
		assert_null(c);
		assert_has(err.msg, wrong[i].words);
	}
}

static void points_at_the_place(void **state)
{
	struct config *c = NULL;
	_cleanup_free_ char *report = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(load(*state, "capacity: 1\nexternel_url: x\n", &c, &report, &err), -1);
	assert_has(report, "sluice.yml:2:1: unknown key 'externel_url' [config-key]");
	assert_has(report, "^^^^^^^^^^^^ did you mean 'external_url'?");
}

static void the_environment_beats_the_file_and_a_flag_beats_both(void **state)
{
	_cleanup_(config_freep) struct config *c = NULL;
	_cleanup_free_ char *report = NULL, *path = NULL;
	struct strvec flags = STRVEC_INIT;
	struct err err = ERR_INIT;

	setenv("SLUICE_CAPACITY", "7", 1);
	setenv("SLUICE_NETWORK_ALLOW", "a.example, b.example", 1);
	assert_ok(load(*state, "capacity: 1\n", &c, &report, &err), &err);
	assert_int_equal(c->capacity, 7);
	assert_int_equal(c->network_allow.len, 2);
	assert_string_equal(c->network_allow.v[1], "b.example");
	config_free(take_ptr(c));
	path = xasprintf("%s/sluice.yml", ((struct test_dir *)*state)->path);
	strvec_push(&flags, "capacity=9");
	assert_ok(config_load(path, &flags, NULL, &c, &err), &err);
	assert_int_equal(c->capacity, 9);
	strvec_done(&flags);
	unsetenv("SLUICE_CAPACITY");
	unsetenv("SLUICE_NETWORK_ALLOW");
}

static void a_file_of_comments_changes_nothing(void **state)
{
	static const char *const texts[] = { "", "\n", "# capacity: 3\n", " \t# a\n\n#b" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup_(config_freep) struct config *c = NULL;
		_cleanup_free_ char *report = NULL;
		struct err err = ERR_INIT;

		assert_ok(load(*state, texts[i], &c, &report, &err), &err);
		assert_string_equal(c->profile, "standard");
	}
}

static void the_example_it_prints_is_a_configuration(void **state)
{
	_cleanup_(config_freep) struct config *c = NULL;
	_cleanup_free_ char *report = NULL, *text = NULL;
	struct err err = ERR_INIT;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	config_print_example(f);
	fclose(f);
	/* Every default, uncommented: "#key:" and "#  key:", while words keep their "# ". */
	for (char *p = text; *p; p++)
		if ((p == text || p[-1] == '\n') && p[0] == '#' &&
			(p[1] != ' ' || p[2] == ' '))
			memmove(p, p + 1, strlen(p));
	assert_ok(load(*state, text, &c, &report, &err), &err);
}

TEST_MAIN(TEST_DIR(reads_every_kind_of_value), TEST_DIR(says_what_is_wrong),
	TEST_DIR(points_at_the_place),
	TEST_DIR(the_environment_beats_the_file_and_a_flag_beats_both),
	TEST_DIR(a_file_of_comments_changes_nothing),
	TEST_DIR(the_example_it_prints_is_a_configuration))
