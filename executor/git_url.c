/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a repository may come from. Git itself would run programs for some addresses
 * (`ext::sh -c ...`, `-oProxyCommand=...` as a host); here an address is taken apart first,
 * and what is not in the table is refused.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "executor/git-internal.h"

#define URL_MAX 2048

void git_url_done(struct git_url *u)
{
	free(u->user);
	free(u->host);
	free(u->path);
	free(u->text);
	*u = (struct git_url)GIT_URL_INIT;
}

static const struct {
	const char *prefix;
	enum git_scheme scheme;
} schemes[] = {
	{ "https://", GIT_URL_HTTPS },
	{ "http://", GIT_URL_HTTP },
	{ "ssh://", GIT_URL_SSH },
	{ "git+ssh://", GIT_URL_SSH },
	{ "git://", GIT_URL_GIT },
	{ "file://", GIT_URL_FILE },
};

/* Letters that can neither end a shell word nor begin an option, in the first place. */
static bool is_word(const char *s, size_t len, const char *extra)
{
	if (len == 0 || s[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || (c && strchr(extra, c))))
			return false;
	}
	return true;
}

static bool is_loopback(const char *host)
{
	return str_eq(host, "localhost") || strncmp(host, "127.", 4) == 0 ||
	       str_eq(host, "[::1]");
}

/* "user@host:port"; what is in front of the path. */
static int parse_authority(const char *p, size_t len, struct git_url *u, struct err *err)
{
	const char *at = memrchr(p, '@', len);
	const char *end = p + len, *colon;
	long long port;

	if (at) {
		if (memchr(p, ':', (size_t)(at - p)))
			return err_set(err, ERR_INPUT,
				"the address holds a password: give it apart (--token-stdin)");
		if (!is_word(p, (size_t)(at - p), "._-+~"))
			return err_set(
				err, ERR_INPUT, "the address has no usable user name");
		u->user = xstrndup(p, (size_t)(at - p));
		p = at + 1;
	}
	colon = p < end && *p == '[' ? memchr(p, ']', (size_t)(end - p)) : p;
	if (!colon)
		return err_set(err, ERR_INPUT, "the address has no usable host");
	colon = memchr(colon, ':', (size_t)(end - colon));
	if (colon) {
		_cleanup_free_ char *digits =
			xstrndup(colon + 1, (size_t)(end - colon - 1));

		if (str_to_int(digits, 1, 65535, &port) < 0)
			return err_set(err, ERR_INPUT, "the address has no usable port");
		u->port = (int)port;
		end = colon;
	}
	if (!is_word(p, (size_t)(end - p), *p == '[' ? "[]:." : ".-_"))
		return err_set(err, ERR_INPUT, "the address has no usable host");
	u->host = xstrndup(p, (size_t)(end - p));
	return 0;
}

/* "git@host:path", as git reads it when there is no "://". */
static int parse_scp(const char *text, struct git_url *u, struct err *err)
{
	const char *colon = strchr(text, ':');

	if (!colon || memchr(text, '/', (size_t)(colon - text)) || colon[1] == ':')
		return err_set(err, ERR_INPUT,
			"'%.100s' is no address of a repository: https://, ssh://, git:// or "
			"git@host:path",
			text);
	u->scheme = GIT_URL_SSH;
	if (parse_authority(text, (size_t)(colon - text), u, err) < 0)
		return -1;
	u->path = xstrdup(colon + 1);
	return 0;
}

static int parse_scheme(const char *text, struct git_url *u, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		size_t n = strlen(schemes[i].prefix);
		const char *path;

		if (strncmp(text, schemes[i].prefix, n) != 0)
			continue;
		u->scheme = schemes[i].scheme;
		path = strchr(text + n, '/');
		if (!path)
			return err_set(err, ERR_INPUT, "the address names no repository");
		u->path = xstrdup(path);
		if (u->scheme != GIT_URL_FILE)
			return parse_authority(
				text + n, (size_t)(path - text) - n, u, err);
		return path == text + n
			       ? 0
			       : err_set(err, ERR_INPUT, "file:// takes no host");
	}
	if (strstr(text, "://"))
		return err_set(err, ERR_INPUT,
			"'%.100s': only https, ssh and git are fetched", text);
	return parse_scp(text, u, err);
}

static int check(
	const struct git_url *u, bool is_local, bool is_insecure, struct err *err)
{
	if (u->scheme == GIT_URL_FILE && !is_local)
		return err_set(err, ERR_DENIED,
			"a repository on this machine is fetched only when it was registered so");
	if (u->scheme == GIT_URL_HTTP && !is_insecure && !is_loopback(u->host))
		return err_set(err, ERR_DENIED,
			"http:// is not encrypted: use https://, or register it as insecure");
	/* The other side's shell reads it, through git's own quotes. */
	if (u->scheme == GIT_URL_SSH && !is_word(u->path, strlen(u->path), "/._-+~@=%,:"))
		return err_set(err, ERR_INPUT,
			"the path of the repository has characters that "
			"ssh addresses may not have");
	return 0;
}

int git_url_parse(const char *text, bool is_local, bool is_insecure, struct git_url *ret,
	struct err *err)
{
	struct git_url u = GIT_URL_INIT;
	int rc = 0;

	if (strlen(text) > URL_MAX)
		return err_set(
			err, ERR_LIMIT, "the address has more than %d bytes", URL_MAX);
	for (const char *p = text; *p; p++) {
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return err_set(err, ERR_INPUT,
				"the address holds a blank or a control character");
	}
	if (text[0] == '/') {
		u.scheme = GIT_URL_FILE;
		u.path = xstrdup(text);
	} else {
		rc = text[0] == '-'
			     ? err_set(err, ERR_INPUT, "'%.60s' is no address", text)
			     : parse_scheme(text, &u, err);
	}
	if (rc == 0)
		rc = check(&u, is_local, is_insecure, err);
	if (rc < 0) {
		git_url_done(&u);
		return -1;
	}
	u.text =
		u.scheme == GIT_URL_FILE ? xasprintf("file://%s", u.path) : xstrdup(text);
	*ret = u;
	return 0;
}
