/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share and nobody else sees. */
#ifndef STORE_STORE_INTERNAL_H
#define STORE_STORE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/strvec.h"
#include "store/environments.h"
#include "store/gates.h"
#include "store/jobs.h"
#include "store/state.h"
#include "store/store.h"

/* Short names for typed SQL arguments. */
#define I(v)	  db_arg_int(v)
#define S(v)	  db_arg_str(v)
#define B(ptr, n) db_arg_blob((ptr), (n))

struct store {
	struct db *db;
	uint8_t *key; /* one locked page, or NULL */
	int64_t instance_epoch;
	int64_t hooks_version;

	/* The end of the audit chain, as long as it is known (not after a rollback). */
	bool has_head;
	int64_t head_id;
	uint8_t head[SHA256_LEN];

	/* What the open transaction has touched; told after its commit. */
	struct store_change *changes;
	size_t changes_len;
	size_t changes_cap;
	store_changed_fn *on_change;
	void *on_change_data;
};

/* schema.c */
struct schema_step {
	int version;
	const char *sql;
};
extern const struct schema_step schema_steps[];
int schema_steps_count(void);

/* store.c: 0 where there is none. */
void store_touch(struct store *s, int64_t run, int64_t job, int64_t gate, int64_t repo);

/* audit.c: the row of a change of state. */
int audit_state(struct store *s, const struct state_move *m, struct err *err);

/*
 * Sealing (secrets.c): the box of SCOPE/NAME of REPO at VERSION. One table of all columns
 * that hold boxes serves key rotation.
 */
int box_seal(struct store *s, int64_t repo, const char *scope, const char *name,
	int64_t version, const void *plain, size_t len, struct strbuf *box,
	struct err *err);
int box_open(struct store *s, int64_t repo, const char *scope, const char *name,
	int64_t version, const void *box, size_t len, struct strbuf *plain,
	struct err *err);

/* concurrency.c: groups of runs and jobs, one running and one waiting each. */
enum owner_kind { OWNER_RUN, OWNER_JOB };
/*
 * Asks for the group. *RET: it may run. An owner that already waits or runs keeps its
 * place. What it replaces is cancelled here.
 */
int concurrency_enter(struct store *s, int64_t repo, const char *group, bool cancels,
	bool keeps, enum owner_kind kind, int64_t owner, int64_t run, bool *ret,
	struct err *err);
/* Gives up place or turn; the next in line is admitted. */
int concurrency_leave(
	struct store *s, enum owner_kind kind, int64_t owner, struct err *err);

/* runs.c: derives phase, state and conclusion from the jobs; after any job moved. */
int runs_refresh(struct store *s, int64_t run, struct err *err);

/* jobs.c */
/*
 * Ends a row that has no executor: state -> completed with CONCLUSION, its group left,
 * its deployment ended, the run refreshed. FROM is the state it must be in.
 */
int jobs_end(struct store *s, int64_t job, int64_t epoch, enum job_state from,
	enum conclusion c, const char *reason, const struct actor *who, struct err *err);
int jobs_cancel_row(struct store *s, int64_t job, const char *reason, bool force,
	const struct actor *who, struct err *err);

/* gates.c */
/* Joins or opens the gate of an environment for a job; *RET_STATE pending or approved. */
int gates_open(struct store *s, int64_t job, int64_t *ret_gate,
	enum gate_state *ret_state, struct err *err);
/* The maintainer's gate of a run's attempt, opened when missing. */
int gates_maintainer(
	struct store *s, int64_t run, enum gate_state *ret_state, struct err *err);
/* Closes all pending gates of a run's attempt. */
int gates_close_run(struct store *s, int64_t run, enum gate_state to, const char *reason,
	const struct actor *who, struct err *err);
/* Says in ERR (ERR_DENIED) why GATE does not let JOB's release pass, if it does not. */
int gates_permit(
	struct store *s, int64_t gate, int64_t run, int64_t attempt, struct err *err);

/* environments.c */
int environments_rules(struct store *s, int64_t repo, const char *name,
	struct env_rules *ret, struct err *err);
int deployments_begin(struct store *s, int64_t job, struct err *err);
/* No deployment of the job: nothing. STATE "success" ... */
int deployments_end(struct store *s, int64_t job, const char *state, struct err *err);

/* Copies a column into a struct: heap, never NULL. */
static inline char *col_dup(const struct db_rows *r, int col)
{
	return xstrdup(db_str(r, col));
}

#endif
