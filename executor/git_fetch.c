/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fetch into a mirror. With the `git` program as the transport where there is one (it
 * is five times as fast as libgit2's own and knows depth), else with libgit2. Either way:
 * no configuration but ours, no hooks, no redirects, the credential for the one host that
 * was registered and through a descriptor, the host key pinned, a total deadline.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strvec.h"
#include "executor/git-internal.h"
#include "executor/git.h"

#define PROGRAM	    "/usr/bin/git"
#define SSH_PROGRAM "/usr/bin/ssh"
#define FD_SECRET   8 /* in git and what it runs */
#define FD_HOSTS    9
#define OUTPUT_MAX  (64 * 1024)
#define REFS_MAX    64
#define SECRET_MAX  (64 * 1024)

/* ---- the git program ---- */

/* A private file without a name that a program can open again by /proc/PID/fd. */
static int hidden_file(const char *data, size_t len, struct err *err)
{
	int fd = fd_memfd("sluice", data, len, err);

	if (fd >= 0 && fchmod(fd, 0600) < 0) { /* ssh insists on it for a key */
		(void)close(fd);	       /* nothing was written that matters */
		return err_sys(err, "cannot protect a credential");
	}
	return fd;
}

static void add_config(struct strvec *argv, const char *setting)
{
	strvec_push(argv, "-c");
	strvec_push(argv, setting);
}

static bool is_web(const struct git_url *u)
{
	return u->scheme == GIT_URL_HTTPS || u->scheme == GIT_URL_HTTP;
}

static void add_web_config(struct strvec *argv, const struct git_source *s)
{
	const struct git_url *u = &s->url;
	_cleanup_free_ char *port = u->port ? xasprintf(":%d", u->port) : xstrdup("");

	add_config(argv, "http.followRedirects=false");
	add_config(argv, "http.lowSpeedLimit=1000");
	add_config(argv, "http.lowSpeedTime=60");
	if (s->ca) {
		_cleanup_free_ char *ca = xasprintf("http.sslCAInfo=%s", s->ca);

		add_config(argv, ca);
	}
	if (s->proxy) {
		_cleanup_free_ char *proxy = xasprintf("http.proxy=%s", s->proxy);

		add_config(argv, proxy);
	}
	add_config(argv, "credential.helper=");
	if (s->secret_len > 0) {
		/* Git asks the shell, the shell reads our descriptor; for this host alone. */
		_cleanup_free_ char *helper = xasprintf(
			"credential.%s://%s%s.helper=!f() { cat /proc/self/fd/%d; }; f",
			u->scheme == GIT_URL_HTTPS ? "https" : "http", u->host, port,
			FD_SECRET);

		add_config(argv, helper);
	}
}

static void add_fetch(struct strvec *argv, const struct git_source *s, const char *mirror)
{
	static const char *const fixed[] = { "core.hooksPath=/dev/null",
		"core.fsmonitor=false", "core.askPass=", "gc.auto=0",
		"maintenance.auto=false", "protocol.version=2", "fetch.unpackLimit=1",
		"transfer.unpackLimit=1", "fetch.writeCommitGraph=false",
		"fetch.recurseSubmodules=false", "pack.threads=2",
		"advice.fetchShowForcedUpdates=false", NULL };

	strvec_push(argv, PROGRAM);
	for (const char *const *c = fixed; *c; c++)
		add_config(argv, *c);
	if (is_web(&s->url))
		add_web_config(argv, s);
	strvec_pushf(argv, "--git-dir=%s", mirror);
	strvec_push_all(argv,
		(const char *const[]){ "fetch", "--quiet", "--force", "--no-tags",
			"--no-write-fetch-head", "--no-recurse-submodules",
			"--no-show-forced-updates", "--no-auto-maintenance", NULL });
	if (s->depth > 0)
		strvec_pushf(argv, "--depth=%" PRId64, s->depth);
	strvec_push_all(
		argv, (const char *const[]){ "--end-of-options", s->url.text, NULL });
	strvec_foreach (spec, &s->specs)
		strvec_push(argv, *spec);
}

static void add_env(struct strvec *env, const struct git_source *s)
{
	static const char *const protocols[] = { [GIT_URL_HTTPS] = "https",
		[GIT_URL_HTTP] = "http",
		[GIT_URL_SSH] = "ssh",
		[GIT_URL_GIT] = "git",
		[GIT_URL_FILE] = "file" };

	strvec_push_all(
		env, (const char *const[]){ "PATH=/usr/bin:/bin", "HOME=/nonexistent",
			     "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1",
			     "GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null",
			     "GIT_ATTR_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
			     "GIT_ASKPASS=", "SSH_ASKPASS=", "GIT_NO_REPLACE_OBJECTS=1",
			     "GIT_SSH_VARIANT=ssh", NULL });
	strvec_pushf(env, "GIT_ALLOW_PROTOCOL=%s", protocols[s->url.scheme]);
	if (s->url.scheme != GIT_URL_SSH)
		return;
	/* The shell's parent is git, which holds both descriptors; ssh closes its own. */
	strvec_pushf(env,
		"GIT_SSH_COMMAND=exec " SSH_PROGRAM " -F none -o BatchMode=yes "
		"-o IdentitiesOnly=yes -o IdentityAgent=none -o ConnectTimeout=30 "
		"-o GlobalKnownHostsFile=/dev/null -o UserKnownHostsFile=/proc/$PPID/fd/%d "
		"-o StrictHostKeyChecking=yes -o UpdateHostKeys=no -o ForwardAgent=no "
		"-o ClearAllForwardings=yes -i /proc/$PPID/fd/%d",
		FD_HOSTS, FD_SECRET);
}

struct program {
	char *const *argv, *const *envp;
	int secret, hosts, out, null;
};

/* Async-signal-safe. */
static void run_program(const struct program *p)
{
	static const int keep[] = { FD_SECRET, FD_HOSTS };
	int secret = p->secret >= 0 ? fcntl(p->secret, F_DUPFD_CLOEXEC, 64) : -1;
	int hosts = p->hosts >= 0 ? fcntl(p->hosts, F_DUPFD_CLOEXEC, 64) : -1;

	(void)setpgid(0, 0); /* so that a deadline ends all of it */
	if (dup2(p->null, 0) < 0 || dup2(p->out, 1) < 0 || dup2(p->out, 2) < 0)
		_exit(126);
	if ((secret >= 0 && dup2(secret, FD_SECRET) < 0) ||
		(hosts >= 0 && dup2(hosts, FD_HOSTS) < 0))
		_exit(126);
	if (secret < 0)
		(void)close(FD_SECRET); /* whatever it was */
	if (hosts < 0)
		(void)close(FD_HOSTS); /* likewise */
	fd_close_from(3, keep, 2);
	(void)execve(PROGRAM, p->argv, p->envp);
	_exit(127);
}

/* Reads what it says until it ends or the deadline; 1: the deadline passed. */
static int read_output(int fd, int64_t deadline, struct strbuf *out)
{
	char buf[4096];

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = deadline - clock_boot_ms();
		ssize_t n;

		if (left <= 0)
			return 1;
		if (poll(&p, 1, (int)left) < 0 && errno != EINTR)
			return 0;
		if (!(p.revents & (POLLIN | POLLHUP)))
			continue;
		n = read(fd, buf, sizeof(buf));
		if (n <= 0)
			return 0;
		if (out->len < OUTPUT_MAX)
			strbuf_add(out, buf, (size_t)n);
	}
}

