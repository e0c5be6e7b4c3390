/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns over names and paths, in two dialects. Both compile to a list of states and
 * match by simulating all of them at once: the time is length of pattern times length of
 * name at worst, never more, whatever the pattern.
 *
 * Filter patterns (`branches`, `tags`, `paths` of `on:`): `*` anything but '/', `**`
 * anything, `**` and '/' zero or more folders, `?` zero or one and `+` one or more *of the
 * preceding character*, `[a-z0-9]` one of a set, `\` takes the next character as it is, `!`
 * in front negates. The whole name must match, with case.
 *
 * Path patterns (hashFiles, artifact and cache paths; @actions/glob): `*` and `?` (exactly
 * one character) and `[a-z]` `[!a-z]` within one folder, a part that is just `**` any number
 * of folders, `\` escapes, `!` in front (any number of times) negates. Dots are ordinary.
 */
#ifndef WORKFLOWS_GLOB_H
#define WORKFLOWS_GLOB_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/err.h"

struct glob;

struct glob_error {
	size_t offset; /* byte in the pattern */
	char msg[ERR_MSG_MAX];
};

/* A filter pattern. 0, or -1 with *ERROR (may be NULL). */
int glob_compile(
	const char *pattern, size_t len, struct glob **ret, struct glob_error *error);
/*
 * A path pattern, relative to the root of the search ("./" in front is dropped). Refused:
 * '..' anywhere, '.' but in front, an absolute path, nothing.
 */
int glob_path_compile(
	const char *pattern, size_t len, struct glob **ret, struct glob_error *error);
void glob_free(struct glob *g); /* NULL is fine */
DEFINE_CLEANUP(struct glob, glob_free);

bool glob_is_negated(const struct glob *g);
/* NAME matches the pattern, its `!` left aside. Paths: no '/' in front or at the end. */
bool glob_match(const struct glob *g, const char *name, size_t len);
/* Path patterns: something below the folder DIR ("" is the root) may match. */
bool glob_path_may_match_below(const struct glob *g, const char *dir, size_t len);
/*
 * Path patterns: NAME or a folder above it matches (a folder stands for all in it).
 * IS_DIR: NAME is a folder, which a pattern that ends in '/' asks for.
 */
bool glob_path_match_tree(
	const struct glob *g, const char *name, size_t len, bool is_dir);
/* Path patterns: the part before the first wildcard, "" for the root; lent by G. */
const char *glob_path_base(const struct glob *g);

/*
 * What a filter pattern may hold but surely is a mistake: characters that no branch or tag
 * has, '.' as a part of a path, a set of one character, ... FN is called for each, also
 * for what glob_compile refuses. Returns how many there were.
 */
size_t glob_check(const char *pattern, size_t len, bool is_ref,
	void (*fn)(const struct glob_error *mistake, void *data), void *data);

/* Filter patterns in order. */
struct glob_list;

/* -1 with the place of the bad pattern in *RET_BAD (may be NULL) and *ERROR. */
int glob_list_compile(const char *const *patterns, size_t len, struct glob_list **ret,
	size_t *ret_bad, struct glob_error *error);
void glob_list_free(struct glob_list *l); /* NULL is fine */
DEFINE_CLEANUP(struct glob_list, glob_list_free);
/*
 * The last pattern that matches decides: true if it is not negated. *RET_WHICH (may be
 * NULL) is its index, or the number of patterns when none matches (then false).
 */
bool glob_list_selects(
	struct glob_list *l, const char *name, size_t name_len, size_t *ret_which);
/* More was asked than a list is good for: since then nothing is selected any more. */
bool glob_list_is_spent(const struct glob_list *l);
/* There is a pattern without `!`; without one nothing can ever be selected. */
bool glob_list_has_positive(const struct glob_list *l);

#endif
