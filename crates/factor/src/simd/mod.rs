//! Vector instructions: which of them this machine has, and registers of each kind behind one trait.

pub(crate) mod vector;

/// The instruction sets that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum InstructionSet {
    /// AVX-512 with products of bfloat16 numbers.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl InstructionSet {
    /// Those this machine has, the fastest first.
    pub fn available() -> Vec<InstructionSet> {
        let mut available = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                if is_x86_feature_detected!("avx512bf16") {
                    available.push(InstructionSet::Avx512Bf16);
                }
                available.push(InstructionSet::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                available.push(InstructionSet::Avx2);
            }
        }
        available.push(InstructionSet::Portable);
        available
    }
}
