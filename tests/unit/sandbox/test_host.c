/* SPDX-License-Identifier: Apache-2.0 */
/* What may run on which host, and in which words it is refused. */
#include "tests/lib/test.h"

#include "sandbox/sandbox-internal.h"

static struct sandbox_caps whole(void)
{
	struct sandbox_caps caps = { .landlock_abi = 7 };

	return caps;
}

static void weaken(struct sandbox_caps *caps, enum sandbox_facility f, const char *words)
{
	caps->facts[f].state = SANDBOX_WEAKER;
	(void)snprintf(caps->facts[f].weaker, sizeof(caps->facts[f].weaker), "%s", words);
}

static void a_whole_host_takes_all_that_is_built(void **state)
{
	struct sandbox_caps caps = whole();
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(sandbox_decide(&caps, SANDBOX_STRICT, SANDBOX_UNTRUSTED,
			  SANDBOX_NET_NONE, &err),
		&err);
	assert_ok(sandbox_decide(&caps, SANDBOX_STANDARD, SANDBOX_TRUSTED,
			  SANDBOX_NET_PROXY, &err),
		&err);
	assert_ok(sandbox_decide(&caps, SANDBOX_STANDARD, SANDBOX_TRUSTED,
			  SANDBOX_NET_HOST, &err),
		&err);
	assert_ok(sandbox_decide(&caps, SANDBOX_STANDARD, SANDBOX_TRUSTED,
			  SANDBOX_NET_EGRESS, &err),
		&err);
}

static void what_is_refused_says_why(void **state)
{
	static const struct {
		enum sandbox_profile profile;
		enum sandbox_trust trust;
		enum sandbox_network network;
		enum err_code code;
		const char *words;
	} cases[] = {
		{ SANDBOX_ROOT, SANDBOX_UNTRUSTED, SANDBOX_NET_NONE, ERR_DENIED,
			"untrusted work runs under profile 'strict', never 'root'" },
		{ SANDBOX_BUILD, SANDBOX_TRUSTED, SANDBOX_NET_HOST, ERR_UNSUPPORTED,
			"profile 'build' makes networks of its own and never gets level "
			"'host': use 'proxy' or 'none'" },
		{ SANDBOX_BUILD, SANDBOX_UNTRUSTED, SANDBOX_NET_NONE, ERR_DENIED,
			"untrusted work runs under profile 'strict', never 'build'" },
		{ SANDBOX_STANDARD, SANDBOX_TRUSTED, SANDBOX_NET_EGRESS, ERR_UNSUPPORTED,
			"network level 'egress' cannot be had here: it takes root" },
		{ SANDBOX_STRICT, SANDBOX_UNTRUSTED, SANDBOX_NET_EGRESS, ERR_DENIED,
			"untrusted work never gets a routed network" },
		{ SANDBOX_STANDARD, SANDBOX_UNTRUSTED, SANDBOX_NET_NONE, ERR_DENIED,
			"untrusted work runs under profile 'strict', never 'standard'" },
		{ SANDBOX_STRICT, SANDBOX_UNTRUSTED, SANDBOX_NET_HOST, ERR_DENIED,
			"untrusted work never gets the host's network" },
	};
	struct sandbox_caps caps = whole();

	(void)state;
	(void)snprintf(caps.no_egress, sizeof(caps.no_egress), "it takes root");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(sandbox_decide(&caps, cases[i].profile, cases[i].trust,
					 cases[i].network, &err),
			-1);
		assert_err(&err, cases[i].code, cases[i].words);
	}
}

static void nothing_runs_where_something_required_is_missing(void **state)
{
	(void)state;
	for (int f = 0; f < SANDBOX_FACILITIES; f++) {
		struct sandbox_caps caps = whole();
		struct err err = ERR_INIT;

		caps.facts[f].state = SANDBOX_MISSING;
		(void)snprintf(caps.facts[f].words, sizeof(caps.facts[f].words),
			"there is none");
		assert_int_equal(sandbox_decide(&caps, SANDBOX_STANDARD, SANDBOX_TRUSTED,
					 SANDBOX_NET_NONE, &err),
			-1);
		assert_err_has(&err, ERR_UNSUPPORTED, "there is none");
		assert_err_has(&err, ERR_UNSUPPORTED,
			sandbox_facility_name((enum sandbox_facility)f));
	}
}

static void a_weaker_host_is_named_and_takes_no_strangers(void **state)
{
	_cleanup_(strvec_done) struct strvec words = STRVEC_INIT;
	struct sandbox_caps caps = whole();
	struct err err = ERR_INIT;

	(void)state;
	weaken(&caps, SANDBOX_FACILITY_LANDLOCK, "landlock ABI 2 (no truncate)");
	assert_ok(sandbox_decide(&caps, SANDBOX_STRICT, SANDBOX_UNTRUSTED,
			  SANDBOX_NET_NONE, &err),
		&err);
	weaken(&caps, SANDBOX_FACILITY_IDS, "ids: all jobs share the service's own id");
	assert_ok(sandbox_decide(&caps, SANDBOX_STANDARD, SANDBOX_TRUSTED,
			  SANDBOX_NET_NONE, &err),
		&err);
	assert_int_equal(sandbox_decide(&caps, SANDBOX_STRICT, SANDBOX_UNTRUSTED,
				 SANDBOX_NET_NONE, &err),
		-1);
	assert_err(&err, ERR_DENIED,
		"untrusted work is refused here: ids: all jobs share the service's own "
		"id");
	sandbox_caps_weaker(&caps, &words);
	assert_int_equal(words.len, 2);
	assert_string_equal(words.v[0], "landlock ABI 2 (no truncate)");
}

static void names_are_read_and_written(void **state)
{
	enum sandbox_profile p = SANDBOX_BUILD;
	enum sandbox_network n = SANDBOX_NET_HOST;

	(void)state;
	assert_int_equal(sandbox_profile_parse("strict", &p), 0);
	assert_int_equal(p, SANDBOX_STRICT);
	assert_int_equal(sandbox_profile_parse("Strict", &p), -1);
	assert_int_equal(sandbox_network_parse("proxy", &n), 0);
	assert_int_equal(n, SANDBOX_NET_PROXY);
	assert_int_equal(sandbox_network_parse("", &n), -1);
	assert_int_equal(n, SANDBOX_NET_PROXY);
	assert_string_equal(sandbox_profile_name(SANDBOX_STANDARD), "standard");
	assert_string_equal(sandbox_network_name(SANDBOX_NET_EGRESS), "egress");
}

/* Whatever this host is: each fact says something, and each lack has its words. */
static void a_probe_leaves_no_fact_without_words(void **state)
{
	struct sandbox_caps caps;
	struct err err = ERR_INIT;
	size_t before = test_count_fds();

	(void)state;
	assert_ok(sandbox_probe(&caps, &err), &err);
	for (int f = 0; f < SANDBOX_FACILITIES; f++) {
		assert_true(*caps.facts[f].words);
		assert_int_equal(caps.facts[f].state == SANDBOX_WEAKER,
			*caps.facts[f].weaker != '\0');
	}
	assert_int_equal(test_count_fds(), before);
}

TEST_MAIN(TEST(a_whole_host_takes_all_that_is_built), TEST(what_is_refused_says_why),
	TEST(nothing_runs_where_something_required_is_missing),
	TEST(a_weaker_host_is_named_and_takes_no_strangers),
	TEST(names_are_read_and_written), TEST(a_probe_leaves_no_fact_without_words))
