#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Everything that downloads or installs is here, and only here.
#
#   ./install.sh            build and install to PREFIX with two systemd units and a user
#   ./install.sh --demo     install build packages, build, and run one push all the way
#   ./install.sh --test     install what tests need as well, and pass them all
set -euo pipefail
cd "$(dirname "$0")"

PREFIX=${PREFIX:-/usr/local}
DESTDIR=${DESTDIR:-}
SERVICE_USER=${SLUICE_USER:-sluice}
DATA_DIR=/var/lib/sluice

# ---- packages: one table. apt is tested here; the other three columns are not ----------
# group      apt                        dnf                     apk                   pacman
PACKAGES='
build        gcc                        gcc                     gcc                   gcc
build        libc6-dev                  glibc-devel             musl-dev              -
build        make                       make                    make                  make
build        pkg-config                 pkgconf-pkg-config      pkgconf               pkgconf
build        libgit2-dev                libgit2-devel           libgit2-dev           libgit2
build        libcurl4-openssl-dev       libcurl-devel           curl-dev              curl
build        libjansson-dev             jansson-devel           jansson-dev           jansson
build        libarchive-dev             libarchive-devel        libarchive-dev        libarchive
build        libseccomp-dev             libseccomp-devel        libseccomp-dev        libseccomp
build        libsqlite3-dev             sqlite-devel            sqlite-dev            sqlite
build        libmicrohttpd-dev          libmicrohttpd-devel     libmicrohttpd-dev     libmicrohttpd
build        libyaml-dev                libyaml-devel           yaml-dev              libyaml
build        libssl-dev                 openssl-devel           openssl-dev           openssl
build        libpcre2-dev               pcre2-devel             pcre2-dev             pcre2
build        libzstd-dev                libzstd-devel           zstd-dev              zstd
run          git                        git                     git                   git
run          curl                       curl                    curl                  curl
run          openssl                    openssl                 openssl               openssl
run          ca-certificates            ca-certificates         ca-certificates       ca-certificates
run          uidmap                     shadow-utils            shadow-uidmap         shadow
run          bash                       bash                    bash                  bash
run          procps                     procps-ng               procps                procps-ng
run          perl                       perl                    perl                  perl
test         libcmocka-dev              libcmocka-devel         cmocka-dev            cmocka
test         clang                      clang                   clang                 clang
test         libclang-rt-14-dev         compiler-rt             compiler-rt           compiler-rt
test         clang-tidy                 clang-tools-extra       clang-extra-tools     -
test         clang-format               -                       -                     -
test         cppcheck                   cppcheck                cppcheck              cppcheck
test         shellcheck                 ShellCheck              shellcheck            shellcheck
test         lcov                       lcov                    lcov                  lcov
test         python3                    python3                 python3               python
test         jq                         jq                      jq                    jq
test         sqlite3                    sqlite                  sqlite                -
test         strace                     strace                  strace                strace
test         iproute2                   iproute                 iproute2              iproute2
test         nftables                   nftables                nftables              nftables
test         bubblewrap                 bubblewrap              bubblewrap            bubblewrap
test         binutils                   binutils                binutils              binutils
test         nodejs                     nodejs                  nodejs                nodejs
test         npm                        npm                     npm                   npm
test         chromium                   chromium                chromium              chromium
test         nginx-light                nginx                   nginx                 nginx
test         caddy                      caddy                   caddy                 caddy
test         openssh-server             openssh-server          openssh-server        openssh
test         openssh-client             openssh-clients         openssh-client        openssh
test         podman                     podman                  podman                podman
test         crun                       crun                    crun                  crun
test         conmon                     conmon                  conmon                conmon
test         netavark                   netavark                netavark              netavark
test         aardvark-dns               aardvark-dns            aardvark-dns          aardvark-dns
test         buildah                    buildah                 buildah               buildah
test         iptables                   iptables                iptables              iptables
test         docker-registry            docker-distribution     docker-registry       -
test         docker-compose             docker-compose          docker-cli-compose    docker-compose
test         busybox-static             busybox                 busybox-static        busybox
'

