/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The post-receive hook that `sluice hook install` writes into a bare repository: POSIX
 * sh, git, curl and openssl. It tells sluice of each branch and tag a push moved, one
 * signed delivery each, and never makes a push fail.
 */
#ifndef WEBHOOKS_HOOK_SCRIPT_H
#define WEBHOOKS_HOOK_SCRIPT_H

#include "base/strbuf.h"

#define HOOK_SCRIPT_MARK "# written by sluice hook install" /* a line of it: it is ours */
#define HOOK_SECRET_FILE "sluice.secret"

struct hook_script {
	const char *url;  /* whole address: https://ci.example.com/hooks/generic */
	const char *repo; /* OWNER/NAME as sluice knows it */
	const char *default_branch;
};

/* The secret is read from HOOK_SECRET_FILE beside `hooks/`, it is not in the script. */
void hook_script_write(const struct hook_script *h, struct strbuf *out);

#endif
