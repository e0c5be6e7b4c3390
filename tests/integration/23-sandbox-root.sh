#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A prepared root, kind and nasty (SB19): what its links lead to is never the host's.
. tests/lib/tap.sh
need ldd

CONFINE=$(find "$SOURCE"/build -path '*/tests/tools/confine' -type f | sort | head -n 1)
[ -n "$CONFINE" ] || skip_all 'tests/tools/confine is not built'
"$CONFINE" true >"$T/why" 2>&1 || skip_all "no sandbox can be made here: $(head -n 1 "$T/why")"

# A root with a shell, cat, ls and what they link, in the merged /usr layout.
base=$T/base
R=$base/root
mkdir -p "$R"/usr/bin "$R"/etc "$R"/dev "$R"/proc "$R"/opt
ln -s usr/bin "$R/bin"
for b in bash cat ls readlink; do
  cp -L "/usr/bin/$b" "$R/usr/bin/"
  ldd "/usr/bin/$b" | grep -oE '/[^ ]+' | while read -r lib; do
    to=$R/usr/${lib#/}
    case $lib in /usr/*) to=$R$lib ;; esac
    mkdir -p "$(dirname "$to")"
    [ -e "$to" ] || cp -L "$lib" "$to"
  done
done
for d in lib lib64; do [ ! -d "$R/usr/$d" ] || ln -s "usr/$d" "$R/$d"; done
echo ours >"$R/opt/mark"
echo 'NAME=prepared' >"$R/etc/os-release"
echo secret >"$base/secret"
chmod 644 "$base/secret"

is "$("$CONFINE" --root "$R" /bin/cat /opt/mark /etc/os-release)" $'ours\nNAME=prepared' \
  'a prepared root is what a step sees'
nok 'and not the host' "$CONFINE" --root "$R" /usr/bin/gcc --version
nok 'it cannot be written' "$CONFINE" --root "$R" /bin/bash -c 'echo x >/opt/mark || echo x >/usr/x'

# What an attacker would put there.
nasty() {
  rm -rf "${R:?}/dev" "${R:?}/proc" "${R:?}/etc"
  ln -s "$base" "$R/dev"
  ln -s "$base" "$R/proc"
  ln -s "$base" "$R/etc"
  cp "$base/secret" "$base/os-release"
}
nasty
is "$("$CONFINE" --root "$R" /bin/bash -c 'cat /etc/os-release /dev/secret /proc/secret 2>/dev/null; echo end')" \
  end 'links for /etc, /dev and /proc lead nowhere [SB19]'
like "$("$CONFINE" --root "$R" /bin/ls /dev)" 'null' '/dev is ours'
is "$("$CONFINE" --root "$R" /bin/cat /etc/hostname)" sluice-job '/etc is ours'
rm "$R/opt/mark"
rmdir "$R/opt"
ln -s ../../../../../../.. "$R/opt"
is "$("$CONFINE" --root "$R" /bin/bash -c "cat /opt$base/secret 2>/dev/null; echo end")" end \
  'a link above the root leads nowhere [SB19]'

# The same while somebody changes it under our hands.
rm "$R/etc"
mkdir "$R/etc"
ln -s "$base" "$R/etc.link"
spawn renamer bash -c 'cd "$1" && while :; do
  mv -T etc etc.dir 2>/dev/null; mv -T etc.link etc 2>/dev/null
  mv -T etc etc.link 2>/dev/null; mv -T etc.dir etc 2>/dev/null; done' renamer "$R"
rounds=$((TORTURE ? 1000 : 40))
leaks=0 control=0
for ((i = 0; i < rounds; i++)); do
  for ((k = 0; k < 20; k++)); do
    if [ "$(cat "$R/etc/os-release" 2>/dev/null)" = secret ]; then control=$((control + 1)); fi
  done
  said=$("$CONFINE" --root "$R" /bin/bash -c 'cat /etc/os-release 2>/dev/null' 2>/dev/null)
  [ "$said" != secret ] || leaks=$((leaks + 1))
done
stop renamer KILL
ok 'by its path the file is seen now and then (the control) [SB19 FS02]' test "$control" -gt 0
is "$leaks" 0 "none of $rounds rounds against a renamer shows the host's file [SB19 FS02]"
done_testing
