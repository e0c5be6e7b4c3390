/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gates. One is (run, attempt, environment, wave): the rows of a matrix that reach their
 * environment while its gate is pending join it. It binds to sha, workflow digest and
 * attempt, is decided once, and every doubt closes it. The gate of an untrusted run as a
 * whole ("maintainer") has no environment.
 *
 * An environment without reviewers and wait timer has a gate too, born approved by its
 * rules, so that no job passes without a row that says why it may.
 */
#ifndef STORE_GATES_H
#define STORE_GATES_H

#include <stdbool.h>
#include <stdint.h>

#include "store/state.h"

struct gate {
	int64_t id;
	int64_t run;
	int64_t repo;
	int64_t attempt;
	int64_t wave;
	enum gate_state state;
	char *environment; /* "" for a maintainer's gate */
	char *sha;
	char *digest;	 /* workflow digest: what a vote names */
	char *reviewers; /* JSON array, as they were when it opened */
	int64_t required;
	int64_t approvals;
	int64_t opens_at;   /* wait timer; 0 none */
	int64_t expires_at; /* 0 never */
	int64_t created_at;
	int64_t decided_at;
	char *decided_by;
	char *reason;
};
void gate_done(struct gate *g);
int gates_get(struct store *s, int64_t id, struct gate *ret, struct err *err);
/* The pending gate of a run (latest attempt) for ENVIRONMENT; NULL: the only one there is. */
int gates_find(struct store *s, int64_t run, const char *environment, int64_t *ret_id,
	struct err *err);

struct gate_vote {
	int64_t gate;
	struct actor who; /* name is the principal: "mira", "key:demo" */
	bool has_scope; /* approve: for maintainers' gates, and where reviewers has "*" */
	bool approves;
	const char *digest; /* the workflow digest the voter was shown; needed (ERR_INPUT) */
	const char *sha;    /* the commit, where it was shown too; NULL: not asked */
	const char *comment; /* may be NULL */
	const char *
		nonce; /* of a signed call, unique with the key for its window; or NULL */
	int64_t nonce_expires; /* wall clock */
};
struct gate_result {
	enum gate_state state;
	int64_t approvals;
	int64_t required;
	int64_t opens_at; /* approved but for the wait timer until then */
};
/*
 * One transaction: the gate is pending and not expired (ERR_CONFLICT says what it is
 * instead, and by whom), it is still what the voter saw (ERR_CONFLICT), the nonce is new
 * (ERR_CONFLICT), the voter is a reviewer (ERR_DENIED) and no identity of the run unless
 * the rules allow it (ERR_DENIED), and has not voted (ERR_CONFLICT). The last approval
 * needed lets the jobs go on, a refusal ends them as failure.
 */
int gates_vote(struct store *s, const struct gate_vote *v, struct gate_result *ret,
	struct err *err);

/*
 * What time does to gates: expires the overdue, opens those whose timer has passed and
 * votes suffice. *RET_NEXT is when to come back (wall clock), 0 if nothing is due.
 */
int gates_tick(struct store *s, int64_t *ret_next, struct err *err);

#endif
