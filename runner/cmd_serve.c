/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sluice serve: core, and parent of web and planner. The order of the start is the
 * argument: the listener and the spawner need root's rights, then they are given up; the
 * children are programs anew, so none inherits the database or the key; the key is read
 * last, by a process that is not dumpable any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/helper.h"
#include "runner/account.h"
#include "runner/checkpoint.h"
#include "runner/cmd.h"
#include "runner/config.h"
#include "runner/core.h"
#include "runner/http.h"
#include "runner/rpc.h"
#include "runner/spawner.h"
#include "runner/worker.h"
#include "sandbox/sandbox.h"

#define RESTART_FIRST_MS 50
#define RESTART_LAST_MS 5000
#define WEB_REFUSALS_MAX 6 /* a second and a half */
#define WEB_BETTER_MS 2000
#define BIND_TRIES 40
#define BIND_PAUSE_MS 50
#define STEADY_MS 10000 /* a child that lived this long starts again at once */

struct child {
	const char *name;
	pid_t pid;
	int64_t began, pause_ms;
	struct loop_source *timer;
};

struct serve {
	const struct cli_args *args;
	struct config *config;
	struct account account;
	struct core_options o;
	struct loop *loop;
	struct core *core;
	char *self, *helper, *url, *db, *weaker;
	char *tls_certificate, *tls_key; /* PEM, or NULL */
	const char *spawner_argv[8], *planner_argv[4], *ckpt_argv[4];
	struct checkpoint *ckpt;
	int lock, tcp, local;
	struct child web;
	unsigned web_refusals;
	pid_t last_web; /* that answers what it has begun */
	bool is_stopping;
};

/* ---- children that are programs of their own ---- */

static void start_web(struct serve *s);

/* NULL: nothing is missing. */
static char *weaker_text(const struct strvec *words)
{
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;

	for (size_t i = 0; i < words->len; i++)
		strbuf_addf(&text, "%s%s", i ? "; " : "weaker: ", words->v[i]);
	return text.len ? strbuf_take(&text) : NULL;
}

/* As the service account, which has to read them again when they are renewed. */
static int read_pem(const char *path, const char *key, char **ret, struct err *err)
{
	_cleanup_(strbuf_done) struct strbuf sb = STRBUF_INIT;

	if (path && fd_read_file(AT_FDCWD, path, 256 * KiB, &sb, err) < 0)
		return err_wrap(err, "%s", key);
	*ret = path ? strbuf_take(&sb) : NULL;
	return 0;
}

/* What cannot be read is never served without: the address says https. */
static int read_tls(struct serve *s, const struct config *c, bool *ret_changed, struct err *err)
{
	_cleanup_free_ char *certificate = NULL, *key = NULL;

	if (read_pem(c->tls_certificate, "tls.certificate", &certificate, err) < 0 ||
		read_pem(c->tls_key, "tls.key", &key, err) < 0)
		return -1;
	*ret_changed = !str_eq(certificate, s->tls_certificate) || !str_eq(key, s->tls_key);
	free(s->tls_certificate);
	free(s->tls_key);
	s->tls_certificate = take_ptr(certificate);
	s->tls_key = take_ptr(key);
	return 0;
}

