//! Which vector instructions the kernels may use, decided once at run time.

use std::sync::OnceLock;

/// A code path of the kernels. Other architectures than x86-64 and aarch64 are served by [`Isa::Scalar`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// 512-bit vectors (AVX-512 F, BW, VL and DQ) and what the processor has beyond them.
    Avx512 {
        /// Dot products of bfloat16 pairs (AVX512-BF16).
        bf16: bool,
        /// Dot products of byte quadruples (AVX512-VNNI).
        vnni: bool,
        /// Products of whole tiles of bfloat16 and of bytes (AMX).
        amx: bool,
    },
    /// 256-bit vectors with fused multiply-add.
    Avx2,
    /// 128-bit vectors of aarch64.
    Neon {
        /// Dot products of byte quadruples (`dotprod`).
        dot: bool,
    },
    /// Plain Rust.
    Scalar,
}

impl Isa {
    /// The best path of this processor, or a lower one if the environment variable `PLANTAIN_ISA` names it
    /// (`amx`, `avx512`, `avx2`, `neon` or `scalar`; read once).
    #[must_use]
    pub fn current() -> Self {
        static CURRENT: OnceLock<Isa> = OnceLock::new();
        *CURRENT.get_or_init(|| {
            let available = Self::available();
            let wanted = std::env::var("PLANTAIN_ISA").unwrap_or_default();
            available
                .iter()
                .copied()
                .find(|isa| isa.name() == wanted)
                .unwrap_or(available[0])
        })
    }

    /// Every path that this processor can run, best first; never empty.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut available = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let fused = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if fused
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
            {
                let bf16 = is_x86_feature_detected!("avx512bf16");
                let vnni = is_x86_feature_detected!("avx512vnni");
                let kinds = [true, false].into_iter().filter(|&amx| !amx || has_amx());
                available.extend(kinds.map(|amx| Self::Avx512 { bf16, vnni, amx }));
            }
            if fused {
                available.push(Self::Avx2);
            }
        }
        #[cfg(target_arch = "aarch64")]
        available.push(Self::Neon {
            dot: std::arch::is_aarch64_feature_detected!("dotprod"),
        });
        available.push(Self::Scalar);
        available
    }

    /// Whether this processor can run it: one of [`Isa::available`], or that with fewer instructions.
    #[must_use]
    pub fn is_available(self) -> bool {
        Self::available().into_iter().any(|isa| match (self, isa) {
            (
                Self::Avx512 { bf16, vnni, amx },
                Self::Avx512 {
                    bf16: has_bf16,
                    vnni: has_vnni,
                    amx: has_amx,
                },
            ) => (has_bf16 || !bf16) && (has_vnni || !vnni) && (has_amx || !amx),
            (Self::Neon { dot }, Self::Neon { dot: has_dot }) => has_dot || !dot,
            (wanted, isa) => wanted == isa,
        })
    }

    /// Whether it multiplies whole matrices of bfloat16 or of bytes.
    pub(crate) fn multiplies_matrices(self) -> bool {
        matches!(self, Self::Avx512 { amx: true, .. })
    }

    /// Whether it multiplies pairs of bfloat16 without widening them.
    pub(crate) fn multiplies_pairs(self) -> bool {
        matches!(self, Self::Avx512 { bf16: true, .. })
    }

    /// Whether sums of pixels in its tile registers can go on as bfloat16.
    pub(crate) fn has_pixel_kernels(self) -> bool {
        matches!(
            self,
            Self::Avx512 {
                amx: true,
                bf16: true,
                ..
            }
        )
    }

    /// The name that `PLANTAIN_ISA` knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 { amx: true, .. } => "amx",
            Self::Avx512 { amx: false, .. } => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon { .. } => "neon",
            Self::Scalar => "scalar",
        }
    }
}

/// Whether the processor multiplies tiles of bfloat16 and of bytes, and the system lets this process use their registers.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn has_amx() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    // The standard library does not tell of AMX yet: leaf 7 of the processor's identification, bits 22, 24 and 25.
    const BF16_TILE_INT8: u32 = 1 << 22 | 1 << 24 | 1 << 25;
    // Linux keeps room for the registers of processes that have asked for it; it refuses where it does not know them.
    const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_ulong = 18;
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let present =
            __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & BF16_TILE_INT8 == BF16_TILE_INT8;
        // SAFETY: the request takes no pointer and changes nothing but what this process may use.
        present
            && unsafe {
                libc::syscall(
                    libc::SYS_arch_prctl,
                    ARCH_REQ_XCOMP_PERM,
                    XFEATURE_XTILEDATA,
                )
            } == 0
    })
}

/// Other systems are not asked.
#[cfg(all(target_arch = "x86_64", not(target_os = "linux")))]
fn has_amx() -> bool {
    false
}

/// Defines a function that compiles one generic body for every instruction set and picks by [`Isa`].
///
/// The body is `#[inline(always)]`; the compiler vectorises each copy for the features of its caller.
macro_rules! per_isa {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        $vis fn $name(isa: $crate::cpu::isa::Isa, $($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
            fn avx512($($arg: $type),*) {
                $body($($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $type),*) {
                $body($($arg),*);
            }
            match isa {
                // SAFETY: an `Isa` is made by detection only, so the processor has these features.
                #[cfg(target_arch = "x86_64")]
                $crate::cpu::isa::Isa::Avx512 { .. } => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::cpu::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => $body($($arg),*),
            }
        }
    };
}
pub(crate) use per_isa;
