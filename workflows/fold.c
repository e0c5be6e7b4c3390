/* SPDX-License-Identifier: Apache-2.0 */
/* Case folding by single characters; the table is made by tests/tools/upper_table.py. */
#include "workflows/fold.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

struct fold_row {
	uint32_t first, last;
	int32_t step, delta;
};

static const struct fold_row fold_rows[] = {
	{ 0x00B5, 0x00B5, 1, 743 },
	{ 0x00E0, 0x00F6, 1, -32 },
	{ 0x00F8, 0x00FE, 1, -32 },
	{ 0x00FF, 0x00FF, 1, 121 },
	{ 0x0101, 0x012F, 2, -1 },
	{ 0x0133, 0x0137, 2, -1 },
	{ 0x013A, 0x0148, 2, -1 },
	{ 0x014B, 0x0177, 2, -1 },
	{ 0x017A, 0x017E, 2, -1 },
	{ 0x0180, 0x0180, 1, 195 },
	{ 0x0183, 0x0185, 2, -1 },
	{ 0x0188, 0x0188, 1, -1 },
	{ 0x018C, 0x018C, 1, -1 },
	{ 0x0192, 0x0192, 1, -1 },
	{ 0x0195, 0x0195, 1, 97 },
	{ 0x0199, 0x0199, 1, -1 },
	{ 0x019A, 0x019A, 1, 163 },
	{ 0x019E, 0x019E, 1, 130 },
	{ 0x01A1, 0x01A5, 2, -1 },
	{ 0x01A8, 0x01A8, 1, -1 },
	{ 0x01AD, 0x01AD, 1, -1 },
	{ 0x01B0, 0x01B0, 1, -1 },
	{ 0x01B4, 0x01B6, 2, -1 },
	{ 0x01B9, 0x01B9, 1, -1 },
	{ 0x01BD, 0x01BD, 1, -1 },
	{ 0x01BF, 0x01BF, 1, 56 },
	{ 0x01C5, 0x01C5, 1, -1 },
	{ 0x01C6, 0x01C6, 1, -2 },
	{ 0x01C8, 0x01C8, 1, -1 },
	{ 0x01C9, 0x01C9, 1, -2 },
	{ 0x01CB, 0x01CB, 1, -1 },
	{ 0x01CC, 0x01CC, 1, -2 },
	{ 0x01CE, 0x01DC, 2, -1 },
	{ 0x01DD, 0x01DD, 1, -79 },
	{ 0x01DF, 0x01EF, 2, -1 },
	{ 0x01F2, 0x01F2, 1, -1 },
	{ 0x01F3, 0x01F3, 1, -2 },
	{ 0x01F5, 0x01F5, 1, -1 },
	{ 0x01F9, 0x021F, 2, -1 },
	{ 0x0223, 0x0233, 2, -1 },
	{ 0x023C, 0x023C, 1, -1 },
	{ 0x023F, 0x0240, 1, 10815 },
	{ 0x0242, 0x0242, 1, -1 },
	{ 0x0247, 0x024F, 2, -1 },
	{ 0x0250, 0x0250, 1, 10783 },
	{ 0x0251, 0x0251, 1, 10780 },
	{ 0x0252, 0x0252, 1, 10782 },
	{ 0x0253, 0x0253, 1, -210 },
	{ 0x0254, 0x0254, 1, -206 },
	{ 0x0256, 0x0257, 1, -205 },
	{ 0x0259, 0x0259, 1, -202 },
	{ 0x025B, 0x025B, 1, -203 },
	{ 0x025C, 0x025C, 1, 42319 },
	{ 0x0260, 0x0260, 1, -205 },
	{ 0x0261, 0x0261, 1, 42315 },
	{ 0x0263, 0x0263, 1, -207 },
	{ 0x0265, 0x0265, 1, 42280 },
	{ 0x0266, 0x0266, 1, 42308 },
	{ 0x0268, 0x0268, 1, -209 },
	{ 0x0269, 0x0269, 1, -211 },
	{ 0x026A, 0x026A, 1, 42308 },
	{ 0x026B, 0x026B, 1, 10743 },
	{ 0x026C, 0x026C, 1, 42305 },
	{ 0x026F, 0x026F, 1, -211 },
	{ 0x0271, 0x0271, 1, 10749 },
	{ 0x0272, 0x0272, 1, -213 },
	{ 0x0275, 0x0275, 1, -214 },
	{ 0x027D, 0x027D, 1, 10727 },
	{ 0x0280, 0x0280, 1, -218 },
	{ 0x0282, 0x0282, 1, 42307 },
	{ 0x0283, 0x0283, 1, -218 },
	{ 0x0287, 0x0287, 1, 42282 },
	{ 0x0288, 0x0288, 1, -218 },
	{ 0x0289, 0x0289, 1, -69 },
	{ 0x028A, 0x028B, 1, -217 },
	{ 0x028C, 0x028C, 1, -71 },
	{ 0x0292, 0x0292, 1, -219 },
	{ 0x029D, 0x029D, 1, 42261 },
	{ 0x029E, 0x029E, 1, 42258 },
	{ 0x0345, 0x0345, 1, 84 },
	{ 0x0371, 0x0373, 2, -1 },
	{ 0x0377, 0x0377, 1, -1 },
	{ 0x037B, 0x037D, 1, 130 },
	{ 0x03AC, 0x03AC, 1, -38 },
	{ 0x03AD, 0x03AF, 1, -37 },
	{ 0x03B1, 0x03C1, 1, -32 },
	{ 0x03C2, 0x03C2, 1, -31 },
	{ 0x03C3, 0x03CB, 1, -32 },
	{ 0x03CC, 0x03CC, 1, -64 },
	{ 0x03CD, 0x03CE, 1, -63 },
	{ 0x03D0, 0x03D0, 1, -62 },
	{ 0x03D1, 0x03D1, 1, -57 },
	{ 0x03D5, 0x03D5, 1, -47 },
	{ 0x03D6, 0x03D6, 1, -54 },
	{ 0x03D7, 0x03D7, 1, -8 },
	{ 0x03D9, 0x03EF, 2, -1 },
	{ 0x03F0, 0x03F0, 1, -86 },
	{ 0x03F1, 0x03F1, 1, -80 },
	{ 0x03F2, 0x03F2, 1, 7 },
	{ 0x03F3, 0x03F3, 1, -116 },
	{ 0x03F5, 0x03F5, 1, -96 },
	{ 0x03F8, 0x03F8, 1, -1 },
	{ 0x03FB, 0x03FB, 1, -1 },
	{ 0x0430, 0x044F, 1, -32 },
	{ 0x0450, 0x045F, 1, -80 },
	{ 0x0461, 0x0481, 2, -1 },
	{ 0x048B, 0x04BF, 2, -1 },
	{ 0x04C2, 0x04CE, 2, -1 },
	{ 0x04CF, 0x04CF, 1, -15 },
	{ 0x04D1, 0x052F, 2, -1 },
	{ 0x0561, 0x0586, 1, -48 },
	{ 0x10D0, 0x10FA, 1, 3008 },
	{ 0x10FD, 0x10FF, 1, 3008 },
	{ 0x13F8, 0x13FD, 1, -8 },
	{ 0x1C80, 0x1C80, 1, -6254 },
	{ 0x1C81, 0x1C81, 1, -6253 },
	{ 0x1C82, 0x1C82, 1, -6244 },
	{ 0x1C83, 0x1C84, 1, -6242 },
	{ 0x1C85, 0x1C85, 1, -6243 },
	{ 0x1C86, 0x1C86, 1, -6236 },
	{ 0x1C87, 0x1C87, 1, -6181 },
	{ 0x1C88, 0x1C88, 1, 35266 },
	{ 0x1D79, 0x1D79, 1, 35332 },
	{ 0x1D7D, 0x1D7D, 1, 3814 },
	{ 0x1D8E, 0x1D8E, 1, 35384 },
	{ 0x1E01, 0x1E95, 2, -1 },
	{ 0x1E9B, 0x1E9B, 1, -59 },
	{ 0x1EA1, 0x1EFF, 2, -1 },
	{ 0x1F00, 0x1F07, 1, 8 },
	{ 0x1F10, 0x1F15, 1, 8 },
	{ 0x1F20, 0x1F27, 1, 8 },
	{ 0x1F30, 0x1F37, 1, 8 },
	{ 0x1F40, 0x1F45, 1, 8 },
	{ 0x1F51, 0x1F57, 2, 8 },
	{ 0x1F60, 0x1F67, 1, 8 },
	{ 0x1F70, 0x1F71, 1, 74 },
	{ 0x1F72, 0x1F75, 1, 86 },
	{ 0x1F76, 0x1F77, 1, 100 },
	{ 0x1F78, 0x1F79, 1, 128 },
	{ 0x1F7A, 0x1F7B, 1, 112 },
	{ 0x1F7C, 0x1F7D, 1, 126 },
	{ 0x1F80, 0x1F87, 1, 8 },
	{ 0x1F90, 0x1F97, 1, 8 },
	{ 0x1FA0, 0x1FA7, 1, 8 },
	{ 0x1FB0, 0x1FB1, 1, 8 },
	{ 0x1FB3, 0x1FB3, 1, 9 },
	{ 0x1FBE, 0x1FBE, 1, -7205 },
	{ 0x1FC3, 0x1FC3, 1, 9 },
	{ 0x1FD0, 0x1FD1, 1, 8 },
	{ 0x1FE0, 0x1FE1, 1, 8 },
	{ 0x1FE5, 0x1FE5, 1, 7 },
	{ 0x1FF3, 0x1FF3, 1, 9 },
	{ 0x214E, 0x214E, 1, -28 },
	{ 0x2170, 0x217F, 1, -16 },
	{ 0x2184, 0x2184, 1, -1 },
	{ 0x24D0, 0x24E9, 1, -26 },
	{ 0x2C30, 0x2C5F, 1, -48 },
	{ 0x2C61, 0x2C61, 1, -1 },
	{ 0x2C65, 0x2C65, 1, -10795 },
	{ 0x2C66, 0x2C66, 1, -10792 },
	{ 0x2C68, 0x2C6C, 2, -1 },
	{ 0x2C73, 0x2C73, 1, -1 },
	{ 0x2C76, 0x2C76, 1, -1 },
	{ 0x2C81, 0x2CE3, 2, -1 },
	{ 0x2CEC, 0x2CEE, 2, -1 },
	{ 0x2CF3, 0x2CF3, 1, -1 },
	{ 0x2D00, 0x2D25, 1, -7264 },
	{ 0x2D27, 0x2D27, 1, -7264 },
	{ 0x2D2D, 0x2D2D, 1, -7264 },
	{ 0xA641, 0xA66D, 2, -1 },
	{ 0xA681, 0xA69B, 2, -1 },
	{ 0xA723, 0xA72F, 2, -1 },
	{ 0xA733, 0xA76F, 2, -1 },
	{ 0xA77A, 0xA77C, 2, -1 },
	{ 0xA77F, 0xA787, 2, -1 },
	{ 0xA78C, 0xA78C, 1, -1 },
	{ 0xA791, 0xA793, 2, -1 },
	{ 0xA794, 0xA794, 1, 48 },
	{ 0xA797, 0xA7A9, 2, -1 },
	{ 0xA7B5, 0xA7C3, 2, -1 },
	{ 0xA7C8, 0xA7CA, 2, -1 },
	{ 0xA7D1, 0xA7D1, 1, -1 },
	{ 0xA7D7, 0xA7D9, 2, -1 },
	{ 0xA7F6, 0xA7F6, 1, -1 },
	{ 0xAB53, 0xAB53, 1, -928 },
	{ 0xAB70, 0xABBF, 1, -38864 },
	{ 0xFF41, 0xFF5A, 1, -32 },
	{ 0x10428, 0x1044F, 1, -40 },
	{ 0x104D8, 0x104FB, 1, -40 },
	{ 0x10597, 0x105A1, 1, -39 },
	{ 0x105A3, 0x105B1, 1, -39 },
	{ 0x105B3, 0x105B9, 1, -39 },
	{ 0x105BB, 0x105BC, 1, -39 },
	{ 0x10CC0, 0x10CF2, 1, -64 },
	{ 0x118C0, 0x118DF, 1, -32 },
	{ 0x16E60, 0x16E7F, 1, -32 },
	{ 0x1E922, 0x1E943, 1, -34 },
};