static const struct {
	const char *part;
	enum err_code code;
	const char *words;
} known_faults[] = {
	{ "couldn't find remote ref", ERR_NOT_FOUND, "the ref is gone" },
	{ "Could not resolve host", ERR_UNAVAILABLE, "the host's name is not known" },
	{ "Host key verification failed", ERR_DENIED,
		"the host's key is not the registered one (--host-key)" },
	{ "Permission denied (", ERR_DENIED, "the key is not accepted" },
	{ "could not read Username", ERR_DENIED, "a token is needed (--token-stdin)" },
	{ "Authentication failed", ERR_DENIED, "the token is not accepted" },
	{ "unable to update url base from redirection", ERR_DENIED,
		"the server redirects: register the new address" },
	{ "returned error: 30", ERR_DENIED,
		"the server redirects: register the new address" },
	{ "Repository not found", ERR_NOT_FOUND,
		"no such repository, or not for this token" },
	{ "not found", ERR_NOT_FOUND, "no such repository" },
	{ "does not appear to be a git repository", ERR_NOT_FOUND, "no such repository" },
	{ "dubious ownership", ERR_DENIED, "the repository belongs to another user" },
	{ "SSL certificate problem", ERR_DENIED,
		"the server's certificate does not verify" },
	{ "certificate", ERR_DENIED, "the server's certificate does not verify" },
};

