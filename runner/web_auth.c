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
	} else if (cookie && cookie[0]) {
		if (sessions_check(v->web->store, cookie, &v->who, &err) < 0)
			memset(&v->who, 0, sizeof(v->who));
		else
			v->session = xstrdup(cookie);
	}
}

void web_set_session(struct visit *v, const char *session)
{
	_cleanup_free_ char *cookie = xasprintf("%s=%s; Path=/; HttpOnly; SameSite=%s%s%s",
		cookie_name(v->web), session ? session : "",
		/* A one-time link is opened from a mail or a chat: Strict would drop it. */
		"Lax", v->web->is_https ? "; Secure" : "",
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

static bool origin_is_ours(const struct visit *v)
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
	if (v->session && origin_is_ours(v) && sent && strlen(sent) == strlen(token) &&
		crypto_equal(sent, token, strlen(token)))
		return true;
	page_error(v, 403, "This form did not come from here",
		"It was sent by another site, or you signed out meanwhile. Nothing was changed.",
		"Open the page again and repeat what you did.");
	return false;
}

/* ---- signing in ---- */

static void login_form(struct visit *v, const char *problem)
{
	struct strbuf out = STRBUF_INIT;
	const char *token = http_query(v->r, "token");
	const char *next = http_query(v->r, "next");

	page_begin(v, &out, "Sign in", NULL);
	strbuf_adds(&out, "<div class=\"narrow\"><h1>Sign in</h1>");
	if (problem)
		html_put(&out, "<p class=\"note fail\">$</p>", problem);
	strbuf_adds(&out,
		"<form method=\"post\" action=\"/login\" class=\"panel pad\">"
		"<label for=\"token\">One-time link or token</label>");
	html_put(&out,
		"<input id=\"token\" name=\"token\" class=\"field\" autocomplete=\"off\" "
		"required value=\"$\"><input type=\"hidden\" name=\"next\" value=\"$\">",
		token ? token : "", next && next[0] == '/' && next[1] != '/' ? next : "/");
	strbuf_adds(&out,
		"<p class=\"buttons\"><button class=\"btn primary\">Sign in</button></p></form>"
		"<p>On the server, this prints a link that signs you in once:</p>"
		"<pre class=\"well\">sluice token link</pre></div>");
	page_answer(v, problem ? 403 : 200, &out);
}

void web_login_page(struct visit *v)
{
	login_form(v, NULL);
}

static void on_login(struct visit *v, const struct json *answer, void *data)
{
	_cleanup_free_ char *next = data;
	const struct json *result = json_get(answer, "result");
	const char *session = json_get_str(answer, "session", NULL);

	if (!session)
		session = json_get_str(result, "session", NULL);
	if (!session) {
		login_form(v, "This link or token is not valid, was used already, or has "
			      "expired. Nothing was changed.");
		return;
	}
	web_set_session(v, session);
	http_redirect(v->r, 303, next);
}

void web_login(struct visit *v)
{
	const char *token = http_form(v->r, "token"), *next = http_form(v->r, "next");
	struct json *f = json_new_object();
	bool safe = next && next[0] == '/' && next[1] != '/' && next[1] != '\\';

	json_set_str(f, "token", token ? token : "");
	json_set_str(f, "peer", http_peer(v->r));
	web_call_core(v, "login", f, NULL, 0, on_login, xstrdup(safe ? next : "/"));
}

static void on_logout(struct visit *v, const struct json *answer, void *data)
{
	web_set_session(v, NULL);
	http_redirect(v->r, 303, "/login");
}

void web_logout(struct visit *v)
{
	struct json *f = json_new_object();

	if (!web_same_origin(v)) {
		json_free(f);
		return;
	}
	json_set_str(f, "session", v->session);
	json_set_bool(f, "out", true);
	web_call_core(v, "login", f, NULL, 0, on_logout, NULL);
}
