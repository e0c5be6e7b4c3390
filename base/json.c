/* SPDX-License-Identifier: Apache-2.0 */
/* The only module that includes jansson. A struct json is a json_t under another name. */
#include "base/json.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

/* jansson itself recurses up to 2048 levels; our readers recurse too. */
#define DEPTH_MAX   64
#define DIGITS_SAFE 18 /* any integer of so many digits fits 64 bits */

static json_t *in(const struct json *j)
{
	return (json_t *)(uintptr_t)j;
}

static struct json *out_of(json_t *j)
{
	return (struct json *)j;
}

static json_t *must(json_t *j)
{
	if (!j)
		abort(); /* jansson fails here only when out of memory */
	return j;
}

/* ---- parse ---- */

struct scan {
	const char *at;
	const char *end;
};

/* From behind an opening quote to behind the closing one, or END. */
static const char *string_end(const char *at, const char *end)
{
	const char *quote = NULL;

	while (at < end) {
		const char *slash;

		/* Once for all escapes before it, or a text of escapes costs the square. */
		if (!quote || quote < at)
			quote = memchr(at, '"', (size_t)(end - at));
		if (!quote)
			quote = end;
		slash = memchr(at, '\\', (size_t)(quote - at));
		if (!slash)
			return quote < end ? quote + 1 : end;
		at = end - slash > 1 ? slash + 2 : end;
	}
	return end;
}

static int too_deep(const char *data, const char *at, struct err *err)
{
	size_t line = 1, column = 0;

	for (; data < at; data++) {
		/* Columns count letters, not bytes. */
		column += ((unsigned char)*data & 0xc0) != 0x80;
		if (*data == '\n') {
			line++;
			column = 0;
		}
	}
	return err_set(err, ERR_INPUT, "json:%zu:%zu: nested deeper than %d", line, column,
		DEPTH_MAX);
}

const char *json_look(const char *data, size_t len, size_t depth_max, size_t *ret_values)
{
	const char *at = data, *end = data + len, *found = NULL;
	size_t depth = 0, values = 0;

	while (at < end) {
		char c = *at++;

		if (c == '"')
			at = string_end(at, end);
		else if ((c == '[' || c == '{') && ++depth > depth_max && !found)
			found = at;
		else if ((c == ']' || c == '}') && depth > 0)
			depth--;
		values += c == ',' || c == '[' || c == '{';
	}
	if (ret_values)
		*ret_values = values;
	return found;
}

static size_t number_len(const char *at, const char *end)
{
	const char *start = at;

	while (at < end && *at && strchr("+-.0123456789eE", *at))
		at++;
	return (size_t)(at - start);
}

/* Copies one number, with ".0" behind it if it is an integer beyond 64 bits. */
static size_t widen_number(const char *token, size_t len, struct strbuf *wide)
{
	bool is_integer = len > DIGITS_SAFE && !memchr(token, '.', len) &&
			  !memchr(token, 'e', len) && !memchr(token, 'E', len);
	long long v;

	strbuf_add(wide, token, len);
	if (is_integer) {
		_cleanup_free_ char *text = xstrndup(token, len);

		if (str_to_int(text, INT64_MIN, INT64_MAX, &v) < 0) {
			strbuf_adds(wide, ".0");
			return 2;
		}
	}
	return 0;
}

/*
 * Copies the document with its large integers made reals, until WIDE is STOP long.
 * Returns by how many letters the last line grew.
 */
static size_t widen_integers(
	const char *data, size_t len, size_t stop, struct strbuf *wide)
{
	struct scan s = { data, data + len };
	size_t grown = 0;

	while (s.at < s.end && wide->len < stop) {
		const char *start = s.at++;
		size_t digits = number_len(start, s.end);

		if (*start == '"')
			s.at = string_end(s.at, s.end);
		else if (*start == '\n')
			grown = 0;
		if (*start != '-' && (*start < '0' || *start > '9')) {
			strbuf_add(wide, start, (size_t)(s.at - start));
			continue;
		}
		s.at = start + digits;
		grown += widen_number(start, digits, wide);
	}
	return grown;
}

