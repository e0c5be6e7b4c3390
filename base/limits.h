/* SPDX-License-Identifier: Apache-2.0 */
/* Every limit on what a stranger can send or a job can use, with the reason for each. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#define KiB (1024LL)
#define MiB (1024LL * KiB)
#define GiB (1024LL * MiB)

/* RLIMIT_DATA of a worker; none under the address sanitizer, whose shadow counts as data. */
#if defined(__SANITIZE_ADDRESS__)
#define LIMIT_WORKER_MEMORY(bytes) 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LIMIT_WORKER_MEMORY(bytes) 0
#endif
#endif
#ifndef LIMIT_WORKER_MEMORY
#define LIMIT_WORKER_MEMORY(bytes) (bytes)
#endif

/* Webhooks and HTTP. 25 MiB is GitHub's own cap on a payload. */
#define LIMIT_HOOK_BODY (25 * MiB)
#define LIMIT_API_BODY (1 * MiB)
#define LIMIT_HTTP_HEADER (16 * KiB)
#define LIMIT_HTTP_HEADER_MS 10000	/* from connect to the end of the header */
#define LIMIT_HTTP_TOTAL_MS 60000	/* from connect to the end of the body */
#define LIMIT_HTTP_CONNECTIONS 1024
#define LIMIT_HTTP_PER_ADDRESS 256
#define LIMIT_DEDUPE_MS (24 * 3600 * 1000LL) /* SECURITY WH04: same body, same hook */

/* Workflow files (SECURITY amendment WF01). */
#define LIMIT_WORKFLOW_FILE (1 * MiB)
#define LIMIT_WORKFLOW_FILES 256	/* files in .github/workflows looked at */
#define LIMIT_YAML_NODES 100000
#define LIMIT_YAML_DEPTH 100
#define LIMIT_MATRIX_ROWS 256
#define LIMIT_PLAN_VALUES 150000	/* JSON values of a plan, or of all rows of a job */
#define LIMIT_PLAN_TEXT (8 * MiB)	/* and the text in them */
#define LIMIT_JOBS 1024			/* jobs of one run after expansion */
#define LIMIT_STEPS 1024		/* steps of one job */
#define LIMIT_EXPR_LEN 21000		/* GitHub: ExpressionConstants */
#define LIMIT_EXPR_DEPTH 50
#define LIMIT_EXPR_NODES 150000		/* operands, operators and calls in one file */
#define LIMIT_EXPR_MEMORY (1 * MiB)	/* GitHub: EvaluationContext */
#define LIMIT_EXPR_WORK (32 * MiB)	/* bytes made or compared by one evaluation */
#define LIMIT_GLOB_PATTERN 4096		/* bytes; the longest path there is */
#define LIMIT_GLOB_LIST (128 * KiB)	/* bytes of one list of filter patterns */
#define LIMIT_TZ_DATA (256 * KiB)	/* one time zone; those there are need 4 KiB */
#define LIMIT_HASH_FILES 1000000	/* files and folders one hashFiles looks at */
#define LIMIT_HASH_FILES_MS 120000	/* as GitHub */
#define LIMIT_CALL_DEPTH 10		/* called workflows within called workflows */
#define LIMIT_COMPOSITE_DEPTH 9

/* A running job. */
#define LIMIT_LOG_LINE (256 * KiB)	/* a longer line is split with a mark */
#define LIMIT_LOG_JOB (2 * GiB)		/* then "truncated" and the rest is dropped */
#define LIMIT_ENV_FILE (16 * MiB)	/* one command file */
#define LIMIT_ENV_VALUE (128 * KiB)	/* MAX_ARG_STRLEN: more cannot be exec'd */
#define LIMIT_ENV_KEYS 4096
#define LIMIT_OUTPUT_TOTAL (1 * MiB)	/* outputs of one job, as GitHub */
#define LIMIT_SUMMARY_STEP (1 * MiB)
#define LIMIT_ANNOTATIONS_STEP 10	/* of each kind, as GitHub */
#define LIMIT_MASKS 4096
#define LIMIT_MASK_MIN 4		/* a shorter secret would star out the log */
#define LIMIT_CANCEL_INT_MS 7500	/* SIGINT, then SIGTERM after this, as GitHub */
#define LIMIT_CANCEL_TERM_MS 2500	/* then the whole tree is killed */
#define LIMIT_DRAIN_MS 5000		/* output still read after the process ended */
#define LIMIT_JOB_MINUTES 360		/* default timeout-minutes */

/*
 * Space of the data directory that is kept for what cannot wait; on a small file system no
 * more than this part of it.
 */
#define LIMIT_DISK_RESERVE ((uint64_t)(64 * MiB))
#define LIMIT_DISK_RESERVE_PART 32
#define LIMIT_DISK_RESERVE_FILES 256

/* Git. */
#define LIMIT_GIT_SECONDS 600
#define LIMIT_GIT_OBJECTS 10000000
#define LIMIT_CHANGED_FILES 300		/* GitHub: more, and path filters run the workflow */

/* Archives and artifacts. */
#define LIMIT_ARCHIVE_ENTRIES 1000000
#define LIMIT_ARCHIVE_RATIO 1000
#define LIMIT_ARTIFACT_SIZE (10 * GiB)

/* Images that roots of jobs are made of. */
#define LIMIT_IMAGE_SIZE (32 * GiB)	/* what comes out; a root with a toolchain has 10 */
#define LIMIT_IMAGE_LAYERS 128		/* as container engines */
#define LIMIT_IMAGE_JSON (4 * MiB)	/* an index, manifest or configuration; as registries */

#endif
