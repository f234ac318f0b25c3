//! Vector registers of each instruction set behind one trait, with the few operations that the kernels need.

#![allow(unsafe_code)] // intrinsics of instruction sets found at run time

/// A register of [`Vector::LANES`] floats in single precision.
///
/// # Safety
///
/// A caller of any function must know that the machine has the instruction set. A pointer must be valid for
/// [`Vector::LANES`] values, but need not be aligned.
pub(crate) trait Vector: Copy {
    const LANES: usize;
    /// Registers that the instruction set has.
    const REGISTERS: usize;
    /// Whether the instruction set multiplies and adds in one instruction, with one rounding.
    const IS_FUSED: bool;

    /// `value` in all lanes.
    unsafe fn splat(value: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    /// Loads values in bfloat16, which is the upper half of a float.
    unsafe fn load_bf16(from: *const u16) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// The larger value of both, lane by lane.
    unsafe fn max(self, other: Self) -> Self;
    /// `self + a · b`, lane by lane.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// `self - a · b`, lane by lane.
    unsafe fn sub_product(self, a: Self, b: Self) -> Self;
    /// A bit mask of the lanes in which `self > other`. The first lane is the lowest bit.
    unsafe fn above(self, other: Self) -> u32;
    /// The sum of all lanes. One half is added to the other, until one lane is left.
    unsafe fn sum(self) -> f32;
    /// Prefetches the cache line of an address, which may be invalid, into the second-level cache.
    unsafe fn prefetch(at: *const u16);
    /// Prefetches the cache line of an address, which may be invalid, into the first-level cache.
    unsafe fn prefetch_near(at: *const f32);
}

/// A register that can also multiply bfloat16 values. Each lane holds a pair of them, so that one instruction makes twice
/// as many products.
///
/// # Safety
///
/// As for [`Vector`]. The machine must have the instructions for these products, too.
pub(crate) trait PairVector: Vector {
    /// Loads values of two rows. Each lane gets a value of `first` in its lower half and one of `second` in its upper half.
    unsafe fn load_pairs(first: *const u16, second: *const u16) -> Self;
    /// `self + lower(a) · lower(b) + upper(a) · upper(b)`, lane by lane, where `a` and `b` hold pairs. [`Vector::splat`],
    /// [`Vector::load`] and [`Vector::store`] keep every bit of such a lane.
    unsafe fn add_pair_product(self, a: Self, b: Self) -> Self;
}

/// Registers for any machine: four floats, from which the compiler makes what instructions there are.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 4]);

impl Portable {
    #[inline(always)]
    fn zip(self, b: Portable, c: Portable, f: impl Fn(f32, f32, f32) -> f32) -> Portable {
        let (Portable(a), Portable(b), Portable(c)) = (self, b, c);
        Portable([f(a[0], b[0], c[0]), f(a[1], b[1], c[1]), f(a[2], b[2], c[2]), f(a[3], b[3], c[3])])
    }
}

impl Vector for Portable {
    const LANES: usize = 4;
    const REGISTERS: usize = 16;
    const IS_FUSED: bool = false;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Portable {
        Portable([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Portable {
        // SAFETY: the caller promises four values.
        Portable(unsafe { from.cast::<[f32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn load_bf16(from: *const u16) -> Portable {
        // SAFETY: as above.
        let halves = unsafe { from.cast::<[u16; 4]>().read_unaligned() };
        Portable(halves.map(|half| f32::from_bits(u32::from(half) << 16)))
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn add(self, other: Portable) -> Portable {
        self.zip(other, other, |a, b, _| a + b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Portable) -> Portable {
        self.zip(other, other, |a, b, _| a * b)
    }

    #[inline(always)]
    unsafe fn max(self, other: Portable) -> Portable {
        self.zip(other, other, |a, b, _| a.max(b))
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Portable, b: Portable) -> Portable {
        self.zip(a, b, |a, b, c| a + b * c)
    }

    #[inline(always)]
    unsafe fn sub_product(self, a: Portable, b: Portable) -> Portable {
        self.zip(a, b, |a, b, c| a - b * c)
    }

    #[inline(always)]
    unsafe fn above(self, other: Portable) -> u32 {
        let lanes = self.0.iter().zip(&other.0).enumerate();
        lanes.fold(0, |mask, (lane, (a, b))| mask | u32::from(a > b) << lane)
    }

    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        let Portable([a, b, c, d]) = self;
        (a + c) + (b + d)
    }

    #[inline(always)]
    unsafe fn prefetch(_: *const u16) {}

    #[inline(always)]
    unsafe fn prefetch_near(_: *const f32) {}
}

/// Emulates the products of pairs, so that tests on any machine cover the code around that instruction. Without the
/// instruction, pairs are slower than floats.
#[cfg(test)]
impl PairVector for Portable {
    unsafe fn load_pairs(first: *const u16, second: *const u16) -> Portable {
        // SAFETY: the caller promises four values of each row.
        let (first, second) = unsafe { (first.cast::<[u16; 4]>().read(), second.cast::<[u16; 4]>().read()) };
        Portable(std::array::from_fn(|lane| {
            f32::from_bits(u32::from(first[lane]) | u32::from(second[lane]) << 16)
        }))
    }

    unsafe fn add_pair_product(self, a: Portable, b: Portable) -> Portable {
        let lower = |pair: f32| f32::from_bits(pair.to_bits() << 16);
        let upper = |pair: f32| f32::from_bits(pair.to_bits() & 0xffff_0000);
        self.zip(a, b, |sum, a, b| sum + (lower(a) * lower(b) + upper(a) * upper(b)))
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{PairVector, Vector};
    use std::arch::x86_64::*;
    use std::mem::transmute;

    /// Defines a vector type of `$lanes` floats from the intrinsics of an instruction set.
    macro_rules! vector {
        ($(#[$doc:meta])* $name:ident, $register:ty, $lanes:literal, $registers:literal,
         $splat:ident, $load:ident, $widen:ident, $store:ident, $add:ident, $mul:ident, $max:ident, $add_product:ident, $sub_product:ident, $above:ident, $sum:ident) => {
            $(#[$doc])*
            #[derive(Clone, Copy)]
            pub(crate) struct $name($register);

            impl Vector for $name {
                const LANES: usize = $lanes;
                const REGISTERS: usize = $registers;
                const IS_FUSED: bool = true;

                #[inline(always)]
                unsafe fn splat(value: f32) -> $name {
                    // SAFETY: the caller promises the instruction set.
                    $name(unsafe { $splat(value) })
                }

                #[inline(always)]
                unsafe fn load(from: *const f32) -> $name {
                    // SAFETY: the caller promises as many values.
                    $name(unsafe { $load(from) })
                }

                #[inline(always)]
                unsafe fn load_bf16(from: *const u16) -> $name {
                    // SAFETY: the caller promises as many values.
                    $name(unsafe { $widen(from) })
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    // SAFETY: the caller promises as many values.
                    unsafe { $store(to, self.0) }
                }

                #[inline(always)]
                unsafe fn add(self, other: $name) -> $name {
                    // SAFETY: as above.
                    $name(unsafe { $add(self.0, other.0) })
                }

                #[inline(always)]
                unsafe fn mul(self, other: $name) -> $name {
                    // SAFETY: as above.
                    $name(unsafe { $mul(self.0, other.0) })
                }

                #[inline(always)]
                unsafe fn max(self, other: $name) -> $name {
                    // SAFETY: as above.
                    $name(unsafe { $max(self.0, other.0) })
                }

                #[inline(always)]
                unsafe fn add_product(self, a: $name, b: $name) -> $name {
                    // SAFETY: as above.
                    $name(unsafe { $add_product(a.0, b.0, self.0) })
                }

                #[inline(always)]
                unsafe fn sub_product(self, a: $name, b: $name) -> $name {
                    // SAFETY: as above.
                    $name(unsafe { $sub_product(a.0, b.0, self.0) })
                }

                #[inline(always)]
                unsafe fn above(self, other: $name) -> u32 {
                    // SAFETY: as above.
                    unsafe { $above(self.0, other.0) }
                }

                #[inline(always)]
                unsafe fn sum(self) -> f32 {
                    // SAFETY: as above.
                    unsafe { $sum(self.0) }
                }

                #[inline(always)]
                unsafe fn prefetch(at: *const u16) {
                    // SAFETY: a prefetch reads no memory.
                    unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
                }

                #[inline(always)]
                unsafe fn prefetch_near(at: *const f32) {
                    // SAFETY: a prefetch reads no memory.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
                }
            }
        };
    }

    #[inline(always)]
    unsafe fn widen16(from: *const u16) -> __m512 {
        // SAFETY: the caller promises AVX-512 and sixteen values.
        unsafe {
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(
                from.cast(),
            ))))
        }
    }

    impl PairVector for Avx512 {
        #[inline(always)]
        unsafe fn load_pairs(first: *const u16, second: *const u16) -> Avx512 {
            // SAFETY: the caller promises AVX-512 and sixteen values of each row.
            unsafe {
                let lower = _mm512_cvtepu16_epi32(_mm256_loadu_si256(first.cast()));
                let upper = _mm512_cvtepu16_epi32(_mm256_loadu_si256(second.cast()));
                Avx512(_mm512_castsi512_ps(_mm512_or_si512(lower, _mm512_slli_epi32::<16>(upper))))
            }
        }

        #[inline(always)]
        unsafe fn add_pair_product(self, a: Avx512, b: Avx512) -> Avx512 {
            // SAFETY: the caller promises AVX-512 with bfloat16.
            unsafe { Avx512(_mm512_dpbf16_ps(self.0, pairs(a.0), pairs(b.0))) }
        }
    }

    #[inline(always)]
    fn pairs(register: __m512) -> __m512bh {
        // SAFETY: both types have 512 bits, and any bits are a value of either.
        unsafe { transmute::<__m512, __m512bh>(register) }
    }

    #[inline(always)]
    unsafe fn widen8(from: *const u16) -> __m256 {
        // SAFETY: the caller promises AVX2 and eight values.
        unsafe {
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()))))
        }
    }

    #[inline(always)]
    unsafe fn above16(a: __m512, b: __m512) -> u32 {
        // SAFETY: the caller promises AVX-512.
        u32::from(unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b) })
    }

    #[inline(always)]
    unsafe fn above8(a: __m256, b: __m256) -> u32 {
        // SAFETY: the caller promises AVX2.
        unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a, b)) as u32 }
    }

    #[inline(always)]
    unsafe fn sum16(all: __m512) -> f32 {
        // SAFETY: the caller promises AVX-512, which includes AVX2.
        unsafe {
            let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(all)));
            sum8(_mm256_add_ps(_mm512_castps512_ps256(all), high))
        }
    }

    #[inline(always)]
    unsafe fn sum8(all: __m256) -> f32 {
        // SAFETY: the caller promises AVX2.
        unsafe {
            let four = _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps::<1>(all));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        }
    }

    vector! {
        /// Sixteen floats.
        Avx512, __m512, 16, 32,
        _mm512_set1_ps, _mm512_loadu_ps, widen16, _mm512_storeu_ps, _mm512_add_ps, _mm512_mul_ps, _mm512_max_ps, _mm512_fmadd_ps, _mm512_fnmadd_ps, above16, sum16
    }

    vector! {
        /// Eight floats, with fused multiply-add.
        Avx2, __m256, 8, 16,
        _mm256_set1_ps, _mm256_loadu_ps, widen8, _mm256_storeu_ps, _mm256_add_ps, _mm256_mul_ps, _mm256_max_ps, _mm256_fmadd_ps, _mm256_fnmadd_ps, above8, sum8
    }
}
