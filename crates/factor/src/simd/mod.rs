//! Vector instructions: the instruction sets of this machine, and one way to compile a kernel for each of them.

#![allow(unsafe_code)] // calls to functions that are compiled for instruction sets found at run time

pub(crate) mod vector;

#[cfg(target_arch = "x86_64")]
use crate::simd::vector::{Avx2, Avx512};
use crate::simd::vector::{PairVector, Portable, Vector};

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum InstructionSet {
    /// AVX-512 with dot products of bfloat16 values.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// AVX2 with fused multiply-add.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

/// All instruction sets, the fastest first.
const ALL: &[InstructionSet] = &[
    #[cfg(target_arch = "x86_64")]
    InstructionSet::Avx512Bf16,
    #[cfg(target_arch = "x86_64")]
    InstructionSet::Avx512,
    #[cfg(target_arch = "x86_64")]
    InstructionSet::Avx2,
    InstructionSet::Portable,
];

/// A computation that is compiled once for each instruction set.
///
/// A kernel is the arguments of the computation. If they are two references, the compiler passes them in registers, and knows
/// that they do not overlap. It does not know that of a larger struct.
pub(crate) trait Kernel: Sized {
    type Output;

    /// Runs the kernel with registers of type `V`.
    ///
    /// The implementation must be `#[inline(always)]`. Only then is it compiled for the instruction set of its caller.
    ///
    /// # Safety
    ///
    /// The machine must have the instruction set of `V`.
    unsafe fn run<V: Vector>(self) -> Self::Output;

    /// Runs the kernel where the machine also multiplies pairs of bfloat16 values.
    ///
    /// # Safety
    ///
    /// The machine must have the instruction set of `V`, with the dot products of [`PairVector`].
    #[inline(always)]
    unsafe fn run_with_pairs<V: PairVector>(self) -> Self::Output {
        // SAFETY: as the caller promises.
        unsafe { self.run::<V>() }
    }
}

impl InstructionSet {
    /// The fastest instruction set of this machine.
    pub fn fastest() -> InstructionSet {
        ALL.iter().copied().find(|set| set.is_available()).unwrap_or(InstructionSet::Portable)
    }

    /// All instruction sets of this machine, the fastest first.
    #[cfg(test)]
    pub fn available() -> Vec<InstructionSet> {
        ALL.iter().copied().filter(|set| set.is_available()).collect()
    }

    fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512Bf16 => {
                is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")
            }
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx512 => is_x86_feature_detected!("avx512f"),
            #[cfg(target_arch = "x86_64")]
            InstructionSet::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            InstructionSet::Portable => true,
        }
    }

    /// Runs a kernel that is compiled for this instruction set, which the machine must have: it comes from
    /// [`InstructionSet::fastest`], or in tests from `available`.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `is_available` found the instruction set on this machine; and so below.
            InstructionSet::Avx512Bf16 => unsafe { run_avx512_bf16(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            InstructionSet::Avx512 => unsafe { run_avx512(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            InstructionSet::Avx2 => unsafe { run_avx2(kernel) },
            // SAFETY: every machine has this one.
            InstructionSet::Portable => unsafe { kernel.run::<Portable>() },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bf16")]
fn run_avx512_bf16<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: this function is compiled for the instruction set; and so below.
    unsafe { kernel.run_with_pairs::<Avx512>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: as above.
    unsafe { kernel.run::<Avx512>() }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    // SAFETY: as above.
    unsafe { kernel.run::<Avx2>() }
}
