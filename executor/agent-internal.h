/* SPDX-License-Identifier: Apache-2.0 */
/* What both ends of the job agent share: the near one fills it, the far one serves. */
#ifndef EXECUTOR_AGENT_INTERNAL_H
#define EXECUTOR_AGENT_INTERNAL_H

#include <sys/types.h>

struct agent_server {
	int chan;
	const int *dirs; /* by enum job_dir; -1: there is none */
	uid_t uid;	 /* of the job, in the outer namespace */
	gid_t gid;
	const char *workspace, *workspace_rel;
};

/* A sandbox_agent function: serves until the chan ends. DATA is a struct agent_server. */
int agent_serve(void *data);

#endif