uint32_t fold_decode(const char *s, size_t len, size_t *ret_bytes)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char lead = (unsigned char)s[0];
	uint32_t c;
	size_t n;

	*ret_bytes = 1;
	if (lead < 0x80)
		return lead;
	if (lead >= 0xF0 && lead < 0xF8)
		n = 4;
	else if (lead >= 0xE0 && lead < 0xF0)
		n = 3;
	else if (lead >= 0xC0 && lead < 0xE0)
		n = 2;
	else
		return FOLD_BAD_BYTE + lead;
	if (n > len)
		return FOLD_BAD_BYTE + lead;
	c = lead & (0x7Fu >> n);
	for (size_t i = 1; i < n; i++) {
		unsigned char next = (unsigned char)s[i];

		if ((next & 0xC0) != 0x80)
			return FOLD_BAD_BYTE + lead;
		c = c << 6 | (next & 0x3F);
	}
	if (c < smallest[n] || c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
		return FOLD_BAD_BYTE + lead;
	*ret_bytes = n;
	return c;
}

uint32_t fold_upper(uint32_t c)
{
	size_t low = 0, high = ARRAY_SIZE(fold_rows);

	if (c < 0x80)
		return c >= 'a' && c <= 'z' ? c - 32 : c;
	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct fold_row *row = &fold_rows[mid];

		if (c < row->first)
			high = mid;
		else if (c > row->last)
			low = mid + 1;
		else if ((c - row->first) % (uint32_t)row->step != 0)
			return c;
		else
			return (uint32_t)((int32_t)c + row->delta);
	}
	return c;
}

