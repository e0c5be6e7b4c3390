/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A web process without a server around it, for tests of pages and API: makes a data
 * directory with a real store full of runs of every kind, serves it on a free loopback
 * port, and plays core at the other end of the chan. What core would do by itself is done
 * on a word from standard input, one command a line, each answered by one JSON line:
 *
 *   append JOB N TEXT...   N more lines in the log of a running job ("#" is the number)
 *   text JOB TEXT...       exactly these bytes (\n and \r as escapes)
 *   start JOB | end JOB success|failure      a queued job runs, a running one ends
 *   run TITLE...           a new run of halden/archive
 *   vote GATE NAME approve|reject
 *   link [GATE]            a one-time link
 *   hang | core | web      core stops answering; closes its end; a new web is started
 *   stat                   the web process: pid, resident memory, open descriptors
 *   quit
 *
 * The first line on standard output is JSON: url, link, tokens, and the ids by name.
 *
 *   webseed [--dir DIR] [--runs N] [--lines N] [--empty] [--port N] [--tls CERT KEY]
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/chan.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/path.h"
#include "executor/journal.h"
#include "executor/link.h"
#include "runner/config.h"
#include "runner/http.h"
#include "runner/web.h"
#include "store/artifacts.h"
#include "store/deliveries.h"
#include "store/environments.h"
#include "store/gates.h"
#include "store/jobs.h"
#include "store/repos.h"
#include "store/runs.h"
#include "store/secrets.h"
#include "store/store.h"
#include "store/tokens.h"

#define MINUTE 60000LL
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define DAY_30 (30 * DAY)
#define BODY_FORM "{\"n\": %lld}"

static struct err err; /* of whatever was asked last; must() prints it */
static struct store *store;
static char *dir;
static int64_t bodies;
static struct json *names; /* what the first line names */

static void must_(int r, const char *what, int line)
{
	if (r >= 0)
		return;
	fprintf(stderr, "webseed.c:%d: %s: %s\n", line, what, err.msg);
	exit(1);
}
#define must(x) must_((x), #x, __LINE__)

static const struct actor ines = { "user", "ines", NULL };
static const struct actor tom = { "user", "tom", NULL };
static const uint8_t seed_key[CRYPTO_MASTER_LEN] = "the key of tests: 32 bytes long.";

/* The wall clock of everything that is written from here on, milliseconds from now. */
static int64_t skew_now;
static void skew_to(int64_t ms)
{
	skew_now = ms;
	clock_skew_wall(ms);
}

/* ---- logs ---- */

static void log_path(char *out, size_t size, int64_t job, int64_t try, const char *name)
{
	snprintf(out, size, "%s/jobs/%lld/%lld/%s", dir, (long long)job, (long long)try, name);
}

/* The frame of the journal that says when these bytes came. */
static void note_bytes(int64_t job, int64_t try, uint64_t from, uint64_t to)
{
	_cleanup_(journal_freep) struct journal *j = NULL;
	struct json *f = json_new_object();
	char path[512];

	snprintf(path, sizeof(path), "%s/jobs/%lld/%lld", dir, (long long)job, (long long)try);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	json_set_int(f, "n", 2);
	json_set_int(f, "from", (int64_t)from);
	json_set_int(f, "to", (int64_t)to);
	json_set_str(f, "stream", "out");
	must(journal_open(fd, JOB_FILE_JOURNAL, &j, &err));
	must(journal_add(j, JOURNAL_LOG, f, &err));
}

/* Appends DATA to the log of a job and its line index, as the executor does. */
static int64_t log_append(int64_t job, int64_t try, const char *data, size_t len)
{
	char path[512], index[512];
	struct stat st;
	static int64_t cached_job;
	static uint64_t lines, size;
	struct strbuf idx = STRBUF_INIT;
	int fd, ifd;

	snprintf(path, sizeof(path), "%s/jobs/%lld/%lld", dir, (long long)job, (long long)try);
	must(path_mkdirs_own(path, 0700, &err));
	log_path(path, sizeof(path), job, try, JOB_FILE_LOG);
	log_path(index, sizeof(index), job, try, JOB_FILE_INDEX);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	ifd = open(index, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || ifd < 0 || fstat(fd, &st) < 0)
		exit(1);
	if (cached_job != job) { /* count what is there already */
		struct strbuf old = STRBUF_INIT;

		cached_job = job;
		lines = 0;
		size = (uint64_t)st.st_size;
		must(fd_read_file(AT_FDCWD, path, 1 << 30, &old, &err));
		for (const char *p = old.buf; (p = memchr(p, '\n', (size_t)(old.buf + old.len - p)));
			p++)
			lines++;
		strbuf_done(&old);
	}
	for (const char *p = data, *end = data + len; p < end;) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		uint64_t at = size + (uint64_t)(p - data);

		if (lines % LINK_INDEX_LINES == 0 && (p == data || p[-1] == '\n'))
			strbuf_add(&idx, &at, sizeof(at));
		if (!nl)
			break;
		lines++;
		p = nl + 1;
	}
	/* The index first: a reader must never find fewer entries than lines need. */
	if (fd_write_all(ifd, idx.buf, idx.len) < 0 || fd_write_all(fd, data, len) < 0)
		exit(1);
	note_bytes(job, try, size, size + len);
	size += len;
	strbuf_done(&idx);
	(void)close(fd);
	(void)close(ifd);
	return (int64_t)size;
}

static const char *const hostile_lines[] = {
	"<script>document.title='owned'</script><img src=x onerror=alert(1)>",
	"\033]8;;http://evil.example/\033\\innocent words\033]8;;\033\\ and after",
	"\033]0;a new title\acursor \033[2J\033[H games \033[31mred\033[0m",
	"right \xe2\x80\xae" "to left \xe2\x80\xac and zero\xe2\x80\x8bwidth",
	"bad utf-8: \xff\xfe \xc0\xaf, NUL is not here, C1 \xc2\x9b" "31m",
	"progress 10%\rprogress 50%\rprogress 100%",
	"##[error]<b>bold</b> failure & \"quotes\"",
	"</div></main><a href=\"javascript:alert(1)\">x</a> ##[group]not one",
};

/* The log of a test job: groups, colours, a warning, failures. */
static void test_log(struct strbuf *out, int n, bool fails)
{
	strbuf_adds(out, "##[group]Set up job\nimage: the host's /usr\nconfinement: full\n"
			 "##[endgroup]\n##[group]Run pytest --cov=.\n"
			 "##[command]pytest --cov=. --cov-report=xml --cov-report=html\n"
			 "collected 1482 items\n");
	for (int i = 0; i < n; i++)
		strbuf_addf(out,
			"tests/timeline/test_events.py::test_case_%d \033[32mPASSED\033[0m"
			"                    [%3d%%]\n",
			i, i * 100 / (n ? n : 1));
	if (fails)
		strbuf_adds(out,
			"tests/timeline/test_grouping.py::test_weekly_grouping "
			"\033[1;31mFAILED\033[0m\n"
			"    def test_weekly_grouping(client, sample_events):\n"
			"        weeks = client.get(\"/timeline?group=week\").json()[\"weeks\"]\n"
			">       assert [w[\"start\"] for w in weeks] == [\"2026-11-02\"]\n"
			"##[error]AssertionError: assert ['2026-11-01'] == ['2026-11-02']\n"
			"##[warning]sqlalchemy.pool:base.py:1012 connection returned after close\n"
			"##[sluice]refused api.codecov.io:443: rule not-listed (network proxy); "
			"allow it: sluice repo set halden/archive network.allow=api.codecov.io\n"
			"##[notice]slowest so far: test_import_ical 3.41s\n");
	strbuf_adds(out, "##[endgroup]\n");
	if (fails)
		strbuf_adds(out, "##[error]Process completed with exit code 1\n");
}

