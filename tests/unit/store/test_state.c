/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/world.h"

#include "store/state.h"

/* The tables once more, as text, written by hand: each line is one legal move. */
static const char *const legal[] = {
	"delivery: accepted",
	"delivery: ignored",
	"delivery: rejected",
	"event: pending",
	"event: ignored",
	"event:pending planned",
	"event:pending ignored",
	"event:pending failed",
	"event:failed pending",
	"run: pending",
	"run:pending queued",
	"run:pending completed",
	"run:queued running",
	"run:queued completed",
	"run:running completed",
	"run:completed pending",
	"job: waiting",
	"job: completed",
	"job:waiting awaiting_approval",
	"job:waiting queued",
	"job:waiting completed",
	"job:awaiting_approval queued",
	"job:awaiting_approval completed",
	"job:queued claimed",
	"job:queued completed",
	"job:claimed released",
	"job:claimed queued",
	"job:claimed finalising",
	"job:claimed cancelling",
	"job:claimed completed",
	"job:released running",
	"job:released finalising",
	"job:released cancelling",
	"job:released queued",
	"job:released lost",
	"job:released completed",
	"job:running finalising",
	"job:running cancelling",
	"job:running queued",
	"job:running lost",
	"job:running completed",
	"job:finalising completed",
	"job:cancelling finalising",
	"job:cancelling completed",
	"job:lost finalising",
	"job:lost completed",
	"step: pending",
	"step: running",
	"step: completed",
	"step:pending running",
	"step:pending completed",
	"step:running completed",
	"gate: pending",
	"gate: approved",
	"gate:pending approved",
	"gate:pending rejected",
	"gate:pending expired",
	"gate:pending superseded",
	"gate:pending void",
	"gate:approved void",
};

static bool is_listed(enum state_machine m, int from, int to)
{
	_cleanup_free_ char *want = xasprintf("%s:%s %s", state_machine_name(m),
		from == STATE_NONE ? "" : state_name(m, from), state_name(m, to));

	for (size_t i = 0; i < ARRAY_SIZE(legal); i++)
		if (str_eq(legal[i], want))
			return true;
	return false;
}

static void allows_exactly_the_moves_written_down(void **state)
{
	size_t found = 0;

	for (int m = 0; m < MACHINES; m++)
		for (int from = STATE_NONE; from < state_count(m); from++)
			for (int to = 0; to < state_count(m); to++) {
				if (state_allows(m, from, to) != is_listed(m, from, to))
					fail_msg("%s: '%s' to '%s'",
						state_machine_name(m),
						state_name(m, from), state_name(m, to));
				found += state_allows(m, from, to);
			}
	assert_int_equal(found, ARRAY_SIZE(legal));
}

static void names_and_states_are_one_to_one(void **state)
{
	for (int m = 0; m < MACHINES; m++)
		for (int i = 0; i < state_count(m); i++)
			assert_int_equal(state_parse(m, state_name(m, i)), i);
	assert_int_equal(state_parse(MACHINE_JOB, "nonsense"), STATE_NONE);
	assert_string_equal(state_name(MACHINE_JOB, 99), "");
	for (int c = 1; c <= CONCLUSION_SKIPPED; c++)
		assert_int_equal(conclusion_parse(conclusion_name(c)), c);
	assert_int_equal(conclusion_parse("nonsense"), CONCLUSION_NONE);
}

static void refuses_what_the_table_does_not_have_as_a_bug(void **state)
{
	struct world *w = *state;
	int64_t job = world_job(w, world_run(w, "a"), "a", 0);
	struct state_move m = { .machine = MACHINE_JOB,
		.id = job,
		.from = JOB_WAITING,
		.to = JOB_RUNNING,
		.who = ACTOR_CORE };

	assert_int_equal(state_move(w->s, &m, &w->err), -1);
	assert_err_has(&w->err, ERR_BUG, "cannot go from 'waiting' to 'running'");
	assert_int_equal(world_state(w, job), JOB_WAITING);
}

/* All moves of all machines that move, tried on rows: legal ones work, others change nothing. */
static void every_illegal_move_leaves_the_row_alone(void **state)
{
	struct world *w = *state;
	int64_t job = world_job(w, world_run(w, "a"), "a", 0);

	for (int from = 0; from < state_count(MACHINE_JOB); from++)
		for (int to = 0; to < state_count(MACHINE_JOB); to++) {
			struct state_move m = { .machine = MACHINE_JOB,
				.id = job,
				.from = from,
				.to = to,
				.who = ACTOR_CORE };
			const struct db_arg set[] = {
				db_arg_str(state_name(MACHINE_JOB, from)), db_arg_int(job)
			};
			bool legal_move = state_allows(MACHINE_JOB, from, to);

			assert_ok(
				db_run_args(store_db(w->s), &w->err,
					"UPDATE jobs SET state = ? WHERE id = ?", set, 2),
				&w->err);
			assert_int_equal(
				state_move(w->s, &m, &w->err), legal_move ? 0 : -1);
			assert_int_equal(world_state(w, job), legal_move ? to : from);
		}
}

static void the_loser_of_a_race_is_told_what_the_row_is_now(void **state)
{
	struct world *w = *state;
	int64_t run = world_run(w, "a"), job = world_job(w, run, "a", 0);
	int64_t epoch;
	struct state_move m = { .machine = MACHINE_JOB,
		.id = job,
		.from = JOB_QUEUED,
		.to = JOB_CLAIMED,
		.who = ACTOR_CORE,
		.run = run };

	world_expand(w, job, NULL);
	epoch = world_claim(w, job);
	assert_int_equal(state_move(w->s, &m, &w->err), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "is claimed and no longer queued");
	m.from = JOB_CLAIMED;
	m.to = JOB_RELEASED;
	m.epoch = epoch - 1;
	assert_int_equal(state_move(w->s, &m, &w->err), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "epoch");
	m.id = 4711;
	assert_int_equal(state_move(w->s, &m, &w->err), -1);
	assert_err(&w->err, ERR_NOT_FOUND, "no job 4711");
	assert_int_equal(world_state(w, job), JOB_CLAIMED);
	world_check(w);
}

static void a_move_and_its_audit_row_come_together_or_not_at_all(void **state)
{
	struct world *w = *state;
	int64_t job = world_job(w, world_run(w, "a"), "a", 0), rows, after;

	assert_ok(
		db_value(store_db(w->s), &rows, 0, &w->err, "SELECT count(*) FROM audit"),
		&w->err);
	/* The audit log refuses: so must the move (SECURITY DB17). */
	assert_ok(
		db_script(store_db(w->s),
			"CREATE TRIGGER t BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no');"
			" END",
			&w->err),
		&w->err);
	assert_int_equal(world_try_expand(w, job, NULL), -1);
	assert_err_has(&w->err, ERR_CONFLICT, "audit");
	assert_int_equal(world_state(w, job), JOB_WAITING);
	assert_ok(db_script(store_db(w->s), "DROP TRIGGER t", &w->err), &w->err);
	world_expand(w, job, NULL);
	assert_ok(db_value(store_db(w->s), &after, 0, &w->err,
			  "SELECT count(*) FROM audit"),
		&w->err);
	assert_int_equal(after, rows + 1); /* job.queued */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(allows_exactly_the_moves_written_down),
		TEST(names_and_states_are_one_to_one),
		WORLD(refuses_what_the_table_does_not_have_as_a_bug),
		WORLD(every_illegal_move_leaves_the_row_alone),
		WORLD(the_loser_of_a_race_is_told_what_the_row_is_now),
		WORLD(a_move_and_its_audit_row_come_together_or_not_at_all),
	};

	return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL);
}