bool fold_is_space(uint32_t c)
{
	if (c <= 0x20)
		return c == ' ' || (c >= 9 && c <= 13);
	if (c < 0x1680)
		return c == 0x85 || c == 0xA0;
	return c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
	       c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* The next character of *S, folded; moves *S and *LEN past it. */
static uint32_t fold_next(const char **s, size_t *len)
{
	unsigned char first = (unsigned char)**s;
	size_t bytes;
	uint32_t c;

	if (first < 0x80) {
		++*s;
		--*len;
		return first - (first >= 'a' && first <= 'z' ? 0x20u : 0u);
	}
	c = fold_upper(fold_decode(*s, *len, &bytes));

	*s += bytes;
	*len -= bytes;
	return c;
}

/* In UTF-16 the characters beyond the first plane (as surrogates) sort below U+E000. */
static int fold_order(uint32_t a, uint32_t b)
{
	bool a_is_high = a >= 0x10000 && a < FOLD_BAD_BYTE;
	bool b_is_high = b >= 0x10000 && b < FOLD_BAD_BYTE;

	if (a_is_high != b_is_high) {
		if (a_is_high && b >= 0xE000)
			return -1;
		if (b_is_high && a >= 0xE000)
			return 1;
	}
	return a < b ? -1 : a > b;
}

bool fold_equal(const char *a, size_t a_len, const char *b, size_t b_len)
{
	if (a_len == b_len && memcmp(a, b, a_len) == 0)
		return true;
	while (a_len > 0 && b_len > 0)
		if (fold_next(&a, &a_len) != fold_next(&b, &b_len))
			return false;
	return a_len == 0 && b_len == 0;
}

int fold_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	while (a_len > 0 && b_len > 0) {
		int order = fold_order(fold_next(&a, &a_len), fold_next(&b, &b_len));

		if (order != 0)
			return order;
	}
	return a_len > 0 ? 1 : -(b_len > 0);
}

