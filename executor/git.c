/* SPDX-License-Identifier: Apache-2.0 */
/* libgit2: set-up, faults, names. What reads a mirror is in git_read.c. */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "executor/git-internal.h"

#define WINDOW_SIZE (32u << 20) /* of a mapped pack */
#define MAPPED_MAX  (512u << 20)

int git_setup(struct err *err)
{
	static const int levels[] = { GIT_CONFIG_LEVEL_SYSTEM, GIT_CONFIG_LEVEL_XDG,
		GIT_CONFIG_LEVEL_GLOBAL, GIT_CONFIG_LEVEL_PROGRAMDATA };
	int rc = git_libgit2_init();

	if (rc < 0)
		return git_fault(err, rc, "cannot start libgit2");
	for (size_t i = 0; i < ARRAY_SIZE(levels) && rc >= 0; i++)
		rc = git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "");
	if (rc >= 0)
		rc = git_libgit2_opts(GIT_OPT_SET_TEMPLATE_PATH, "");
	if (rc >= 0)
		rc = git_libgit2_opts(GIT_OPT_SET_MWINDOW_SIZE, (size_t)WINDOW_SIZE);
	if (rc >= 0)
		rc = git_libgit2_opts(
			GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, (size_t)MAPPED_MAX);
	if (rc >= 0)
		rc = git_libgit2_opts(
			GIT_OPT_SET_PACK_MAX_OBJECTS, (size_t)LIMIT_GIT_OBJECTS);
	/* What comes in is hashed by the indexer; hashing each read again costs as much
	 * as all the rest of a checkout. */
	if (rc >= 0)
		rc = git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 0);
	return rc < 0 ? git_fault(err, rc, "cannot configure libgit2") : 0;
}

static enum err_code code_of(int rc, int class)
{
	switch (rc) {
	case GIT_ENOTFOUND:
		return ERR_NOT_FOUND;
	case GIT_EEXISTS:
	case GIT_ECONFLICT:
	case GIT_EMODIFIED:
		return ERR_CONFLICT;
	case GIT_EAUTH:
	case GIT_ECERTIFICATE:
	case GIT_EOWNER:
		return ERR_DENIED;
	case GIT_ELOCKED:
		return ERR_UNAVAILABLE;
	default:
		break;
	}
	switch (class) {
	case GIT_ERROR_NET:
	case GIT_ERROR_SSL:
	case GIT_ERROR_SSH:
	case GIT_ERROR_HTTP:
		return ERR_UNAVAILABLE;
	case GIT_ERROR_OS:
	case GIT_ERROR_FILESYSTEM:
		return ERR_SYS;
	default:
		return ERR_INPUT;
	}
}

