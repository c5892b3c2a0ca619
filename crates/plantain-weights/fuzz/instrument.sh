#!/usr/bin/env bash
# A wrapper around rustc that counts edges in the crates under test and leaves all others alone.
rustc=$1
shift
case " $* " in
*" --crate-name plantain_weights "* | *" --crate-name plantain_formats "* | *" --crate-name safetensors "* | \
    *" --crate-name lora "* | *" --crate-name open "*)
    exec "$rustc" "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Copt-level=2
    ;;
*) exec "$rustc" "$@" ;;
esac