/* A few lines at a time, half a second between them. */
static void put_over_time(int64_t job, int64_t try, const char *text, size_t len)
{
	const char *end = text + len;
	int64_t step = 0;

	for (const char *p = text; p < end;) {
		const char *stop = p;

		for (int i = 0; i < 3 && stop < end; i++) {
			const char *nl = memchr(stop, '\n', (size_t)(end - stop));

			stop = nl ? nl + 1 : end;
		}
		if (skew_now)
			clock_skew_wall(skew_now + 470 * ++step);
		log_append(job, try, p, (size_t)(stop - p));
		p = stop;
	}
	if (skew_now)
		clock_skew_wall(skew_now);
}

static void put_log(int64_t job, int64_t try, const char *kind, long n)
{
	struct strbuf b = STRBUF_INIT;

	if (str_eq(kind, "hostile")) {
		for (size_t i = 0; i < ARRAY_SIZE(hostile_lines); i++) {
			strbuf_adds(&b, hostile_lines[i]);
			strbuf_addc(&b, '\n');
		}
	} else if (str_eq(kind, "long")) {
		for (long i = 1; i <= n; i++) {
			strbuf_addf(&b, "line %ld of %ld: the quick brown fox%s\n", i, n,
				i % 5003 == 0 ? " finds a Needle" : "");
			if (b.len > 4 << 20) {
				log_append(job, try, b.buf, b.len);
				strbuf_clear(&b);
			}
		}
	} else {
		test_log(&b, (int)n, str_eq(kind, "fails"));
	}
	if (str_eq(kind, "long"))
		log_append(job, try, b.buf, b.len);
	else
		put_over_time(job, try, b.buf, b.len);
	strbuf_done(&b);
}

/* ---- runs ---- */

struct want_run {
	const char *repo, *forge_path, *workflow, *title, *branch, *event, *actor, *sha;
	const char *shape; /* "a b:a c:a,b" */
	enum trust trust;
	bool maintainer;
	const char *group;
};

static int64_t repo_id(const char *name)
{
	struct repo r;
	int64_t id;

	memset(&r, 0, sizeof(r));
	must(repos_find(store, name, &r, &err));
	id = r.id;
	repo_done(&r);
	return id;
}

static int64_t make_event(const struct want_run *w, int64_t repo, int64_t hook)
{
	_cleanup_free_ char *body = xasprintf(BODY_FORM, (long long)++bodies);
	_cleanup_free_ char *key =
		xasprintf("6a1f%04llx-c0de-4000-8000-00000000c0c0", (unsigned long long)bodies);
	_cleanup_free_ char *ref = xasprintf("refs/heads/%s", w->branch);
	_cleanup_(json_freep) struct json *doc = json_new_object();
	struct delivery_new d = { .hook = hook, .repo = repo, .forge = "github", .key = key,
		.event = w->event, .body_len = (int64_t)strlen(body), .peer = "203.0.113.9",
		.request = "0011223344556677" };
	struct event_new e = { .kind = "push", .name = w->event, .action = "", .ref = ref,
		.head_sha = w->sha, .base_sha = "", .merge_sha = "", .title = w->title,
		.actor = w->actor, .actor_id = "7", .trust = w->trust, .document = doc };
	struct accept_result r;

	crypto_sha256(body, strlen(body), d.body_sha256);
	must(deliveries_accept(store, &d, &e, &r, &err));
	return r.event;
}

static size_t shape_nodes(const char *shape, struct node_new *nodes, struct strvec *keep)
{
	_cleanup_(strvec_done) struct strvec words = STRVEC_INIT;
	size_t n = 0;

	strvec_split(&words, shape, ' ');
	strvec_foreach(word, &words) {
		_cleanup_(strvec_done) struct strvec needs = STRVEC_INIT;
		char *colon = strchr(*word, ':');

		if (colon) {
			*colon = '\0';
			strvec_split(&needs, colon + 1, ',');
		}
		memset(&nodes[n], 0, sizeof(nodes[n]));
		nodes[n].key = nodes[n].name = strvec_push(keep, *word);
		/* A tool that lives for one test: the lists stay until it ends. */
		nodes[n].needs = colon ? (const char *const *)strvec_take(&needs) : NULL;
		n++;
	}
	return n;
}

static int64_t make_run(const struct want_run *w)
{
	int64_t repo = repo_id(w->repo), hook = 0, run = 0, event;
	struct node_new nodes[64];
	static struct strvec keep = STRVEC_INIT;
	_cleanup_(json_freep) struct json *plan = json_new_object();
	_cleanup_free_ char *ref = xasprintf("refs/heads/%s", w->branch);
	const char *const ids[] = { w->actor, NULL };
	struct run_new in = { .workflow_path = w->forge_path, .workflow_name = w->workflow,
		.title = w->title, .sha = w->sha, .ref = ref, .branch = w->branch,
		.workflow_digest =
			"c27d04ab81e3004455667788990011223344556677889900aabbccddeeff519f",
		.needs_maintainer = w->maintainer, .nodes = nodes, .identities = ids,
		.concurrency = { .group = w->group } };

	if (hooks_find(store, repo, &hook, &err) < 0)
		hook = 0;
	event = make_event(w, repo, hook);
	json_set_str(plan, "shape", w->shape);
	json_set_int(plan, "n", bodies);
	in.event = event;
	in.plan = plan;
	in.nodes_len = shape_nodes(w->shape, nodes, &keep);
	must(runs_create(store, event, &in, 1, &run, &err));
	return run;
}

static int64_t job_of(int64_t run, const char *node, int64_t row)
{
	struct db_rows r = DB_ROWS_INIT;
	const struct db_arg args[] = { db_arg_int(run), db_arg_str(node), db_arg_int(row) };
	int64_t id;

	if (db_first_args(store_db(store), &r, &err,
		    "SELECT j.id FROM jobs j JOIN runs r ON r.id = j.run_id AND r.attempt = "
		    "j.attempt WHERE r.id = ? AND j.node = ? AND j.row = ?",
		    args, 3) != 1) {
		fprintf(stderr, "webseed: run %lld has no job %s %lld\n", (long long)run, node,
			(long long)row);
		exit(1);
	}
	id = db_int(&r, 0);
	db_rows_done(&r);
	return id;
}

