/* SPDX-License-Identifier: Apache-2.0 */
/* TZif bytes made in place, so that no test depends on the zones of the machine. */
#ifndef TESTS_UNIT_WORKFLOWS_TZIF_H
#define TESTS_UNIT_WORKFLOWS_TZIF_H

#include <stdint.h>

#include "base/strbuf.h"

struct tzif_switch {
	int64_t at;
	uint8_t kind;
};

static inline void tzif_be(struct strbuf *out, uint64_t v, int bytes)
{
	while (bytes-- > 0)
		strbuf_addc(out, (char)(v >> (8 * bytes)));
}

static inline void tzif_header(
	struct strbuf *out, char version, uint32_t times, uint32_t kinds, uint32_t chars)
{
	strbuf_adds(out, "TZif");
	strbuf_addc(out, version);
	for (int i = 0; i < 15; i++)
		strbuf_addc(out, '\0');
	tzif_be(out, 0, 4); /* neither UT marks, */
	tzif_be(out, 0, 4); /* nor standard ones, */
	tzif_be(out, 0, 4); /* nor leap seconds */
	tzif_be(out, times, 4);
	tzif_be(out, kinds, 4);
	tzif_be(out, chars, 4);
}

/* OFFSETS for the kinds, SWITCHES between them, then FOOTER without its line breaks. */
static inline void tzif_make(struct strbuf *out, const int32_t *offsets, size_t kinds,
	const struct tzif_switch *switches, size_t times, const char *footer)
{
	tzif_header(out, '2', 0, 1, 1); /* the old block, which nobody reads */
	tzif_be(out, 0, 4);
	tzif_be(out, 0, 2);
	strbuf_addc(out, '\0');
	tzif_header(out, '2', (uint32_t)times, (uint32_t)kinds, 1);
	for (size_t i = 0; i < times; i++)
		tzif_be(out, (uint64_t)switches[i].at, 8);
	for (size_t i = 0; i < times; i++)
		strbuf_addc(out, (char)switches[i].kind);
	for (size_t i = 0; i < kinds; i++) {
		tzif_be(out, (uint32_t)offsets[i], 4);
		strbuf_addc(out, '\0');
		strbuf_addc(out, '\0');
	}
	strbuf_addc(out, '\0');
	strbuf_addf(out, "\n%s\n", footer);
}

#endif