/* Everything web needs to know, with the listeners and what it may read. */
static int tell_web(struct serve *s, int chan, struct err *err)
{
	_cleanup_(json_freep) struct json *head = json_new_object();
	_cleanup_close_ int data =
		open(s->config->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int db = openat(data, "db", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int jobs = openat(data, "jobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int store = openat(data, "store", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct json *proxies = json_new_array();
	int fds[] = { s->tcp, s->local, db, jobs, store };

	if (db < 0 || jobs < 0 || store < 0)
		return err_sys(err, "cannot open a folder of '%s'", s->config->data_dir);
	/* Readers of a WAL put their marks into it. By name: no close drops core's locks. */
	if (fchmodat(db, "sluice.db-shm", 0660, 0) < 0)
		return err_sys(err, "cannot open 'sluice.db-shm' to web");
	json_set_str(head, "op", "start");
	json_set_str(head, "url", s->url);
	json_set_str(head, "confinement", s->weaker ? s->weaker : "full");
	json_set_int(head, "owner", (int64_t)s->account.uid);
	strvec_foreach(item, &s->config->trusted_proxies) json_push_str(proxies, *item);
	json_set(head, "trusted_proxies", proxies);
	if (s->tls_certificate) {
		json_set_str(head, "tls_certificate", s->tls_certificate);
		json_set_str(head, "tls_key", s->tls_key);
	}
	return chan_send(chan, head, NULL, 0, fds, ARRAY_SIZE(fds), err);
}

static void on_web_timer(struct loop *l, void *data)
{
	struct serve *s = data;

	(void)l;
	s->web.timer = NULL;
	start_web(s);
}

static int64_t next_pause(struct child *c)
{
	if (clock_boot_ms() - c->began > STEADY_MS)
		c->pause_ms = 0;
	c->pause_ms = c->pause_ms ? c->pause_ms * 2 : RESTART_FIRST_MS;
	if (c->pause_ms > RESTART_LAST_MS)
		c->pause_ms = RESTART_LAST_MS;
	return c->pause_ms;
}

static void on_web_ended(void *data)
{
	struct serve *s = data;

	if (s->is_stopping || s->web.timer)
		return;
	log_warnx("web has ended; starting another");
	s->web.timer = loop_add_timer(s->loop, next_pause(&s->web), on_web_timer, s);
}

static void retry_web(struct serve *s, const struct err *why)
{
	log_warnx("cannot start web: %s", why->msg);
	if (!s->web.timer)
		s->web.timer = loop_add_timer(s->loop, next_pause(&s->web), on_web_timer, s);
}

/* A child of ours with our own uid, where nobody can give it another: Landlock holds it. */
static void start_own_web(struct serve *s)
{
	const char *argv[] = { s->self, "web", NULL };
	_cleanup_close_ int near = -1, far = -1;
	int pair[2];
	struct err err = ERR_INIT;

	s->last_web = s->web.pid;
	if (chan_pair(pair, &err) < 0) {
		retry_web(s, &err);
		return;
	}
	near = pair[0];
	far = pair[1];
	if (tell_web(s, near, &err) < 0 ||
		worker_spawn(argv, NULL, far, -1, &s->web.pid, &err) < 0)
		retry_web(s, &err);
	else
		core_serve_web(s->core, take_fd(&near), on_web_ended, s);
}

struct web_start { /* the spawner was asked for web */
	struct serve *serve;
	int near;
};

/* What the jobs' confinement lacks is the spawner's to say: it builds it. */
static void take_weaker(struct serve *s, const struct json *list)
{
	_cleanup_(strvec_done) struct strvec words = STRVEC_INIT;

	for (size_t i = 0; i < json_count(list); i++)
		strvec_push(&words, json_as_str(json_at(list, i), ""));
	free(s->weaker);
	s->weaker = weaker_text(&words);
	s->o.weaker = s->weaker;
}

/* It goes on like this only as long as there is no spawner. */
static void on_better_web(struct loop *l, void *data)
{
	struct serve *s = data;

	if (core_has_spawner(s->core))
		start_web(s);
	else
		loop_add_timer(l, WEB_BETTER_MS, on_better_web, s);
}

static void on_web_spawned(const struct json *answer, const struct err *why, void *data)
{
	_cleanup_free_ struct web_start *w = data;
	_cleanup_close_ int near = w->near;
	struct serve *s = w->serve;
	struct err err = ERR_INIT;

	if (answer) {
		s->web_refusals = 0;
		take_weaker(s, json_get(answer, "weaker"));
		if (tell_web(s, near, &err) < 0)
			retry_web(s, &err);
		else
			core_serve_web(s->core, take_fd(&near), on_web_ended, s);
	} else if (why->code == ERR_UNSUPPORTED) {
		if (s->account.is_root)
			log_warnx("web shares the server's account: %s", why->msg);
		start_own_web(s);
	} else if (++s->web_refusals >= WEB_REFUSALS_MAX) {
		/* Better a web that says what is wrong than none. */
		log_warnx("web shares the server's account, for there is no spawner: %s", why->msg);
		s->web_refusals = 0;
		start_own_web(s);
		loop_add_timer(s->loop, WEB_BETTER_MS, on_better_web, s);
	} else {
		retry_web(s, why);
	}
}

/* With a uid of its own where the spawner has one to give. */
static void start_web(struct serve *s)
{
	_cleanup_close_ int program = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int far = -1;
	struct web_start *w;
	int pair[2], r;
	struct err err = ERR_INIT;

	s->web.began = clock_boot_ms();
	r = program < 0 ? err_sys(&err, "cannot open our own program") : chan_pair(pair, &err);
	if (r < 0) {
		retry_web(s, &err);
		return;
	}
	far = pair[1];
	w = xcalloc(1, sizeof(*w));
	*w = (struct web_start){ s, pair[0] };
	core_spawn_web(s->core, (const int[]){ far, STDERR_FILENO, program }, on_web_spawned, w);
}

static void on_child(struct loop *l, const struct signalfd_siginfo *si, void *data)
{
	struct serve *s = data;
	int status;

	(void)l;
	(void)si;
	/* Pools reap their own by pid; only ours are asked for here. */
	if (s->last_web > 0 && waitpid(s->last_web, &status, WNOHANG) == s->last_web)
		s->last_web = 0;
	if (s->web.pid > 0 && waitpid(s->web.pid, &status, WNOHANG) == s->web.pid) {
		s->web.pid = 0;
		on_web_ended(s);
	}
}

/* ---- signals ---- */

static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;
	size_t len;

	if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(un.sun_path))
		return;
	len = strlen(path);
	memcpy(un.sun_path, path, len);
	if (un.sun_path[0] == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 ||
		sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&un,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warn("cannot tell the service manager '%s'", state);
}

static void on_stop(struct loop *l, const struct signalfd_siginfo *si, void *data)
{
	struct serve *s = data;

	log_info("stopping on signal %u; running jobs go on", si->ssi_signo);
	notify("STOPPING=1");
	s->is_stopping = true;
	loop_stop(l, 0);
}

static int load_config(struct serve *s, struct config **ret, FILE *report, struct err *err)
{
	_cleanup_(strvec_done) struct strvec over = STRVEC_INIT;

	if (cli_get(s->args, "data"))
		strvec_pushf(&over, "data=%s", cli_get(s->args, "data"));
	if (cli_get(s->args, "listen"))
		strvec_pushf(&over, "listen=%s", cli_get(s->args, "listen"));
	if (config_load(cli_get(s->args, "config"), &over, report, ret, err) < 0)
		return -1;
	if (strcmp((*ret)->profile, "build") != 0)
		return 0;
	config_free(*ret);
	*ret = NULL;
	return err_set(err, ERR_INPUT,
		"profile 'build' is for 'sluice run'; a server grants it to one repository: "
		"sluice repo set OWNER/NAME profile=build");
}

static void on_committed(void *data)
{
	struct serve *s = data;

	checkpoint_due(s->ckpt, store_wal_pages(core_store(s->core)));
}

static void set_log_level(const struct config *c)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(c->log_level, names[i]))
			log_open("core", (enum log_level)i);
}