usage() {
	cat <<'EOF'
Usage: ./install.sh [--demo [--yes] | --test | --deps-only | --uninstall | --help]

  (nothing)     build and install to PREFIX (default /usr/local), with the systemd units
                sluice.service and sluice-spawner.service and the user 'sluice'
  --demo        build packages, build, a server on a free loopback port, a demo repository,
                one push; follows the run and stops at the gate
  --demo --yes  the same, and opens the gate through the signed webhook; ends with a summary
  --test        what the tests need too (as root the system user as well), then all tests;
                the last line counts them
  --deps-only   the packages of the build alone
  --uninstall   remove what was installed (data, key, configuration and user stay)

Environment: PREFIX, DESTDIR, SLUICE_USER, CC.
Tested with apt on Debian 12; dnf, apk and pacman are in the table, untested.
EOF
}

say() { printf '==> %s\n' "$*"; }
die() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
is_root() { [ "$(id -u)" = 0 ]; }

# A step with a name that stays in view: step LABEL COMMAND... (output to $LOG)
LOG=
STEP=
STEP_PID=
STARTED=0
step_begin() {
	STEP=$1
	STARTED=$(date +%s)
	if [ -t 1 ]; then
		printf '==> %s ' "$STEP"
		(
			while sleep 1; do printf '.'; done
		) &
		STEP_PID=$!
		disown "$STEP_PID" 2>/dev/null || true
	fi
}
step_stop_dots() {
	[ -z "$STEP_PID" ] || { kill "$STEP_PID" 2>/dev/null || true; STEP_PID=; }
}
step_end() {
	local took=$(($(date +%s) - STARTED))
	step_stop_dots
	if [ -t 1 ]; then printf ' %ss\n' "$took"; else printf '==> %s %ss\n' "$STEP" "$took"; fi
}
step_failed() {
	step_stop_dots
	[ ! -t 1 ] || echo
	printf 'install.sh: %s failed; its last 20 lines:\n' "$STEP" >&2
	tail -n 20 "$LOG" | sed 's/^/    /' >&2
	printf 'all of them: %s\n' "$LOG" >&2
	exit 1
}

# ---- packages --------------------------------------------------------------------------
manager() {
	local m
	for m in apt-get dnf apk pacman; do
		if command -v "$m" >/dev/null 2>&1; then
			echo "${m%-get}"
			return
		fi
	done
	die "no package manager of apt, dnf, apk, pacman: install the packages of the table in install.sh by hand, then run make"
}

packages_of() { # GROUP... -> names for this system
	local m column
	m=$(manager)
	case $m in
	apt) column=2 ;;
	dnf) column=3 ;;
	apk) column=4 ;;
	pacman) column=5 ;;
	esac
	printf '%s\n' "$PACKAGES" | awk -v c="$column" -v want=" $* " \
		'NF >= 5 && index(want, " " $1 " ") && $c != "-" { print $c }' | sort -u
}

is_installed() {
	case $(manager) in
	apt) dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed' ;;
	dnf) rpm -q "$1" >/dev/null 2>&1 ;;
	apk) apk info -e "$1" >/dev/null 2>&1 ;;
	pacman) pacman -Q "$1" >/dev/null 2>&1 ;;
	esac
}

# A node or npm from elsewhere serves as well as the package of that name.
is_there() {
	case $1 in
	nodejs) command -v node >/dev/null 2>&1 || is_installed "$1" ;;
	npm | python3 | perl | git | curl | make | gcc) command -v "$1" >/dev/null 2>&1 || is_installed "$1" ;;
	*) is_installed "$1" ;;
	esac
}

as_root() {
	if is_root; then
		"$@"
	elif [ -t 0 ] && command -v sudo >/dev/null 2>&1; then
		sudo "$@"
	elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
		sudo -n "$@"
	else
		die "this needs root and there is no terminal to ask on; run first: sudo ./install.sh --deps-only"
	fi
}

