/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A person inside a held job: the confinement of the job's spec is built anew around its
 * folders, and a shell is started on a pseudo terminal whose far end alone is inside. The
 * near end goes to whoever attaches, over the socket `sock` of the held folder:
 *
 *  attach  {step?, term, rows, cols}  answer: {step, name, profile, network, weaker: [..],
 *          empty: [names of variables without their secret], run_step: bool, why?,
 *          removed: [paths], more} and the terminal as a descriptor; once only
 *  exit    {code}  the shell has ended and the folders are as they are to stay
 *
 * The shell ends when the one who attached goes away. No secret gets here: values that are
 * references (hold.h) become nothing.
 */
#ifndef EXECUTOR_SHELL_H
#define EXECUTOR_SHELL_H

#include "executor/control.h"
#include "executor/job.h"

extern const struct control_hooks shell_hooks; /* their data is the jobrun */

/* JOB is open (spec, log, loop, control). 0, or -1 with the reason. */
int shell_serve(struct jobrun *job, struct err *err);

#endif
