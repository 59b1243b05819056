#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The API pages of docs/Doxyfile can be made, without a warning. Usage: api_pages.sh SOURCE_DIR. Exit 77: no doxygen.
set -uo pipefail
cd "$1" || exit 1
command -v doxygen >/dev/null || { echo "doxygen is not installed"; exit 77; }
pages=$(mktemp -d) || exit 1
trap 'rm -rf "$pages"' EXIT
{ cat docs/Doxyfile; echo "OUTPUT_DIRECTORY = $pages"; } | doxygen - 2>"$pages/said" || { cat "$pages/said"; exit 1; }
if [ -s "$pages/said" ]; then
  cat "$pages/said"
  exit 1
fi
# What a reader looks for is there, with what it throws.
grep -q "STOFM-4755" "$pages"/api/namespacestofm_1_1tasks.html || { echo "the page of stofm::tasks lacks an error"; exit 1; }
echo "$(find "$pages" -name '*.html' | wc -l) pages"
