/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Putting a failed job aside (held/JOB-TRY) so that a person can enter it later, and what
 * is in there. Only jobs whose spec says "hold", which core says of trusted ones alone.
 *
 * held/JOB-TRY/ has the folders of jobs/JOB/TRY/, all the service's own, and
 *	spec.json	the job's
 *	held.json	{version, job, try, step, files, bytes, removed: [path], more}
 *	steps.json	{N: {name, cwd, argv, env: [{name, value}], script?, script_path?}
 *			 or {name, unsaved: why}}
 *	slot		while its files may belong to a job's id: which one (spawner)
 *	lock, sock, journal, log	of the shell that is open in it, or was last
 *
 * "step" is the number of the one that failed first. A text in it is a string or {"parts":
 * [string or {"secret": NAME}]}: what is masked is there by reference or not at all.
 *
 * The folder comes to be by one rename of JOB-TRY.new: who finds that name finds a job that
 * died while it was put aside, and throws it away.
 */
#ifndef EXECUTOR_HOLD_H
#define EXECUTOR_HOLD_H

#include <stdbool.h>

#include "base/err.h"
#include "base/strvec.h"
#include "executor/job.h"
#include "executor/step.h"

#define HELD_FILE_STATE "held.json"
#define HELD_FILE_STEPS "steps.json"
#define HELD_FILE_WHY	"not-held" /* in jobs/JOB/TRY: why it was not */
#define HELD_STATE_MAX	(1u << 20)
#define HELD_STEPS_MAX	(32u << 20)
#define HELD_NEW_SUFFIX ".new"

struct hold;

/* At go; NULL where the job is not to be held. */
struct hold *hold_new(const struct jobrun *job);
void hold_free(struct hold *h); /* NULL is fine */

/* A program of ST is about to run; the last one of each step counts. */
struct hold_program {
	const struct strvec *argv, *env;
	const char *cwd;
	const char *script, *script_path; /* as seen inside; NULL: none */
};
void hold_note(struct steprun *st, const struct hold_program *p);
/* ST failed: the first that does is where a person will want to stand. */
void hold_failed(const struct steprun *st);

/*
 * After the exit record and confine_kill: puts the job's folders aside if it failed. True:
 * they are gone from here. What kept it from being held stands in HELD_FILE_WHY.
 */
bool hold_take(struct jobrun *job);

/* Everything in the job's folders becomes the service's again (no secret was there since). */
int hold_settle(struct jobrun *job, struct err *err);

/* A text of held.json with its secrets left out; heap. *RET_HAD: there was one. */
char *hold_text(const struct json *text, bool *ret_had);

#endif
