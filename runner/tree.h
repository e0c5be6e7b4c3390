/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree a workflow file stands in, for `plan`, `lint` and `run`: where its root is, and
 * the files that the workflow names: called workflows and local actions below the root,
 * those of other repositories from --actions-dir (DIR/OWNER/REPO, a git work tree with a
 * tag for each ref).
 */
#ifndef RUNNER_TREE_H
#define RUNNER_TREE_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "workflows/workflow.h"

struct tree {
	char *root;  /* absolute */
	int root_fd;
	char *path;  /* of FILE below the root: ".github/workflows/ci.yml" */
	const char *actions_dir; /* lent; NULL: other repositories are out of reach */
};
#define TREE_INIT { NULL, -1, NULL, NULL }

/*
 * Finds the root for FILE: the nearest folder above it with `.git`, else the one that has
 * `.github/workflows/`, else the file's own.
 */
int tree_open(const char *file, const char *actions_dir, struct tree *ret, struct err *err);
void tree_done(struct tree *t);

/* A source_load_fn; DATA is the struct tree. */
int tree_load(const struct source *source, struct strbuf *out, struct err *err, void *data);

/* The bytes of a workflow file, at most LIMIT_WORKFLOW_FILE; "-" is standard input. */
int tree_read_file(const char *file, struct strbuf *out, struct err *err);

#endif