static void fill_options(struct serve *s)
{
	const struct config *c = s->config;
	struct core_options *o = &s->o;

	set_log_level(c);
	o->data_dir = c->data_dir;
	o->store = s->db;
	o->helper = s->helper;
	o->base_url = s->url;
	o->spawner_chan = -1;
	/* Once root's rights are gone a new spawner would lack them: its keeper restarts it. */
	o->spawner_argv = s->account.is_root || cli_has(s->args, "no-spawner") ? NULL :
										 s->spawner_argv;
	o->planner_argv = s->planner_argv;
	o->planners = 1;
	o->has_git = true;
	o->capacity = c->capacity;
	o->labels = c->labels;
	o->label_wait_ms = c->label_wait_ms;
	o->profile = c->profile;
	o->weaker = s->weaker;
	o->network = c->network_default;
	o->network_untrusted = c->network_untrusted;
	o->network_allow = c->network_allow;
	o->network_only_allowed = c->network_only_allowed;
	o->network_relay = c->network_relay;
	o->job_memory = c->job_memory;
	o->job_pids = c->job_pids;
	o->job_cpu_percent = c->job_cpu_percent;
	o->job_disk = c->job_disk;
	o->job_files = c->job_files;
	o->job_minutes = c->job_minutes;
	o->actions_dir = c->actions_dir;
	o->actions_url = c->actions_url;
	o->keep_artifacts_ms = c->keep_artifacts_ms;
	o->keep_logs_ms = c->keep_logs_ms;
	o->keep_held_ms = c->keep_held_ms;
	o->keep_held_jobs = c->keep_held_jobs;
	o->keep_held_size = c->keep_held_size;
	o->committed = on_committed;
	o->committed_data = s;
}

