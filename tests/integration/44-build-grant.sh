#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Profile build is an administrator's grant: by a server whose spawner alone may map ids, the
# trusted jobs of one repository get a range of their own, and lose it again.
# shellcheck disable=SC2119 # push has an argument elsewhere
# components
. tests/lib/tap.sh
. tests/lib/server.sh
export PATH=$PATH:/usr/sbin
"$SLUICE" doctor 2>/dev/null | grep -q '^verdict: .*, build' ||
  skip_all "profile build cannot be had here: $("$SLUICE" doctor | tail -n 1)"
if ! { command -v podman && command -v crun; } >/dev/null && ! command -v buildah >/dev/null; then
  skip_all 'neither podman and crun nor buildah is installed'
fi
server_begin
need_jobs

exits 1 'a server does not give it to all' env SLUICE_PROFILE=build timeout 10 "$SLUICE" serve --data "$T/other"
like "$err" 'sluice repo set OWNER/NAME profile=build' 'and says who can'

workflow ci.yml 'who' <<'YML'
on: push
jobs:
  who:
    runs-on: here
    steps:
      - run: |
          echo map $(cat /proc/self/uid_map) uid $(id -u)
          mount -t tmpfs none /tmp && echo mounted || echo refused
          mkdir -p d/e && touch d/e/f && chown -R 1234 d && chmod 0 d && echo given away || true
YML
exits 1 'a profile that is none is refused' ask repo set demo/app profile=loose
like "$err" "a profile is one of 'strict', 'standard', 'build'" 'in these words'
push
ok 'without a grant a job runs' wait_for 20 run_is 2 success
like "$(ask logs 2/who 2>/dev/null)" 'map 1001 1 1 uid 1001.*refused' 'on its one id, without mounts'
ok 'an administrator grants it' ask repo set demo/app profile=build
push
ok 'then a job runs' wait_for 30 run_is 3 success
like "$(ask logs 3/who 2>/dev/null)" 'map 0 1 65536 uid 0.*mounted.*given away' \
  'as root of its own range, which it may mount in'
left() { [ -z "$(find "$DATA/jobs" "$DATA/quarantine" -name f -o -name containers 2>/dev/null)" ]; }
ok 'no file of the range is left' wait_for 5 left
ok 'the grant is taken back' ask repo set demo/app profile=
push
ok 'and a job runs as before' wait_for 20 run_is 4 success
like "$(ask logs 4/who 2>/dev/null)" 'map 1001 1 1 uid 1001.*refused' 'on its one id'
done_testing
