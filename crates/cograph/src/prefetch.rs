//! Prefetching: a hint to the processor, which changes no result.

#![allow(unsafe_code)] // the instruction

/// Asks the processor to bring elements of a slice into its cache: those of up to `LINES` cache lines from an index on.
#[inline(always)]
pub(crate) fn prefetch<T, const LINES: usize>(slice: &[T], from: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        const LINE: usize = 64;
        let first = slice.as_ptr().wrapping_add(from).cast::<i8>();
        for line in 0..LINES {
            // SAFETY: every x86-64 processor has the instruction. It reads no memory, and any address may be given.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(first.wrapping_add(line * LINE)) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (slice, from);
}
