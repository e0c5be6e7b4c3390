/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one job through executor_main over the real protocol, playing core and spawner:
 *
 *   execjob [OPTIONS] DATA SPEC.json
 *
 * DATA is a data directory (made if need be) with jobs/1/1, store, repos, actions. Prints
 * the frames of the journal as JSON lines {"frame", "seq", ...}, then {"wait": status of
 * the executor}. Options:
 *   --secret K=V      goes with GO (may be repeated); --token T
 *   --no-go           never says GO; the connection stays until --end-after
 *   --epoch N         says GO for another epoch
 *   --cancel-on TEXT  cancels when the log holds TEXT; --force with force
 *   --kill-on TEXT    kill -9 of the executor when the log holds TEXT
 *   --drop-on TEXT    hangs up when the log holds TEXT, and connects again
 *   --abort           says abort instead of GO
 *   --end-after MS    kills whatever is left after that time and exits 1 (default 120000)
 *   --user UID        as root: the executor runs as UID, maps are written here
 *   --no-bye          the executor is not told that its record was read
 *   --log             prints the log to standard error at the end
 *   --cancel-on-eof   as `sluice run`: without its core the job is cancelled
 *   --cgroup          as root: a cgroup for the job, made here
 *   --helper PATH     sluice-helper
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/executor.h"
#include "executor/helper.h"
#include "executor/journal.h"
#include "executor/link.h"
#include "executor/spec.h"
#include "sandbox/sandbox.h"

struct driver {
	const char *data, *spec_path, *helper, *cancel_on, *kill_on, *drop_on, *token;
	struct json *secrets;
	bool wants_group;
	bool no_go, says_abort, is_forced, no_bye, wants_log, cancels_on_eof;
	int64_t epoch; /* -1: the right one */
	int64_t end_ms;
	uid_t user;

	int job_dir, core, spawner_chan;
	char *sock;
	char group[32];
	pid_t pid;
	struct sandbox_host *host;
	struct sandbox_ids ids;
	struct sandbox_cgroup_tree *tree; /* NULL: no cgroups */
	struct spec *spec;
	uint64_t at, seq;
	bool has_exit, did_cancel, did_kill, did_drop, reconnects;
};

static void die(const char *what, const struct err *err)
{
	(void)fprintf(
		stderr, "execjob: %s: %s\n", what, err ? err->msg : strerror(errno));
	exit(2);
}

/* ---- setting the table ---- */

static void make_dir(const struct driver *d, const char *rel)
{
	_cleanup_free_ char *path = path_join(d->data, rel);

	if (path_mkdirs_own(path, 0755, NULL) < 0)
		die(path, NULL);
	if (d->user && chown(path, d->user, d->user) < 0)
		die(path, NULL);
}

static void lay_out(struct driver *d)
{
	static const char *const dirs[] = { "", "jobs", "jobs/1", "jobs/1/1", "store",
		"repos", "actions" };
	_cleanup_(strbuf_done) struct strbuf text = STRBUF_INIT;
	_cleanup_free_ char *job = path_join(d->data, "jobs/1/1");
	struct err err = ERR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		make_dir(d, dirs[i]);
	if (fd_read_file(AT_FDCWD, d->spec_path, SPEC_SIZE_MAX, &text, &err) < 0)
		die(d->spec_path, &err);
	d->job_dir = open(job, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->job_dir < 0)
		die(job, NULL);
	if (fd_replace_file(d->job_dir, JOB_FILE_SPEC, text.buf, text.len, 0644,
		    FD_REPLACE_NOSYNC, &err) < 0)
		die("spec.json", &err);
	if (spec_parse(text.buf, text.len, &d->spec, &err) < 0)
		die("the spec (the executor will say the same)", &err);
	d->sock = path_join(job, JOB_FILE_SOCK);
}

/* ---- the spawner's part ---- */