bool fold_starts(const char *s, size_t len, const char *prefix, size_t prefix_len)
{
	while (prefix_len > 0) {
		if (len == 0)
			return false;
		if (fold_next(&s, &len) != fold_next(&prefix, &prefix_len))
			return false;
	}
	return true;
}

/* Writes the folded text to OUT (which holds up to twice LEN bytes); its length. */
static size_t fold_copy(const char *s, size_t len, char *out)
{
	size_t n = 0;

	while (len > 0) {
		size_t bytes;
		uint32_t raw = fold_decode(s, len, &bytes);
		uint32_t c = fold_upper(raw);

		if (c == raw) {
			memcpy(out + n, s, bytes);
			n += bytes;
		} else if (c < 0x80) {
			out[n++] = (char)c;
		} else if (c < 0x800) {
			out[n++] = (char)(0xC0 | c >> 6);
			out[n++] = (char)(0x80 | (c & 0x3F));
		} else if (c < 0x10000) {
			out[n++] = (char)(0xE0 | c >> 12);
			out[n++] = (char)(0x80 | (c >> 6 & 0x3F));
			out[n++] = (char)(0x80 | (c & 0x3F));
		} else {
			out[n++] = (char)(0xF0 | c >> 18);
			out[n++] = (char)(0x80 | (c >> 12 & 0x3F));
			out[n++] = (char)(0x80 | (c >> 6 & 0x3F));
			out[n++] = (char)(0x80 | (c & 0x3F));
		}
		s += bytes;
		len -= bytes;
	}
	return n;
}

