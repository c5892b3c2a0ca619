//! What the kernels found on this processor.

use crate::cpu::isa::Isa;

/// Names of the instruction sets that the kernels use; none where they run as plain Rust.
///
/// ```
/// println!("{}", plantain_kernels::cpu_features().join(" "));
/// ```
pub fn cpu_features() -> Vec<&'static str> {
    match Isa::current() {
        Isa::Avx512 { bf16, vnni, amx } => {
            let extensions = [("avx512bf16", bf16), ("avx512vnni", vnni), ("amx", amx)];
            let present = extensions.iter().filter(|(_, found)| *found);
            ["avx512"]
                .into_iter()
                .chain(present.map(|(name, _)| *name))
                .collect()
        }
        Isa::Avx2 => vec!["avx2", "fma"],
        Isa::Neon { dot: true } => vec!["neon", "dotprod"],
        Isa::Neon { dot: false } => vec!["neon"],
        Isa::Scalar => Vec::new(),
    }
}

/// Whether this processor multiplies bf16 numbers by itself, so that they are faster than f32.
pub fn multiplies_bf16() -> bool {
    matches!(Isa::current(), Isa::Avx512 { bf16: true, .. })
}

/// Lets the kernels use `count` threads of their own pool instead of one for each core. Without effect once the first
/// kernel has run.
///
/// ```
/// plantain_kernels::use_threads(2);
/// ```
pub fn use_threads(count: usize) {
    // The only error is that the pool exists already, which the documentation says is without effect.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(count)
        .build_global();
}
