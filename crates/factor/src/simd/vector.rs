//! The few operations the kernels need of a vector register, for each instruction set.

#![allow(unsafe_code)] // instruction sets found at run time

/// A register of [`Vector::LANES`] floats.
///
/// # Safety
///
/// Each function may be called only where the machine has the instruction set, and with pointers to as many numbers.
pub(crate) trait Vector: Copy {
    const LANES: usize;
    /// How many there are.
    const REGISTERS: usize;

    unsafe fn splat(number: f32) -> Self;
    unsafe fn load(from: *const f32) -> Self;
    /// Numbers in bfloat16: the upper half of a float.
    unsafe fn load_bf16(from: *const u16) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// The greater of both, lane by lane.
    unsafe fn max(self, other: Self) -> Self;
    /// `self + one · other`.
    unsafe fn add_product(self, one: Self, other: Self) -> Self;
    /// `self - one · other`.
    unsafe fn sub_product(self, one: Self, other: Self) -> Self;
    /// A bit a lane, the first lane's the lowest: whether it is greater than the other's.
    unsafe fn above(self, other: Self) -> u32;
    /// All lanes together: one half added to the other, until one is left.
    unsafe fn sum(self) -> f32;
    /// Asks for the cache line of an address, which need not be valid, to be brought near.
    unsafe fn prefetch(at: *const u16);
    /// Asks for it to be brought as near as can be.
    unsafe fn prefetch_near(at: *const f32);
}

/// A register that multiplies bfloat16 numbers, too, two of them in each lane: twice the products for an instruction.
///
/// # Safety
///
/// As for [`Vector`]; the instruction set has these products.
pub(crate) trait PairVector: Vector {
    /// Two rows' numbers, each lane's from the first row in its lower half and from the other in its upper one.
    unsafe fn load_pairs(first: *const u16, second: *const u16) -> Self;
    /// `self + one · other`, where a lane's product is that of the lower halves and that of the upper ones. Of lanes of
    /// such pairs, `splat`, `load` and `store` keep every bit.
    unsafe fn add_pair_product(self, one: Self, other: Self) -> Self;
}

/// What any machine has: the compiler makes of it what it can.
#[derive(Clone, Copy)]
pub(crate) struct Portable([f32; 4]);

impl Portable {
    #[inline(always)]
    fn zip(self, one: Portable, other: Portable, each: impl Fn(f32, f32, f32) -> f32) -> Portable {
        let (Portable(a), Portable(b), Portable(c)) = (self, one, other);
        Portable([
            each(a[0], b[0], c[0]),
            each(a[1], b[1], c[1]),
            each(a[2], b[2], c[2]),
            each(a[3], b[3], c[3]),
        ])
    }
}

impl Vector for Portable {
    const LANES: usize = 4;
    const REGISTERS: usize = 16;