/* One row named TITLE, or one for each name of ROWS (NULL-ended). */
static void expand(int64_t run, const char *node, const char *title, const char *const *rows,
	const char *environment)
{
	struct job_row_new row[64];
	_cleanup_(strvec_done) struct strvec texts = STRVEC_INIT;
	_cleanup_(json_freep) struct json *spec = json_new_object();
	_cleanup_(json_freep) struct json *trace = NULL;
	static const char *const labels[] = { "ubuntu-latest", NULL };
	static const char trace_text[] =
		"[{\"text\":\"success() && github.ref_name == 'main'\",\"value\":true,"
		"\"reached\":true,\"depth\":0},{\"text\":\"success()\",\"value\":true,"
		"\"reached\":true,\"depth\":1},{\"text\":\"github.ref_name == 'main'\","
		"\"value\":true,\"reached\":true,\"depth\":1},{\"text\":\"secrets.TOKEN\","
		"\"value\":\"***\",\"reached\":true,\"depth\":2},{\"text\":\"never()\","
		"\"value\":null,\"reached\":false,\"depth\":2}]";
	size_t n = 0;

	must(json_parse(trace_text, strlen(trace_text), &trace, &err));
	json_set_str(spec, "runs_on", "ubuntu-latest");
	do {
		const char *name = title;

		if (rows)
			name = strvec_pushf(&texts, "%s (%s)", title, rows[n]);
		row[n] = (struct job_row_new){ .name = name, .spec = spec, .labels = labels,
			.environment = environment ? environment : "",
			.is_deployment = environment != NULL, .is_once = environment != NULL };
		n++;
	} while (rows && rows[n] && n < ARRAY_SIZE(row));
	const struct job_expansion x = { row, n, 0, false, trace };

	must(jobs_expand(store, job_of(run, node, 0), &x, &err));
}

static struct job get_job(int64_t id)
{
	struct job j;

	memset(&j, 0, sizeof(j));
	must(jobs_get(store, id, &j, &err));
	return j;
}

static void apply(int64_t id, int64_t epoch, const struct job_update *u, size_t n, int64_t log)
{
	struct job j = get_job(id);
	const struct job_frames f = { id, epoch, j.frames + 1, j.frames + (int64_t)n, log, u, n };

	must(jobs_apply(store, &f, &err));
	job_done(&j);
}

/* Claims and releases; the first steps run. Returns the epoch. */
static int64_t start(int64_t id)
{
	struct secret_list list = SECRET_LIST_INIT;
	int64_t epoch, try, now = clock_wall_ms();
	struct job_update u[] = {
		{ .kind = JOB_UPDATE_STARTED, .at = now },
		{ .kind = JOB_UPDATE_STEP, .at = now,
			.step = { .number = 1, .key = "", .name = "Set up job",
				.state = STEP_COMPLETED, .outcome = CONCLUSION_SUCCESS,
				.conclusion = CONCLUSION_SUCCESS, .exit_code = 0, .reason = "",
				.started_at = now, .completed_at = now + 400, .log_start = 0,
				.log_end = 92 } },
		{ .kind = JOB_UPDATE_STEP, .at = now,
			.step = { .number = 2, .key = "test", .name = "Run tests",
				.state = STEP_RUNNING, .exit_code = -1, .reason = "",
				.started_at = now + 400, .log_start = 92, .log_end = -1 } },
		{ .kind = JOB_UPDATE_STEP, .at = now,
			.step = { .number = 3, .key = "", .name = "Upload coverage to Codecov",
				.state = STEP_PENDING, .exit_code = -1, .reason = "",
				.log_start = -1, .log_end = -1 } },
	};

	must(jobs_claim(store, id, "local", &epoch, &try, &err));
	const struct job_release r = { id, epoch, NULL };

	must(jobs_release(store, &r, &list, &err));
	secret_list_done(&list);
	apply(id, epoch, u, ARRAY_SIZE(u), 0);
	return epoch;
}

