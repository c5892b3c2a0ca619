#!/usr/bin/env bash
# Fuzzes a target with a stable compiler: run.sh TARGET SECONDS [CORPUS...]
#
# As `crates/plantain-formats/fuzz/run.sh`, but Burn is among the dependencies here, so only the crates under test are counted
# and optimised (`instrument.sh`): all of it would take an hour to compile, and nothing of Burn reads files.
set -euo pipefail
target=$1 seconds=$2
shift 2
cd "$(dirname "$0")"

triple=$(rustc -vV | sed -n 's/^host: //p')
RUSTC_WRAPPER=$PWD/instrument.sh cargo build --target "$triple" --bin "$target"

mkdir -p "corpus/$target" "artifacts/$target"
binary=${CARGO_TARGET_DIR:-target}/$triple/debug/$target
exec "$binary" "corpus/$target" "$@" -artifact_prefix="artifacts/$target/" -max_total_time="$seconds" \
    -timeout=20 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1