/* The last line that says why, without git's prefix. */
static int program_fault(
	const struct git_source *s, const struct strbuf *out, struct err *err)
{
	const char *host = s->url.host ? s->url.host : s->url.path;
	const char *line = strstr(out->buf, "fatal: ");
	size_t n;

	log_debug("git: %s", out->buf);
	for (size_t i = 0; i < ARRAY_SIZE(known_faults); i++) {
		if (strstr(out->buf, known_faults[i].part))
			return err_set(err, known_faults[i].code,
				"cannot fetch from %.100s: %s", host,
				known_faults[i].words);
	}
	line = line ? line + 7 : out->buf;
	n = strcspn(line, "\n");
	return err_set(err, ERR_UNAVAILABLE, "cannot fetch from %.80s: %.*s", host,
		n > 140 ? 140 : (int)n, n ? line : "git gives no reason");
}

static int secret_file(const struct git_source *s, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	int fd;

	if (s->secret_len == 0)
		return -1;
	if (s->url.scheme == GIT_URL_SSH) {
		strbuf_add(&text, s->secret, s->secret_len);
		if (!strbuf_ends_with(&text, "\n"))
			strbuf_addc(&text, '\n');
	} else {
		strbuf_addf(&text,
			"username=%s\npassword=", s->user ? s->user : "x-access-token");
		strbuf_add(&text, s->secret, s->secret_len);
		strbuf_addc(&text, '\n');
	}
	fd = hidden_file(text.buf, text.len, err);
	explicit_bzero(text.buf, text.len);
	return fd < 0 ? -2 : fd;
}

