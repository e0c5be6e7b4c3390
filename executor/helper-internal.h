/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the helper program: what a mode is, and what an operation gets. The modes stand in
 * one table (helper_serve.c).
 */
#ifndef EXECUTOR_HELPER_INTERNAL_H
#define EXECUTOR_HELPER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/chan.h"
#include "base/err.h"
#include "base/json.h"
#include "base/strbuf.h"
#include "sandbox/sandbox.h"

/* One request being served. */
struct helper_request {
	struct chan_msg *msg;
	const struct json *head; /* of MSG */
	const int *fds;		 /* 3, 4, ... as the mode defines them */
	size_t fds_len;
	struct json *answer; /* to be filled */
	struct strbuf *body; /* to be filled */
	void *state;	     /* what the mode keeps over its requests, or NULL */
	void (*free_state)(void *state);	 /* NULL: free */
	void (*after)(struct helper_request *r); /* called once when the answer is out */
	void *after_data;
	void *prepared; /* from before to fn */
	char *attached; /* path of the folder attached to the message, or NULL */
	int extra[4];	/* descriptors `start` wants readable under the confinement */
	size_t extra_len;
};

typedef int helper_op_fn(struct helper_request *r, struct err *err);

enum helper_flags {
	HELPER_NET = 1 << 0,   /* may connect */
	HELPER_EXEC = 1 << 1,  /* may run git and ssh */
	HELPER_FORKS = 1 << 2, /* each request in a child that confines itself for it */
	HELPER_LATE = 1 << 3,  /* one request; confined between its op's before and fn */
};

struct helper_op {
	const char *name;
	helper_op_fn *fn;
	enum helper_flags flags; /* with HELPER_FORKS: of this request's child */
	/* With HELPER_LATE: what the confinement would forbid. Reads nothing hostile. */
	helper_op_fn *before;
};

#define HELPER_OPS_MAX 12

struct helper_mode {
	const char *name;
	enum helper_flags flags;
	size_t fds_min;
	unsigned rw; /* bit n: descriptor 3 + n may be written below */
	uint64_t memory;
	helper_op_fn *
		start; /* before the confinement: sets state; head is NULL. May be NULL */
	struct helper_op ops[HELPER_OPS_MAX];
};

const struct helper_mode *helper_mode_find(const char *name);
/* Serves until the chan ends; the exit status. FDS_LEN descriptors from 3 up. */
int helper_serve(
	const struct helper_mode *mode, int chan, const int *fds, size_t fds_len);

/* A required string of the request; ERR_INPUT names what is missing. */
const char *helper_str(const struct json *head, const char *key, struct err *err);

/* A path by which the folder FD can be reached by libraries that know only paths; a bind
 * mount in a namespace of our own when its parents are closed to us. Heap. */
int helper_reach(int fd, char **ret, struct err *err);

/* ---- operations, one per op of helper.h ---- */

int archive_op_pack(struct helper_request *r, struct err *err);
int archive_op_unpack(struct helper_request *r, struct err *err);
int image_op_unpack(struct helper_request *r, struct err *err);
int match_start(struct helper_request *r, struct err *err);
int match_op_add(struct helper_request *r, struct err *err);
int match_op_remove(struct helper_request *r, struct err *err);
int match_op_lines(struct helper_request *r, struct err *err);
int transfer_start(struct helper_request *r, struct err *err);
int transfer_op_connect(struct helper_request *r, struct err *err);

#endif