static void finish(int64_t id, int64_t epoch, bool ok, int64_t log, int64_t lines)
{
	int64_t now = clock_wall_ms();
	enum conclusion c = ok ? CONCLUSION_SUCCESS : CONCLUSION_FAILURE;
	struct job j = get_job(id);
	struct job_update u[] = {
		{ .kind = JOB_UPDATE_STEP, .at = now,
			.step = { .number = 2, .key = "test", .name = "Run tests",
				.state = STEP_COMPLETED, .outcome = c, .conclusion = c,
				.exit_code = ok ? 0 : 1, .reason = ok ? "" : "exit code 1",
				.started_at = j.started_at + 400, .completed_at = now - 500,
				.log_start = 92, .log_end = log } },
		{ .kind = JOB_UPDATE_STEP, .at = now,
			.step = { .number = 3, .key = "", .name = "Upload coverage to Codecov",
				.state = STEP_COMPLETED,
				.outcome = ok ? CONCLUSION_SUCCESS : CONCLUSION_SKIPPED,
				.conclusion = ok ? CONCLUSION_SUCCESS : CONCLUSION_SKIPPED,
				.exit_code = ok ? 0 : -1,
				.reason = ok ? "" : "an earlier step failed",
				.started_at = ok ? now - 500 : 0, .completed_at = now,
				.log_start = log, .log_end = log } },
		{ .kind = JOB_UPDATE_EXIT, .at = now, .conclusion = c },
	};

	job_done(&j);
	apply(id, epoch, u, ARRAY_SIZE(u), log);
	must(jobs_finish(store, id, epoch,
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", lines, &err));
}

/* A job from queued to its end, taking MS of the wall clock that is skewed to SKEW. */
static void whole(int64_t id, bool ok, int64_t *skew, int64_t ms)
{
	int64_t epoch = start(id);

	put_log(id, 1, ok ? "passes" : "fails", 12);
	*skew += ms;
	skew_to(*skew);
	finish(id, epoch, ok, ok ? 1300 : 2400, ok ? 22 : 30);
}

static void name_id(const char *name, int64_t id)
{
	json_set_int(names, name, id);
}

static void annotate(int64_t id, int64_t epoch)
{
	const struct job_update u[] = {
		{ .kind = JOB_UPDATE_ANNOTATION,
			.annotation = { .step = 2, .level = "error", .title = "AssertionError",
				.message = "assert ['2026-11-01'] == ['2026-11-02']",
				.file = "tests/timeline/test_grouping.py", .line = 41,
				.log_line = 24 } },
		{ .kind = JOB_UPDATE_ANNOTATION,
			.annotation = { .step = 2, .level = "warning", .title = "",
				.message = "DeprecationWarning: Query.get() is legacy since "
					   "SQLAlchemy 2.0",
				.file = "backend/app/quantities.py", .line = 88 } },
		{ .kind = JOB_UPDATE_NET,
			.net = { .host = "index.packages.example", .port = 443,
				.verdict = "allowed", .rule = "registry", .step = 2, .count = 3,
				.bytes_in = 1100000, .bytes_out = 4200 } },
		{ .kind = JOB_UPDATE_NET,
			.net = { .host = "files.packages.example", .port = 443,
				.verdict = "allowed", .rule = "registry", .step = 2, .count = 41,
				.bytes_in = 48200000, .bytes_out = 9800 } },
		{ .kind = JOB_UPDATE_NET,
			.net = { .host = "api.codecov.io", .port = 443, .verdict = "refused",
				.rule = "not-listed", .step = 2, .count = 1,
				.allow = "sluice repo set halden/archive "
					 "network.allow=api.codecov.io" } },
		{ .kind = JOB_UPDATE_NOTE, .value = "network proxy" },
		{ .kind = JOB_UPDATE_NOTE, .value = "confinement full" },
	};

	apply(id, epoch, u, ARRAY_SIZE(u), 2000);
}

static void put_blob(const char *text, char digest[SHA256_HEX_MAX])
{
	char path[512];

	crypto_sha256_hex(text, strlen(text), digest);
	snprintf(path, sizeof(path), "%s/store/sha256/%.2s", dir, digest);
	must(path_mkdirs_own(path, 0700, &err));
	snprintf(path, sizeof(path), "%s/store/sha256/%.2s/%s", dir, digest, digest);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || fd_write_all(fd, text, strlen(text)) < 0)
		exit(1);
}

static void artifact(int64_t job, int64_t epoch, const char *name, const char *content)
{
	char digest[SHA256_HEX_MAX], whole_digest[SHA256_HEX_MAX];
	_cleanup_(json_freep) struct json *m = json_new_object();
	struct json *files = json_new_array(), *f = json_new_object();
	_cleanup_free_ char *text = NULL;
	int64_t id;

	put_blob(content, digest);
	json_set_int(m, "version", 1);
	json_set_str(m, "name", name);
	json_set_str(f, "path", "reports/index.html");
	json_set_int(f, "size", (int64_t)strlen(content));
	json_set_int(f, "mode", 0644);
	json_set_str(f, "sha256", digest);
	json_push(files, f);
	json_set(m, "files", files);
	text = json_text(m);
	put_blob(text, whole_digest);
	const struct artifact_new a = { .job = job, .epoch = epoch, .name = name,
		.digest = whole_digest, .media_type = "application/vnd.sluice.artifact+json",
		.size = (int64_t)strlen(content), .files = 1,
		.expires_at = clock_wall_ms() + DAY_30 };

	must(artifacts_publish(store, &a, &id, &err));
	name_id("artifact", id);
}

static void summary(int64_t job, int64_t epoch)
{
	static const char text[] =
		"## pytest, 1 482 collected\n\n| suite | passed | failed | skipped |\n"
		"|---|---:|---:|---:|\n| tests/timeline | 612 | **3** | 0 |\n"
		"| tests/worker | 214 | 0 | 12 |\n\nSee [the docs](https://docs.example.com/) and "
		"<img src=x onerror=alert(1)> [bad](javascript:alert(1))\n";
	char digest[SHA256_HEX_MAX];

	put_blob(text, digest);
	const struct job_update u = { .kind = JOB_UPDATE_SUMMARY, .step = { .number = 2 },
		.digest = digest, .size = (int64_t)strlen(text) };

	apply(job, epoch, &u, 1, 2000);
}

static void rules(const char *repo, const char *name, const char *text)
{
	_cleanup_(json_freep) struct json *j = NULL;

	must(json_parse(text, strlen(text), &j, &err));
	must(environments_set(store, repo_id(repo), name, j, &ines, NULL, &err));
}

static int64_t gate_of(int64_t run)
{
	int64_t id = 0;

	must(gates_find(store, run, NULL, &id, &err));
	return id;
}

static int vote(int64_t id, const char *who, bool approves, const char *comment)
{
	_cleanup_(gate_done) struct gate gate = { 0 };
	struct gate_vote v = { .gate = id, .who = { "user", who, NULL }, .has_scope = true,
		.approves = approves, .comment = comment };
	struct gate_result r;

	must(gates_get(store, id, &gate, &err));
	v.digest = gate.digest;
	return gates_vote(store, &v, &r, &err);
}

/* ---- what is there ---- */

#define ARCHIVE "halden/archive", ".github/workflows/ci.yml", "Continuous Integration"
#define TAKEOFF "halden/takeoff", ".github/workflows/deploy-prod.yml", "Deploy to Production"
#define MEALPLAN "halden/mealplan", ".github/workflows/deploy.yml", "Deploy to AWS"
#define STANDARDS "halden/standards", ".github/workflows/ci.yml", "CI/CD Pipeline"

static const char *const images[] = { "api", "worker", "frontend", NULL };

static void seed_repos(void)
{
	static const char *const list[] = { "halden/archive", "halden/takeoff",
		"halden/mealplan", "halden/standards", "halden/vision" };

	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		_cleanup_free_ char *url = xasprintf("https://git.example.com/%s.git", list[i]);
		const struct repo_new r = { list[i], "github", url, "main", NULL };
		int64_t id, hook;

		must(repos_add(store, &r, &ines, &id, &err));
		must(hooks_add(store, id, "github", "0123456789abcdef0123", &ines, &hook, NULL,
			&err));
	}
	rules("halden/takeoff", "production",
		"{\"reviewers\":[\"ines\",\"tom\",\"admin\",\"jonas\",\"priya\"],\"required\":2,"
		"\"self_approval\":false,\"expires_minutes\":1440,\"branches\":[\"v*\",\"main\"]}");
	rules("halden/takeoff", "staging", "{\"reviewers\":[],\"required\":0}");
	rules("halden/mealplan", "aws", "{\"reviewers\":[],\"required\":0}");
	must(secrets_set(store, repo_id("halden/takeoff"), "production", "AWS_DEPLOY_ROLE_ARN",
		"value-that-must-never-show", 26, &tom, &err));
	must(secrets_set(store, repo_id("halden/takeoff"), "production",
		"CLOUDFRONT_DISTRIBUTION_ID", "value-that-must-never-show", 26, &tom, &err));
	must(secrets_set(store, repo_id("halden/takeoff"), "", "AWS_ACCOUNT_ID",
		"value-that-must-never-show", 26, &ines, &err));
	must(vars_set(store, repo_id("halden/takeoff"), "", "REGION", "eu-north-1", &ines, &err));
}

/* Ended ones of earlier days, so that pages have days and lists have ends. */
static void seed_history(int64_t count)
{
	static const char *const titles[] = { "Timeline: event model", "Merge pull request #94",
		"Quantities: recompute totals in one query", "Raise worker memory to 1 GiB",
		"Frontend: keyboard entry for measurements" };

	for (int64_t i = 0; i < count; i++) {
		int64_t skew = -2 * DAY - (count - i) * HOUR / 2;
		const struct want_run w = { ARCHIVE, titles[i % 5], i % 3 ? "main" : "develop",
			"push", i % 2 ? "jonas" : "priya",
			"b20c6d7aa2b6f0a8d35c7719e4420bd1f6a93c0e", "lint test:lint", TRUST_TRUSTED,
			false, "" };
		int64_t run;

		skew_to(skew);
		run = make_run(&w);
		expand(run, "lint", "Lint", NULL, NULL);
		whole(job_of(run, "lint", 0), true, &skew, 40000);
		expand(run, "test", "Test", NULL, NULL);
		whole(job_of(run, "test", 0), i % 7 != 3, &skew, 130000);
	}
}

