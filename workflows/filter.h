/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does an event start a workflow? One entry of `on:` (struct filter_rules) against one
 * event (struct filter_event), with the reason in words. Lists are NULL-ended string
 * lists; a list that the workflow does not give is NULL (an empty list is not the same).
 *
 * GitHub's rules: several kinds of filter must all hold, but branches and tags, of which
 * either suffices; a push of a kind of ref that only the other filter names does not run;
 * `paths` is not looked at for tags; unknown or too many changed files run the workflow;
 * -ignore lists stop it when every name matches.
 */
#ifndef WORKFLOWS_FILTER_H
#define WORKFLOWS_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strbuf.h"

struct filter_rules {
	const char *event;	  /* "push" */
	const char *const *types; /* NULL: the event's default types */
	const char *const *branches, *const *branches_ignore;
	const char *const *tags, *const *tags_ignore;
	const char *const *paths, *const *paths_ignore;
	const char *const *workflows; /* workflow_run: names of the workflows awaited */
};

enum filter_ref {
	FILTER_REF_NONE, /* the event is about no ref (issues, schedule, ...) */
	FILTER_REF_BRANCH,
	FILTER_REF_TAG,
};

struct filter_event {
	const char *event;  /* "push" */
	const char *action; /* "opened", "completed", ...; NULL if the event has none */
	enum filter_ref ref_kind;
	const char *ref;  /* short: "main", "v1.0" */
	const char *base; /* pull_request*, merge_group: the branch it goes into */
	const char *head; /* workflow_run: the branch the other run was for */
	bool is_delete;	  /* a push that removes its ref: starts nothing */
	const char *const *files; /* changed paths; not NULL-ended */
	size_t files_len;
	bool files_known;     /* false: no usable diff, or too many: path filters hold */
	const char *workflow; /* workflow_run: the name of the workflow that ran */
};

/* Which list of struct filter_rules a finding is about. */
enum filter_list {
	FILTER_BRANCHES,
	FILTER_BRANCHES_IGNORE,
	FILTER_TAGS,
	FILTER_TAGS_IGNORE,
	FILTER_PATHS,
	FILTER_PATHS_IGNORE,
	FILTER_LIST_COUNT
};
const char *filter_list_name(enum filter_list which); /* "branches-ignore" */
const char *const *filter_list_of(const struct filter_rules *r, enum filter_list which);

struct filter_finding {
	enum filter_list list;
	size_t index;  /* the pattern in that list */
	size_t offset; /* byte in the pattern */
	char msg[ERR_MSG_MAX];
};
/*
 * Everything wrong with the patterns: invalid ones, both forms of one kind, a positive
 * list of `!` alone. FN is called for each; returns how many there were.
 */
size_t filter_check(const struct filter_rules *r,
	void (*fn)(const struct filter_finding *finding, void *data), void *data);

/*
 * *RET: the event starts the workflow. REASON (may be NULL) gets one line: "branch 'x'
 * matches branches: main", "every changed path matches paths-ignore: docs/...". -1 with
 * *ERR (ERR_INPUT) for an invalid pattern.
 */
int filter_match(const struct filter_rules *r, const struct filter_event *e, bool *ret,
	struct strbuf *reason, struct err *err);

/* The types an event has when the workflow names none; NULL: all of them. NULL-ended. */
const char *const *filter_default_types(const char *event);

#endif
