/* SPDX-License-Identifier: Apache-2.0 */
/* See R:Runner.Worker/Handlers/Handler.cs and GitHubContext.cs for the lists. */
#include "executor/env.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "executor/containers.h"
#include "executor/envfile.h"
#include "executor/proxy.h"

/* Members of the github context that become GITHUB_NAME. */
static const char *const github_names[] = { "action", "action_path", "action_ref",
	"action_repository", "actor", "actor_id", "api_url", "base_ref", "env",
	"event_name", "event_path", "graphql_url", "head_ref", "job", "output", "path",
	"ref", "ref_name", "ref_protected", "ref_type", "repository", "repository_id",
	"repository_owner", "repository_owner_id", "retention_days", "run_attempt",
	"run_id", "run_number", "server_url", "sha", "state", "step_summary",
	"triggering_actor", "workflow", "workflow_ref", "workflow_sha", "workspace" };

static const char *const runner_names[] = { "arch", "debug", "environment", "name", "os",
	"temp", "tool_cache" };

static void set_upper(
	struct strvec *ret, const char *prefix, const char *name, const struct value *v)
{
	_cleanup_free_ char *key = xasprintf("%s%s", prefix, name);
	_cleanup_free_ char *text = value_text(v);

	for (char *p = key; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	strvec_setenv(ret, key, text);
}

void env_of_github(const struct value *github, struct strvec *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(github_names); i++) {
		const struct value *v = value_get(github, github_names[i]);

		if (v)
			set_upper(ret, "GITHUB_", github_names[i], v);
	}
	strvec_setenv(ret, "GITHUB_ACTIONS", "true");
	strvec_setenv(ret, "CI", "true");
}

void env_of_runner(const struct value *runner, struct strvec *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(runner_names); i++) {
		const struct value *v = value_get(runner, runner_names[i]);

		if (v)
			set_upper(ret, "RUNNER_", runner_names[i], v);
	}
}

char *env_input_name(const char *name)
{
	char *key = xasprintf("INPUT_%s", name);

	for (char *p = key + strlen("INPUT_"); *p; p++)
		*p = *p == ' ' ? '_' : (char)toupper((unsigned char)*p);
	return key;
}

/* Which tool honours which is in docs/network.md; node's own fetch needs its switch. */
static void proxy_env(struct strvec *env, const char *host)
{
	_cleanup_free_ char *url = xasprintf("http://%s:%d", host, PROXY_PORT);
	_cleanup_free_ char *java = xasprintf("-Dhttp.proxyHost=%s -Dhttp.proxyPort=%d "
					      "-Dhttps.proxyHost=%s "
					      "-Dhttps.proxyPort=%d "
					      "-Dhttp.nonProxyHosts=localhost|127.*",
		host, PROXY_PORT, host, PROXY_PORT);
	static const char *const names[] = { "http_proxy", "https_proxy", "all_proxy",
		"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY" };
	static const char none[] = "localhost,127.0.0.1,::1,.localhost";

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		strvec_setenv(env, names[i], url);
	strvec_setenv(env, "no_proxy", none);
	strvec_setenv(env, "NO_PROXY", none);
	strvec_setenv(env, "JAVA_TOOL_OPTIONS", java);
	strvec_setenv(env, "NODE_USE_ENV_PROXY", "1");
}

void env_base(struct jobrun *job)
{
	static const char *const fixed[][2] = {
		{ "PATH", INSIDE_PATH },
		{ "HOME", INSIDE_HOME },
		{ "USER", SANDBOX_USER },
		{ "LOGNAME", SANDBOX_USER },
		{ "LANG", "C.UTF-8" },
		{ "LC_ALL", "C.UTF-8" },
		{ "TMPDIR", "/tmp" },
		{ "SHELL", "/bin/bash" },
		{ "RUNNER_TRACKING_ID", "0" },
	};
	const struct spec *s = job->spec;

	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		strvec_setenv(&job->base_env, fixed[i][0], fixed[i][1]);
	if (str_eq(s->network, "proxy"))
		proxy_env(&job->base_env,
			containers_wanted(job) ? SANDBOX_BUILD_ADDR : "127.0.0.1");
	if (containers_wanted(job))
		containers_env(&job->base_env);
	/* Stable over attempts: a deploy script can tell a repetition from a new run. */
	if (s->environment_name) {
		_cleanup_free_ char *key = xasprintf(
			"%lld-%s-%s", (long long)s->run, s->key, s->environment_name);

		strvec_setenv(&job->base_env, "SLUICE_IDEMPOTENCY_KEY", key);
	}
}

static void add_all(struct strvec *to, const struct strvec *from)
{
	for (size_t i = 0; i < from->len; i++) {
		const char *eq = strchr(from->v[i], '=');
		_cleanup_free_ char *name =
			xstrndup(from->v[i], (size_t)(eq - from->v[i]));

		strvec_setenv(to, name, eq + 1);
	}
}

void env_for_step(
	const struct steprun *st, const struct strvec *extra, struct strvec *ret)
{
	const struct jobrun *job = st->job;
	_cleanup_free_ char *path = NULL;
	_cleanup_free_ char *runner_workspace =
		xasprintf("%s/%s", INSIDE_WORK, job->repo_name);

	add_all(ret, &job->base_env);
	add_all(ret, &st->env);
	if (extra)
		add_all(ret, extra);
	env_of_github(job->github, ret);
	env_of_runner(job->runner, ret);
	strvec_setenv(ret, "RUNNER_WORKSPACE", runner_workspace);
	path = envfile_path_join(&job->paths, strvec_getenv(ret, "PATH"));
	strvec_setenv(ret, "PATH", path);
}
