/* SPDX-License-Identifier: Apache-2.0 */
/* The shells of `run:`, exactly as GitHub's runner starts them on Linux. Pure. */
#ifndef EXECUTOR_SCRIPT_H
#define EXECUTOR_SCRIPT_H

#include "base/err.h"
#include "base/strvec.h"

struct shell {
	struct strvec argv;   /* "{0}" stands for the script's path */
	const char *ext;      /* of the script's file; lent */
	const char *fallback; /* program to try when argv[0] is not there, or NULL */
	char *shown;	      /* for the log; owned */
};
#define SHELL_INIT                          \
	{                                   \
		STRVEC_INIT, "", NULL, NULL \
	}

/* NULL or "": the default. ERR_INPUT in the runner's words. */
int shell_parse(const char *shell, struct shell *ret, struct err *err);
void shell_done(struct shell *s);
/* TEXT as it is written to the script's file; heap. */
char *shell_script(const struct shell *s, const char *text);

#endif
