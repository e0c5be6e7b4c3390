/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Problem matchers: definitions (the JSON of `::add-matcher::`) and the loop that turns
 * lines into issues. Runs in `sluice-helper match`; the regular expressions come through
 * `struct matcher_regex_ops`, so that only matcher_pcre.c knows the library. The executor
 * speaks to the helper (helper.h, mode `match`) and never links this.
 */
#ifndef EXECUTOR_MATCHER_H
#define EXECUTOR_MATCHER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"

#define MATCHER_FILE_MAX  (256 * 1024)
#define MATCHER_OWNERS	  64
#define MATCHER_PATTERNS  16	      /* of one matcher */
#define MATCHER_REGEX_MAX 4096	      /* bytes of one expression */
#define MATCHER_LINE_MAX  (16 * 1024) /* longer lines are not matched */
#define MATCHER_GROUPS	  32

struct matcher_span {
	size_t start, end; /* start == end == SIZE_MAX: the group took no part */
};

struct matcher_regex_ops {
	/* ERR_INPUT with the place in the expression. */
	int (*compile)(const char *pattern, size_t len, void **ret, struct err *err);
	/* Number of spans filled (group 0 first), 0 for no match, -1 when over its budget. */
	int (*match)(void *regex, const char *line, size_t len, struct matcher_span *ret,
		size_t max);
	void (*free)(void *regex);
};

extern const struct matcher_regex_ops matcher_pcre_ops; /* matcher_pcre.c */

struct matcher_set;

struct matcher_set *matcher_set_new(const struct matcher_regex_ops *ops);
void matcher_set_free(struct matcher_set *set);
DEFINE_CLEANUP(struct matcher_set, matcher_set_free);

/* Adds the matchers of one file; an owner that exists is replaced; last added is tried
 * first. All or none. RET_OWNERS (array of strings) is the caller's. */
int matcher_set_add(struct matcher_set *set, const char *json, size_t len,
	struct json **ret_owners, struct err *err);
bool matcher_set_remove(struct matcher_set *set, const char *owner);
size_t matcher_set_count(const struct matcher_set *set);

/*
 * One line without its end, colours still in. The issue it completes as
 * {"owner","severity","file","fromPath","line","column","code","message"} (only what was
 * found), or NULL. Matchers that overran their budget are dropped; their owners are added
 * to DROPPED.
 */
struct json *matcher_set_line(
	struct matcher_set *set, const char *line, size_t len, struct json *dropped);

#endif
