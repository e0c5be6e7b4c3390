/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state machines of delivery, event, run, job, step and gate as tables, and the one
 * way a state changes: a compare-and-set on (id, state, epoch) with its audit row (and,
 * where the repository wants commit statuses, its outbox row) in one transaction.
 *
 * A transition the table does not have is our bug (ERR_BUG). A row that is no longer as
 * expected is ERR_CONFLICT: the actor lost a race and has to look again.
 */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/audit.h"
#include "store/db.h"
#include "store/store.h"

enum state_machine {
	MACHINE_DELIVERY,
	MACHINE_EVENT,
	MACHINE_RUN,
	MACHINE_JOB,
	MACHINE_STEP,
	MACHINE_GATE,
	MACHINES,
};

/* Born in the state its one transaction gives it: no later move. */
enum delivery_state {
	DELIVERY_ACCEPTED, /* has exactly one event */
	DELIVERY_IGNORED,  /* well-formed, nothing to do: ping, a kind we do not run */
	DELIVERY_REJECTED, /* rightly signed, wrong content: another repository, bad shape */
};

enum event_state {
	EVENT_PENDING, /* to be planned; stays so over a crash of the planner */
	EVENT_PLANNED, /* has one run or more */
	EVENT_IGNORED, /* no workflow wanted it, [skip ci] */
	EVENT_FAILED,  /* could not be planned: says why, can be planned again */
};

enum run_state {
	RUN_PENDING, /* waits for its concurrency group or for a maintainer (fork) */
	RUN_QUEUED,  /* no job has been released yet */
	RUN_RUNNING,
	RUN_COMPLETED, /* a re-run is attempt + 1 and begins at pending again */
};

enum job_state {
	JOB_WAITING, /* needs, expansion, concurrency */
	JOB_AWAITING_APPROVAL,
	JOB_QUEUED,
	JOB_CLAIMED,  /* has an epoch and an executor; nothing of the user's has run */
	JOB_RELEASED, /* durable before the first user code: may have run */
	JOB_RUNNING,
	JOB_FINALISING, /* exit record applied, log to be sealed */
	JOB_CANCELLING, /* its executor is being told, or killed */
	JOB_LOST, /* outcome unknown, at most once: a person decides. Not terminal */
	JOB_COMPLETED,
};

enum step_state { STEP_PENDING, STEP_RUNNING, STEP_COMPLETED };

enum gate_state {
	GATE_PENDING,
	GATE_APPROVED,
	GATE_REJECTED,
	GATE_EXPIRED,
	GATE_SUPERSEDED, /* a newer commit of the same workflow and ref reached the gate */
	GATE_VOID,	 /* its run was cancelled, or the store restored */
};

enum conclusion {
	CONCLUSION_NONE,
	CONCLUSION_SUCCESS,
	CONCLUSION_FAILURE,
	CONCLUSION_CANCELLED,
	CONCLUSION_SKIPPED,
};

#define STATE_NONE (-1) /* "from" of a birth */

/* "awaiting_approval"; stable words of database, API and pages. */
const char *state_name(enum state_machine m, int state);
int state_parse(enum state_machine m, const char *name); /* or STATE_NONE */
const char *state_machine_name(enum state_machine m);	 /* "job" */
int state_count(enum state_machine m);
bool state_allows(enum state_machine m, int from, int to);
bool state_is_terminal(enum state_machine m, int state);
const char *conclusion_name(enum conclusion c); /* "" for none */
enum conclusion conclusion_parse(const char *name);

/*
 * Steps have no audit rows: their record is the journal, whose frames are applied with
 * their sequence in one transaction.
 *
 * One move. SET and WHERE are SQL fragments with ?1, ?2 ... for ARGS (at most STATE_ARGS):
 * SET = "claimed_at = ?1, placement = ?2", WHERE = "expires_at > ?3". Both may be NULL.
 * EPOCH is the job's fencing token, for a run its attempt; ignored for other machines.
 * RUN and JOB say whose row it is (audit, live pages); 0 if it has none.
 */
#define STATE_ARGS 12
struct state_move {
	enum state_machine machine;
	int64_t id;
	int64_t epoch;
	int from;
	int to;
	struct actor who;
	const char *reason; /* words for people, kept in the audit row; may be NULL */
	int64_t run;
	int64_t job;
	const char *set;
	const char *where;
	const struct db_arg *args;
	size_t args_len;
};
int state_move(struct store *s, const struct state_move *m, struct err *err);
/* The audit row of a row just inserted in state m->to; checks that it may be born there. */
int state_born(struct store *s, const struct state_move *m, struct err *err);

#endif