    #[inline(always)]
    unsafe fn splat(number: f32) -> Portable {
        Portable([number; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Portable {
        // SAFETY: the caller promises four numbers.
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
    unsafe fn add_product(self, one: Portable, other: Portable) -> Portable {
        self.zip(one, other, |a, b, c| a + b * c)
    }

    #[inline(always)]
    unsafe fn sub_product(self, one: Portable, other: Portable) -> Portable {
        self.zip(one, other, |a, b, c| a - b * c)
    }

    #[inline(always)]
    unsafe fn above(self, other: Portable) -> u32 {
        let lanes = self.0.iter().zip(&other.0).enumerate();
        lanes.fold(0, |bits, (lane, (one, other))| bits | u32::from(one > other) << lane)
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

/// Slower than floats where no instruction does it: here so that tests reach, on any machine, all but that instruction.
#[cfg(test)]
impl PairVector for Portable {
    unsafe fn load_pairs(first: *const u16, second: *const u16) -> Portable {
        // SAFETY: the caller promises four numbers in each.
        let (first, second) = unsafe { (first.cast::<[u16; 4]>().read(), second.cast::<[u16; 4]>().read()) };
        Portable(std::array::from_fn(|lane| {
            f32::from_bits(u32::from(first[lane]) | u32::from(second[lane]) << 16)
        }))
    }

    unsafe fn add_pair_product(self, one: Portable, other: Portable) -> Portable {
        let lower = |pair: f32| f32::from_bits(pair.to_bits() << 16);
        let upper = |pair: f32| f32::from_bits(pair.to_bits() & 0xffff_0000);
        self.zip(one, other, |sum, a, b| sum + (lower(a) * lower(b) + upper(a) * upper(b)))
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{PairVector, Vector};
    use std::arch::x86_64::*;
    use std::mem::transmute;

    /// A vector type of `LANES` floats out of an instruction set's functions.
    macro_rules! vector {
        ($(#[$doc:meta])* $name:ident, $register:ty, $lanes:literal, $registers:literal,
         $splat:ident, $load:ident, $widen:ident, $store:ident, $add:ident, $mul:ident, $max:ident, $add_product:ident, $sub_product:ident, $above:ident, $sum:ident) => {
            $(#[$doc])*
            #[derive(Clone, Copy)]
            pub(crate) struct $name($register);

            impl Vector for $name {
                const LANES: usize = $lanes;
                const REGISTERS: usize = $registers;

                #[inline(always)]
                unsafe fn splat(number: f32) -> $name {
                    // SAFETY: the caller promises the instruction set; and so below.
                    $name(unsafe { $splat(number) })
                }

                #[inline(always)]
                unsafe fn load(from: *const f32) -> $name {
                    // SAFETY: the caller promises as many numbers.
                    $name(unsafe { $load(from) })
                }

                #[inline(always)]
                unsafe fn load_bf16(from: *const u16) -> $name {
                    // SAFETY: the caller promises as many numbers.
                    $name(unsafe { $widen(from) })
                }

                #[inline(always)]
                unsafe fn store(self, to: *mut f32) {
                    // SAFETY: the caller promises as many numbers.
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
                unsafe fn add_product(self, one: $name, other: $name) -> $name {
                    // SAFETY: as above.
                    $name(unsafe { $add_product(one.0, other.0, self.0) })
                }

                #[inline(always)]
                unsafe fn sub_product(self, one: $name, other: $name) -> $name {
                    // SAFETY: as above.
                    $name(unsafe { $sub_product(one.0, other.0, self.0) })
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
                    // SAFETY: no address is read.
                    unsafe { _mm_prefetch::<_MM_HINT_T1>(at.cast()) }
                }

                #[inline(always)]
                unsafe fn prefetch_near(at: *const f32) {
                    // SAFETY: no address is read.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
                }
            }
        };
    }

    #[inline(always)]
    unsafe fn widen16(from: *const u16) -> __m512 {
        // SAFETY: the caller promises AVX-512 and sixteen halves.
        unsafe {
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(
                from.cast(),
            ))))
        }
    }

    impl PairVector for Avx512 {
        #[inline(always)]
        unsafe fn load_pairs(first: *const u16, second: *const u16) -> Avx512 {
            // SAFETY: the caller promises AVX-512 and sixteen numbers in each.
            unsafe {
                let lower = _mm512_cvtepu16_epi32(_mm256_loadu_si256(first.cast()));
                let upper = _mm512_cvtepu16_epi32(_mm256_loadu_si256(second.cast()));
                Avx512(_mm512_castsi512_ps(_mm512_or_si512(lower, _mm512_slli_epi32::<16>(upper))))
            }
        }

        #[inline(always)]
        unsafe fn add_pair_product(self, one: Avx512, other: Avx512) -> Avx512 {
            // SAFETY: the caller promises AVX-512 with bfloat16.
            unsafe { Avx512(_mm512_dpbf16_ps(self.0, pairs(one.0), pairs(other.0))) }
        }
    }

    #[inline(always)]
    fn pairs(register: __m512) -> __m512bh {
        // SAFETY: both are 512 bits, any of which are valid.
        unsafe { transmute::<__m512, __m512bh>(register) }
    }

    #[inline(always)]
    unsafe fn widen8(from: *const u16) -> __m256 {
        // SAFETY: the caller promises AVX2 and eight halves.
        unsafe {
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()))))
        }
    }

    #[inline(always)]
    unsafe fn above16(one: __m512, other: __m512) -> u32 {
        // SAFETY: the caller promises AVX-512.
        u32::from(unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(one, other) })
    }

    #[inline(always)]
    unsafe fn above8(one: __m256, other: __m256) -> u32 {
        // SAFETY: the caller promises AVX2.
        unsafe { _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(one, other)) as u32 }
    }

    #[inline(always)]
    unsafe fn sum16(all: __m512) -> f32 {
        // SAFETY: the caller promises AVX-512, which goes with AVX2.
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
