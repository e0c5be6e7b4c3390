/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing text as GitHub does: without case, by folding each single character to upper
 * case (simple mappings, far beyond ASCII; never into ASCII, so 'ı' is no 'I'), and in the
 * order of UTF-16 units. Text is UTF-8; a byte that is none counts as a character of its
 * own and equals only itself.
 */
#ifndef WORKFLOWS_FOLD_H
#define WORKFLOWS_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

#define FOLD_BAD_BYTE 0x110000u /* plus the byte: what a byte outside of UTF-8 reads as */

/* The character at S (LEN at least 1) and how many bytes it takes. */
uint32_t fold_decode(const char *s, size_t len, size_t *ret_bytes);
uint32_t fold_upper(uint32_t c);
bool fold_is_space(uint32_t c); /* white space anywhere in Unicode */

bool fold_equal(const char *a, size_t a_len, const char *b, size_t b_len);
int fold_compare(const char *a, size_t a_len, const char *b, size_t b_len); /* <0 0 >0 */
bool fold_starts(const char *s, size_t len, const char *prefix, size_t prefix_len);
bool fold_ends(const char *s, size_t len, const char *suffix, size_t suffix_len);
bool fold_contains(const char *s, size_t len, const char *part, size_t part_len);
uint32_t fold_hash(const char *s, size_t len); /* equal for fold_equal text */
/* How many UTF-16 units the text takes: GitHub's limits count these. */
size_t fold_utf16_len(const char *s, size_t len);
/* Leaves out white space at both ends. */
void fold_trim(const char **s, size_t *len);

#endif