static int open_below(const struct driver *d, const char *name)
{
	_cleanup_free_ char *path = path_join(d->data, name);

	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void child(struct driver *d, int listener, int chan) __attribute__((noreturn));
static void child(struct driver *d, int listener, int chan)
{
	struct executor_options o = EXECUTOR_OPTIONS_INIT;

	(void)setsid();
	(void)prctl(PR_SET_NAME, "sluice-executor");
	log_open("executor", LOG_INFO);
	o.job_dir = d->job_dir;
	o.listener = listener;
	o.spawner = chan;
	o.store_dir = open_below(d, "store");
	o.repos_dir = open_below(d, "repos");
	o.actions_dir = open_below(d, "actions");
	o.roots_dir = open_below(d, "roots"); /* whoever wants one has prepared it */
	o.helper = d->helper;
	o.host = d->host;
	o.ids = d->ids;
	o.bye_wait_ms = 20000;
	o.cancel_on_eof = d->cancels_on_eof;
	o.cgroup_name = d->tree ? d->group : NULL;
	if (d->user) {
		o.asks_spawner = true;
		if (setgroups(0, NULL) < 0 || setresgid(d->user, d->user, d->user) < 0 ||
			setresuid(d->user, d->user, d->user) < 0)
			_exit(2);
	}
	_exit(executor_main(&o));
}

static void start(struct driver *d)
{
	struct err err = ERR_INIT;
	int listener, pair[2];

	if (sandbox_host_open(&d->host, &err) < 0)
		die("sandbox", &err);
	if (sandbox_ids_for(sandbox_host_caps(d->host), d->user ? d->user : geteuid(),
		    d->user ? d->user : getegid(), 1, &d->ids, &err) < 0)
		die("ids", &err);
	(void)snprintf(d->group, sizeof(d->group), "execjob-%d", (int)getpid());
	if (d->wants_group &&
		sandbox_host_caps(d->host)->cgroup != SANDBOX_CGROUP_NONE &&
		sandbox_cgroup_tree_open(&d->tree, &err) < 0)
		d->tree = NULL;
	if (chan_listen(d->sock, &listener, &err) < 0 || chan_pair(pair, &err) < 0)
		die(d->sock, &err);
	if (d->user && chown(d->sock, d->user, d->user) < 0)
		die(d->sock, NULL);
	d->pid = fork();
	if (d->pid < 0)
		die("fork", NULL);
	if (d->pid == 0) {
		(void)close(pair[0]);
		child(d, listener, pair[1]);
	}
	(void)close(listener);
	(void)close(pair[1]);
	d->spawner_chan = pair[0];
	if (chan_connect(d->sock, &d->core, &err) < 0)
		die("connect", &err);
}

/* The group of the job, for the account the executor runs as. */
static int make_group(struct driver *d, const struct json *head, struct json *answer,
	struct sandbox_cgroup *cg, int *fds, size_t *fds_len, struct err *err)
{
	struct sandbox_limits limits = SANDBOX_LIMITS_INIT;
	struct json *present = json_new_array();

	json_set(answer, "present", present);
	limits.memory = (uint64_t)json_get_int(json_get(head, "limits"), "memory", 0);
	if (!d->tree)
		return err_set(err, ERR_UNSUPPORTED, "no cgroups here");
	if (sandbox_cgroup_make(d->tree, d->group, &limits, d->user, cg, err) < 0)
		return -1;
	for (size_t i = 0; i < SANDBOX_CGROUP_FDS; i++) {
		json_push(present, json_new_bool(cg->fds[i] >= 0));
		if (cg->fds[i] >= 0)
			fds[(*fds_len)++] = cg->fds[i];
	}
	for (size_t i = 0; i < SANDBOX_CGROUP_FDS; i++)
		if (cg->fds[i] >= 0 && cg->enter[i] >= 0)
			fds[(*fds_len)++] = cg->enter[i];
	json_set_int(answer, "kind", cg->kind);
	json_set_int(answer, "controllers", cg->controllers);
	return 0;
}

static void serve_spawner(struct driver *d)
{
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	_cleanup_(json_freep) struct json *answer = json_new_object();
	struct sandbox_cgroup cg = SANDBOX_CGROUP_INIT;
	struct err err = ERR_INIT;
	int fds[2 * SANDBOX_CGROUP_FDS], rc = -1;
	size_t fds_len = 0;
	int64_t seq;

	if (chan_recv(d->spawner_chan, &m, NULL) <= 0) {
		(void)close(d->spawner_chan);
		d->spawner_chan = -1;
		return;
	}
	seq = json_get_int(m.head, "seq", 0);
	json_set_str(answer, "op", "answer");
	json_set_int(answer, "seq", seq);
	json_set_bool(answer, "ok", true);
	if (str_eq(chan_msg_op(&m), "maps"))
		rc = sandbox_write_maps(
			(pid_t)json_get_int(m.head, "pid", 0), &d->ids, &err);
	else if (str_eq(chan_msg_op(&m), "cgroup"))
		rc = make_group(d, m.head, answer, &cg, fds, &fds_len, &err);
	else if (str_eq(chan_msg_op(&m), "uncgroup"))
		rc = sandbox_cgroup_remove(d->tree, d->group, &err);
	else
		(void)err_set(&err, ERR_UNSUPPORTED, "not here");
	if (rc < 0) {
		json_free(answer);
		answer = helper_answer_fault(seq, &err);
	}
	(void)chan_send(d->spawner_chan, answer, NULL, 0, fds, fds_len, NULL);
	sandbox_cgroup_done(&cg);
}

/* ---- core's part ---- */

static int print_frame(const struct journal_frame *f, void *data, struct err *err)
{
	struct driver *d = data;
	_cleanup_(json_freep) struct json *j = json_clone(f->payload);
	_cleanup_free_ char *text = NULL;
	const char *name = journal_type_name(f->type);

	json_set_str(j, "frame", name ? name : "?");
	json_set_int(j, "seq", (int64_t)f->seq);
	text = json_text(j);
	(void)puts(text);
	d->seq = f->seq;
	d->has_exit |= f->type == JOURNAL_EXIT;
	return 0;
}

static void read_frames(struct driver *d)
{
	_cleanup_close_ int fd =
		openat(d->job_dir, JOB_FILE_JOURNAL, O_RDONLY | O_CLOEXEC);
	struct err err = ERR_INIT;

	if (fd >= 0 && journal_each(fd, d->at, d->seq, print_frame, d, &d->at, &err) < 0)
		die("journal", &err);
	(void)fflush(stdout);
}

static bool log_holds(const struct driver *d, const char *text)
{
	_cleanup_(strbuf_done) struct strbuf log = STRBUF_INIT;

	return text &&
	       fd_read_file(d->job_dir, JOB_FILE_LOG, 1u << 28, &log, NULL) == 0 &&
	       strstr(log.buf, text) != NULL;
}

static void say(struct driver *d, struct json *head, const struct json *body)
{
	_cleanup_(json_freep) struct json *owned = head;
	_cleanup_free_ char *text = body ? json_text(body) : NULL;

	json_set_int(owned, "seq", 1);
	if (d->core >= 0)
		(void)chan_send(
			d->core, owned, text, text ? strlen(text) : 0, NULL, 0, NULL);
}

static void say_go(struct driver *d)
{
	_cleanup_(json_freep) struct json *body = json_new_object();

	json_set(body, "secrets", json_share(d->secrets));
	if (d->token)
		json_set_str(body, "token", d->token);
	say(d, link_go(d->epoch >= 0 ? d->epoch : d->spec->epoch), body);
}

static void act_on_log(struct driver *d)
{
	if (!d->did_cancel && log_holds(d, d->cancel_on)) {
		d->did_cancel = true;
		say(d, link_cancel("told to", d->is_forced), NULL);
	}
	if (!d->did_kill && log_holds(d, d->kill_on)) {
		d->did_kill = true;
		(void)kill(d->pid, SIGKILL); /* our own child */
	}
	if (!d->did_drop && log_holds(d, d->drop_on)) {
		d->did_drop = d->reconnects = true;
		(void)close(d->core);
		d->core = -1;
	}
}

static void serve_core(struct driver *d)
{
	_cleanup_(chan_msg_done) struct chan_msg m = CHAN_MSG_INIT;
	const char *op;

	if (chan_recv(d->core, &m, NULL) <= 0) {
		(void)close(d->core);
		d->core = -1;
		return;
	}
	op = chan_msg_op(&m);
	if (str_eq(op, "answer") && !json_get_bool(m.head, "ok", true)) {
		_cleanup_free_ char *text = json_text(m.head);

		(void)puts(text);
	}
	if (str_eq(op, "ready") && d->says_abort)
		say(d, link_abort("told to"), NULL);
	else if (str_eq(op, "ready") && !d->no_go)
		say_go(d);
	read_frames(d);
	act_on_log(d);
	if (d->has_exit && !d->no_bye) {
		_cleanup_(json_freep) struct json *bye = json_new_object();

		json_set_str(bye, "op", "bye");
		(void)chan_send(d->core, bye, NULL, 0, NULL, 0, NULL);
	}
}

static void run(struct driver *d)
{
	int64_t end = clock_boot_ms() + d->end_ms;
	int pidfd = fd_pidfd_open(d->pid), status = 0;

	for (;;) {
		struct pollfd p[3] = { { pidfd, POLLIN, 0 }, { d->core, POLLIN, 0 },
			{ d->spawner_chan, POLLIN, 0 } };
		int64_t left = end - clock_boot_ms();

		if (left <= 0) {
			(void)kill(d->pid, SIGKILL); /* our own child */
			(void)puts("{\"timeout\":true}");
			left = 1000;
			end += 5000;
		}
		if (poll(p, 3, (int)(d->reconnects ? 10 : left)) < 0 && errno != EINTR)
			die("poll", NULL);
		if (p[2].revents)
			serve_spawner(d);
		if (p[1].revents && d->core >= 0)
			serve_core(d);
		if (d->reconnects && d->core < 0) {
			d->reconnects = false;
			(void)chan_connect(
				d->sock, &d->core, NULL); /* gone: the end shows it */
		}
		if (p[0].revents)
			break;
	}
	if (waitpid(d->pid, &status, 0) < 0)
		die("waitpid", NULL);
	read_frames(d);
	if (WIFSIGNALED(status))
		printf("{\"wait\":\"signal %d\"}\n", WTERMSIG(status));
	else
		printf("{\"wait\":%d}\n", WEXITSTATUS(status));
}

static void print_log(const struct driver *d)
{
	_cleanup_(strbuf_done) struct strbuf log = STRBUF_INIT;

	if (fd_read_file(d->job_dir, JOB_FILE_LOG, 1u << 30, &log, NULL) == 0)
		(void)fwrite(log.buf, 1, log.len, stderr);
}

static void add_secret(struct driver *d, const char *pair)
{
	_cleanup_free_ char *name = xstrndup(pair, strcspn(pair, "="));
	const char *value = pair + strlen(name);

	json_set_str(d->secrets, name, *value ? value + 1 : "");
}

enum {
	OPT_SECRET = 256,
	OPT_TOKEN,
	OPT_NO_GO,
	OPT_EPOCH,
	OPT_CANCEL,
	OPT_FORCE,
	OPT_KILL,
	OPT_DROP,
	OPT_ABORT,
	OPT_END,
	OPT_USER,
	OPT_NO_BYE,
	OPT_LOG,
	OPT_HELPER,
	OPT_EOF,
	OPT_CGROUP
};

static const struct option options[] = {
	{ "secret", required_argument, NULL, OPT_SECRET },
	{ "token", required_argument, NULL, OPT_TOKEN },
	{ "no-go", no_argument, NULL, OPT_NO_GO },
	{ "epoch", required_argument, NULL, OPT_EPOCH },
	{ "cancel-on", required_argument, NULL, OPT_CANCEL },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "kill-on", required_argument, NULL, OPT_KILL },
	{ "drop-on", required_argument, NULL, OPT_DROP },
	{ "abort", no_argument, NULL, OPT_ABORT },
	{ "end-after", required_argument, NULL, OPT_END },
	{ "user", required_argument, NULL, OPT_USER },
	{ "no-bye", no_argument, NULL, OPT_NO_BYE },
	{ "log", no_argument, NULL, OPT_LOG },
	{ "helper", required_argument, NULL, OPT_HELPER },
	{ "cancel-on-eof", no_argument, NULL, OPT_EOF },
	{ "cgroup", no_argument, NULL, OPT_CGROUP },
	{ NULL, 0, NULL, 0 },
};