static void seed_earlier_deployment(void)
{
	int64_t skew = -6 * DAY;
	const struct want_run w = { TAKEOFF, "Release v2.7.3", "v2.7.3", "workflow_dispatch",
		"priya", "d81f20ab6f0a8d35c7719e4420bd1f6a93c0e571", "deploy", TRUST_TRUSTED, false,
		"" };
	int64_t run, gate, epoch, job;
	struct job_update u = { .kind = JOB_UPDATE_URL, .value = "https://takeoff.example.com/" };

	skew_to(skew);
	run = make_run(&w);
	expand(run, "deploy", "Deploy to Production", NULL, "production");
	gate = gate_of(run);
	skew_to(skew += 4 * MINUTE);
	must(vote(gate, "tom", true, ""));
	must(vote(gate, "ines", true, ""));
	job = job_of(run, "deploy", 0);
	epoch = start(job);
	apply(job, epoch, &u, 1, 100);
	put_log(job, 1, "passes", 4);
	skew_to(skew + 371000);
	finish(job, epoch, true, 700, 14);
	name_id("run-deployed", run);
}

static void seed_failure(void)
{
	int64_t skew = -3 * HOUR;
	const struct want_run w = { ARCHIVE, "Timeline: group events by week", "develop", "push",
		"jonas", "5f9d2aab6f0a8d35c7719e4420bd1f6a93c0e571",
		"lint scan test-api:lint test-web:lint images:test-api,test-web deploy:images",
		TRUST_TRUSTED, false, "" };
	int64_t run, job, epoch;

	skew_to(skew);
	run = make_run(&w);
	expand(run, "lint", "Lint and Type Check", NULL, NULL);
	expand(run, "scan", "Security Scan", NULL, NULL);
	whole(job_of(run, "lint", 0), true, &skew, 62000);
	whole(job_of(run, "scan", 0), true, &skew, 28000);
	expand(run, "test-api", "Test API", NULL, NULL);
	expand(run, "test-web", "Test Web", NULL, NULL);
	job = job_of(run, "test-api", 0);
	epoch = start(job);
	put_log(job, 1, "fails", 17);
	annotate(job, epoch);
	summary(job, epoch);
	artifact(job, epoch, "coverage", "<html><script>alert(1)</script>");
	skew_to(skew += 170000);
	finish(job, epoch, false, 2600, 36);
	whole(job_of(run, "test-web", 0), true, &skew, 30000);
	must(jobs_settle(store, job_of(run, "images", 0), CONCLUSION_SKIPPED,
		"Skipped because test-api ended in failure (no if:, so every need must succeed).",
		NULL, NULL, &err));
	must(jobs_settle(store, job_of(run, "deploy", 0), CONCLUSION_SKIPPED,
		"Skipped because images was skipped.", NULL, NULL, &err));
	name_id("run-failure", run);
	name_id("job-failure", job);
	name_id("job-skipped", job_of(run, "images", 0));
}

static void seed_waiting(void)
{
	int64_t skew = -8 * MINUTE;
	const struct want_run w = { TAKEOFF, "Release v2.8.0", "v2.8.0", "workflow_dispatch",
		"priya", "4c1d09e6b2f0a8d35c7719e4420bd1f6a93c0e57",
		"validate test:validate build:validate,test deploy:build notify:deploy",
		TRUST_TRUSTED, false, "" };
	int64_t run;

	skew_to(skew);
	run = make_run(&w);
	expand(run, "validate", "Validate", NULL, NULL);
	whole(job_of(run, "validate", 0), true, &skew, 9000);
	expand(run, "test", "Run Tests", NULL, NULL);
	whole(job_of(run, "test", 0), true, &skew, 192000);
	expand(run, "build", "Build and Push Images", images, NULL);
	for (int i = 0; i < 3; i++)
		whole(job_of(run, "build", i), true, &skew, 40000 + i * 9000);
	expand(run, "deploy", "Deploy to Production", NULL, "production");
	skew_to(skew + 20000);
	must(vote(gate_of(run), "tom", true, "Migration is an index only. Watching the dashboard."));
	name_id("run-waiting", run);
	name_id("gate", gate_of(run));
}

static void seed_lost(void)
{
	int64_t skew = -24 * MINUTE;
	const struct want_run w = { MEALPLAN, "Bump task memory to 1 GiB", "main", "push", "tom",
		"e02b7f1ab6f0a8d35c7719e4420bd1f6a93c0e57", "build deploy:build", TRUST_TRUSTED,
		false, "" };
	int64_t run, job, epoch;
	enum job_state state;

	skew_to(skew);
	run = make_run(&w);
	expand(run, "build", "build", NULL, NULL);
	whole(job_of(run, "build", 0), true, &skew, 300000);
	expand(run, "deploy", "deploy", NULL, "aws");
	job = job_of(run, "deploy", 0);
	epoch = start(job);
	put_log(job, 1, "passes", 3);
	skew_to(skew + 62000);
	must(jobs_died(store, job, epoch, "the host lost power", &state, &err));
	name_id("run-lost", run);
	name_id("job-lost", job);
}

static void seed_live(void)
{
	int64_t skew = -3 * MINUTE;
	const struct want_run w = { ARCHIVE, "Cache plan totals per project", "develop", "push",
		"jonas", "91be3acab6f0a8d35c7719e4420bd1f6a93c0e57",
		"lint test-api:lint test-web:lint images:test-api,test-web", TRUST_TRUSTED, false,
		"" };
	int64_t run, job, epoch;

	skew_to(skew);
	run = make_run(&w);
	expand(run, "lint", "Lint and Type Check", NULL, NULL);
	whole(job_of(run, "lint", 0), true, &skew, 62000);
	expand(run, "test-api", "Test API", NULL, NULL);
	expand(run, "test-web", "Test Web", NULL, NULL);
	job = job_of(run, "test-api", 0);
	epoch = start(job);
	put_log(job, 1, "fails", 40);
	annotate(job, epoch);
	name_id("run-live", run);
	name_id("job-live", job);
	name_id("job-queued", job_of(run, "test-web", 0));
	name_id("job-absent", job_of(run, "images", 0));
}

static void seed_hostile(long lines)
{
	int64_t skew = -40 * MINUTE;
	const struct want_run w = { "halden/vision", ".github/workflows/<b>.yml",
		"<img src=x onerror=alert(1)>",
		"</a><script>document.title='owned'</script> \xe2\x80\xae" "esrever\xe2\x80\x8b",
		"feat/\"><svg/onload=alert(1)>", "pull_request", "<i>mallory</i>",
		"77c0fe5ab6f0a8d35c7719e4420bd1f6a93c0e57", "a b:a long:a", TRUST_TRUSTED, false, "" };
	static const char *const rows[] = { "<script>", "' onmouseover='x", "\"><b>", "a", "b", "c",
		"d", "e", "f", NULL };
	int64_t run, job, epoch;

	skew_to(skew);
	run = make_run(&w);
	expand(run, "a", "<script>alert('name')</script>", NULL, NULL);
	job = job_of(run, "a", 0);
	epoch = start(job);
	put_log(job, 1, "hostile", 0);
	summary(job, epoch);
	finish(job, epoch, true, 600, 8);
	name_id("run-hostile", run);
	name_id("job-hostile", job);
	expand(run, "b", "matrix", rows, NULL);
	for (int i = 0; i < 9; i++)
		whole(job_of(run, "b", i), i != 7, &skew, 7000);
	expand(run, "long", "A million lines", NULL, NULL);
	job = job_of(run, "long", 0);
	epoch = start(job);
	put_log(job, 1, "long", lines);
	skew_to(skew += 90000);
	finish(job, epoch, true, lines * 40, lines);
	name_id("job-long", job);
}

