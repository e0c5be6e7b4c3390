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
	"# What may stand in a JSON string, line by line: no controls, valid, escaped.\n"
	"clean() {\n"
	"\tLC_ALL=C tr '\\011' ' ' | LC_ALL=C tr -d '\\000-\\010\\013-\\037\\177' | valid_utf8 |\n"
	"\t\tLC_ALL=C sed -e 's/\\\\/\\\\\\\\/g' -e 's/\"/\\\\\"/g'\n"
	"}\n"
	"\n"
	"json() { # TEXT of one line\n"
	"\tprintf '\"%s\"' \"$(printf '%s\\n' \"$1\" | clean)\"\n"
	"}\n"
	"\n"
	"# The commits of a push, oldest first, at most 20 of them. The line that separates them is\n"
	"# random: no message can hold it.\n"
	"commits() { # BEFORE TIP\n"
	"\tcase $1 in $zero*) range=$2 ;; *) range=$1..$2 ;; esac\n"
	"\tsep=$(openssl rand -hex 16)\n"
	"\tgit log --max-count=20 --format=\"$sep%n%H%n%cI%n%an%n%ae%n%cn%n%ce%n%B\" \"$range\" -- 2>/dev/null |\n"
	"\t\thead -c 262144 | clean | LC_ALL=C awk -v sep=\"$sep\" '\n"
	"\t\tfunction who(name, email) {\n"
	"\t\t\treturn \"{\\\"name\\\":\\\"\" name \"\\\",\\\"email\\\":\\\"\" email \"\\\"}\"\n"
	"\t\t}\n"
	"\t\tfunction flush() {\n"
	"\t\t\tif (n == 0)\n"
	"\t\t\t\treturn\n"
	"\t\t\titem = \"{\\\"id\\\":\\\"\" f[1] \"\\\",\\\"timestamp\\\":\\\"\" f[2] \"\\\",\\\"author\\\":\" who(f[3], f[4])\n"
	"\t\t\titem = item \",\\\"committer\\\":\" who(f[5], f[6]) \",\\\"message\\\":\\\"\" text \"\\\"}\"\n"
	"\t\t\tlist = list == \"\" ? item : item \",\" list\n"
	"\t\t}\n"
	"\t\t$0 == sep {\n"
	"\t\t\tflush()\n"
	"\t\t\tn = 1\n"
	"\t\t\ttext = \"\"\n"
	"\t\t\tempty = 0\n"
	"\t\t\tfor (i = 1; i <= 6; i++)\n"
	"\t\t\t\tf[i] = \"\"\n"
	"\t\t\tnext\n"
	"\t\t}\n"
	"\t\tn <= 6 {\n"
	"\t\t\tf[n++] = $0\n"
	"\t\t\tnext\n"
	"\t\t}\n"
	"\t\t$0 == \"\" {\n"
	"\t\t\tempty++\n"
	"\t\t\tnext\n"
	"\t\t}\n"
	"\t\t{\n"
	"\t\t\tfor (; empty > 0; empty--)\n"
	"\t\t\t\ttext = text \"\\\\n\"\n"
	"\t\t\ttext = text (n++ > 7 ? \"\\\\n\" : \"\") $0\n"
	"\t\t}\n"
	"\t\tEND {\n"
	"\t\t\tflush()\n"
	"\t\t\tprintf \"%s\", list\n"
	"\t\t}'\n"
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
	"\tprintf '{\"event\":\"push\",\"repository\":{\"full_name\":\"%s\",\"default_branch\":%s},' \\\n"
	"\t\t\"$repo\" \"$branch_json\"\n"
	"\tprintf '\"ref\":%s,\"before\":\"%s\",\"after\":\"%s\",\"commits\":[%s],' \"$(json \"$3\")\" \"$1\" \"$tip\" \"$list\"\n"
	"\tprintf '\"commits_complete\":false,\"pusher\":{\"name\":%s},' \"$who_json\"\n"
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
	"branch_json=$(json \"$branch\")\n"
	"who_json=$(json \"$who\")\n"
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
	strbuf_adds(out,
		"#!/bin/sh\n" HOOK_SCRIPT_MARK "; undo: rm it and " HOOK_SECRET_FILE "\n"
		"# Tells sluice of pushes, signed. A push never fails because of it.\n");
	set(out, "url", h->url);
	set(out, "repo", h->repo);
	set(out, "branch", h->default_branch ? h->default_branch : "main");
	strbuf_adds(out, body);
}