/* Text folded into one block, so that the byte searches of libc apply (linear time). */
struct folded {
	char *a, *b;
	size_t a_len, b_len;
	char *heap;
	char small[512];
};

static void folded_init(
	struct folded *f, const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t need = 2 * (a_len + b_len);

	f->heap = need > sizeof(f->small) ? xmalloc(need) : NULL;
	f->a = f->heap ? f->heap : f->small;
	f->a_len = fold_copy(a, a_len, f->a);
	f->b = f->a + f->a_len;
	f->b_len = fold_copy(b, b_len, f->b);
}

bool fold_ends(const char *s, size_t len, const char *suffix, size_t suffix_len)
{
	struct folded f;
	bool ends;

	/* A folded character is at most three times as long or short as it was. */
	if (len > 4 * suffix_len) {
		s += len - 4 * suffix_len;
		len = 4 * suffix_len;
		for (int i = 0; i < 3 && len > 0 && ((unsigned char)*s & 0xC0) == 0x80;
			i++) {
			s++;
			len--;
		}
	}
	folded_init(&f, s, len, suffix, suffix_len);
	ends = f.a_len >= f.b_len && memcmp(f.a + f.a_len - f.b_len, f.b, f.b_len) == 0;
	free(f.heap);
	return ends;
}

bool fold_contains(const char *s, size_t len, const char *part, size_t part_len)
{
	struct folded f;
	bool contains;

	if (part_len == 0)
		return true;
	folded_init(&f, s, len, part, part_len);
	contains = memmem(f.a, f.a_len, f.b, f.b_len) != NULL;
	free(f.heap);
	return contains;
}

uint32_t fold_hash(const char *s, size_t len)
{
	uint32_t hash = 2166136261u; /* FNV-1a over the folded characters */

	while (len > 0) {
		hash ^= fold_next(&s, &len);
		hash *= 16777619u;
	}
	return hash;
}

size_t fold_utf16_len(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		n += (c & 0xC0) != 0x80; /* each lead byte */
		n += c >= 0xF0;		 /* a pair of surrogates */
	}
	return n;
}

void fold_trim(const char **s, size_t *len)
{
	const char *from = *s, *end = *s + *len;

	while (from < end) {
		size_t bytes;

		if (!fold_is_space(fold_decode(from, (size_t)(end - from), &bytes)))
			break;
		from += bytes;
	}
	while (end > from) {
		const char *last = end - 1;
		size_t bytes;

		while (last > from && ((unsigned char)*last & 0xC0) == 0x80 &&
			end - last < 4)
			last--;
		if (!fold_is_space(fold_decode(last, (size_t)(end - last), &bytes)) ||
			last + bytes != end)
			break;
		end = last;
	}
	*s = from;
	*len = (size_t)(end - from);
}
