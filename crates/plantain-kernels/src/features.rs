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

/// Whether this processor multiplies bf16 numbers by itself, and faster than f32.
///
/// On the one of Intel's that was measured, vectors of pairs took longer than f32 with fewer products by minimal filtering;
/// matrices, by AMX, do not (`docs/performance.md`).
pub fn multiplies_bf16() -> bool {
    match Isa::current() {
        Isa::Avx512 { amx: true, .. } => true,
        Isa::Avx512 { bf16, .. } => bf16 && !is_from_intel(),
        _ => false,
    }
}

#[cfg(target_arch = "x86_64")]
fn is_from_intel() -> bool {
    let maker = std::arch::x86_64::__cpuid(0);
    [maker.ebx, maker.edx, maker.ecx]
        .map(u32::to_le_bytes)
        .as_flattened()
        == b"GenuineIntel"
}

#[cfg(not(target_arch = "x86_64"))]
fn is_from_intel() -> bool {
    false
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

/// How many threads the kernels use.
///
/// ```
/// assert!(plantain_kernels::threads() > 0);
/// ```
pub fn threads() -> usize {
    rayon::current_num_threads()
}
