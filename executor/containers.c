/* SPDX-License-Identifier: Apache-2.0 */
/* See containers.h. What runs inside are the two scripts of executor/assets. */
#include "executor/containers.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"

struct asset { /* as tests/tools/embed.sh prints them */
	const char *name, *type;
	const unsigned char *bytes;
	size_t len;
	const char *hash;
};
#include "executor/inside.inc"

#define BIN	    "/var/sluice/bin"
#define UP	    "containers-up"
#define UP_MS	    30000
#define SAID_MAX    (64 * KiB)
#define OWN_MAX	    16
#define CONF	    "/run/containers" /* written by containers-up */
#define DOCKER_SOCK "/run/docker.sock"

/* Who may be pulled from is the proxy's matter; signatures are the operator's to ask for. */
static const char policy[] = "{\"default\": [{\"type\": \"insecureAcceptAnything\"}]}\n";
/* As docker has it: short names are Docker Hub's, and a registry on the loopback is plain. */
static const char registries[] =
	"unqualified-search-registries = [\"docker.io\"]\n"
	"short-name-mode = \"permissive\"\n"
	"[[registry]]\nlocation = \"127.0.0.1\"\ninsecure = true\n"
	"[[registry]]\nlocation = \"localhost\"\ninsecure = true\n";

bool containers_wanted(const struct jobrun *job)
{
	return str_eq(job->spec->profile, sandbox_profile_name(SANDBOX_BUILD));
}

void containers_files(struct sandbox_options *o)
{
	/* Bytes of an asset are followed by a NUL, so that they are text, too. */
	static struct sandbox_file files[] = {
		{ "/etc/containers/policy.json", policy, false },
		{ "/etc/containers/registries.conf", registries, false },
		{ BIN "/" UP, NULL, true },
		{ BIN "/docker", NULL, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		for (const struct asset *a = assets; a->name && !files[i].text; a++)
			if (str_ends(files[i].inside, a->name))
				files[i].text = (const char *)a->bytes;
	o->files = files;
	o->files_len = ARRAY_SIZE(files);
}

void containers_env(struct strvec *env)
{
	static const char *const fixed[][2] = {
		{ "PATH", BIN ":" INSIDE_PATH },
		/* Root of the job's own range, and of nothing else. */
		{ "USER", "root" },
		{ "LOGNAME", "root" },
		{ "DOCKER_HOST", "unix://" DOCKER_SOCK },
		{ "CONTAINERS_CONF", CONF "/containers.conf" },
		{ "CONTAINERS_STORAGE_CONF", CONF "/storage.conf" },
		/* A RUN line sees the job's network, and the proxy on it. */
		{ "BUILDAH_ISOLATION", "chroot" },
		{ "BUILDAH_FORMAT", "docker" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		strvec_setenv(env, fixed[i][0], fixed[i][1]);
}

/* Waits for the end of process ID, which is ours; 0, or -1 and why there is none. */
static int await_end(
	struct sandbox *sb, int id, struct sandbox_event *ret, struct err *err)
{
	int64_t deadline = clock_boot_ms() + UP_MS;

	for (;;) {
		struct pollfd p = { .fd = sandbox_fd(sb), .events = POLLIN };
		int64_t left = deadline - clock_boot_ms();
		int got = sandbox_next_event(sb, ret, err);

		if (got < 0)
			return -1;
		if (got == 1 && ret->kind == SANDBOX_EVENT_EXIT && ret->id == id)
			return 0;
		if (got == 1 && ret->kind != SANDBOX_EVENT_EXIT)
			return err_set(err, ERR_UNAVAILABLE,
				"the job's sandbox ended while its containers were set "
				"up");
		if (left <= 0)
			return err_set(err, ERR_TIMEOUT,
				"the job's containers were not set up within %d s",
				UP_MS / 1000);
		if (got == 0)
			(void)poll(&p, 1, (int)left);
	}
}

/* The last line of what UP said decides; see there. */
static int judge(struct jobrun *job, const struct strbuf *said, struct err *err)
{
	_cleanup_(strvec_done) struct strvec lines = STRVEC_INIT;
	const char *last = "it said nothing";

	strvec_split(&lines, said->buf, '\n');
	strvec_foreach (line, &lines)
		if (**line)
			last = *line;
	if (str_eq(last, "ready"))
		return 0;
	if (str_starts(last, "buildah: ")) {
		job->containers_weaker =
			xasprintf("containers: images alone, by %s", last);
		return 0;
	}
	if (str_starts(last, "refused: "))
		last += strlen("refused: ");
	return err_set(
		err, ERR_UNSUPPORTED, "profile 'build' cannot be had here: %s", last);
}

int containers_up(struct jobrun *job, struct err *err)
{
	static const char *const argv[] = { BIN "/" UP, NULL };
	_cleanup_(strbuf_done) struct strbuf said = STRBUF_INIT;
	_cleanup_close_ int out = memfd_create("containers-up", MFD_CLOEXEC);
	struct sandbox_process own[OWN_MAX];
	struct sandbox_command cmd = SANDBOX_COMMAND_INIT;
	struct sandbox_event end;
	int id;

	if (out < 0)
		return err_sys(err, "cannot make a memory file");
	cmd.argv = argv;
	cmd.env = (const char *const *)job->base_env.v;
	cmd.out = cmd.errfd = out;
	if (sandbox_spawn(job->sandbox, &cmd, &id, err) < 0 ||
		await_end(job->sandbox, id, &end, err) < 0)
		return err_wrap(err, "the job's containers");
	if (lseek(out, 0, SEEK_SET) < 0 || fd_read_to_end(out, SAID_MAX, &said, err) < 0)
		return -1;
	if (judge(job, &said, err) < 0)
		return -1;
	/* What runs now is ours: it is not counted as left behind by a step. */
	job->own_processes = sandbox_processes(job->sandbox, own, OWN_MAX, NULL);
	if (job->own_processes < 0)
		job->own_processes = 0;
	return 0;
}
