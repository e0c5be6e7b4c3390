/* SPDX-License-Identifier: Apache-2.0 */
/* What ingest.c asks of the mirrors: gitwork.c. Only core's files include this. */
#ifndef RUNNER_INGEST_H
#define RUNNER_INGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "runner/core-internal.h"

struct work;

/* RESULT (taken) or WHY; called once, unless core is freed before. */
typedef void git_done_fn(struct json *result, const struct err *why, void *data);

/* Brings the event's refs into the mirror and verifies that its commits are in them. */
void git_fetch_event(struct core *c, const struct event *e, const struct repo *r,
	git_done_fn *done, void *data);
/* Workflow files at SHA: [{path, text}]. */
void git_files(
	struct core *c, int64_t repo, const char *sha, git_done_fn *done, void *data);
/*
 * Changed paths [text], or null when they cannot be told (too many). FROM NULL: a new
 * branch, compared with where it left DEFAULT_BRANCH.
 */
void git_changes(struct core *c, int64_t repo, const char *from, const char *to,
	const char *default_branch, bool from_merge_base, git_done_fn *done, void *data);
/* Single files at SHA, as `sources` of the planner: [{path, text or null}]. */
void git_sources(struct core *c, int64_t repo, const char *sha, const struct json *wanted,
	git_done_fn *done, void *data);
/* {op, repo} of a request of the git worker. */
struct json *git_head(const char *op, int64_t repo);
/* One op of the git worker for verbs (repo check, refs ...): the answer's head. */
void git_ask(struct core *c, struct json *head, const void *body, size_t len,
	int64_t deadline_ms, git_done_fn *done, void *data);
/* The head of a fetch of REFS (taken) with its credential appended to BODY. */
int git_fetch_head(struct core *c, const struct repo *r, struct json *refs,
	const char *sha, struct json **ret, struct strbuf *body, struct err *err);
void git_calls_done(struct core *c);

#endif
