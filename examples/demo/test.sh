#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The demo's tests: two parts that a matrix runs side by side.
set -eu
case ${1:?part} in
1)
	./build.sh hi 0000000
	test "$(tar -xzOf hello.tar.gz hello.txt)" = "hi 0000000"
	echo "part 1: the package says what it was told to say"
	;;
2)
	! ./build.sh '' 0000000 2>/dev/null
	echo "part 2: an empty greeting is refused"
	;;
*)
	echo "no part $1" >&2
	exit 1
	;;
esac
