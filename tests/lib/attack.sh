# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the attack scripts share: commands in a sandbox of their own (tests/tools/confine).

CONFINE=$(dirname "$(readlink -f "$SLUICE")")/tests/tools/confine
[ -x "$CONFINE" ] || skip_all 'tests/tools/confine is not built'
"$CONFINE" true >"$T/why" 2>&1 || skip_all "no sandbox can be made here: $(head -n 1 "$T/why")"
chmod 755 "$T"

# Each confine takes its id from its parent: two jobs are two shells.
another_job() { bash -c '"$@"; exit $?' another "$CONFINE" "$@"; }
as_nobody() { setpriv --reuid 54321 --regid 54321 --clear-groups "$@"; }
is_root() { [ "$(id -u)" -eq 0 ]; }
