/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The caller's terminal joined to another one whose near end we hold. Bytes are copied as
 * they are; the two are never the same, and what the far side does to its own reaches this
 * one as text alone.
 */
#ifndef RUNNER_TERMINAL_H
#define RUNNER_TERMINAL_H

#include "base/chan.h"

/* {rows, cols, term} of the caller's terminal into J. */
void terminal_describe(struct json *j);
/*
 * Joins standard input and output to NEAR until a message or the end comes on CHAN, which
 * goes to *RET (init by the caller), or until we are told to end. 1 a message, 0 the end of
 * CHAN, -1 error. The caller's terminal is as it was before.
 */
int terminal_join(int near, int chan, struct chan_msg *ret, struct err *err);

#endif