/*
 * The old configuration is kept for good: jobs in flight point into it. A renewed
 * certificate takes a new web; the old one answers what it has begun.
 */
static void on_reload(struct loop *l, const struct signalfd_siginfo *si, void *data)
{
	struct serve *s = data;
	struct config *fresh = NULL;
	bool is_renewed = false;
	struct err err = ERR_INIT;

	(void)l;
	(void)si;
	notify("RELOADING=1");
	if (load_config(s, &fresh, NULL, &err) < 0) {
		log_err("the new configuration is not taken: %s", err.msg);
	} else if (strcmp(fresh->data_dir, s->config->data_dir) != 0) {
		log_err("the new configuration is not taken: 'data' cannot change while serving");
		config_free(fresh);
	} else if (!fresh->tls_certificate != !s->config->tls_certificate) {
		log_err("the new configuration is not taken: TLS is switched on and off by a "
			"restart alone");
		config_free(fresh);
	} else if (read_tls(s, fresh, &is_renewed, &err) < 0) {
		log_err("the new configuration is not taken: %s", err.msg);
		config_free(fresh);
	} else {
		s->config = fresh;
		fill_options(s);
		core_set_options(s->core, &s->o);
		if (is_renewed)
			start_web(s);
		log_info("configuration read again%s",
			is_renewed ? ", with a new certificate" : "");
	}
	notify("READY=1");
}

/* ---- the start ---- */

static int listen_all(struct serve *s, struct err *err)
{
	_cleanup_free_ char *host = NULL;
	int port, r;

	if (config_listen(s->config, &host, &port, err) < 0)
		return -1;
	/* The web of a core that was killed lets go of the address when it sees that. */
	for (int i = 0; (r = http_bind_tcp(host, port, &s->tcp, &port, err)) < 0 &&
			errno == EADDRINUSE && i < BIND_TRIES;
		i++)
		(void)poll(NULL, 0, BIND_PAUSE_MS);
	if (r < 0)
		return -1;
	if (s->config->external_url)
		s->url = xstrdup(s->config->external_url);
	else
		s->url = xasprintf("%s://%s%s%s:%d", s->config->tls_certificate ? "https" : "http",
			strchr(host, ':') ? "[" : "", host, strchr(host, ':') ? "]" : "", port);
	return 0;
}

static int start_spawner(struct serve *s, struct err *err)
{
	int r;

	if (cli_has(s->args, "no-spawner"))
		return 0;
	r = spawner_is_there(s->config->data_dir, err);
	if (r < 0)
		return -1;
	return r ? 0 : spawner_start(s->config->data_dir, s->spawner_argv, err);
}

static void name_weaker(struct serve *s)
{
	struct sandbox_host *host = NULL;
	_cleanup_(strvec_done) struct strvec words = STRVEC_INIT;
	struct err err = ERR_INIT;

	if (sandbox_host_open(&host, &err) < 0) {
		s->weaker = xasprintf("refused: %s", err.msg);
		return;
	}
	sandbox_caps_weaker(sandbox_host_caps(host), &words);
	s->weaker = weaker_text(&words);
	sandbox_host_free(host);
}

/* Needs root where root is to be had; ends as the service account. */
static int start_privileged(struct serve *s, struct err *err)
{
	umask(027); /* web has our group, and not always our id: datadir.c */
	if (account_find(s->config->user, &s->account, err) < 0 ||
		account_prepare(&s->account, s->config->data_dir, err) < 0 ||
		account_lock(s->config->data_dir, &s->lock, err) < 0 || listen_all(s, err) < 0 ||
		start_spawner(s, err) < 0)
		return -1;
	if (s->account.is_root) {
		/* Made or checked while we still may write beside the data directory. */
		uint8_t key[CRYPTO_MASTER_LEN];

		if (account_key(&s->account, s->config->key_file, s->config->data_dir, key, err) <
			0)
			return -1;
		explicit_bzero(key, sizeof(key));
		if (fchown(s->lock, s->account.uid, s->account.gid) < 0)
			return err_sys(err, "cannot give the lock to '%s'", s->account.name);
	}
	name_weaker(s);
	return account_become(&s->account, err);
}

