#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Everything the project promises, in one go: both compilers, sanitizers, layers, headers,
# libraries, lint, unit, fuzz corpora, integration, browser, conformance. Called by
# `./install.sh --test`; the last line is `N passed, N failed, N skipped`.
set -eu
cd "$(dirname "$0")/.."
exec make -s check