static long long number(const char *text)
{
	long long n = 0;

	if (str_to_int(text, 0, 1LL << 40, &n) < 0)
		die(text, NULL);
	return n;
}

static void read_option(struct driver *d, int opt)
{
	switch (opt) {
	case OPT_SECRET:
		add_secret(d, optarg);
		break;
	case OPT_TOKEN:
		d->token = optarg;
		break;
	case OPT_NO_GO:
		d->no_go = true;
		break;
	case OPT_EPOCH:
		d->epoch = number(optarg);
		break;
	case OPT_CANCEL:
		d->cancel_on = optarg;
		break;
	case OPT_FORCE:
		d->is_forced = true;
		break;
	case OPT_KILL:
		d->kill_on = optarg;
		break;
	case OPT_DROP:
		d->drop_on = optarg;
		break;
	case OPT_ABORT:
		d->says_abort = true;
		break;
	case OPT_END:
		d->end_ms = number(optarg);
		break;
	case OPT_USER:
		d->user = (uid_t)number(optarg);
		break;
	case OPT_NO_BYE:
		d->no_bye = true;
		break;
	case OPT_LOG:
		d->wants_log = true;
		break;
	case OPT_HELPER:
		d->helper = optarg;
		break;
	case OPT_CGROUP:
		d->wants_group = true;
		break;
	case OPT_EOF:
		d->cancels_on_eof = true;
		break;
	default:
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct driver d = {
		.epoch = -1, .end_ms = 120000, .core = -1, .spawner_chan = -1
	};
	int opt;

	d.secrets = json_new_object();
	while ((opt = getopt_long(argc, argv, "", options, NULL)) >= 0)
		read_option(&d, opt);
	if (argc - optind != 2) {
		(void)fprintf(stderr, "execjob [OPTIONS] DATA SPEC.json\n");
		return 2;
	}
	d.data = argv[optind];
	d.spec_path = argv[optind + 1];
	(void)signal(SIGPIPE,
		SIG_IGN); /* an executor that was killed is an error of a write */
	lay_out(&d);
	start(&d);
	run(&d);
	if (d.tree)
		(void)sandbox_cgroup_remove(
			d.tree, d.group, NULL); /* a killed executor's */
	if (d.wants_log)
		print_log(&d);
	sandbox_cgroup_tree_free(d.tree);
	sandbox_host_free(d.host);
	spec_free(d.spec);
	json_free(d.secrets);
	free(d.sock);
	return 0;
}
