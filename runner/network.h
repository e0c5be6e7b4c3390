/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a job may talk to: levels, allow-lists, learning, relays. The words of the
 * configuration, of a repository's settings and of an environment's rules become one
 * object, the "network" of the job's spec (executor/spec.h).
 *
 *	instance	network.default, .untrusted, .allow, .only_allowed, .relay
 *	repository	network.level, .allow, .only_allowed, .learn, .relay	(sluice repo set)
 *	environment	network_allow, network_learn		(sluice environments apply)
 *
 * An environment with network_allow or network_learn has a list of its own, which is all
 * that its jobs reach; the lists of the instance and the repository do not count there. A
 * list can be held to by the proxy alone: a job that has one gets `proxy` instead of
 * `egress` or `host`. Learning and relays are for trusted work.
 */
#ifndef RUNNER_NETWORK_H
#define RUNNER_NETWORK_H

#include <stdbool.h>

#include "runner/core-internal.h"

struct network_asked {
	const struct repo *repo;
	const char *environment; /* "" none */
	const char *node;	 /* the job, for `sluice run`'s hint; NULL */
	bool is_trusted;
};

int network_rules(struct core *c, const struct network_asked *a, struct json **ret,
	struct err *err);
/*
 * A value for the setting KEY ("network.allow" ...) or the rule KEY ("network_allow" ...).
 * ERR_INPUT says what it should be; any other key is fine.
 */
int network_check(const char *key, const struct json *value, struct err *err);
/* The rule under which learning lets pass; heap. ENVIRONMENT "" is the repository's list. */
char *network_learn_rule(const char *environment);

#endif
