/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The escape cases of the contract as a self-test that ships: each is tried outside first
 * (its control: there it must get another answer, or the test proves nothing), then as a
 * step of a sandbox. `sluice doctor --attack` and our own tests run the same table.
 *
 * A probe is a program of its own: the caller's executable, started with PREFIX and then
 * "ID KEY=VALUE ...", must hand those arguments to sandbox_attack_probe and exit with
 * its value. Inside, the executable is mounted as a file.
 */
#ifndef SANDBOX_ATTACK_H
#define SANDBOX_ATTACK_H

#include "sandbox/sandbox.h"

/* Runs one probe in this process; prints "NAME ERRNO" lines. ARGV is NULL-ended. */
int sandbox_attack_probe(const char *const *argv);

enum sandbox_attack_verdict {
	SANDBOX_ATTACK_HELD,
	SANDBOX_ATTACK_BROKE_THROUGH,
	SANDBOX_ATTACK_NOT_SHOWN, /* held, but the control got the same answer */
};

struct sandbox_attack_result {
	const char *id;	  /* "SB01" */
	const char *what; /* a line for a person */
	enum sandbox_attack_verdict verdict;
	const char *
		words; /* "EPERM; control worked", or what went wrong; until the call ends */
	const char *design; /* what the profile allows on purpose of it, or NULL */
	bool is_headline; /* to be told even where only the exceptions are */
};

typedef void sandbox_attack_fn(const struct sandbox_attack_result *r, void *data);

struct sandbox_attack_options {
	struct sandbox_options
		sandbox; /* mounts are added to; profile, ids as wanted. The cgroup, if
			  * any, is for the attacks on limits alone */
	const char *const *prefix; /* e.g. { "doctor", "--probe", NULL } */
	const char *only;	   /* an id, or NULL for all */
	sandbox_attack_fn *fn;
	void *data;
};

/*
 * 0 when all could be tried (whatever the verdicts), -1 when no sandbox could be made. Under
 * profile `root` a root is made for it, as root alone can, and taken away.
 */
int sandbox_attack_run(const struct sandbox_host *host,
	const struct sandbox_attack_options *opts, struct err *err);

#endif
