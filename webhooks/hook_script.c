/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of the post-receive hook. Data of commits reaches JSON through one escaping
 * function, values of ours are put in single quotes. A delivery that fails is said on the
 * pusher's terminal: the push itself has succeeded already.
 */
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

/* clang-format off: a program in another language */
static const char body[] =
"\n"
"dir=$(git rev-parse --absolute-git-dir) || exit 0\n"
"secret_file=$dir/" HOOK_SECRET_FILE "\n"
"zero=0000000000000000000000000000000000000000\n"
"who=${GL_USERNAME:-${GITEA_PUSHER_NAME:-${SLUICE_PUSHER:-${REMOTE_USER:-$(id -un)}}}}\n"
"\n"
"say() { echo \"sluice: $*\" >&2; }\n"
"\n"
"valid_utf8() {\n"
"\tif command -v iconv >/dev/null; then\n"
"\t\ticonv -c -f UTF-8 -t UTF-8 2>/dev/null\n"
"\telse\n"
"\t\tLC_ALL=C tr -d '\\200-\\377'\n"
"\tfi\n"
"}\n"
"\n"
"# Standard input as one JSON string, in quotes.\n"
"json() {\n"
"\tprintf '\"'\n"
"\tLC_ALL=C tr '\\011' ' ' | LC_ALL=C tr -d '\\000-\\010\\013-\\037\\177' | valid_utf8 |\n"
"\t\tLC_ALL=C sed -e 's/\\\\/\\\\\\\\/g' -e 's/\"/\\\\\"/g' |\n"
"\t\tLC_ALL=C awk 'NR > 1 { printf \"\\\\n\" } { printf \"%s\", $0 }'\n"
"\tprintf '\"'\n"
"}\n"
"\n"
"field() { # COMMIT FORMAT\n"
"\tprintf %s \"$(git log -1 --format=\"$2\" \"$1\" | head -c 4096)\" | json\n"
"}\n"
"\n"
"# The commits of a push, oldest first, at most 20 of them.\n"
"commits() { # BEFORE TIP\n"
"\tcase $1 in $zero*) range=$2 ;; *) range=$1..$2 ;; esac\n"
"\tcomma=\n"
"\tgit rev-list --reverse --max-count=20 \"$range\" -- 2>/dev/null | while read -r id; do\n"
"\t\tprintf '%s{\"id\":\"%s\",\"message\":%s,' \"$comma\" \"$id\" \"$(field \"$id\" %B)\"\n"
"\t\tprintf '\"timestamp\":%s,' \"$(field \"$id\" %cI)\"\n"
"\t\tprintf '\"author\":{\"name\":%s,\"email\":%s},' \"$(field \"$id\" %an)\" \"$(field \"$id\" %ae)\"\n"
"\t\tprintf '\"committer\":{\"name\":%s,\"email\":%s}}' \"$(field \"$id\" %cn)\" \"$(field \"$id\" %ce)\"\n"
"\t\tcomma=,\n"
"\tdone\n"
"}\n"
"\n"
"payload() { # BEFORE AFTER REF\n"
"\ttip=$2\n"
"\tlist=\n"
"\tcase $2 in\n"
"\t$zero*) ;;\n"
"\t*)\n"
"\t\ttip=$(git rev-parse --verify --quiet \"$2^{commit}\") || return 1\n"
"\t\tlist=$(commits \"$1\" \"$tip\")\n"
"\t\t;;\n"
"\tesac\n"
"\tprintf '{\"event\":\"push\",\"repository\":{\"full_name\":%s,\"default_branch\":%s},' \\\n"
"\t\t\"$(printf %s \"$repo\" | json)\" \"$(printf %s \"$branch\" | json)\"\n"
"\tprintf '\"ref\":%s,\"before\":\"%s\",\"after\":\"%s\",\"commits\":[%s],' \\\n"
"\t\t\"$(printf %s \"$3\" | json)\" \"$1\" \"$tip\" \"$list\"\n"
"\tprintf '\"commits_complete\":false,\"pusher\":{\"name\":%s},' \"$(printf %s \"$who\" | json)\"\n"
"\tprintf '\"nonce\":\"%s\",\"time\":%s}' \"$(openssl rand -hex 16)\" \"$(date +%s)\"\n"
"}\n"
"\n"
"# HMAC-SHA256 of FILE in hex, by its definition: the options of openssl that take a key\n"
"# show it to everybody who can list processes. The key, at most 64 bytes, is standard input.\n"
"hmac() { # FILE\n"
"\tpads=$(od -An -v -tx1 | tr -d ' \\n' | LC_ALL=C awk '\n"
"\t\tfunction digit(c) { return index(\"0123456789abcdef\", c) - 1 }\n"
"\t\tfunction xor(a, b,   i, r, p) {\n"
"\t\t\tr = 0\n"
"\t\t\tp = 1\n"
"\t\t\tfor (i = 0; i < 8; i++) {\n"
"\t\t\t\tif (a % 2 != b % 2)\n"
"\t\t\t\t\tr += p\n"
"\t\t\t\ta = int(a / 2)\n"
"\t\t\t\tb = int(b / 2)\n"
"\t\t\t\tp *= 2\n"
"\t\t\t}\n"
"\t\t\treturn r\n"
"\t\t}\n"
"\t\t{\n"
"\t\t\tkey = $0\n"
"\t\t\twhile (length(key) < 128)\n"
"\t\t\t\tkey = key \"00\"\n"
"\t\t\tfor (i = 1; i <= 127; i += 2) {\n"
"\t\t\t\tv = digit(substr(key, i, 1)) * 16 + digit(substr(key, i + 1, 1))\n"
"\t\t\t\tinner = inner sprintf(\"\\\\0%03o\", xor(v, 54))\n"
"\t\t\t\touter = outer sprintf(\"\\\\0%03o\", xor(v, 92))\n"
"\t\t\t}\n"
"\t\t\tprint inner \" \" outer\n"
"\t\t}')\n"
"\tsum=$({ printf '%b' \"${pads% *}\"; cat \"$1\"; } | openssl dgst -sha256 -r | cut -c1-64)\n"
"\tsum=$(printf '%s\\n' \"$sum\" | LC_ALL=C awk '\n"
"\t\tfunction digit(c) { return index(\"0123456789abcdef\", c) - 1 }\n"
"\t\t{\n"
"\t\t\tfor (i = 1; i < 64; i += 2)\n"
"\t\t\t\tprintf \"\\\\0%03o\", digit(substr($0, i, 1)) * 16 + digit(substr($0, i + 1, 1))\n"
"\t\t}')\n"
"\tprintf '%b' \"${pads#* }$sum\" | openssl dgst -sha256 -r | cut -c1-64\n"
"}\n"
"\n"
"send() { # FILE\n"
"\tsig=$(tr -d '\\n' <\"$secret_file\" | hmac \"$1\") || return 1\n"
"\tcurl -sS -m 20 --retry 2 --retry-delay 1 --retry-connrefused -o \"$1.out\" -w '%{http_code}' \\\n"
"\t\t-H 'Content-Type: application/json' -H 'X-Sluice-Event: push' \\\n"
"\t\t-H \"X-Sluice-Signature: sha256=$sig\" --data-binary \"@$1\" \"$url?repo=$repo\"\n"
"}\n"
"\n"
"for tool in curl openssl awk od; do\n"
"\tcommand -v $tool >/dev/null || { say \"$tool is missing: no run was started\"; exit 0; }\n"
"done\n"
"[ -r \"$secret_file\" ] || { say \"cannot read $secret_file: no run was started\"; exit 0; }\n"
"umask 077\n"
"tmp=$(mktemp) || exit 0\n"
"trap 'rm -f \"$tmp\" \"$tmp.out\"' EXIT\n"
"while read -r before after ref; do\n"
"\tcase $ref in refs/heads/* | refs/tags/*) ;; *) continue ;; esac\n"
"\tpayload \"$before\" \"$after\" \"$ref\" >\"$tmp\" || continue\n"
"\tcode=$(send \"$tmp\") || code=000\n"
"\tcase $code in\n"
"\t200 | 202) say \"${ref#refs/*/}: $code\" ;;\n"
"\t000) say \"cannot reach $url; push again, or: sluice dispatch\" ;;\n"
"\t*) say \"$url answered $code: $(tr -d '\\r\\n' <\"$tmp.out\" 2>/dev/null | head -c 300)\" ;;\n"
"\tesac\n"
"done\n"
"exit 0\n";
/* clang-format on */

void hook_script_write(const struct hook_script *h, struct strbuf *out)
{
	strbuf_adds(out, "#!/bin/sh\n" HOOK_SCRIPT_MARK
			 "; undo: rm it and " HOOK_SECRET_FILE "\n"
			 "# Tells sluice of pushes, signed. A push never fails because of it.\n");
	set(out, "url", h->url);
	set(out, "repo", h->repo);
	set(out, "branch", h->default_branch ? h->default_branch : "main");
	strbuf_adds(out, body);
}