int json_parse(const char *data, size_t len, struct json **ret, struct err *err)
{
	const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
	_cleanup_(strbuf_done) struct strbuf wide = STRBUF_INIT;
	_cleanup_(strbuf_done) struct strbuf scratch = STRBUF_INIT;
	json_error_t why;
	const char *deep;
	size_t grown = 0;
	json_t *j;

	/* jansson would let 2048 levels through. Anything else that is wrong is left to it. */
	deep = json_look(data, len, DEPTH_MAX, NULL);
	if (deep)
		return too_deep(data, deep, err);
	j = json_loadb(data, len, flags, &why);
	if (!j && json_error_code(&why) == json_error_numeric_overflow) {
		widen_integers(data, len, SIZE_MAX, &wide);
		j = json_loadb(wide.buf, wide.len, flags, &why);
		if (!j)
			grown = widen_integers(data, len, (size_t)why.position, &scratch);
	}
	if (!j)
		return err_set(err, ERR_INPUT, "json:%d:%d: %s", why.line,
			why.column - (int)grown, why.text);
	*ret = out_of(j);
	return 0;
}

/* ---- write ---- */

static int dump_to_strbuf(const char *bytes, size_t len, void *data)
{
	strbuf_add(data, bytes, len);
	return 0;
}

void json_write(const struct json *j, enum json_write_flags flags, struct strbuf *out)
{
	size_t how = JSON_ENCODE_ANY;
	int failed;

	how |= flags & JSON_WRITE_PRETTY ? JSON_INDENT(2) : JSON_COMPACT;
	if (flags & JSON_WRITE_SORTED)
		how |= JSON_SORT_KEYS;
	if (j) {
		failed = json_dump_callback(in(j), dump_to_strbuf, out, how);
		assert(!failed); /* only a document that holds itself fails */
		(void)failed;
	} else {
		strbuf_adds(out, "null");
	}
	if (flags & JSON_WRITE_PRETTY)
		strbuf_addc(out, '\n');
}

char *json_text(const struct json *j)
{
	struct strbuf b = STRBUF_INIT;

	json_write(j, 0, &b);
	return strbuf_take(&b);
}

/* ---- life ---- */

struct json *json_share(struct json *j)
{
	return out_of(json_incref(in(j)));
}

void json_free(struct json *j)
{
	json_decref(in(j));
}

struct json *json_clone(const struct json *j)
{
	return j ? out_of(must(json_deep_copy(in(j)))) : NULL;
}

struct json *json_new_object(void)
{
	return out_of(must(json_object()));
}

struct json *json_new_array(void)
{
	return out_of(must(json_array()));
}

/* Of the letter that starts with this byte, 0 if none does. */
static size_t utf8_length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	if (first < 0xc2) /* the middle of one, or an overlong form */
		return 0;
	if (first < 0xe0)
		return 2;
	if (first < 0xf0)
		return 3;
	return first < 0xf5 ? 4 : 0;
}

