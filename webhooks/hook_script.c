/* SPDX-License-Identifier: Apache-2.0 */
/* The text of the post-receive hook. Values are put in single quotes, safely. */
#include "webhooks/hook_script.h"

static void quote(struct strbuf *out, const char *s)
{
	strbuf_addc(out, '\'');
	for (; *s; s++) {
		if (*s == '\'')
			strbuf_adds(out, "'\\''");
		else
			strbuf_addc(out, *s);
	}
	strbuf_addc(out, '\'');
}

static void set(struct strbuf *out, const char *name, const char *value)
{
	strbuf_addf(out, "%s=", name);
	quote(out, value);
	strbuf_addc(out, '\n');
}

/*
 * Commit data goes into JSON through one awk program that escapes what has to be. Fields
 * come NUL-free from git, separated by 0x1f and 0x1e, which no message of git's may break
 * out of: control characters within a field are dropped. A failing delivery is said on the
 * pusher's terminal and tried three times; the push itself has succeeded already.
 */
static const char body[] =
"\n"
"dir=$(git rev-parse --absolute-git-dir) || exit 0\n"
"secret_file=$dir/" HOOK_SECRET_FILE "\n"
"zero=0000000000000000000000000000000000000000\n"
"who=${GL_USERNAME:-${GITEA_PUSHER_NAME:-${SLUICE_PUSHER:-${REMOTE_USER:-$(id -un)}}}}\n"
"\n"
"say() { echo \"sluice: $*\" >&2; }\n"
"\n"
"# One JSON string of standard input, in quotes.\n"
"json() {\n"
"\tLC_ALL=C tr -d '\\000-\\010\\013\\014\\016-\\037\\177' | LC_ALL=C awk '\n"
"\t\tBEGIN { printf \"\\\"\" }\n"
"\t\tNR > 1 { printf \"\\\\n\" }\n"
"\t\t{ gsub(/\\\\/, \"\\\\\\\\\"); gsub(/\"/, \"\\\\\\\"\"); gsub(/\\t/, \"\\\\t\");\n"
"\t\t  gsub(/\\r/, \"\"); printf \"%s\", $0 }\n"
"\t\tEND { printf \"\\\"\" }'\n"
"}\n"
"\n"
"# The commits of a push, oldest first, at most 20 of them.\n"
"commits() {\n"
"\tcase $1 in $zero*) range=$2 ;; *) range=$1..$2 ;; esac\n"
"\tfirst=1\n"
"\tgit rev-list --reverse --max-count=20 \"$range\" -- 2>/dev/null | while read -r id; do\n"
"\t\t[ $first = 1 ] || printf ','\n"
"\t\tfirst=0\n"
"\t\tprintf '{\"id\":\"%s\",\"message\":%s,\"timestamp\":\"%s\",' \"$id\" \\\n"
"\t\t\t\"$(git log -1 --format=%B \"$id\" | head -c 4096 | json)\" \\\n"
"\t\t\t\"$(git log -1 --format=%cI \"$id\")\"\n"
"\t\tprintf '\"author\":{\"name\":%s,\"email\":%s},\"committer\":{\"name\":%s,\"email\":%s}}' \\\n"
"\t\t\t\"$(git log -1 --format=%an \"$id\" | json)\" \"$(git log -1 --format=%ae \"$id\" | json)\" \\\n"
"\t\t\t\"$(git log -1 --format=%cn \"$id\" | json)\" \"$(git log -1 --format=%ce \"$id\" | json)\"\n"
"\tdone\n"
"}\n"
"\n"
"payload() { # BEFORE AFTER REF\n"
"\ttip=$2\n"
"\tcase $2 in $zero*) list= ;; *)\n"
"\t\ttip=$(git rev-parse --verify --quiet \"$2^{commit}\") || return 1\n"
"\t\tlist=$(commits \"$1\" \"$tip\") ;;\n"
"\tesac\n"
"\tprintf '{\"event\":\"push\",\"repository\":{\"full_name\":%s,\"default_branch\":%s},' \\\n"
"\t\t\"$(printf %s \"$repo\" | json)\" \"$(printf %s \"$branch\" | json)\"\n"
"\tprintf '\"ref\":%s,\"before\":\"%s\",\"after\":\"%s\",\"commits\":[%s],' \\\n"
"\t\t\"$(printf %s \"$3\" | json)\" \"$1\" \"$tip\" \"$list\"\n"
"\tprintf '\"commits_complete\":false,\"pusher\":{\"name\":%s},' \"$(printf %s \"$who\" | json)\"\n"
"\tprintf '\"nonce\":\"%s\",\"time\":%s}' \"$(openssl rand -hex 16)\" \"$(date +%s)\"\n"
"}\n"
"\n"
"send() { # FILE\n"
"\t# The key is read by openssl from a pipe: on a command line others could see it.\n"
"\tsig=$(printf 'key:%s' \"$(cat \"$secret_file\")\" | hmac \"$1\") || return 1\n"
"\tcurl -sS -m 20 --retry 2 --retry-delay 1 --retry-connrefused -o \"$1.out\" -w '%{http_code}' \\\n"
"\t\t-H 'Content-Type: application/json' -H 'X-Sluice-Event: push' \\\n"
"\t\t-H \"X-Sluice-Signature: sha256=$sig\" --data-binary \"@$1\" \"$url?repo=$repo\"\n"
"}\n"
"\n";

