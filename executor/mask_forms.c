/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spellings under which a secret turns up in logs. Encodings that work character by
 * character need no form of a whole multi-line value: each of its lines has them, and the
 * text between the lines is not secret. Base64 does need it.
 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/crypto.h"
#include "base/limits.h"
#include "base/strbuf.h"
#include "executor/mask-internal.h"

struct emit {
	mask_form_fn *fn;
	void *ctx;
};

static void emit(const struct emit *e, const char *p, size_t len)
{
	if (len >= LIMIT_MASK_MIN)
		e->fn(p, len, e->ctx);
}

/* ---- character by character ---- */

typedef void encode_fn(const unsigned char *v, size_t len, struct strbuf *out);

static bool is_alnum(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* Percent encoding of all but letters, digits and KEEP. */
static void percent(const unsigned char *v, size_t len, const char *keep, bool is_upper,
	bool is_plus, struct strbuf *out)
{
	for (size_t i = 0; i < len; i++) {
		if (is_alnum(v[i]) || (v[i] && strchr(keep, v[i])))
			strbuf_addc(out, (char)v[i]);
		else if (v[i] == ' ' && is_plus)
			strbuf_addc(out, '+');
		else
			strbuf_addf(out, is_upper ? "%%%02X" : "%%%02x", v[i]);
	}
}

static void url_data(const unsigned char *v, size_t len, struct strbuf *out)
{
	percent(v, len, "-_.~", true, false, out);
}

static void url_data_lower(const unsigned char *v, size_t len, struct strbuf *out)
{
	percent(v, len, "-_.~", false, false, out);
}

static void url_path(const unsigned char *v, size_t len, struct strbuf *out)
{
	percent(v, len, "-_.~/", true, false, out);
}

static void url_script(const unsigned char *v, size_t len, struct strbuf *out)
{
	percent(v, len, "-_.~!'()*", true, false, out);
}

static void url_form(const unsigned char *v, size_t len, struct strbuf *out)
{
	percent(v, len, "-_.*", true, true, out);
}

static void url_form_tilde(const unsigned char *v, size_t len, struct strbuf *out)
{
	percent(v, len, "-_.~", true, true, out);
}

/* Puts PREFIX before each character of SET. */
static void prefixed(const unsigned char *v, size_t len, const char *set,
	const char *prefix, struct strbuf *out)
{
	for (size_t i = 0; i < len; i++) {
		if (v[i] && strchr(set, v[i]))
			strbuf_adds(out, prefix);
		strbuf_addc(out, (char)v[i]);
	}
}

static void shell_double(const unsigned char *v, size_t len, struct strbuf *out)
{
	prefixed(v, len, "\"\\$`", "\\", out);
}

static void shell_q(const unsigned char *v, size_t len, struct strbuf *out)
{
	prefixed(v, len, " \t!\"#$&'()*;<>?[\\]^`{|}~,", "\\", out);
}

static void argument(const unsigned char *v, size_t len, struct strbuf *out)
{
	prefixed(v, len, "\"", "\\", out);
}

static void double_backslash(const unsigned char *v, size_t len, struct strbuf *out)
{
	prefixed(v, len, "\\", "\\", out);
}

static void expression(const unsigned char *v, size_t len, struct strbuf *out)
{
	prefixed(v, len, "'", "'", out);
}

/* Inside '...': the quote is left, written, and entered again. */
static void shell_single(const unsigned char *v, size_t len, struct strbuf *out)
{
	for (size_t i = 0; i < len; i++) {
		if (v[i] == '\'')
			strbuf_adds(out, "'\\''");
		else
			strbuf_addc(out, (char)v[i]);
	}
}

static void shell_single_double(const unsigned char *v, size_t len, struct strbuf *out)
{
	for (size_t i = 0; i < len; i++) {
		if (v[i] == '\'')
			strbuf_adds(out, "'\"'\"'");
		else
			strbuf_addc(out, (char)v[i]);
	}
}

/* Letters of the one-character escapes in C, JSON and $'...'. */
static char short_escape(unsigned char c)
{
	static const char from[] = "\b\f\n\r\t";
	static const char to[] = "bfnrt";
	const char *at = c ? strchr(from, c) : NULL;

	return at ? to[at - from] : '\0';
}

static void c_escape(const unsigned char *v, size_t len, struct strbuf *out)
{
	for (size_t i = 0; i < len; i++) {
		if (short_escape(v[i]))
			strbuf_addf(out, "\\%c", short_escape(v[i]));
		else if (v[i] == '"' || v[i] == '\\')
			strbuf_addf(out, "\\%c", v[i]);
		else if (v[i] < 0x20 || v[i] >= 0x7f)
			strbuf_addf(out, "\\%03o", v[i]);
		else
			strbuf_addc(out, (char)v[i]);
	}
}

static void c_escape_hex(const unsigned char *v, size_t len, struct strbuf *out)
{
	for (size_t i = 0; i < len; i++) {
		if (short_escape(v[i]))
			strbuf_addf(out, "\\%c", short_escape(v[i]));
		else if (v[i] == '\'' || v[i] == '\\')
			strbuf_addf(out, "\\%c", v[i]);
		else if (v[i] < 0x20 || v[i] >= 0x7f)
			strbuf_addf(out, "\\x%02x", v[i]);
		else
			strbuf_addc(out, (char)v[i]);
	}
}

/* One code point of UTF-8 at V; bytes used, 1 with the byte itself if it is none. */
static size_t code_point(const unsigned char *v, size_t len, uint32_t *ret)
{
	size_t n = v[0] >= 0xf0 ? 4 : v[0] >= 0xe0 ? 3 : v[0] >= 0xc2 ? 2 : 1;
	uint32_t cp;

	*ret = v[0];
	if (n == 1 || n > len || v[0] > 0xf4)
		return 1;
	cp = v[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((v[i] & 0xc0) != 0x80)
			return 1;
		cp = cp << 6 | (v[i] & 0x3f);
	}
	*ret = cp;
	return n;
}

static void json_unit(uint32_t u, bool is_upper, struct strbuf *out)
{
	strbuf_addf(out, is_upper ? "\\u%04X" : "\\u%04x", u);
}

/* JSON with EXTRA characters as \u, '/' as \/ and non-ASCII as \u, where asked. */
static void json_as(const unsigned char *v, size_t len, const char *extra, bool is_slash,
	bool is_ascii, bool is_upper, struct strbuf *out)
{
	size_t used;

	for (size_t i = 0; i < len; i += used) {
		uint32_t cp;

		used = code_point(v + i, len - i, &cp);
		if (short_escape(v[i]))
			strbuf_addf(out, "\\%c", short_escape(v[i]));
		else if (cp < 0x80 && cp && strchr(extra, (int)cp))
			json_unit(cp, is_upper, out);
		else if (cp == '"' || cp == '\\' || (cp == '/' && is_slash))
			strbuf_addf(out, "\\%c", v[i]);
		else if (cp < 0x20)
			json_unit(cp, is_upper, out);
		else if (used == 1 || !is_ascii)
			strbuf_add(out, v + i, used);
		else if (cp < 0x10000)
			json_unit(cp, is_upper, out);
		else {
			json_unit(0xd800 + ((cp - 0x10000) >> 10), is_upper, out);
			json_unit(0xdc00 + ((cp - 0x10000) & 0x3ff), is_upper, out);
		}
	}
}

static void json_plain(const unsigned char *v, size_t len, struct strbuf *out)
{
	json_as(v, len, "", false, false, false, out);
}

static void json_slash(const unsigned char *v, size_t len, struct strbuf *out)
{
	json_as(v, len, "", true, false, false, out);
}

static void json_ascii(const unsigned char *v, size_t len, struct strbuf *out)
{
	json_as(v, len, "\x7f", false, true, false, out);
}

static void json_ascii_slash(const unsigned char *v, size_t len, struct strbuf *out)
{
	json_as(v, len, "", true, true, false, out);
}

static void json_html(const unsigned char *v, size_t len, struct strbuf *out)
{
	json_as(v, len, "<>&", false, false, false, out);
}

static void json_html_strict(const unsigned char *v, size_t len, struct strbuf *out)
{
	json_as(v, len, "<>&'+\"`\x7f", false, true, true, out);
}

struct entity {
	char c;
	const char *text;
};

static void entities(const unsigned char *v, size_t len, const struct entity *table,
	struct strbuf *out)
{
	for (size_t i = 0; i < len; i++) {
		const struct entity *e = table;

		while (e->c && e->c != (char)v[i])
			e++;
		if (e->c)
			strbuf_adds(out, e->text);
		else
			strbuf_addc(out, (char)v[i]);
	}
}

static void xml_text(const unsigned char *v, size_t len, struct strbuf *out)
{
	static const struct entity table[] = { { '&', "&amp;" }, { '<', "&lt;" },
		{ '>', "&gt;" }, { '\0', NULL } };

	entities(v, len, table, out);
}

static void xml_attribute(const unsigned char *v, size_t len, struct strbuf *out)
{
	static const struct entity table[] = { { '&', "&amp;" }, { '<', "&lt;" },
		{ '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&apos;" }, { '\0', NULL } };

	entities(v, len, table, out);
}

static void html_attribute(const unsigned char *v, size_t len, struct strbuf *out)
{
	static const struct entity table[] = { { '&', "&amp;" }, { '<', "&lt;" },
		{ '>', "&gt;" }, { '"', "&quot;" }, { '\'', "&#39;" }, { '\0', NULL } };

	entities(v, len, table, out);
}

static void html_numeric(const unsigned char *v, size_t len, struct strbuf *out)
{
	static const struct entity table[] = { { '&', "&amp;" }, { '<', "&lt;" },
		{ '>', "&gt;" }, { '"', "&#34;" }, { '\'', "&#x27;" }, { '\0', NULL } };

	entities(v, len, table, out);
}

static void hex_as(const unsigned char *v, size_t len, bool is_upper, struct strbuf *out)
{
	for (size_t i = 0; i < len; i++)
		strbuf_addf(out, is_upper ? "%02X" : "%02x", v[i]);
}

static void hex_lower(const unsigned char *v, size_t len, struct strbuf *out)
{
	hex_as(v, len, false, out);
}

static void hex_upper(const unsigned char *v, size_t len, struct strbuf *out)
{
	hex_as(v, len, true, out);
}

static encode_fn *const encoders[] = {
	url_data,
	url_data_lower,
	url_path,
	url_script,
	url_form,
	url_form_tilde,
	json_plain,
	json_slash,
	json_ascii,
	json_ascii_slash,
	json_html,
	json_html_strict,
	xml_text,
	xml_attribute,
	html_attribute,
	html_numeric,
	c_escape,
	c_escape_hex,
	double_backslash,
	shell_double,
	shell_single,
	shell_single_double,
	shell_q,
	argument,
	expression,
	hex_lower,
	hex_upper,
};

/* ---- base64 ---- */

/* Both alphabets, when they differ. */
static void emit_base64(const struct emit *e, const char *p, size_t len)
{
	_cleanup_(strbuf_done) struct strbuf url = STRBUF_INIT;

	emit(e, p, len);
	if (!memchr(p, '+', len) && !memchr(p, '/', len))
		return;
	for (size_t i = 0; i < len; i++)
		strbuf_addc(&url, p[i] == '+' ? '-' : p[i] == '/' ? '_' : p[i]);
	emit(e, url.buf, url.len);
}

/*
 * V with LEAD unknown bytes before it. The characters that V alone decides are a pattern of
 * their own (anything may follow); where V ends the data, the last, partly decided
 * character, without and with its padding, makes two more.
 */
static void base64_at(
	const struct emit *e, const unsigned char *v, size_t len, size_t lead)
{
	static const size_t skip[] = { 0, 2, 3 }; /* characters the lead has a part in */
	_cleanup_(strbuf_done) struct strbuf data = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	size_t full = (lead + len) * 8 / 6 - skip[lead];

	strbuf_add(&data, "\0\0", lead);
	strbuf_add(&data, v, len);
	base64_encode(data.buf, data.len, false, &text);
	strbuf_remove(&text, 0, skip[lead]);
	emit_base64(e, text.buf, full);
	if (text.len > full) {
		emit_base64(e, text.buf, full + 1);
		emit_base64(e, text.buf, text.len);
	}
}

/* The lines that wrapped output of V alone has. */
static void base64_wrapped(
	const struct emit *e, const unsigned char *v, size_t len, size_t columns)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	base64_encode(v, len, false, &text);
	while (text.len > 0 && text.buf[text.len - 1] == '=')
		strbuf_truncate(&text, text.len - 1);
	for (size_t at = 0; at < text.len && text.len > columns; at += columns)
		emit_base64(e, text.buf + at,
			text.len - at < columns ? text.len - at : columns);
}

static void base64_forms(const struct emit *e, const char *value, size_t len)
{
	const unsigned char *v = (const unsigned char *)value;
	_cleanup_(strbuf_done) struct strbuf ended = STRBUF_INIT;

	for (size_t lead = 0; lead < 3; lead++)
		base64_at(e, v, len, lead);
	base64_wrapped(e, v, len, 76);
	base64_wrapped(e, v, len, 64);
	strbuf_add(&ended, value, len); /* echo "$SECRET" | base64 */
	strbuf_addc(&ended, '\n');
	base64_at(e, (const unsigned char *)ended.buf, ended.len, 0);
	base64_wrapped(e, (const unsigned char *)ended.buf, ended.len, 76);
	base64_wrapped(e, (const unsigned char *)ended.buf, ended.len, 64);
}

/* ---- what PowerShell colours apart ---- */

#define POWERSHELL_MIN 6

static void powershell_forms(const struct emit *e, const char *v, size_t len)
{
	const char *plus = memmem(v, len, "&+", 2);
	const char *amp = memrchr(v, '&', len);
	const char *cut = plus ? plus + 2 : amp ? amp + 1 : NULL;
	const char *rest = plus ? plus + 3 : cut;

	if (!cut)
		return;
	if (cut - v >= POWERSHELL_MIN)
		emit(e, v, (size_t)(cut - v));
	if (rest < v + len && v + len - rest >= POWERSHELL_MIN)
		emit(e, rest, (size_t)(v + len - rest));
}

/* One line, or a value that is one. */
static void line_forms(const struct emit *e, const char *v, size_t len)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;

	if (len < LIMIT_MASK_MIN)
		return;
	emit(e, v, len);
	for (size_t i = 0; i < ARRAY_SIZE(encoders); i++) {
		strbuf_clear(&sb);
		encoders[i]((const unsigned char *)v, len, &sb);
		emit(e, sb.buf, sb.len);
	}
	if (len > 8 && v[0] == '"' && v[len - 1] == '"')
		emit(e, v + 1, len - 2);
	powershell_forms(e, v, len);
	base64_forms(e, v, len);
}

static void whole_forms(const struct emit *e, const char *v, size_t len)
{
	_cleanup_(strbuf_done) struct strbuf crlf = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf json = STRBUF_INIT;

	emit(e, v, len);
	for (size_t i = 0; i < len; i++) {
		if (v[i] == '\n' && (i == 0 || v[i - 1] != '\r'))
			strbuf_addc(&crlf, '\r');
		strbuf_addc(&crlf, v[i]);
	}
	emit(e, crlf.buf, crlf.len);
	json_plain((const unsigned char *)v, len, &json);
	emit(e, json.buf, json.len);
	base64_forms(e, v, len);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

void mask_forms(const char *value, size_t len, mask_form_fn *fn, void *ctx)
{
	const struct emit e = { fn, ctx };
	const char *end = value + len;

	if (!memchr(value, '\n', len) && !memchr(value, '\r', len)) {
		line_forms(&e, value, len);
		return;
	}
	whole_forms(&e, value, len);
	for (const char *p = value; p < end;) {
		const char *stop = p;
		const char *last;

		while (stop < end && *stop != '\n' && *stop != '\r')
			stop++;
		last = stop;
		while (p < last && is_blank(*p))
			p++;
		while (last > p && is_blank(last[-1]))
			last--;
		line_forms(&e, p, (size_t)(last - p));
		p = stop + 1;
	}
}
