#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Profile build for real: a multi-stage image built, pushed to a registry on the job's own
# loopback, pulled and run; compose up, exec and down; and that nothing of it is left, and
# nothing of the host's was within reach.
# components
# timeout: 300
. tests/lib/tap.sh
need git
export PATH=$PATH:/usr/sbin
for program in podman crun conmon docker-registry docker-compose; do
  command -v "$program" >/dev/null || skip_all "$program is not installed"
done
if [ ! -x /bin/busybox ] || ldd /bin/busybox >/dev/null 2>&1; then
  skip_all 'busybox-static is not installed'
fi
"$SLUICE" doctor 2>/dev/null | grep -q '^verdict: .*, build' ||
  skip_all "profile build cannot be had here: $("$SLUICE" doctor | tail -n 1)"

repo=$T/repo
mkdir -p "$repo/.github/workflows" "$repo/compose"
cp /bin/busybox "$repo/"
cat >"$repo/Dockerfile" <<'X'
FROM scratch AS base
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
RUN echo made > /made; id -u > /uid
FROM base
COPY --from=base /made /taken
HEALTHCHECK CMD true
CMD ["/bin/sh"]
X
cat >"$repo/compose/docker-compose.yml" <<'X'
version: "3"
services:
  web:
    image: 127.0.0.1:5000/team/app:1
    command: ["sh", "-c", "mkdir /w; echo served > /w/index.html; exec httpd -f -p 80 -h /w"]
    ports: ["18080:80"]
    stop_grace_period: 1s
  client:
    image: 127.0.0.1:5000/team/app:1
    command: ["sleep", "1000"]
    depends_on: [web]
    volumes: ["./:/src", "data:/data"]
    stop_grace_period: 1s
volumes: {data: {}}
X
cat >"$repo/registry.yml" <<'X'
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: /tmp/registry}}
http: {addr: "127.0.0.1:5000"}
X
cat >"$repo/.github/workflows/build.yml" <<'X'
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - name: registry
        run: |
          docker-registry serve registry.yml >/dev/null 2>&1 &
          for _ in $(seq 100); do wget -qO- http://127.0.0.1:5000/v2/ && break; sleep 0.1; done
      - name: build
        run: |
          docker build -t app:1 . || exit
          docker tag app:1 127.0.0.1:5000/team/app:1 || exit
          docker push 127.0.0.1:5000/team/app:1 || exit
          docker rmi -f app:1 127.0.0.1:5000/team/app:1 || exit
          echo "says=pulled $(docker run --rm 127.0.0.1:5000/team/app:1 cat /taken /uid | tr '\n' ' ')"
          docker run --rm 127.0.0.1:5000/team/app:1 sh -c 'exit 7'
          echo "says=exit $?"
          limits() { docker run --rm "$@" 2>&1 >/dev/null | grep -c "has no effect here: the job's limits hold"; }
          i=127.0.0.1:5000/team/app:1
          echo "says=limits $(limits $i echo --memory=1) $(limits --name=l -e A=1 --memory 64m $i true) $(limits -m=64m $i true)"
          docker inspect 127.0.0.1:5000/team/app:1 | grep -q Healthcheck && echo says=healthcheck
          echo "says=range $(docker run --rm 127.0.0.1:5000/team/app:1 cat /proc/self/uid_map | tr -s ' ')"
        shell: bash {0}
      - name: the life of a container
        run: |
          docker run -d --name one 127.0.0.1:5000/team/app:1 sh -c 'echo hello; exec sleep 1000'
          docker ps --format '{{.Names}}' | sed 's/^/says=ps /'
          sleep 0.3
          docker logs one | sed 's/^/says=logs /'
          docker exec one sh -c 'exit 5'
          echo "says=exec $?"
          docker rm -f -t 0 one
          echo "says=left $(docker ps -aq | wc -l)"
        shell: bash {0}
      - name: buildx
        run: |
          docker buildx version | sed 's/^/says=/'
          docker buildx build --push --provenance=false --cache-to type=gha --metadata-file m.json \
            -t 127.0.0.1:5000/team/app:2 . || exit
          grep -q '"containerimage.digest":"sha256:' m.json && echo says=metadata
          wget -qO- http://127.0.0.1:5000/v2/team/app/tags/list
        shell: bash {0}
      - name: compose
        working-directory: compose
        run: |
          docker-compose up -d || exit
          docker-compose exec -T client wget -qO- http://web/index.html | sed 's/^/says=by name /'
          docker-compose exec -T client sh -c 'test -f /src/docker-compose.yml && echo x > /data/y && exit 6'
          echo "says=compose exec $?"
          echo "says=published $(wget -qO- http://127.0.0.1:18080/)"
          docker compose down -v
          echo "says=down $? $(docker ps -aq | wc -l)"
        shell: bash {0}
      - name: the host
        run: |
          [ -S /run/docker.sock ] && echo says=own socket
          for path in /etc/shadow /root /var/run/podman "$HOST_FILE"; do
            [ -e "$path" ] && echo "says=REACHED $path"
            docker run --rm -v /:/host 127.0.0.1:5000/team/app:1 test -e "/host$path" && echo "says=REACHED $path from a container"
          done
          docker run --rm --privileged --pid=host 127.0.0.1:5000/team/app:1 \
            sh -c 'cat /proc/1/environ; echo x > /proc/sys/kernel/core_pattern; mknod /vda b 254 0' >/dev/null 2>&1 && echo says=REACHED
          # The way out: a container reaches the job's proxy, which says what it refuses.
          docker run --rm 127.0.0.1:5000/team/app:1 wget -O- http://10.1.2.3/ 2>&1 | grep -o '403 ' | sed 's/^/says=proxy /'
          mv /run/docker.sock /run/gone # as on a host without podman
          docker build -t two . >/dev/null && docker images | grep -q two && echo says=buildah builds
          docker run --rm two true
          echo "says=buildah alone $?"
          mv /run/gone /run/docker.sock
          docker run -d --name left --restart=always 127.0.0.1:5000/team/app:1 sleep 123457
          echo says=end
        shell: bash {0}