static void seed_others(void)
{
	const struct want_run fork = { STANDARDS, "Typo in README", "patch-1", "pull_request",
		"stranger", "a7710d2ab6f0a8d35c7719e4420bd1f6a93c0e57", "test", TRUST_UNTRUSTED, true,
		"" };
	const struct want_run held = { ARCHIVE, "Upgrade ruff to 0.6", "develop", "push",
		"renovate", "0d4421bab6f0a8d35c7719e4420bd1f6a93c0e57", "lint", TRUST_TRUSTED, false,
		"ci-develop" };
	const struct want_run again = { ARCHIVE, "Try larger runners", "develop", "push", "jonas",
		"8ae01f3ab6f0a8d35c7719e4420bd1f6a93c0e57", "lint test:lint", TRUST_TRUSTED, false,
		"" };
	int64_t skew = -2 * HOUR, run, attempt, first;

	skew_to(skew);
	run = make_run(&again);
	expand(run, "lint", "lint", NULL, NULL);
	whole(job_of(run, "lint", 0), true, &skew, 9000);
	expand(run, "test", "test", NULL, NULL);
	whole(job_of(run, "test", 0), false, &skew, 9000);
	skew_to(skew += 5 * MINUTE);
	must(runs_rerun(store, run, RERUN_FAILED, NULL, &ines, &attempt, &err));
	name_id("job-carried", job_of(run, "lint", 0));
	must(runs_cancel(store, run, "cancelled by ines", true, &ines, &err));
	name_id("run-attempts", run);

	skew_to(-11 * MINUTE);
	name_id("run-fork", make_run(&fork));
	skew_to(-69000);
	first = make_run(&held);
	expand(first, "lint", "lint", NULL, NULL);
	name_id("run-queued", first);
	run = make_run(&held);
	name_id("run-held", run);
}

static void seed(int64_t count, long lines)
{
	seed_repos();
	seed_earlier_deployment();
	seed_history(count);
	seed_failure();
	seed_others();
	seed_hostile(lines);
	seed_lost();
	seed_waiting();
	seed_live();
	skew_to(0);
}

/* ---- core, played ---- */

static int to_web = -1, listener = -1, port;
static pid_t web_pid;
static bool hangs;
static int64_t unanswered; /* what web asked since */
static struct loop *loop;
static struct loop_source *web_source;
static struct config *config;
static const char *tls[2];
static char *tls_text[2];

static void send_web(struct json *head)
{
	if (to_web >= 0 && chan_send(to_web, head, NULL, 0, NULL, 0, &err) < 0)
		fprintf(stderr, "webseed: %s\n", err.msg);
	json_free(head);
}

static void on_change(const struct store_change *c, void *data)
{
	struct json *j = json_new_object();

	json_set_str(j, "op", "changed");
	json_set_int(j, "run", c->run);
	json_set_int(j, "job", c->job);
	json_set_int(j, "gate", c->gate);
	json_set_int(j, "version", c->version);
	send_web(j);
}

static void tell_log(int64_t job, int64_t size)
{
	struct json *j = json_new_object();

	json_set_str(j, "op", "log");
	json_set_int(j, "job", job);
	json_set_int(j, "size", size);
	send_web(j);
}

/* What core finds in the mirror between two commits. */
static int gate_changes(struct json *result)
{
	static const char *const paths[] = { "backend/alembic/versions/7f3a_items_project_idx.py",
		".github/workflows/deploy-prod.yml", "infra/ecs/worker.json",
		"backend/app/quantities.py", "backend/app/totals.py", "backend/tests/test_totals.py",
		"frontend/src/entry.tsx", "frontend/src/grid.tsx", "docs/operating.md" };
	static const struct {
		const char *sha, *subject, *author;
		int64_t ago;
	} commits[] = {
		{ "4c1d09e6b2f0a8d35c7719e4420bd1f6a93c0e57", "Release v2.8.0", "Priya Raman", 0 },
		{ "b6aa7138a2f0a8d35c7719e4420bd1f6a93c0e57",
			"Quantities: recompute totals in one query", "Jonas Lind", HOUR },
		{ "02f7c5e1a2f0a8d35c7719e4420bd1f6a93c0e57",
			"Alembic: add index on takeoff_items.project_id", "Jonas Lind", DAY },
		{ "e9914d04a2f0a8d35c7719e4420bd1f6a93c0e57",
			"Frontend: keyboard entry for measurements", "Mika Aalto", 2 * DAY },
		{ "71cd8a29a2f0a8d35c7719e4420bd1f6a93c0e57", "Raise worker memory to 1 GiB",
			"Jonas Lind", 3 * DAY },
	};
	struct json *list = json_new_array();

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
		json_push_str(list, paths[i]);
	json_set(result, "paths", list);
	list = json_new_array();
	for (size_t i = 0; i < ARRAY_SIZE(commits); i++) {
		struct json *c = json_new_object();

		json_set_str(c, "sha", commits[i].sha);
		json_set_str(c, "subject", commits[i].subject);
		json_set_str(c, "author", commits[i].author);
		json_set_int(c, "at", clock_wall_ms() - commits[i].ago);
		json_push(list, c);
	}
	json_set(result, "commits", list);
	return 0;
}

static int do_verb(const struct chan_msg *m, struct json *result)
{
	const char *verb = json_get_str(m->head, "verb", "");
	const struct json *args = json_get(m->head, "args"), *who = json_get(m->head, "principal");
	struct actor actor = { json_get_str(who, "kind", "user"), json_get_str(who, "name", "?"),
		json_get_str(m->head, "request", NULL) };
	int64_t run = json_get_int(args, "run", 0), attempt;

	if (str_eq(verb, "gate.decide")) {
		const struct gate_vote v = { .gate = json_get_int(args, "gate", 0), .who = actor,
			.has_scope = strstr(json_get_str(who, "scopes", ""), "a") != NULL,
			.approves = str_eq(json_get_str(args, "decision", ""), "approve"),
			.digest = json_get_str(args, "digest", NULL),
			.sha = json_get_str(args, "sha", NULL),
			.comment = json_get_str(args, "comment", NULL) };
		struct gate_result r;

		if (gates_vote(store, &v, &r, &err) < 0)
			return -1;
		json_set_str(result, "state", state_name(MACHINE_GATE, (int)r.state));
		return 0;
	}
	if (str_eq(verb, "gate.changes"))
		return gate_changes(result);
	if (str_eq(verb, "run.cancel"))
		return runs_cancel(store, run, "cancelled in a test", false, &actor, &err);
	if (str_eq(verb, "run.rerun"))
		return runs_rerun(store, run,
			json_get_bool(args, "failed", false) ? RERUN_FAILED : RERUN_ALL, NULL,
			&actor, &attempt, &err);
	if (str_eq(verb, "job.resolve"))
		return jobs_resolve_lost(store, json_get_int(args, "job", 0),
			conclusion_parse(json_get_str(args, "conclusion", "")),
			json_get_str(args, "comment", ""), &actor, &err);
	if (str_eq(verb, "pause") || str_eq(verb, "resume"))
		return store_pause(store, str_eq(verb, "pause"), actor.name, "", &err);
	if (str_eq(verb, "run.dispatch")) {
		json_set_int(result, "event", 1);
		return 0;
	}
	return err_set(&err, ERR_NOT_FOUND, "there is no verb '%.64s'", verb);
}

