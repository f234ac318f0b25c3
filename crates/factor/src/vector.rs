//! The few operations the kernel needs of a vector register, for each instruction set.

#![allow(unsafe_code)] // instruction sets found at run time

/// A register of [`Vector::LANES`] floats.
///
/// # Safety
///
/// Each function may be called only where the machine has the instruction set.
pub(crate) trait Vector: Copy {
    const LANES: usize;

    unsafe fn zero() -> Self;
    /// Reads the first `LANES` numbers of a slice, which must hold as many.
    unsafe fn load(from: &[f32]) -> Self;
    /// `self + factor · other`.
    unsafe fn add_product(self, factor: f32, other: Self) -> Self;
    /// Adds to the first `LANES` numbers of a slice, which must hold as many.
    unsafe fn add_to(self, to: &mut [f32]);
}

/// What any machine has: the compiler makes of it what it can.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 4]);

impl Vector for Portable {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Portable {
        Portable([0.0; 4])
    }

    #[inline(always)]
    unsafe fn load(from: &[f32]) -> Portable {
        Portable([from[0], from[1], from[2], from[3]])
    }

    #[inline(always)]
    unsafe fn add_product(self, factor: f32, other: Portable) -> Portable {
        let (Portable([a, b, c, d]), Portable([e, f, g, h])) = (self, other);
        Portable([a + factor * e, b + factor * f, c + factor * g, d + factor * h])
    }

    #[inline(always)]
    unsafe fn add_to(self, to: &mut [f32]) {
        to.iter_mut().zip(self.0).for_each(|(to, lane)| *to += lane);
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    /// Sixteen floats.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(__m512);

    impl Vector for Avx512 {
        const LANES: usize = 16;

        #[inline(always)]
        unsafe fn zero() -> Avx512 {
            // SAFETY: the caller promises AVX-512.
            Avx512(unsafe { _mm512_setzero_ps() })
        }

        #[inline(always)]
        unsafe fn load(from: &[f32]) -> Avx512 {
            let from = &from[..Self::LANES];
            // SAFETY: the slice holds as many numbers; the caller promises AVX-512.
            Avx512(unsafe { _mm512_loadu_ps(from.as_ptr()) })
        }

        #[inline(always)]
        unsafe fn add_product(self, factor: f32, other: Avx512) -> Avx512 {
            // SAFETY: the caller promises AVX-512.
            Avx512(unsafe { _mm512_fmadd_ps(_mm512_set1_ps(factor), other.0, self.0) })
        }

        #[inline(always)]
        unsafe fn add_to(self, to: &mut [f32]) {
            let to = &mut to[..Self::LANES];
            // SAFETY: the slice holds as many numbers; the caller promises AVX-512.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), _mm512_add_ps(self.0, _mm512_loadu_ps(to.as_ptr()))) }
        }
    }

    /// Eight floats, with fused multiply-add.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(__m256);

    impl Vector for Avx2 {
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn zero() -> Avx2 {
            // SAFETY: the caller promises AVX2.
            Avx2(unsafe { _mm256_setzero_ps() })
        }

        #[inline(always)]
        unsafe fn load(from: &[f32]) -> Avx2 {
            let from = &from[..Self::LANES];
            // SAFETY: the slice holds as many numbers; the caller promises AVX2.
            Avx2(unsafe { _mm256_loadu_ps(from.as_ptr()) })
        }

        #[inline(always)]
        unsafe fn add_product(self, factor: f32, other: Avx2) -> Avx2 {
            // SAFETY: the caller promises AVX2 and FMA.
            Avx2(unsafe { _mm256_fmadd_ps(_mm256_set1_ps(factor), other.0, self.0) })
        }

        #[inline(always)]
        unsafe fn add_to(self, to: &mut [f32]) {
            let to = &mut to[..Self::LANES];
            // SAFETY: the slice holds as many numbers; the caller promises AVX2.
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), _mm256_add_ps(self.0, _mm256_loadu_ps(to.as_ptr()))) }
        }
    }
}
