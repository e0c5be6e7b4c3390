/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between our processes over AF_UNIX SOCK_SEQPACKET: a head (JSON object, always
 * with "op"), a body (bytes) and up to CHAN_FDS_MAX descriptors. A message over
 * CHAN_INLINE_MAX travels as a sealed memory file in an extra descriptor; the receiver
 * checks the seals and the size before it maps anything. One frame serves web-core,
 * core-planner, core-spawner, core-executor and all confined workers.
 *
 * Every peer may be hostile: a malformed frame is ERR_INPUT and the caller hangs up.
 */
#ifndef BASE_CHAN_H
#define BASE_CHAN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/strbuf.h"

#define CHAN_FDS_MAX 8
#define CHAN_INLINE_MAX (48 * 1024)
#define CHAN_HEAD_MAX (32u << 20)
#define CHAN_BODY_MAX (64u << 20)

struct chan_msg {
	struct json *head;	/* owned; an object with a string "op" */
	struct strbuf body;	/* owned */
	int fds[CHAN_FDS_MAX];	/* owned; -1 beyond fds_len */
	size_t fds_len;
};

#define CHAN_MSG_INIT \
	{ NULL, STRBUF_INIT, { -1, -1, -1, -1, -1, -1, -1, -1 }, 0 }

void chan_msg_done(struct chan_msg *m); /* frees and closes; usable again */
const char *chan_msg_op(const struct chan_msg *m);
int chan_msg_take_fd(struct chan_msg *m, size_t i); /* -1 if there is none */

/* A connected pair, both CLOEXEC. */
int chan_pair(int ret[2], struct err *err);
/* Listens on PATH (removed first; mode 0600) / connects to it. CLOEXEC. */
int chan_listen(const char *path, int *ret, struct err *err);
int chan_connect(const char *path, int *ret, struct err *err);
/* Accepts; -1 with ERR_UNAVAILABLE when there is nobody. */
int chan_accept(int listener, int *ret, struct err *err);
/* Credentials of the other end. */
int chan_peer(int fd, pid_t *ret_pid, uid_t *ret_uid, struct err *err);

/*
 * Sends one message; HEAD and FDS stay the caller's. Blocks when the peer is slow unless
 * the descriptor is non-blocking, then ERR_UNAVAILABLE. ERR_SYS with EPIPE: peer gone.
 */
int chan_send(int fd, const struct json *head, const void *body, size_t len,
	const int *fds, size_t fds_len, struct err *err);
/* chan_send of {"op": OP} alone. */
int chan_send_op(int fd, const char *op, struct err *err);

/* 1 a message, 0 the peer has closed, -1 error (ERR_UNAVAILABLE: nothing there yet). */
int chan_recv(int fd, struct chan_msg *ret, struct err *err);

#endif
