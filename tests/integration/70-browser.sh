#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The pages in a real browser: tests/browser/*.mjs against a seeded web process.
# slow
# timeout: 900
. tests/lib/tap.sh

WEBSEED=$(dirname "$(readlink -f "$SLUICE")")/tests/tools/webseed
export WEBSEED TMPDIR=$T
command -v node >/dev/null || skip_all 'node is not installed'
[ -x /usr/bin/chromium-headless-shell ] || [ -x /usr/bin/chromium ] ||
  skip_all 'neither chromium-headless-shell nor chromium is installed'
[ -d tests/browser/node_modules/playwright-core ] ||
  skip_all 'playwright-core is not installed: cd tests/browser && npm ci'
[ -x "$WEBSEED" ] || skip_all 'tests/tools/webseed is not built'

# What node prints is the TAP of this script.
tap_plan=0
node tests/browser/run.mjs
status=$?
trap - EXIT
rm -rf "$T"
exit "$status"