static int do_login(const struct chan_msg *m, struct json *answer)
{
	const char *token = json_get_str(m->head, "token", "");
	const char *session = json_get_str(m->head, "session", "");
	struct principal p;
	char *made = NULL;

	memset(&p, 0, sizeof(p));
	if (json_get_bool(m->head, "out", false))
		return sessions_close(store, session, &err);
	if (sessions_open_link(store, token, DAY_30, &made, &p, &err) < 0 &&
		(tokens_check(store, token, &p, &err) < 0 ||
			sessions_open(store, p.name, p.scopes, DAY_30, &made, &err) < 0))
		return -1;
	json_set_str(answer, "session", made);
	free(made);
	principal_done(&p);
	return 0;
}

static void serve(const struct chan_msg *m)
{
	const char *op = chan_msg_op(m);
	struct json *a = json_new_object(), *result = json_new_object();
	int r = 0;

	if (hangs) {
		unanswered++;
		json_free(a);
		json_free(result);
		return;
	}
	if (str_eq(op, "verb"))
		r = do_verb(m, result);
	else if (str_eq(op, "login"))
		r = do_login(m, a);
	else if (str_eq(op, "hook") || str_eq(op, "approval"))
		json_set_int(a, "status", str_eq(op, "hook") ? 202 : 200);
	json_set_str(a, "op", "answer");
	json_set_int(a, "seq", json_get_int(m->head, "seq", 0));
	json_set_bool(a, "ok", r >= 0);
	if (r < 0) {
		struct json *e = json_new_object();

		json_set_str(e, "code", err_code_name(err.code));
		json_set_str(e, "message", err.msg);
		json_set(a, "error", e);
	} else {
		json_set_int(result, "body", (int64_t)m->body.len);
		json_set(a, "result", json_share(result));
	}
	json_free(result);
	send_web(a);
}

static void close_web(void)
{
	loop_remove(web_source);
	web_source = NULL;
	if (to_web >= 0)
		(void)close(to_web);
	to_web = -1;
}

static void on_web(struct loop *l, int fd, uint32_t events, void *data)
{
	for (;;) {
		struct chan_msg m = CHAN_MSG_INIT;
		int r = chan_recv(fd, &m, &err);

		if (r < 0 && err.code == ERR_UNAVAILABLE)
			return;
		if (r <= 0) {
			close_web();
			return;
		}
		serve(&m);
		chan_msg_done(&m);
	}
}

static int folder(const char *name)
{
	_cleanup_free_ char *path = path_join(dir, name);

	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void start_web(void)
{
	int pair[2], fds[2];
	struct json *settings;
	_cleanup_free_ char *url =
		xasprintf("%s://127.0.0.1:%d", tls_text[0] ? "https" : "http", port);
	_cleanup_free_ char *sock = path_join(dir, "run/api.sock");

	must(chan_pair(pair, &err));
	must(fds[1] = http_bind_unix(sock, &fds[0], &err));
	(void)fflush(stdout);
	web_pid = fork();
	if (web_pid == 0) {
		const struct web_options o = { .core = pair[1], .listeners = { dup(listener), fds[0] },
			.db = folder("db"), .jobs = folder("jobs"), .store = folder("store"),
			.url = url, .trusted_proxies = &config->trusted_proxies,
			.confinement = "full", .owner = getuid(),
			.tls_certificate = tls_text[0], .tls_key = tls_text[1] };

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close(pair[0]);
		_exit(web_main(&o));
	}
	(void)close(pair[1]);
	(void)close(fds[0]);
	to_web = pair[0];
	(void)fd_set_nonblock(to_web, true);
	settings = json_new_object(); /* as core says them first */
	json_set_str(settings, "op", "settings");
	json_set_int(settings, "slots", 4);
	json_set(settings, "labels", json_new_array());
	json_push_str(json_get(settings, "labels"), "ubuntu-latest");
	json_push_str(json_get(settings, "labels"), "trixie=debian-13");
	json_set_int(settings, "label_wait_ms", HOUR);
	send_web(settings);
	if (loop)
		web_source = loop_add_fd(loop, to_web, EPOLLIN, on_web, NULL);
}

/* ---- words from the test ---- */

static void say(struct json *j)
{
	_cleanup_free_ char *text = json_text(j);

	printf("%s\n", text);
	(void)fflush(stdout);
	json_free(j);
}

static int64_t number(const char *s)
{
	long long n = 0;

	return s && str_to_int(s, 0, INT64_MAX, &n) == 0 ? n : 0;
}

static void unescape(char *s)
{
	char *out = s;

	for (; *s; s++)
		if (s[0] == '\\' && (s[1] == 'n' || s[1] == 'r' || s[1] == 'e'))
			*out++ = *++s == 'n' ? '\n' : *s == 'r' ? '\r' : '\033';
		else
			*out++ = *s;
	*out = '\0';
}

static void append(int64_t job, int64_t n, const char *text)
{
	struct job j = get_job(job);
	struct strbuf b = STRBUF_INIT;
	const char *hash = strchr(text, '#');
	static int64_t counter;
	int64_t size;

	for (int64_t i = 0; i < n; i++)
		if (hash)
			strbuf_addf(&b, "%.*s%lld%s\n", (int)(hash - text), text,
				(long long)++counter, hash + 1);
		else
			strbuf_addf(&b, "%s\n", text);
	size = log_append(job, j.tries ? j.tries : 1, b.buf, b.len);
	tell_log(job, size);
	strbuf_done(&b);
	job_done(&j);
}

static struct json *stat_web(void)
{
	struct json *j = json_new_object();
	char path[64];
	struct strbuf b = STRBUF_INIT;
	const char *rss;
	int64_t fds = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)web_pid);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)fd_read_to_end(fd, 65536, &b, &err); /* an empty text says it below */
	rss = strstr(b.buf, "VmRSS:");
	json_set_int(j, "pid", web_pid);
	json_set_int(j, "rss_kb", rss ? strtoll(rss + 6, NULL, 10) : -1);
	for (int i = 0; i < 4096; i++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)web_pid, i);
		fds += access(path, F_OK) == 0;
	}
	json_set_int(j, "fds", fds);
	strbuf_done(&b);
	return j;
}

static void make_link(int64_t gate, struct json *out)
{
	char *token = NULL;

	must(links_create(store, gate ? "jonas" : "ines", gate ? SCOPE_READ | SCOPE_APPROVE :
								    SCOPE_ADMIN,
		gate, DAY, &ines, &token, &err));
	json_set_str(out, "link", token);
	free(token);
}

