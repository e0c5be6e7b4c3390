/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The web process: HTTP, sessions, pages, API, live updates. It reads the database and the
 * jobs' logs, never writes them; what changes anything is a message to core. It is
 * confined before it reads the first byte of a request: no key, no exec, no file but the
 * database (read; `-shm` written), jobs/ and store/. These come as descriptors: where the
 * spawner is root, web has a uid of its own, and no name leads it anywhere.
 *
 * Core opens the listeners and hands them over, so a web that is started anew loses no
 * connection that was waiting. It ends when core's chan does.
 */
#ifndef RUNNER_WEB_H
#define RUNNER_WEB_H

#include <sys/types.h>

#include "base/strvec.h"

struct web_options {
	int core;	   /* chan to core */
	int listeners[2];  /* TCP, and run/api.sock; -1 for none */
	int db, jobs, store; /* folders of the data directory */
	const char *url;   /* how people reach it: external_url or http://ADDRESS:PORT */
	const struct strvec *trusted_proxies;
	const char *tls_certificate, *tls_key; /* PEM text, or NULL */
	const char *confinement; /* "full", or "weaker: ..." for the head of every page */
	uid_t owner;	   /* besides root, the account that is admin on api.sock */
};

/* Call in a forked child; descriptors are owned from here on. Returns an exit status. */
int web_main(const struct web_options *o);

#endif
