/* SPDX-License-Identifier: Apache-2.0 */
/* One row an attack, shared by what tries it (attack_probes.c) and what judges (attack.c). */
#ifndef SANDBOX_ATTACK_INTERNAL_H
#define SANDBOX_ATTACK_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ATTACK_ERRNOS_MAX 8

struct attack_args { /* what a probe is told of the world outside */
	bool inside;
	pid_t outer;	      /* a process of ours outside */
	int port;	      /* a listener on the loopback outside */
	const char *abstract; /* name of an abstract socket outside, without the NUL */
	const char *marker;   /* name of a file planted in /tmp, /var/tmp and /dev/shm */
};

struct attack {
	const char *id, *what;
	void (*probe)(const struct attack_args *a);
	/* What each line may say inside; zero_is_held where 0 means "fine". */
	int held[ATTACK_ERRNOS_MAX];
	bool zero_is_held;
	const char *no_control; /* why there can be none, or NULL */
};
extern const struct attack sandbox_attacks[];
extern const size_t sandbox_attacks_len;

#define ATTACK_KILLED 1000 /* + the signal that ended a child */
#define ATTACK_MASKED 2000 /* it is there and opens, but it is /dev/null or empty */

#endif
