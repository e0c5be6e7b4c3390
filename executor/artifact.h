/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Artifacts inside one run: files by content in the store (sha256/AA/HEX) and a manifest
 * that names them, itself in the store. Runs in the job's agent; an artifact never is an
 * archive here, so nothing has to be unpacked from hostile bytes.
 *
 * A manifest: {"version": 1, "name", "files": [{"path", "size", "mode", "sha256"}]}
 */
#ifndef EXECUTOR_ARTIFACT_H
#define EXECUTOR_ARTIFACT_H

#include <stddef.h>
#include <sys/types.h>

#include "base/crypto.h"
#include "base/err.h"
#include "base/json.h"

#define ARTIFACT_FILES_MAX    100000
#define ARTIFACT_MANIFEST_MAX (64u << 20)

/*
 * REQUEST: {"name", "patterns": [TEXT], "hidden": bool, "max": bytes}; patterns are those of
 * actions/upload-artifact relative to ROOT, `!` excludes, a folder stands for all in it.
 * The least common folder of what each positive pattern names is the artifact's root.
 * *RET: {"sha256" (of the manifest), "size", "files", "root"}. ERR_NOT_FOUND: no file.
 */
int artifact_pack(int root, int store, const struct json *request, struct json **ret,
	struct err *err);
/* Writes the files of a manifest into ROOT for UID:GID; each is verified as it is read. */
int artifact_unpack(int root, int store, const char *sha256, uid_t uid, gid_t gid,
	struct json **ret, struct err *err);

#endif