int git_fault(struct err *err, int rc, const char *fmt, ...)
{
	const git_error *last = git_error_last();
	char what[ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(err, code_of(rc, last ? last->klass : GIT_ERROR_NONE), "%s: %s",
		what, last && last->message ? last->message : "git gives no reason");
}

void git_hex(const git_oid *oid, char buf[GIT_OID_HEXSZ + 1])
{
	git_oid_tostr(buf, GIT_OID_HEXSZ + 1, oid);
}

bool git_sha_is(const char *s)
{
	return s && strlen(s) == GIT_OID_HEXSZ &&
	       strspn(s, "0123456789abcdef") == GIT_OID_HEXSZ;
}

int git_sha(const char *s, git_oid *ret, struct err *err)
{
	if (!git_sha_is(s))
		return err_set(err, ERR_INPUT,
			"'%.60s' is no full commit id: 40 digits 0-9a-f are needed",
			s ? s : "");
	if (git_oid_fromstr(ret, s) < 0)
		return git_fault(err, GIT_EINVALIDSPEC, "'%s'", s);
	return 0;
}

bool git_ref_is(const char *name)
{
	int valid = 0;

	return name && strncmp(name, "refs/", 5) == 0 && strlen(name) <= GIT_REF_MAX &&
	       git_reference_name_is_valid(&valid, name) == 0 && valid;
}

int git_open_mirror(const char *path, git_repository **ret, struct err *err)
{
	int rc = git_repository_open_ext(ret, path,
		GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_BARE |
			GIT_REPOSITORY_OPEN_NO_DOTGIT,
		NULL);

	return rc < 0 ? git_fault(err, rc, "cannot open the mirror") : 0;
}

int git_ref_commit(git_repository *repo, const char *name, git_oid *ret, struct err *err)
{
	_cleanup_(git_reference_freep) git_reference *ref = NULL;
	_cleanup_(git_object_freep) git_object *obj = NULL;
	int rc = git_reference_lookup(&ref, repo, name);

	if (rc == 0)
		rc = git_reference_peel(&obj, ref, GIT_OBJECT_COMMIT);
	if (rc < 0)
		return git_fault(err, rc, "'%s'", name);
	*ret = *git_object_id(obj);
	return 0;
}

int git_is_behind(git_repository *repo, const git_oid *tip, const git_oid *sha)
{
	return git_oid_equal(tip, sha) || git_graph_descendant_of(repo, tip, sha) == 1;
}

int git_lookup_commit(
	git_repository *repo, const char *sha, git_commit **ret, struct err *err)
{
	git_oid oid;
	int rc;

	if (git_sha(sha, &oid, err) < 0)
		return -1;
	rc = git_commit_lookup(ret, repo, &oid);
	if (rc == GIT_ENOTFOUND)
		return err_set(err, ERR_NOT_FOUND, "commit %s is not in the mirror", sha);
	return rc < 0 ? git_fault(err, rc, "commit %s", sha) : 0;
}

/* ---- names in trees ---- */

/* The next character of NAME without case and without what HFS+ ignores; 0 at the end. */
static unsigned next_hfs(const unsigned char **p, const unsigned char *end)
{
	while (*p < end) {
		unsigned c = **p;

		if (c < 0x80) {
			(*p)++;
			return c >= 'A' && c <= 'Z' ? c + 32 : c;
		}
		if (c == 0xe2 && end - *p >= 3) {
			unsigned cp =
				(c & 15u) << 12 | ((*p)[1] & 63u) << 6 | ((*p)[2] & 63u);

			if ((cp >= 0x200c && cp <= 0x200f) ||
				(cp >= 0x202a && cp <= 0x202e) ||
				(cp >= 0x206a && cp <= 0x206f)) {
				*p += 3;
				continue;
			}
		}
		if (c == 0xef && end - *p >= 3 && (*p)[1] == 0xbb && (*p)[2] == 0xbf) {
			*p += 3;
			continue;
		}
		(*p)++;
		return c;
	}
	return 0;
}

/* NAME is WANT to a file system that folds case (HFS+) or drops what NTFS drops. */
static bool is_folded(const char *name, size_t len, const char *want)
{
	const unsigned char *p = (const unsigned char *)name, *end = p + len;
	const char *w = want;
	size_t n;

	while (*w && next_hfs(&p, end) == (unsigned char)*w)
		w++;
	if (!*w && next_hfs(&p, end) == 0)
		return true;
	/* NTFS: trailing blanks and dots, and what follows a colon, are not seen. */
	for (n = 0; n < len && want[n]; n++) {
		unsigned char c = (unsigned char)name[n];

		if ((c >= 'A' && c <= 'Z' ? c + 32 : c) != (unsigned char)want[n])
			return false;
	}
	if (want[n])
		return false;
	while (n < len && (name[n] == ' ' || name[n] == '.'))
		n++;
	return n == len || name[n] == ':';
}

/* The short names NTFS may give: "git~1", "gitmod~1" and the hashed "gi7eba~1". */
static bool is_short_name(const char *name, size_t len)
{
	static const char *const names[] = { "git~1", "gitmod~", "gi7eba~" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t n = strlen(names[i]);

		if (len >= n && strncasecmp(name, names[i], n) == 0 &&
			(i > 0 || is_folded(name, len, names[i])))
			return true;
	}
	return false;
}

bool git_name_is_safe(const char *name, size_t len, bool is_link, const char **why)
{
	*why = NULL;
	if (len == 0)
		*why = "an empty name";
	else if (len > 255)
		*why = "a name of more than 255 bytes";
	else if (memchr(name, '/', len) || memchr(name, '\0', len))
		*why = "a name with a slash";
	else if (memchr(name, '\\', len))
		*why = "a name with a backslash";
	else if ((len == 1 && name[0] == '.') || (len == 2 && memcmp(name, "..", 2) == 0))
		*why = "a name that leads out of its folder";
	else if (is_folded(name, len, ".git") ||
		 (is_short_name(name, len) && name[3] == '~'))
		*why = "a name that stands for .git on some file systems";
	else if (is_link &&
		 (is_folded(name, len, ".gitmodules") || is_short_name(name, len)))
		*why = ".gitmodules as a symbolic link";
	return *why == NULL;
}
