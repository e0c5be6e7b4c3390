/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `github` context of an event that came from a file instead of a forge: for `plan`
 * and `run` on a laptop.
 */
#ifndef RUNNER_GITHUB_CONTEXT_H
#define RUNNER_GITHUB_CONTEXT_H

#include "base/json.h"
#include "base/strvec.h"

/*
 * PAYLOAD becomes `github.event`; from it event_name, repository, repository_owner, actor,
 * triggering_actor, ref, ref_name, ref_type, sha, head_ref, base_ref as far as it says so.
 * The result is the caller's.
 */
struct json *github_context_of(const char *event, const struct json *payload);

/*
 * The paths that a push payload's commits name. False: it has no commits, so that nothing
 * is known.
 */
bool github_changed_files(const struct json *payload, struct strvec *ret);

#endif
