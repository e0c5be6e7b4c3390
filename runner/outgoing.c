/* SPDX-License-Identifier: Apache-2.0 */
/* A queue before a socket, see outgoing.h. */
#include "runner/outgoing.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/chan.h"
#include "base/mem.h"

#define HEAD_BYTES 1024 /* what a head counts for: it is not written yet */

struct outgoing_message {
	struct outgoing_message *next;
	struct json *head;
	size_t len;
	char body[];
};

void outgoing_init(
	struct outgoing *o, int fd, struct loop_source *source, size_t bytes_max)
{
	*o = (struct outgoing){ .fd = fd, .source = source, .bytes_max = bytes_max };
	o->last = &o->first;
}

static void drop_first(struct outgoing *o)
{
	struct outgoing_message *m = o->first;

	o->first = m->next;
	if (!o->first)
		o->last = &o->first;
	o->bytes -= m->len + HEAD_BYTES;
	json_free(m->head);
	free(m);
}

void outgoing_done(struct outgoing *o)
{
	while (o->first)
		drop_first(o);
}

static int keep(struct outgoing *o, struct json *head, const void *body, size_t len,
	struct err *err)
{
	struct outgoing_message *m;

	if (len > o->bytes_max || o->bytes + HEAD_BYTES > o->bytes_max - len)
		return err_set(err, ERR_LIMIT, "too much is waiting for the other end");
	m = xmalloc(sizeof(*m) + len);
	*m = (struct outgoing_message){ .head = json_share(head), .len = len };
	if (len)
		memcpy(m->body, body, len);
	if (!o->first)
		loop_mod_fd(o->source, EPOLLIN | EPOLLOUT);
	*o->last = m;
	o->last = &m->next;
	o->bytes += len + HEAD_BYTES;
	return 0;
}

int outgoing_send(struct outgoing *o, struct json *head, const void *body, size_t len,
	struct err *err)
{
	struct err own = ERR_INIT;

	if (!o->first) {
		if (chan_send(o->fd, head, body, len, NULL, 0, &own) == 0)
			return 0;
		if (own.code != ERR_UNAVAILABLE) {
			if (err)
				*err = own;
			return -1;
		}
	}
	return keep(o, head, body, len, err);
}

int outgoing_drain(struct outgoing *o, struct err *err)
{
	struct err own = ERR_INIT;
	int rc = 0;

	while (o->first) {
		struct outgoing_message *m = o->first;

		if (chan_send(o->fd, m->head, m->body, m->len, NULL, 0, &own) < 0) {
			if (own.code == ERR_UNAVAILABLE)
				return rc;
			if (err)
				*err = own;
			rc = -1;
		}
		drop_first(o);
	}
	loop_mod_fd(o->source, EPOLLIN);
	return rc;
}