static int start_core(struct serve *s, struct err *err)
{
	_cleanup_free_ char *sock = path_join(s->config->data_dir, "run/api.sock");
	uint8_t key[CRYPTO_MASTER_LEN];
	bool is_new;
	int r;

	if (read_tls(s, s->config, &is_new, err) < 0 ||
		http_bind_unix(sock, &s->local, err) < 0 || loop_new(&s->loop, err) < 0)
		return -1;
	/* Before the first child: one that ends at once must not be missed. */
	loop_add_signal(s->loop, SIGCHLD, on_child, s);
	loop_add_signal(s->loop, SIGTERM, on_stop, s);
	loop_add_signal(s->loop, SIGINT, on_stop, s);
	loop_add_signal(s->loop, SIGHUP, on_reload, s);
	fill_options(s);
	if (checkpoint_new(s->loop, s->ckpt_argv, &s->ckpt, err) < 0 ||
		account_key(&s->account, s->config->key_file, s->config->data_dir, key, err) < 0)
		return -1;
	r = core_new(s->loop, &s->o, key, &s->core, err);
	explicit_bzero(key, sizeof(key));
	return r < 0 ? -1 : core_start(s->core, err);
}

static void set_argv(struct serve *s)
{
	size_t n = 0;

	s->spawner_argv[n++] = s->self;
	s->spawner_argv[n++] = "spawner";
	s->spawner_argv[n++] = "--data";
	s->spawner_argv[n++] = s->config->data_dir;
	if (s->config->file) {
		s->spawner_argv[n++] = "--config";
		s->spawner_argv[n++] = s->config->file;
	}
	s->spawner_argv[n] = NULL;
	s->ckpt_argv[0] = s->self;
	s->ckpt_argv[1] = "checkpointer";
	s->ckpt_argv[2] = s->db;
	s->ckpt_argv[3] = NULL;
	s->planner_argv[0] = s->self;
	s->planner_argv[1] = "planner";
	s->planner_argv[2] = NULL;
}

static int serve(struct serve *s, struct err *err)
{
	int r;

	s->self = path_self();
	s->helper = helper_path(err);
	if (!s->self || !s->helper)
		return -1;
	s->db = path_join(s->config->data_dir, "db/sluice.db");
	set_argv(s);
	if (start_privileged(s, err) < 0 || start_core(s, err) < 0)
		return -1;
	start_web(s);
	checkpoint_check(s->ckpt);
	printf("sluice serve: %s   data %s   pid %d\n", s->url, s->config->data_dir,
		(int)getpid());
	fflush(stdout);
	log_info("serving %s data=%s version=%s", s->url, s->config->data_dir, SLUICE_VERSION);
	notify("READY=1");
	r = loop_run(s->loop, err);
	if (s->is_stopping)
		core_say_leave(s->core);
	core_free(s->core);
	checkpoint_free(s->ckpt);
	return r;
}

static int run_serve(const struct cli_args *a)
{
	struct serve s = { .args = a, .lock = -1, .tcp = -1, .local = -1 };
	struct err err = ERR_INIT;

	log_open("core", LOG_INFO);
	if (load_config(&s, &s.config, stderr, &err) < 0 || serve(&s, &err) < 0) {
		cli_fail(a, &err);
		return err.code == ERR_UNAVAILABLE ? CLI_UNREACHABLE : CLI_NO;
	}
	return CLI_OK;
}

static const struct cli_opt serve_opts[] = {
	{ "config", 0, "FILE", "instead of $SLUICE_CONFIG or /etc/sluice/sluice.yml" },
	{ "data", 0, "DIR", "the data directory" },
	{ "listen", 0, "ADDR:PORT", "where to listen; port 0 picks a free one" },
	{ "no-spawner", 0, NULL, "a unit of its own runs the spawner" },
	{ NULL, 0, NULL, NULL },
};

const struct cli_verb verb_serve = { "serve", "operate",
	"[--config FILE] [--data DIR] [--listen ADDR:PORT]",
	"Serve: take webhooks, run jobs, show pages", serve_opts,
	"sluice serve --data ./sluice-data --listen 127.0.0.1:8480",
	"0 stopped, 1 cannot serve, 2 usage, 3 another one serves this data", 0, 0, run_serve,
	NULL };
