/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc says of our processes is read strictly: any doubt is a refusal. */
#include "tests/lib/test.h"

#include "sandbox/sandbox-internal.h"

#define HEAD "Name:\tbash\nUmask:\t0022\nState:\tS (sleeping)\n"
#define IDS  "Uid:\t3000000001\t3000000001\t3000000001\t3000000001\nGid:\t7\t7\t7\t7\n"
#define CAPS                                                     \
	"CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n" \
	"CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n" \
	"CapAmb:\t0000000000000000\n"
#define TAIL  "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t2\nThreads:\t1\n"
#define WHOLE HEAD IDS "Groups:\t \n" CAPS TAIL

static const struct status_want want = {
	.uid = 3000000001u, .gid = 7, .filters_min = 2, .no_groups = true
};

static void a_whole_confinement_is_accepted(void **state)
{
	struct status_want more = want;
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(verify_text(WHOLE, &want, "the step", &err), &err);
	more.filters_min = 3;
	assert_int_equal(verify_text(WHOLE, &more, "the step", &err), -1);
	assert_err(&err, ERR_DENIED,
		"the confinement of the step is not whole: Seccomp_filters is '2'");
}

static void each_hole_in_it_is_named(void **state)
{
	static const struct {
		const char *from, *to, *words;
	} cases[] = {
		{ "Uid:\t3000000001\t3", "Uid:\t3000000001\t4", "Uid is '3000000001\t4" },
		{ "\t3000000001\nGid", "\t0\nGid", "Uid is" },
		{ "Gid:\t7\t7\t7\t7", "Gid:\t7\t7\t0\t7", "Gid is '7\t7\t0\t7'" },
		{ "Gid:\t7\t7\t7\t7", "Gid:\t7\t7\t7", "Gid is '7\t7\t7'" },
		{ "Groups:\t ", "Groups:\t27 ", "Groups is '27'" },
		{ "Groups:", "Grxups:", "Groups is 'missing'" },
		{ "CapInh:\t0", "CapInh:\t8", "CapInh is '8000000000000000'" },
		{ "CapPrm:\t000000000000000", "CapPrm:\t000000000000004", "CapPrm is" },
		{ "CapEff:\t0", "CapEff:\tx", "CapEff is 'missing'" },
		{ "CapBnd:\t0", "CapBnd:\t1", "CapBnd is" },
		{ "CapAmb:\t0", "CapAmb:\t1", "CapAmb is" },
		{ "NoNewPrivs:\t1", "NoNewPrivs:\t0", "NoNewPrivs is '0'" },
		{ "NoNewPrivs:\t1\n", "", "NoNewPrivs is 'missing'" },
		{ "Seccomp:\t2", "Seccomp:\t0", "Seccomp is '0'" },
		{ "Seccomp:\t2", "Seccomp:\t2x", "Seccomp is 'missing'" },
		{ "Seccomp_filters:\t2", "Seccomp_filters:\t1",
			"Seccomp_filters is '1'" },
		{ "Seccomp_filters:\t2\n", "", "Seccomp_filters is 'missing'" },
		{ "Threads:\t1", "Threads:\t2", "Threads is '2'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
		const char *at = strstr(WHOLE, cases[i].from);
		struct err err = ERR_INIT;

		assert_non_null(at);
		strbuf_add(&text, WHOLE, (size_t)(at - WHOLE));
		strbuf_adds(&text, cases[i].to);
		strbuf_adds(&text, at + strlen(cases[i].from));
		if (verify_text(text.buf, &want, "it", &err) == 0)
			fail_msg("accepted: %s", cases[i].to);
		assert_err_has(&err, ERR_DENIED, cases[i].words);
	}
}

/* A process names itself: a newline in a name is escaped by the kernel, a prefix is not. */
static void a_line_of_another_name_is_not_taken_for_ours(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(verify_text("Name:\tSeccomp:\t2\nXUid:\t1\n" CAPS TAIL, &want,
				 "it", &err),
		-1);
	assert_err_has(&err, ERR_DENIED, "Uid is 'missing'");
	assert_int_equal(verify_text("", &want, "it", &err), -1);
}

static void maps_are_three_numbers_a_line(void **state)
{
	static const struct {
		const char *text;
		int lines; /* -1: refused */
	} cases[] = {
		{ "      1001 3000000001          1\n", 1 },
		{ "0 5 1\n1 6 1\n", 2 },
		{ "", 0 },
		{ "0 5\n", -1 },
		{ "0 5 1 \nx", -1 },
		{ "0 4294967296 1\n", -1 },
		{ "0 -1 1\n", -1 },
		{ "0 1 1\n0 2 1\n0 3 1\n0 4 1\n0 5 1\n", -1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t got[4][3];
		size_t len = 0;
		int rc = idmap_parse(cases[i].text, got, 4, &len);

		if ((rc < 0 ? -1 : (int)len) != cases[i].lines)
			fail_msg("'%s' gives %d, %zu", cases[i].text, rc, len);
	}
}

static void our_own_maps_are_not_what_a_job_has(void **state)
{
	const uint32_t wrong[1][3] = { { 1001, 12345, 1 } };
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(idmap_verify(getpid(), "uid_map", wrong, 1, &err), -1);
	assert_int_equal(err.code, ERR_DENIED);
	assert_int_equal(idmap_verify(getpid(), "no_such_map", wrong, 1, &err), -1);
}

static void ids_of_the_host_root_or_of_the_service_are_refused(void **state)
{
	static const struct {
		struct sandbox_ids ids;
		bool good;
	} cases[] = {
		{ { SANDBOX_IDMAP_ROOT, 100, 100, 101, 101 }, true },
		{ { SANDBOX_IDMAP_ROOT, 0, 100, 101, 101 }, false },
		{ { SANDBOX_IDMAP_ROOT, 100, 0, 101, 101 }, false },
		{ { SANDBOX_IDMAP_ROOT, 100, 100, 0, 101 }, false },
		{ { SANDBOX_IDMAP_NEWUIDMAP, 100, 100, 101, 0 }, false },
		{ { SANDBOX_IDMAP_ROOT, 100, 100, 100, 101 }, false },
		{ { SANDBOX_IDMAP_ROOT, 100, 100, 101, 100 }, false },
		{ { SANDBOX_IDMAP_SELF, 100, 100, 0, 0 }, true },
		{ { SANDBOX_IDMAP_SELF, 0, 0, 0, 0 }, false },
		/* Ranges: the service's id in the middle, the last one, past all numbers. */
		{ { SANDBOX_IDMAP_ROOT, 100, 100, 200, 200, 200, 200, 50, true }, true },
		{ { SANDBOX_IDMAP_ROOT, 210, 100, 200, 200, 200, 200, 50, true }, false },
		{ { SANDBOX_IDMAP_ROOT, 100, 249, 200, 200, 200, 200, 50, true }, false },
		{ { SANDBOX_IDMAP_ROOT, 100, 250, 200, 200, 200, 200, 50, true }, true },
		{ { SANDBOX_IDMAP_ROOT, 100, 100, 4294967246u, 200, 0, 200, 50, true },
			false },
		{ { SANDBOX_IDMAP_ROOT, 100, 100, 200, 200, 200, 200, 0, true }, false },
		{ { SANDBOX_IDMAP_SELF, 100, 100, 200, 200, 200, 200, 50, true }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(idmap_check(&cases[i].ids, NULL) == 0, cases[i].good);
	/* And the writer asks again: it may be another process than the one that chose. */
	assert_int_equal(sandbox_write_maps(getpid(), &cases[1].ids, NULL), -1);
}

static void each_slot_has_an_id_of_its_own_until_there_are_none(void **state)
{
	struct sandbox_caps caps = { .idmap = SANDBOX_IDMAP_ROOT,
		.sub_uid = 1000,
		.sub_uid_len = 4,
		.sub_gid = 2000,
		.sub_gid_len = 4 };
	struct sandbox_ids a, b;
	struct err err = ERR_INIT;

	(void)state;
	assert_ok(sandbox_ids_for(&caps, 0, 0, 0, &a, &err), &err);
	assert_ok(sandbox_ids_for(&caps, 555, 556, 2, &b, &err), &err);
	assert_int_equal(a.service_uid, 1000);
	assert_int_equal(a.job_uid, 1001);
	assert_int_equal(a.job_gid, 2001);
	assert_int_equal(b.service_uid, 555);
	assert_int_equal(b.service_gid, 556);
	assert_int_equal(b.job_uid, 1003);
	assert_int_equal(sandbox_ids_for(&caps, 0, 0, 3, &a, &err), -1);
	assert_err(&err, ERR_LIMIT, "no id is left for job slot 3 of 4");
}

static void no_two_slots_share_an_id_of_their_ranges(void **state)
{
	struct sandbox_caps caps = { .idmap = SANDBOX_IDMAP_NEWUIDMAP,
		.sub_uid = 100000,
		.sub_uid_len = 3 * SANDBOX_RANGE_LEN,
		.sub_gid = 100000,
		.sub_gid_len = 3 * SANDBOX_RANGE_LEN };
	struct sandbox_ids ids[3];
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_ok(sandbox_ids_for(&caps, 0, 0, i, &ids[i], &err), &err);
	/* Two fit behind the single ids, and end where the account's range ends. */
	assert_ok(sandbox_ids_widen(&ids[0], &err), &err);
	assert_ok(sandbox_ids_widen(&ids[1], &err), &err);
	assert_true(ids[0].is_wide);
	assert_int_equal(ids[0].job_uid, 100000 + SANDBOX_RANGE_LEN);
	assert_int_equal(ids[1].job_gid, ids[0].job_gid + SANDBOX_RANGE_LEN);
	assert_int_equal(ids[1].job_uid + ids[1].range_len,
		caps.sub_uid + caps.sub_uid_len);
	assert_true(ids[2].job_uid < ids[0].job_uid);
	assert_int_equal(sandbox_ids_widen(&ids[2], &err), -1);
	assert_err(&err, ERR_UNSUPPORTED, "no id range is left for this job's slot");
	assert_false(ids[2].is_wide);
	/* A range of one length, as account tools give it, has room for none. */
	caps.sub_uid_len = caps.sub_gid_len = SANDBOX_RANGE_LEN;
	assert_ok(sandbox_ids_for(&caps, 0, 0, 0, &ids[0], &err), &err);
	assert_int_equal(sandbox_ids_widen(&ids[0], &err), -1);
}

static void the_last_slots_of_root_stay_below_the_last_id(void **state)
{
	struct sandbox_caps caps = { .idmap = SANDBOX_IDMAP_ROOT,
		.sub_uid = 3000000000u,
		.sub_uid_len = 65536,
		.sub_gid = 3000000000u,
		.sub_gid_len = 65536 };
	struct sandbox_ids ids;
	struct err err = ERR_INIT;

	(void)state;
	for (unsigned slot = 0; slot < 65000; slot += 97) {
		err_clear(&err);
		assert_ok(sandbox_ids_for(&caps, 0, 0, slot, &ids, &err), &err);
		if (sandbox_ids_widen(&ids, &err) < 0) {
			assert_true(slot > 8192); /* the spawner gives no higher one */
			continue;
		}
		assert_true(ids.job_uid >= caps.sub_uid + caps.sub_uid_len);
		assert_true((uint64_t)ids.job_uid + ids.range_len < UINT32_MAX);
	}
}

TEST_MAIN(TEST_CASE("SB15 SB27", a_whole_confinement_is_accepted), TEST_CASE("SB15 SB27", each_hole_in_it_is_named),
	TEST(a_line_of_another_name_is_not_taken_for_ours),
	TEST(maps_are_three_numbers_a_line), TEST(our_own_maps_are_not_what_a_job_has),
	TEST_CASE("SB16", ids_of_the_host_root_or_of_the_service_are_refused),
	TEST(each_slot_has_an_id_of_its_own_until_there_are_none),
	TEST(no_two_slots_share_an_id_of_their_ranges),
	TEST(the_last_slots_of_root_stay_below_the_last_id))
