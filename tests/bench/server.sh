#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The whole server, see server.py.
exec python3 tests/bench/server.py "$@"