static int fetch_by_program(
	const struct git_source *s, const char *mirror, struct err *err)
{
	struct strvec argv = STRVEC_INIT, env = STRVEC_INIT;
	_cleanup_(strbuf_done) struct strbuf out = STRBUF_INIT;
	_cleanup_close_ int secret = secret_file(s, err);
	_cleanup_close_ int hosts = -1;
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int64_t deadline = clock_boot_ms() + s->timeout_ms;
	int pipe_fds[2], status = 0, late;
	struct program p;
	pid_t pid;

	if (secret == -2)
		return -1;
	if (s->url.scheme == GIT_URL_SSH) {
		hosts = hidden_file(s->host_key ? s->host_key : "",
			s->host_key ? strlen(s->host_key) : 0, err);
		if (hosts < 0)
			return -1;
	}
	if (null < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_sys(err, "cannot run git");
	add_fetch(&argv, s, mirror);
	add_env(&env, s);
	p = (struct program){ argv.v, env.v, secret, hosts, pipe_fds[1], null };
	pid = fork();
	if (pid == 0)
		run_program(&p);
	(void)close(pipe_fds[1]); /* git has its own */
	strvec_done(&argv);
	strvec_done(&env);
	if (pid < 0) {
		(void)close(pipe_fds[0]); /* never used */
		return err_sys(err, "cannot run git");
	}
	late = read_output(pipe_fds[0], deadline, &out);
	(void)close(pipe_fds[0]); /* read to its end, or given up */
	if (late)
		(void)kill(-pid, SIGKILL); /* it leads a group; not reaped yet */
	if (waitpid(pid, &status, 0) < 0)
		return err_sys(err, "cannot wait for git");
	if (late)
		return err_set(err, ERR_TIMEOUT,
			"the fetch took longer than %" PRId64 " s", s->timeout_ms / 1000);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return program_fault(s, &out, err);
	return 0;
}

/* ---- libgit2 ---- */

struct transfer {
	const struct git_source *s;
	int64_t deadline;
	bool asked; /* once: a credential that was refused is not sent again */
	bool is_late;
};

static int on_credential(git_credential **out, const char *url, const char *user,
	unsigned allowed, void *payload)
{
	struct transfer *t = payload;
	const struct git_source *s = t->s;
	_cleanup_free_ char *secret = xstrndup(s->secret ? s->secret : "", s->secret_len);
	int rc = GIT_EAUTH;

	if (allowed & GIT_CREDENTIAL_USERNAME)
		return git_credential_username_new(out, s->user ? s->user : "git");
	if (t->asked || s->secret_len == 0)
		return GIT_EAUTH;
	t->asked = true;
	if (s->url.scheme == GIT_URL_SSH && (allowed & GIT_CREDENTIAL_SSH_MEMORY))
		rc = git_credential_ssh_key_memory_new(
			out, user ? user : "git", NULL, secret, NULL);
	else if (is_web(&s->url) && (allowed & GIT_CREDENTIAL_USERPASS_PLAINTEXT))
		rc = git_credential_userpass_plaintext_new(
			out, s->user ? s->user : "x-access-token", secret);
	explicit_bzero(secret, strlen(secret));
	return rc;
}

/* The registered lines hold the key's base64 somewhere: TYPE KEY or HOST TYPE KEY. */
static int on_certificate(git_cert *cert, int valid, const char *host, void *payload)
{
	const struct transfer *t = payload;
	const git_cert_hostkey *key = (const git_cert_hostkey *)cert;
	_cleanup_(strbuf_done) struct strbuf b64 = STRBUF_INIT;

	if (cert->cert_type != GIT_CERT_HOSTKEY_LIBSSH2)
		return valid ? 0 : GIT_ECERTIFICATE;
	if (!(key->type & GIT_CERT_SSH_RAW) || !t->s->host_key)
		return GIT_ECERTIFICATE;
	base64_encode(key->hostkey, key->hostkey_len, false, &b64);
	return strstr(t->s->host_key, b64.buf) ? 0 : GIT_ECERTIFICATE;
}

static int on_progress(const git_indexer_progress *p, void *payload)
{
	struct transfer *t = payload;

	t->is_late = clock_boot_ms() > t->deadline;
	return t->is_late || p->total_objects > LIMIT_GIT_OBJECTS ? GIT_EUSER : 0;
}

static int fetch_by_library(
	const struct git_source *s, const char *mirror, struct err *err)
{
	_cleanup_(git_repository_freep) git_repository *repo = NULL;
	_cleanup_(git_remote_freep) git_remote *remote = NULL;
	struct transfer t = { s, clock_boot_ms() + s->timeout_ms, false, false };
	git_fetch_options o = GIT_FETCH_OPTIONS_INIT;
	git_strarray specs = { s->specs.v, s->specs.len };
	int rc;

	if (git_open_mirror(mirror, &repo, err) < 0)
		return -1;
	rc = git_remote_create_anonymous(&remote, repo, s->url.text);
	o.callbacks.credentials = on_credential;
	o.callbacks.certificate_check = on_certificate;
	o.callbacks.transfer_progress = on_progress;
	o.callbacks.payload = &t;
	o.download_tags = GIT_REMOTE_DOWNLOAD_TAGS_NONE;
	o.update_fetchhead = 0;
	o.follow_redirects = GIT_REMOTE_REDIRECT_NONE;
	if (s->ca)
		(void)git_libgit2_opts(GIT_OPT_SET_SSL_CERT_LOCATIONS, s->ca, NULL);
	if (s->proxy) {
		o.proxy_opts.type = GIT_PROXY_SPECIFIED;
		o.proxy_opts.url = s->proxy;
	}
	if (rc == 0)
		rc = git_remote_fetch(remote, &specs, &o, "fetch");
	if (rc < 0 && t.is_late)
		return err_set(err, ERR_TIMEOUT,
			"the fetch took longer than %" PRId64 " s", s->timeout_ms / 1000);
	return rc < 0 ? git_fault(err, rc, "cannot fetch from %.100s",
				s->url.host ? s->url.host : s->url.path)
		      : 0;
}

int git_fetch(const struct git_source *s, const char *mirror, const char **ret_method,
	struct err *err)
{
	bool has_program =
		access(PROGRAM, X_OK) == 0 && !s->no_program &&
		(s->url.scheme != GIT_URL_SSH || access(SSH_PROGRAM, X_OK) == 0);

	*ret_method = has_program ? "git" : "libgit2";
	return has_program ? fetch_by_program(s, mirror, err)
			   : fetch_by_library(s, mirror, err);
}

/* ---- the source, from a request ---- */

void git_source_done(struct git_source *s)
{
	git_url_done(&s->url);
	strvec_done(&s->specs);
}

static int add_spec(struct git_source *s, const char *ref, struct err *err)
{
	size_t n = strlen(ref);
	_cleanup_free_ char *probe = NULL;

	if (s->specs.len >= REFS_MAX)
		return err_set(
			err, ERR_LIMIT, "more than %d refs in one fetch", REFS_MAX);
	if (git_sha_is(ref)) {
		strvec_pushf(&s->specs, "+%s:refs/sluice/%s", ref, ref);
		return 0;
	}
	if (n > 0 && ref[n - 1] == '/') {
		probe = xasprintf("%sx", ref);
		if (!git_ref_is(probe))
			return err_set(
				err, ERR_INPUT, "'%.100s' is no name of refs", ref);
		strvec_pushf(&s->specs, "+%s*:%s*", ref, ref);
		return 0;
	}
	if (!git_ref_is(ref))
		return err_set(err, ERR_INPUT, "'%.100s' is no full name of a ref", ref);
	strvec_pushf(&s->specs, "+%s:%s", ref, ref);
	return 0;
}

int git_source_read(const struct json *head, const char *secret, size_t secret_len,
	struct git_source *ret, struct err *err)
{
	struct git_source s = GIT_SOURCE_INIT;
	const struct json *refs = json_get(head, "refs");
	const char *url = helper_str(head, "url", err);

	if (!url || git_url_parse(url, json_get_bool(head, "local", false),
			    json_get_bool(head, "insecure", false), &s.url, err) < 0)
		return -1;
	s.user = json_get_str(head, "user", NULL);
	s.host_key = json_get_str(head, "host_key", NULL);
	s.proxy = json_get_str(head, "proxy", NULL);
	s.ca = json_get_str(head, "ca", NULL);
	s.depth = json_get_int(head, "depth", 0);
	s.timeout_ms = json_get_int(head, "timeout_ms", LIMIT_GIT_SECONDS * 1000LL);
	s.no_program = json_get_bool(head, "no_program", false);
	s.secret = secret;
	s.secret_len = secret_len;
	if (s.timeout_ms <= 0 || s.timeout_ms > LIMIT_GIT_SECONDS * 1000LL)
		s.timeout_ms = LIMIT_GIT_SECONDS * 1000LL;
	if (secret_len > SECRET_MAX ||
		(secret_len > 0 && memchr(secret, '\0', secret_len)) ||
		(s.url.scheme != GIT_URL_SSH && secret_len > 0 &&
			memchr(secret, '\n', secret_len)) ||
		(s.user && strpbrk(s.user, "\r\n"))) {
		git_source_done(&s);
		return err_set(err, ERR_INPUT, "the credential is no token or key");
	}
	for (size_t i = 0; i < json_count(refs); i++) {
		if (add_spec(&s, json_as_str(json_at(refs, i), ""), err) < 0) {
			git_source_done(&s);
			return -1;
		}
	}
	*ret = s;
	return 0;
}

/* ---- op fetch ---- */

int git_make_mirror(const char *path, struct err *err)
{
	git_repository_init_options o = GIT_REPOSITORY_INIT_OPTIONS_INIT;
	_cleanup_(git_repository_freep) git_repository *repo = NULL;
	_cleanup_(git_config_freep) git_config *cfg = NULL;
	_cleanup_free_ char *head = path_join(path, "HEAD");
	int rc;

	if (access(head, F_OK) == 0)
		return 0;
	o.flags = GIT_REPOSITORY_INIT_BARE | GIT_REPOSITORY_INIT_MKDIR |
		  GIT_REPOSITORY_INIT_NO_DOTGIT_DIR;
	o.initial_head = "refs/heads/main";
	rc = git_repository_init_ext(&repo, path, &o);
	if (rc == 0)
		rc = git_repository_config(&cfg, repo);
	if (rc == 0)
		rc = git_config_set_bool(cfg, "core.protectHFS", 1);
	if (rc == 0)
		rc = git_config_set_bool(cfg, "core.protectNTFS", 1);
	return rc < 0 ? git_fault(err, rc, "cannot make the mirror") : 0;
}

/* Every single ref asked for is there now; SHA, if given, is in one of them. */
static int check_fetched(struct helper_request *r, git_repository *repo, struct err *err)
{
	const struct json *refs = json_get(r->head, "refs");
	const char *sha = json_get_str(r->head, "sha", NULL);
	struct json *found = json_new_object();
	bool is_there = false;
	git_oid want;

	json_set(r->answer, "refs", found);
	if (sha && git_sha(sha, &want, err) < 0)
		return -1;
	for (size_t i = 0; i < json_count(refs); i++) {
		const char *name = json_as_str(json_at(refs, i), "");
		_cleanup_free_ char *kept = git_sha_is(name)
						    ? xasprintf("refs/sluice/%s", name)
						    : xstrdup(name);
		char hex[GIT_OID_HEXSZ + 1];
		git_oid tip;

		if (str_ends(name, "/"))
			continue;
		if (git_ref_commit(repo, kept, &tip, err) < 0)
			return -1;
		git_hex(&tip, hex);
		json_set_str(found, name, hex);
		is_there = is_there || (sha && git_is_behind(repo, &tip, &want));
	}
	if (sha && !is_there)
		is_there = git_held_below(repo, refs, &want);
	if (sha && !is_there)
		return err_set(err, ERR_NOT_FOUND,
			"commit %s is not in %.80s: it was removed or replaced since",
			sha, json_as_str(json_at(refs, 0), "any ref asked for"));
	json_set_bool(r->answer, "reachable", is_there);
	return 0;
}

int git_op_fetch(struct helper_request *r, struct err *err)
{
	const char *name = helper_str(r->head, "repo", err);
	_cleanup_(git_repository_freep) git_repository *repo = NULL;
	_cleanup_free_ char *path = NULL;
	struct git_source s;
	int64_t start = clock_boot_ms();
	const char *method = "";
	int rc;

	if (!name)
		return -1;
	if (!path_is_name(name))
		return err_set(err, ERR_INPUT, "'%.60s' is no name of a mirror", name);
	if (git_source_read(r->head, r->msg->body.buf, r->msg->body.len, &s, err) < 0)
		return -1;
	path = xasprintf("%s/%s.git", (const char *)r->state, name);
	rc = s.specs.len == 0 ? err_set(err, ERR_INPUT, "the request names no refs")
			      : git_make_mirror(path, err);
	if (rc == 0)
		rc = git_fetch(&s, path, &method, err);
	explicit_bzero(r->msg->body.buf, r->msg->body.len);
	git_source_done(&s);
	if (rc == 0)
		rc = git_open_mirror(path, &repo, err);
	if (rc == 0)
		rc = check_fetched(r, repo, err);
	json_set_str(r->answer, "method", method);
	json_set_int(r->answer, "ms", clock_boot_ms() - start);
	return rc;
}

void git_local_source(const struct helper_request *r, int *ro, size_t *ro_len)
{
	const char *url = json_get_str(r->head, "url", "");
	int fd;

	if (!json_get_bool(r->head, "local", false))
		return;
	if (strncmp(url, "file://", 7) == 0)
		url += 7;
	fd = url[0] == '/' ? open(url, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd >= 0)
		ro[(*ro_len)++] = fd; /* lives as long as this child */
}
