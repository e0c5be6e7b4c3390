/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks: peer credentials, token, session cookie; signing in and out; forms. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "runner/html.h"
#include "runner/web-internal.h"

/* __Host- needs https; on loopback http browsers refuse Secure cookies (WH13). */
static const char *cookie_name(const struct web *w)
{
	return w->is_https ? "__Host-sluice" : "sluice";
}

static void identify_local(struct visit *v)
{
	uid_t uid = http_peer_uid(v->r);

	if (uid != 0 && uid != v->web->o->owner)
		return;
	v->who.kind = xstrdup("user");
	v->who.name = xstrdup("admin");
	v->who.scopes = SCOPE_ADMIN;
}

void web_identify(struct visit *v)
{
	const char *auth = http_header(v->r, "authorization");
	const char *cookie = http_cookie(v->r, cookie_name(v->web));
	struct err err = ERR_INIT;

	if (http_is_local(v->r)) {
		identify_local(v);
	} else if (auth && strncasecmp(auth, "bearer ", 7) == 0) {
		if (tokens_check(v->web->store, auth + 7, &v->who, &err) < 0)
			memset(&v->who, 0, sizeof(v->who));
		else
			v->bearer = xstrdup(auth + 7);
	} else if (cookie && cookie[0]) {
		if (sessions_check(v->web->store, cookie, &v->who, &err) < 0)
			memset(&v->who, 0, sizeof(v->who));
		else
			v->session = xstrdup(cookie);
	}
}

bool web_still_known(const struct visit *v)
{
	struct principal p;
	struct err err = ERR_INIT;
	int r = 0;

	memset(&p, 0, sizeof(p));
	if (v->bearer)
		r = tokens_check(v->web->store, v->bearer, &p, &err);
	else if (v->session)
		r = sessions_check(v->web->store, v->session, &p, &err);
	principal_done(&p);
	return r == 0;
}

void web_set_session(struct visit *v, const char *session)
{
	_cleanup_free_ char *cookie = xasprintf("%s=%s; Path=/; HttpOnly; SameSite=Strict%s%s",
		cookie_name(v->web), session ? session : "", v->web->is_https ? "; Secure" : "",
		session ? "; Max-Age=2592000" : "; Max-Age=0");

	http_add_header(v->r, "Set-Cookie", cookie);
}

static void csrf_token(const struct visit *v, char out[SHA256_HEX_MAX])
{
	uint8_t mac[SHA256_LEN];
	const char *session = v->session ? v->session : "";

	/* The session is a secret that only this browser holds: it keys the form's token. */
	crypto_hmac_sha256(session, strlen(session), "form", 4, mac);
	hex_encode(mac, SHA256_LEN, out);
}

void web_csrf_field(struct visit *v, struct strbuf *out)
{
	char token[SHA256_HEX_MAX];

	csrf_token(v, token);
	html_put(out, "<input type=\"hidden\" name=\"form\" value=\"$\">", token);
}

bool web_origin_is_ours(const struct visit *v)
{
	const char *origin = http_header(v->r, "origin");
	const char *site = http_header(v->r, "sec-fetch-site");
	const char *host = http_header(v->r, "host");
	const char *at;

	if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
		return false;
	if (!origin)
		return true;
	at = strstr(origin, "://");
	return at && host && strcmp(at + 3, host) == 0;
}

bool web_same_origin(struct visit *v)
{
	char token[SHA256_HEX_MAX];
	const char *sent = http_form(v->r, "form");

	csrf_token(v, token);
	if (v->session && web_origin_is_ours(v) && sent && strlen(sent) == strlen(token) &&
		crypto_equal(sent, token, strlen(token)))
		return true;
	page_error(v, 403, "This form did not come from here",
		"It was sent by another site, or you signed out meanwhile. Nothing was changed.",
		"Open the page again and repeat what you did.");
	return false;
}

/* ---- signing in ---- */

/* Only places of ours: no scheme, no host, nothing a browser takes for one. */
static const char *safe_next(const char *next)
{
	bool safe = next && next[0] == '/' && next[1] != '/' && next[1] != '\\' &&
		!strpbrk(next, "\t\r\n");

	return safe ? next : "/";
}

