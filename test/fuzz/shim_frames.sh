#!/bin/sh
# Builds and runs the fuzzer of the shim's frames for SECONDS (default 60), starting from the corpus. Usage: shim_frames.sh [SECONDS]
set -eu
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${CLANGXX:-clang++}" -std=c++20 -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -I. \
  test/fuzz/shim_frames_fuzz.cc agent/shim/tools.cc agent/shim/sys.cc -o "$work/fuzz"
mkdir "$work/found"
"$work/fuzz" -max_total_time="${1:-60}" -max_len=8300 -print_final_stats=1 -artifact_prefix="$work/" "$work/found" test/fuzz/shim_frames_corpus