X
(cd "$repo" && git init -q -b main && git add -A &&
  git -c user.name=t -c user.email=t@example.invalid commit -qm first)
touch "$T/host-file"
sed -i "s#\$HOST_FILE#$T/host-file#" "$repo/.github/workflows/build.yml"
git -C "$repo" -c user.name=t -c user.email=t@example.invalid commit -qam second

(cd "$repo" && SLUICE_PROFILE=build timeout 240 "$SLUICE" run) >"$T/out" 2>&1
is $? 0 'a job that builds, pushes and runs images passes' || sed 's/^/# /' "$T/out"
said() { # WORDS NAME
  ok "$2" grep -q "says=$1\$" "$T/out"
}
said 'pulled made 0 ' 'an image of several stages is built, pushed, pulled and run'
said 'exit 7' 'docker run --rm hands on the exit code'
said 'limits 0 1 0' 'limits of a single container are said to have no effect, once'
said 'healthcheck' 'a HEALTHCHECK is kept'
said 'range  0 1 65536' "a container is on the job's own ids"
said 'ps one' 'docker ps'
said 'logs hello' 'docker logs'
said 'exec 5' 'docker exec hands on the exit code'
said 'left 0' 'docker rm'
said 'metadata' 'buildx build --push with what only BuildKit has left out'
said 'by name served' 'services of compose find each other by name'
said 'compose exec 6' 'docker-compose exec hands on the exit code'
said 'published served' 'a published port is on the loopback of the job'
said 'down 0 0' 'docker compose down leaves nothing'
said 'own socket' 'the socket is the job'"'"'s own (the control of what follows)'
said 'proxy 403 ' 'a container reaches the proxy of the job, and it refuses what it shall'
said 'buildah builds' 'without podman buildah builds'
said 'buildah alone 125' 'and running is refused'
ok 'with the reason' grep -q "'run' needs podman and crun, which this host lacks" "$T/out"
said 'end' 'the last step got to its end'
nok 'nothing of the host was within reach' grep -q 'says=REACHED' "$T/out"
nok 'no process of a container outlives the job' pgrep -f 'sleep 123457'
is "$(find "$HOME" -path '*containers*' 2>/dev/null | wc -l)" 0 'no file of the job is left'
done_testing