static void command(char *text)
{
	struct json *j = json_new_object();
	char *save = NULL, *word = strtok_r(text, " ", &save);
	char *a = word ? strtok_r(NULL, " ", &save) : NULL;
	bool ok = true;

	if (str_eq(word, "append") || str_eq(word, "text")) {
		char *n = str_eq(word, "append") ? strtok_r(NULL, " ", &save) : NULL;

		if (n) {
			append(number(a), number(n), save ? save : "");
		} else {
			struct job job = get_job(number(a));

			unescape(save);
			tell_log(number(a), log_append(number(a), job.tries, save, strlen(save)));
			job_done(&job);
		}
	} else if (str_eq(word, "start")) {
		start(number(a));
	} else if (str_eq(word, "end")) {
		struct job job = get_job(number(a));

		finish(number(a), job.epoch, str_eq(strtok_r(NULL, " ", &save), "success"), 4000, 40);
		job_done(&job);
	} else if (str_eq(word, "run")) {
		_cleanup_free_ char *title = xasprintf("%s %s", a ? a : "", save ? save : "");
		const struct want_run w = { ARCHIVE, title, "develop", "push", "jonas",
			"1c44a90ab6f0a8d35c7719e4420bd1f6a93c0e57", "lint", TRUST_TRUSTED, false, "" };
		int64_t run = make_run(&w);

		expand(run, "lint", "lint", NULL, NULL);
		json_set_int(j, "run", run);
		json_set_int(j, "job", job_of(run, "lint", 0));
	} else if (str_eq(word, "vote")) {
		const char *who = strtok_r(NULL, " ", &save);

		ok = vote(number(a), who ? who : "", str_eq(strtok_r(NULL, " ", &save), "approve"),
			     "by command") >= 0;
	} else if (str_eq(word, "link")) {
		make_link(number(a), j);
	} else if (str_eq(word, "hang")) {
		hangs = !hangs;
	} else if (str_eq(word, "core")) {
		close_web();
	} else if (str_eq(word, "web")) {
		close_web();
		(void)kill(web_pid, SIGKILL);
		(void)waitpid(web_pid, NULL, 0);
		start_web();
	} else if (str_eq(word, "stat")) {
		json_free(j);
		j = stat_web();
		json_set_int(j, "unanswered", unanswered);
	} else if (str_eq(word, "quit")) {
		loop_stop(loop, 0);
	} else {
		ok = false;
		err_set(&err, ERR_INPUT, "no command '%s'", word ? word : "");
	}
	json_set_bool(j, "ok", ok);
	if (!ok)
		json_set_str(j, "error", err.msg);
	say(j);
}

static void on_stdin(struct loop *l, int fd, uint32_t events, void *data)
{
	static struct strbuf in = STRBUF_INIT;
	ssize_t n;
	char *nl;

	strbuf_reserve(&in, 65536);
	n = read(fd, in.buf + in.len, 65536);
	if (n <= 0) {
		loop_stop(l, 0);
		return;
	}
	strbuf_commit(&in, (size_t)n);
	while ((nl = memchr(in.buf, '\n', in.len)) != NULL) {
		_cleanup_free_ char *line = xstrndup(in.buf, (size_t)(nl - in.buf));

		strbuf_remove(&in, 0, (size_t)(nl + 1 - in.buf));
		command(line);
	}
}

/* ---- set-up ---- */

static void make_dirs(void)
{
	static const char *const list[] = { "db", "jobs", "store/sha256", "run" };

	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		_cleanup_free_ char *path = path_join(dir, list[i]);

		must(path_mkdirs_own(path, 0700, &err));
	}
}

static void load_config(void)
{
	struct strvec over = STRVEC_INIT;

	strvec_pushf(&over, "data=%s", dir);
	_cleanup_free_ char *file = path_join(dir, "sluice.yml");
	_cleanup_close_ int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || fd_write_all(fd, "capacity: 8\n", 12) < 0)
		exit(1);
	must(config_load(file, &over, stderr, &config, &err));
	strvec_done(&over);
}

static void open_store(void)
{
	_cleanup_free_ char *path = path_join(dir, "db/sluice.db");

	must(store_open(path, STORE_CREATE | STORE_ANY_FS, &store, &err));
	must(store_set_key(store, seed_key, &err));
}

static void add_tokens(void)
{
	static const struct {
		const char *name, *user;
		enum scope scopes;
	} list[] = {
		{ "token", "ines", SCOPE_ADMIN },
		{ "token-read", "viewer", SCOPE_READ },
		{ "token-run", "runner", SCOPE_READ | SCOPE_RUN },
		{ "token-approve", "jonas", SCOPE_READ | SCOPE_APPROVE },
	};

	for (size_t i = 0; i < ARRAY_SIZE(list); i++) {
		char *token = NULL;

		must(tokens_create(store, list[i].name, list[i].user, list[i].scopes, 0, &ines,
			&token, &err));
		json_set_str(names, list[i].name, token);
		free(token);
	}
	make_link(0, names);
}

static void read_tls(void)
{
	for (size_t i = 0; i < 2 && tls[0]; i++) {
		struct strbuf b = STRBUF_INIT;

		must(fd_read_file(AT_FDCWD, tls[i], 1 << 20, &b, &err));
		tls_text[i] = strbuf_take(&b);
	}
}

int main(int argc, char **argv)
{
	long lines = 5000, runs = 30;
	bool empty = false;

	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (str_eq(argv[i], "--empty")) {
			empty = true;
			continue;
		}
		if (!value)
			return 2;
		if (str_eq(argv[i], "--dir"))
			dir = xstrdup(value);
		else if (str_eq(argv[i], "--lines"))
			lines = (long)number(value);
		else if (str_eq(argv[i], "--runs"))
			runs = (long)number(value);
		else if (str_eq(argv[i], "--port"))
			port = (int)number(value);
		else if (str_eq(argv[i], "--tls") && i + 2 < argc) {
			tls[0] = value;
			tls[1] = argv[++i + 1];
		} else
			return 2;
		i++;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	names = json_new_object();
	if (!dir) {
		fprintf(stderr, "usage: webseed --dir DIR [--runs N] [--lines N] [--empty]\n");
		return 2;
	}
	make_dirs();
	load_config();
	read_tls();
	open_store();
	if (!empty)
		seed(runs, lines);
	add_tokens();
	store_free(store); /* a database must not cross a fork */
	must(http_bind_tcp("127.0.0.1", port, &listener, &port, &err));
	start_web();
	open_store();
	store_on_change(store, on_change, NULL);
	must(loop_new(&loop, &err));
	web_source = loop_add_fd(loop, to_web, EPOLLIN, on_web, NULL);
	if (!loop_add_fd(loop, STDIN_FILENO, EPOLLIN, on_stdin, NULL))
		fprintf(stderr, "webseed: no commands, standard input is a file\n");
	_cleanup_free_ char *url =
		xasprintf("%s://127.0.0.1:%d", tls_text[0] ? "https" : "http", port);

	json_set_str(names, "url", url);
	json_set_str(names, "dir", dir);
	json_set_int(names, "pid", web_pid);
	say(json_share(names));
	must(loop_run(loop, &err));
	(void)kill(web_pid, SIGKILL);
	(void)waitpid(web_pid, NULL, 0);
	return 0;
}