/*
 * HMAC by its definition, from SHA-256 alone: `openssl dgst -hmac KEY` and -macopt would
 * show the key to everybody who can list processes. The block is made by awk from the
 * key's hex digits, so no byte of it is ever an argument.
 */
static const char hmac[] =
"# HMAC-SHA256 of FILE with the key given as 'key:TEXT' on standard input; hex.\n"
"hmac() {\n"
"\tpads=$(sed 's/^key://' | od -An -v -tx1 | tr -d ' \\n' | LC_ALL=C awk '\n"
"\t\tfunction digit(c) { return index(\"0123456789abcdef\", c) - 1 }\n"
"\t\tfunction xor(a, b,   i, r, p) {\n"
"\t\t\tr = 0; p = 1\n"
"\t\t\tfor (i = 0; i < 8; i++) {\n"
"\t\t\t\tif ((a % 2) != (b % 2)) r += p\n"
"\t\t\t\ta = int(a / 2); b = int(b / 2); p *= 2\n"
"\t\t\t}\n"
"\t\t\treturn r\n"
"\t\t}\n"
"\t\t{ key = $0; sub(/0a$/, \"\", key)\n"
"\t\t  while (length(key) < 128) key = key \"00\"\n"
"\t\t  for (i = 1; i <= 127; i += 2) {\n"
"\t\t\tv = digit(substr(key, i, 1)) * 16 + digit(substr(key, i + 1, 1))\n"
"\t\t\tinner = inner sprintf(\"\\\\\\\\%03o\", xor(v, 54))\n"
"\t\t\touter = outer sprintf(\"\\\\\\\\%03o\", xor(v, 92)) }\n"
"\t\t  print inner; print outer }')\n"
"\tinner=${pads%%\n"
"*}\n"
"\touter=${pads#*\n"
"}\n"
"\tsum=$({ printf '%b' \"$inner\"; cat \"$1\"; } | openssl dgst -sha256 -r | cut -c1-64)\n"
"\toct=$(printf %s \"$sum\" | LC_ALL=C awk '\n"
"\t\tfunction digit(c) { return index(\"0123456789abcdef\", c) - 1 }\n"
"\t\t{ for (i = 1; i < 64; i += 2)\n"
"\t\t\tprintf \"\\\\\\\\%03o\", digit(substr($0, i, 1)) * 16 + digit(substr($0, i + 1, 1)) }')\n"
"\t{ printf '%b' \"$outer\"; printf '%b' \"$oct\"; } | openssl dgst -sha256 -r | cut -c1-64\n"
"}\n"
"\n";

static const char tail[] =
"for tool in curl openssl awk od; do\n"
"\tcommand -v $tool >/dev/null || { say \"$tool is missing: no run was started\"; exit 0; }\n"
"done\n"
"[ -r \"$secret_file\" ] || { say \"cannot read $secret_file: no run was started\"; exit 0; }\n"
"umask 077\n"
"tmp=$(mktemp) || exit 0\n"
"trap 'rm -f \"$tmp\" \"$tmp.out\"' EXIT\n"
"while read -r before after ref; do\n"
"\tcase $ref in refs/heads/* | refs/tags/*) ;; *) continue ;; esac\n"
"\tpayload \"$before\" \"$after\" \"$ref\" > \"$tmp\" || continue\n"
"\tcode=$(send \"$tmp\") || code=000\n"
"\tcase $code in\n"
"\t200 | 202) say \"${ref#refs/*/} sent\" ;;\n"
"\t000) say \"cannot reach $url: push again, or: sluice dispatch\" ;;\n"
"\t*) say \"$url answered $code: $(tr -d '\\r\\n' < \"$tmp.out\" 2>/dev/null | head -c 300)\" ;;\n"
"\tesac\n"
"done\n"
"exit 0\n";

void hook_script_write(const struct hook_script *h, struct strbuf *out)
{
	strbuf_adds(out, "#!/bin/sh\n" HOOK_SCRIPT_MARK "; undo: rm it and " HOOK_SECRET_FILE "\n");
	strbuf_adds(out, "# Tells sluice of pushes, signed. A push never fails because of it.\n");
	set(out, "url", h->url);
	set(out, "repo", h->repo);
	set(out, "branch", h->default_branch ? h->default_branch : "main");
	strbuf_adds(out, body);
	strbuf_adds(out, hmac);
	strbuf_adds(out, tail);
}