/* Length of the well-formed UTF-8 letter at S, 0 if it is none. */
static size_t utf8_letter(const unsigned char *s, size_t len)
{
	size_t n = utf8_length(s[0]);

	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, beyond U+10FFFF. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
		(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* The bytes with U+FFFD for each one that is not UTF-8; or false when all is well. */
static bool repair_utf8(const char *s, size_t len, struct strbuf *fixed)
{
	bool is_broken = false;
	size_t good = 0; /* start of what was not copied yet */

	for (size_t i = 0; i < len;) {
		size_t n = utf8_letter((const unsigned char *)s + i, len - i);

		if (n) {
			i += n;
			continue;
		}
		is_broken = true;
		strbuf_add(fixed, s + good, i - good);
		strbuf_adds(fixed, "\xef\xbf\xbd");
		good = ++i;
	}
	if (is_broken)
		strbuf_add(fixed, s + good, len - good);
	return is_broken;
}

struct json *json_new_str(const char *s)
{
	return s ? json_new_strn(s, strlen(s)) : json_new_null();
}

struct json *json_new_strn(const char *s, size_t len)
{
	_cleanup_(strbuf_done) struct strbuf fixed = STRBUF_INIT;

	if (repair_utf8(s, len, &fixed))
		return out_of(must(json_stringn_nocheck(fixed.buf, fixed.len)));
	return out_of(must(json_stringn_nocheck(s, len)));
}

struct json *json_new_int(int64_t v)
{
	return out_of(must(json_integer(v)));
}

struct json *json_new_real(double v)
{
	return isfinite(v) ? out_of(must(json_real(v))) : json_new_null();
}

struct json *json_new_bool(bool v)
{
	return out_of(json_boolean(v));
}

struct json *json_new_null(void)
{
	return out_of(json_null());
}

/* ---- read ---- */

enum json_kind json_kind_of(const struct json *j)
{
	static const enum json_kind kinds[] = {
		[JSON_OBJECT] = JSON_KIND_OBJECT,
		[JSON_ARRAY] = JSON_KIND_ARRAY,
		[JSON_STRING] = JSON_KIND_STRING,
		[JSON_INTEGER] = JSON_KIND_INT,
		[JSON_REAL] = JSON_KIND_REAL,
		[JSON_TRUE] = JSON_KIND_BOOL,
		[JSON_FALSE] = JSON_KIND_BOOL,
		[JSON_NULL] = JSON_KIND_NULL,
	};

	return j ? kinds[json_typeof(in(j))] : JSON_KIND_NULL;
}

bool json_is(const struct json *j, enum json_kind kind)
{
	return j && json_kind_of(j) == kind;
}

size_t json_count(const struct json *j)
{
	/* Each is 0 for any other kind, and for NULL. */
	return json_object_size(in(j)) + json_array_size(in(j));
}

bool json_same(const struct json *a, const struct json *b)
{
	if (!a || !b)
		return a == b;
	return json_equal(in(a), in(b));
}

struct json *json_get(const struct json *j, const char *key)
{
	return out_of(json_object_get(in(j), key));
}

struct json *json_at(const struct json *j, size_t i)
{
	return out_of(json_array_get(in(j), i));
}

struct json *json_path(const struct json *j, const char *dotted)
{
	while (j && *dotted) {
		size_t n = strcspn(dotted, ".");

		j = out_of(json_object_getn(in(j), dotted, n));
		dotted += n;
		if (*dotted == '.')
			dotted++;
	}
	return out_of(in(j));
}

const char *json_as_str(const struct json *j, const char *otherwise)
{
	const char *s = json_string_value(in(j));

	return s ? s : otherwise;
}

size_t json_str_len(const struct json *j)
{
	return json_string_length(in(j));
}

int64_t json_as_int(const struct json *j, int64_t otherwise)
{
	return json_is_integer(in(j)) ? json_integer_value(in(j)) : otherwise;
}

double json_as_real(const struct json *j, double otherwise)
{
	return json_is_number(in(j)) ? json_number_value(in(j)) : otherwise;
}

bool json_as_bool(const struct json *j, bool otherwise)
{
	return json_is_boolean(in(j)) ? json_is_true(in(j)) : otherwise;
}

const char *json_get_str(const struct json *j, const char *key, const char *otherwise)
{
	return json_as_str(json_get(j, key), otherwise);
}

int64_t json_get_int(const struct json *j, const char *key, int64_t otherwise)
{
	return json_as_int(json_get(j, key), otherwise);
}

double json_get_real(const struct json *j, const char *key, double otherwise)
{
	return json_as_real(json_get(j, key), otherwise);
}

bool json_get_bool(const struct json *j, const char *key, bool otherwise)
{
	return json_as_bool(json_get(j, key), otherwise);
}

/* ---- change ---- */

void json_set(struct json *obj, const char *key, struct json *value)
{
	_cleanup_(strbuf_done) struct strbuf fixed = STRBUF_INIT;
	json_t *v = value ? in(value) : json_null();

	assert(json_is(obj, JSON_KIND_OBJECT) && obj != value);
	if (repair_utf8(key, strlen(key), &fixed))
		key = fixed.buf;
	if (json_object_set_new_nocheck(in(obj), key, v) < 0)
		abort();
}

void json_set_str(struct json *obj, const char *key, const char *s)
{
	json_set(obj, key, json_new_str(s));
}

void json_set_int(struct json *obj, const char *key, int64_t v)
{
	json_set(obj, key, json_new_int(v));
}

void json_set_real(struct json *obj, const char *key, double v)
{
	json_set(obj, key, json_new_real(v));
}

void json_set_bool(struct json *obj, const char *key, bool v)
{
	json_set(obj, key, json_new_bool(v));
}

void json_unset(struct json *obj, const char *key)
{
	(void)json_object_del(in(obj), key); /* not there: nothing to do */
}

void json_push(struct json *arr, struct json *value)
{
	json_t *v = value ? in(value) : json_null();

	assert(json_is(arr, JSON_KIND_ARRAY) && arr != value);
	if (json_array_append_new(in(arr), v) < 0)
		abort();
}

void json_push_str(struct json *arr, const char *s)
{
	json_push(arr, json_new_str(s));
}

static struct json_iter iter_at(const struct json *obj, void *at)
{
	struct json_iter it = { obj, at, NULL, NULL };

	if (at) {
		it.key = json_object_iter_key(at);
		it.value = out_of(json_object_iter_value(at));
	}
	return it;
}

struct json_iter json_iter_first(const struct json *obj)
{
	return iter_at(obj, json_object_iter(in(obj)));
}

struct json_iter json_iter_next(struct json_iter it)
{
	return iter_at(it.obj, json_object_iter_next(in(it.obj), it.at));
}