# Tests start daemons of their own; that of a package must not begin to serve this machine,
# now (Debian asks policy-rc.d before it starts one) or at the next boot.
# shellcheck disable=SC2016 # the inner shell expands
APT_INSTALL='set -e
	export DEBIAN_FRONTEND=noninteractive
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ]; then
		trap "rm -f $policy" EXIT
		printf "#!/bin/sh\nexit 101\n" >"$policy"
		chmod 755 "$policy"
	fi
	apt-get update -q
	apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "$@"
	[ -d /run/systemd/system ] || exit 0
	for unit in nginx-light:nginx caddy:caddy openssh-server:ssh; do
		case " $* " in *" ${unit%:*} "*) systemctl disable -q "${unit#*:}" ;; esac
	done'

install_packages() { # names...
	case $(manager) in
	apt) as_root sh -c "$APT_INSTALL" sh "$@" ;;
	dnf) as_root dnf install -y "$@" ;;
	apk) as_root apk add "$@" ;;
	pacman) as_root pacman -S --noconfirm --needed "$@" ;;
	esac
}

# ", 61 MB" where the package manager knows, and that sudo may ask.
download_size() { # names...
	local size=
	[ "$(manager)" != apt ] || size=$(apt-get install --print-uris -qq -y --no-install-recommends "$@" 2>/dev/null |
		awk '{ sum += $3 } END { if (sum) printf ", %.0f MB", (sum + 500000) / 1000000 }')
	printf '%s' "$size"
	if ! is_root && [ -t 0 ]; then printf ' (asks sudo once)'; fi
}

