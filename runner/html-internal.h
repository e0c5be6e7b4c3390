/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by html*.c alone. */
#ifndef RUNNER_HTML_INTERNAL_H
#define RUNNER_HTML_INTERNAL_H

#include <stddef.h>

#include "base/strbuf.h"

/* Bytes of the UTF-8 character at TEXT (LEN at least 1), 0 if it is none; *RET is it. */
size_t html_utf8(const char *text, size_t len, unsigned *ret);
/* Character C, whose N bytes are S, escaped. */
void html_char(struct strbuf *out, const char *s, size_t n, unsigned c);

#endif
