/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points where a test may kill the process (SECURITY 4.7). FP("store.commit.before") costs
 * nothing unless built with FAULTS=1. Then $SLUICE_FAULT="NAME:N" ends the process with
 * status 137, without any clean-up, at the Nth time it passes NAME, and each name passed
 * is appended as a line to the file $SLUICE_FAULT_LIST.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#ifdef SLUICE_FAULTS
#define FP(name) fault_point(name)
#else
#define FP(name) ((void)0)
#endif

void fault_point(const char *name);

#endif