need_packages() { # GROUP...
	local name missing=() all
	mapfile -t all < <(packages_of "$@")
	for name in "${all[@]}"; do
		is_there "$name" || missing+=("$name")
	done
	if [ ${#missing[@]} = 0 ]; then
		say "${PART:-}packages  $(manager): all ${#all[@]} are there"
		return
	fi
	step_begin "${PART:-}packages  $(manager): ${#missing[@]} of ${#all[@]} missing$(download_size "${missing[@]}")"
	install_packages "${missing[@]}" >>"$LOG" 2>&1 || step_failed
	step_end
}

# libgit2 and libarchive parse hostile bytes: the versions with the fixes are required.
check_versions() {
	[ "$(manager)" = apt ] || return 0
	local have
	have=$(dpkg-query -W -f='${Version}' libgit2-1.5 2>/dev/null || true)
	if [ -n "$have" ] && dpkg --compare-versions "$have" lt '1.5.1+ds-1+deb12u2'; then
		say "warning: libgit2 $have lacks security fixes; run: apt-get update && apt-get upgrade libgit2-1.5"
	fi
	have=$(dpkg-query -W -f='${Version}' libarchive13 2>/dev/null || true)
	if [ -n "$have" ] && dpkg --compare-versions "$have" ge 3.6.2 && dpkg --compare-versions "$have" lt '3.6.2-1+deb12u5'; then
		say "warning: libarchive $have lacks security fixes; run: apt-get update && apt-get upgrade libarchive13"
	fi
}

build() {
	step_begin "${PART:-}build     make -j$(nproc), $(find base workflows sandbox store executor webhooks runner -name '*.c' | wc -l) files"
	make -j"$(nproc)" DEV=0 all >>"$LOG" 2>&1 || step_failed
	step_end
}

# ---- the service user --------------------------------------------------------------------
# A system user with a subordinate id range that overlaps no other.
make_user() {
	is_root || return 0
	if ! id "$SERVICE_USER" >/dev/null 2>&1; then
		useradd --system --user-group --home-dir "$DATA_DIR" --no-create-home \
			--shell /usr/sbin/nologin "$SERVICE_USER" >>"$LOG" 2>&1
	fi
	local file first
	for file in /etc/subuid /etc/subgid; do
		touch "$file"
		grep -q "^$SERVICE_USER:" "$file" && continue
		first=$(awk -F: 'BEGIN { m = 165536 } $2 + $3 > m { m = $2 + $3 } END { printf "%d", m }' "$file")
		printf '%s:%s:65536\n' "$SERVICE_USER" "$first" >>"$file"
	done
}

# ---- install and uninstall ---------------------------------------------------------------
has_systemd() { [ -d /run/systemd/system ]; }

# The master key, beside the data: its account may not write there, so it is made here.
make_key() {
	[ ! -e "$DATA_DIR.key" ] && [ ! -e "$DATA_DIR/db/sluice.db" ] || return 0
	(
		umask 277
		od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' >"$DATA_DIR.key"
	)
	chown "$SERVICE_USER:" "$DATA_DIR.key"
	say "made the master key $DATA_DIR.key: without it the secrets of a backup are lost, keep a copy apart"
}

install_all() {
	LOG=$(mktemp -t sluice-install.XXXXXX)
	need_packages build run
	check_versions
	build
	[ -n "$DESTDIR" ] || is_root || die "installing to $PREFIX needs root; run: sudo ./install.sh   (or PREFIX=\$HOME/.local DESTDIR=/ make install)"
	make DEV=0 PREFIX="$PREFIX" DESTDIR="$DESTDIR" install >>"$LOG" 2>&1 || die "make install failed; see $LOG"
	local units=$DESTDIR/etc/systemd/system u
	mkdir -p "$units" "$DESTDIR/etc/sluice"
	for u in sluice.service sluice-spawner.service; do
		sed "s|@PREFIX@|$PREFIX|g; s|@USER@|$SERVICE_USER|g" "deploy/systemd/$u" >"$units/$u"
	done
	if [ ! -e "$DESTDIR/etc/sluice/sluice.yml" ]; then
		"build/sluice" config example >"$DESTDIR/etc/sluice/sluice.yml"
	fi
	if [ -z "$DESTDIR" ]; then
		make_user
		install -d -m 700 -o "$SERVICE_USER" -g "$SERVICE_USER" "$DATA_DIR"
		make_key
		if has_systemd; then
			systemctl daemon-reload
			say "installed; start it: systemctl enable --now sluice-spawner sluice"
		else
			say "installed; no systemd here, start it: $PREFIX/bin/sluice serve --data $DATA_DIR"
		fi
		"$PREFIX/bin/sluice" doctor || true
	else
		say "installed below $DESTDIR"
	fi
	rm -f "$LOG"
}

uninstall() {
	[ -n "$DESTDIR" ] || is_root || die "needs root; run: sudo ./install.sh --uninstall"
	if [ -z "$DESTDIR" ] && has_systemd; then
		systemctl disable --now sluice sluice-spawner 2>/dev/null || true
	fi
	rm -f "$DESTDIR$PREFIX/bin/sluice" "$DESTDIR/etc/systemd/system/sluice.service" \
		"$DESTDIR/etc/systemd/system/sluice-spawner.service"
	rm -rf "$DESTDIR$PREFIX/libexec/sluice" "$DESTDIR$PREFIX/share/man/man1"/sluice-*.1
	if [ -z "$DESTDIR" ] && has_systemd; then systemctl daemon-reload; fi
	say "removed; kept: $DATA_DIR, $DATA_DIR.key, /etc/sluice, the user $SERVICE_USER"
	say "to remove those too: userdel $SERVICE_USER; rm -r $DATA_DIR $DATA_DIR.key /etc/sluice"
}

# ---- tests -------------------------------------------------------------------------------
run_tests() {
	LOG=$(mktemp -t sluice-test.XXXXXX)
	need_packages build run test
	check_versions
	if command -v npm >/dev/null 2>&1 && [ -f tests/browser/package.json ] && [ ! -d tests/browser/node_modules/playwright-core ]; then
		step_begin "packages  npm: playwright-core (browser tests)"
		(cd tests/browser && PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 npm install --no-audit --no-fund --ignore-scripts) >>"$LOG" 2>&1 ||
			printf '(npm install failed: the browser tests will say so)\n'
		step_end
	fi
	# As root the tests run servers as the account that an installed one has.
	make_user
	rm -f "$LOG"
	exec sh tests/all.sh
}

main() {
	case ${1:-} in
	'') install_all ;;
	--demo)
		shift
		# shellcheck source=examples/demo.sh
		. examples/demo.sh
		demo "$@"
		;;
	--test) run_tests ;;
	--deps-only)
		LOG=$(mktemp -t sluice-deps.XXXXXX)
		need_packages build run
		rm -f "$LOG"
		;;
	--uninstall) uninstall ;;
	-h | --help) usage ;;
	*)
		usage >&2
		exit 2
		;;
	esac
}

main "$@"