static void login_form(struct visit *v, int status, const char *problem)
{
	struct strbuf out = STRBUF_INIT;
	const char *token = http_query(v->r, "token");
	const char *next = http_query(v->r, "next");

	if (!next)
		next = http_form(v->r, "next");
	page_begin(v, &out, "Sign in", NULL);
	strbuf_adds(&out, "<div class=\"narrow\"><h1>Sign in</h1>");
	if (problem)
		html_put(&out,
			"<p class=\"note fail\" role=\"alert\" id=\"problem\">$</p>",
			problem);
	strbuf_adds(&out,
		"<form method=\"post\" action=\"/login\" class=\"panel pad\">"
		"<p><label for=\"token\">One-time link or token</label>");
	html_put(&out,
		"<input id=\"token\" name=\"token\" class=\"field\" autocomplete=\"off\" "
		"spellcheck=\"false\" required value=\"$\"@></p>"
		"<input type=\"hidden\" name=\"next\" value=\"$\">",
		token ? token : "", problem ? " aria-describedby=\"problem\"" : "",
		safe_next(next));
	strbuf_adds(&out,
		"<p class=\"buttons\"><button class=\"btn primary\">Sign in</button></p></form>"
		"<p>On the server, this prints a link that signs you in once:</p>"
		"<pre class=\"well\">sluice token link</pre></div>");
	page_answer(v, status, &out);
}

void web_login_page(struct visit *v)
{
	login_form(v, 200, NULL);
}

static void on_login(struct visit *v, const struct json *answer, void *data)
{
	_cleanup_free_ char *next = data;
	const char *session = json_get_str(answer, "session", NULL);

	if (!answer) {
		page_refused(v, NULL);
	} else if (!session) {
		login_form(v, 403, "This link or token is not valid, was used already, or has "
				   "expired. Nothing was changed.");
	} else {
		web_set_session(v, session);
		http_redirect(v->r, 303, next);
	}
}

/* "https://here/login?token=X" pasted whole is understood too. */
static char *token_of(const char *text)
{
	const char *at = text ? strstr(text, "token=") : NULL;

	if (!text)
		return xstrdup("");
	at = at ? at + strlen("token=") : text;
	at += strspn(at, " \t\r\n");
	return xstrndup(at, strcspn(at, "& \t\r\n"));
}

void web_login(struct visit *v)
{
	_cleanup_free_ char *token = token_of(http_form(v->r, "token"));
	struct json *f;

	if (!web_origin_is_ours(v)) { /* nobody signs another browser in as somebody */
		page_error(v, 403, "This form did not come from here",
			"It was sent by another site. Nothing was changed.", NULL);
		return;
	}
	f = json_new_object();
	json_set_str(f, "token", token);
	json_set_str(f, "peer", http_peer(v->r));
	web_call_core(v, "login", f, NULL, 0, on_login,
		xstrdup(safe_next(http_form(v->r, "next"))));
}

static void on_logout(struct visit *v, const struct json *answer, void *data)
{
	if (!answer || !json_get_bool(answer, "ok", false)) {
		page_refused(v, answer);
		return;
	}
	web_set_session(v, NULL);
	http_redirect(v->r, 303, "/login");
}

void web_logout(struct visit *v)
{
	struct json *f;

	if (!web_same_origin(v))
		return;
	f = json_new_object();
	json_set_str(f, "session", v->session);
	json_set_bool(f, "out", true);
	web_call_core(v, "login", f, NULL, 0, on_logout, NULL);
}

/*
 * SameSite=Strict keeps the cookie from a click on a link in a mail or a chat. The first
 * answer to such a click is an empty page of ours that goes on by itself: that step begins
 * here, and the cookie comes with it.
 */
bool web_bounce(struct visit *v)
{
	const char *site = http_header(v->r, "sec-fetch-site");
	const char *mode = http_header(v->r, "sec-fetch-mode");
	_cleanup_(strbuf_done) struct strbuf to = STRBUF_INIT;

	if (v->who.kind || !str_eq(site, "cross-site") || !str_eq(mode, "navigate") ||
		strcmp(http_method(v->r), "GET") != 0)
		return false;
	strbuf_adds(&to, "0;url=/go?next=");
	html_url(&to, http_target(v->r));
	http_add_header(v->r, "Refresh", to.buf);
	http_answer(v->r, 200, "text/html; charset=utf-8",
		"<!doctype html><title>sluice</title>", 35);
	return true;
}

void web_go(struct visit *v)
{
	http_redirect(v->r, 303, safe_next(http_query(v->r, "next")));
}
