#!/usr/bin/env bash
# Fuzzes a target with a stable compiler: run.sh TARGET SECONDS [CORPUS...]
#
# `cargo +nightly fuzz run TARGET` does the same with a nightly one. What it passes to the compiler is mostly stable: the
# pass that counts edges and the options of LLVM that tell it how. Only the address sanitizer is not, and there is no
# `unsafe` here for it to watch. libFuzzer itself is C++, built by libfuzzer-sys: a C++ compiler must be there.
set -euo pipefail
target=$1 seconds=$2
shift 2
cd "$(dirname "$0")"

# Building for a named triple keeps these flags from build scripts and macros, which libFuzzer is not linked to.
triple=$(rustc -vV | sed -n 's/^host: //p')
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks"
cargo build --release --target "$triple" --bin "$target"

mkdir -p "corpus/$target" "artifacts/$target"
binary=${CARGO_TARGET_DIR:-target}/$triple/release/$target
# Files take milliseconds: seconds mean that one takes too long, or that the machine is busy.
exec "$binary" "corpus/$target" "$@" -artifact_prefix="artifacts/$target/" -max_total_time="$seconds" \
    -timeout=10 -rss_limit_mb=1024 -max_len=16384 -print_final_stats=1
