//! Memory for many values. A failed allocation is an error, not an abort, and the layout suits the processor.

#![allow(unsafe_code)] // advice to the operating system

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::AtomicBool;

use bytemuck::{Pod, Zeroable, must_cast_slice, must_cast_slice_mut, try_zeroed_vec};
use ndarray::Array2;
use rayon::prelude::*;

use crate::error::{Error, check};

/// A vector of `len` zeros, or [`Error::OutOfMemory`] instead of an abort.
///
/// The operating system gives the pages of a long vector when they are first written to. All threads then share that work,
/// and nobody waits for gigabytes of zeros beforehand.
pub(crate) fn try_vec<T: Zeroable>(len: usize) -> Result<Vec<T>, Error> {
    let bytes = len.saturating_mul(size_of::<T>());
    let mut zeros: Vec<T> = try_zeroed_vec(len).map_err(|()| Error::OutOfMemory { bytes })?;
    advise_huge_pages(zeros.as_mut_ptr().cast(), bytes);
    Ok(zeros)
}

/// A matrix of zeros in standard order (row by row), or [`Error::OutOfMemory`].
pub(crate) fn zeros<T: Zeroable>((rows, columns): (usize, usize)) -> Result<Array2<T>, Error> {
    let len = rows.saturating_mul(columns);
    // The shape can only be refused where rows · columns overflows.
    let failed = |_| Error::OutOfMemory { bytes: len.saturating_mul(size_of::<T>()) };
    Array2::from_shape_vec((rows, columns), try_vec(len)?).map_err(failed)
}

/// An empty vector with capacity for `len` values, or [`Error::OutOfMemory`]. As with [`try_vec`], the operating system gives
/// the pages when they are first written to.
pub(crate) fn try_with_capacity<T>(len: usize) -> Result<Vec<T>, Error> {
    let mut vec = Vec::<T>::new();
    let bytes = len.saturating_mul(size_of::<T>());
    vec.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { bytes })?;
    advise_huge_pages(vec.as_mut_ptr().cast(), bytes);
    Ok(vec)
}

/// The first `len` places of the capacity that [`try_with_capacity`] has reserved.
pub(crate) fn spare_capacity<T>(vec: &mut Vec<T>, len: usize) -> &mut [MaybeUninit<T>] {
    &mut vec.spare_capacity_mut()[..len]
}

/// Writes to each page of `places`, on all threads, so that the operating system gives all pages now.
///
/// Threads that write to places in random order would otherwise wait for pages all over the memory before their first rows
/// are done. A cancel would not be noticed until then.
pub(crate) fn prefault<T: Zeroable + Send>(
    places: &mut [MaybeUninit<T>],
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    const PAGE: usize = 4096;
    places.par_chunks_mut(HUGE_PAGE / size_of::<T>()).try_for_each(|chunk| {
        check(cancelled)?;
        chunk.iter_mut().step_by(PAGE / size_of::<T>()).for_each(|place| {
            place.write(T::zeroed());
        });
        Ok(())
    })
}

/// Bytes of a huge page on x86-64 Linux.
const HUGE_PAGE: usize = 2 << 20;

/// Asks the operating system for pages of 2 MB instead of 4 KB. Rows of a large matrix are read in random order, and the
/// processor caches the addresses of a few thousand pages only.
fn advise_huge_pages(start: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    if bytes >= 2 * HUGE_PAGE {
        let skipped = start.align_offset(HUGE_PAGE);
        let whole = bytes.saturating_sub(skipped) / HUGE_PAGE * HUGE_PAGE;
        // SAFETY: these are whole pages of memory that we own. The advice changes no content.
        unsafe { libc::madvise(start.wrapping_add(skipped).cast(), whole, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct CacheLine([u32; 16]);

/// A vector that begins at the beginning of a cache line and ends at the end of one: a register that is loaded from it at a
/// multiple of the register's length never crosses two lines.
pub(crate) struct Aligned<T> {
    lines: Vec<CacheLine>,
    values: PhantomData<T>,
}

impl<T: Pod> Aligned<T> {
    /// Values in a cache line.
    pub const LINE: usize = size_of::<CacheLine>() / size_of::<T>();

    /// `len` zeros, rounded up to whole cache lines, or [`Error::OutOfMemory`].
    pub fn zeros(len: usize) -> Result<Aligned<T>, Error> {
        Ok(Aligned { lines: try_vec(len.div_ceil(Self::LINE))?, values: PhantomData })
    }
}

impl<T: Pod> Deref for Aligned<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        must_cast_slice(&self.lines)
    }
}

impl<T: Pod> DerefMut for Aligned<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        must_cast_slice_mut(&mut self.lines)
    }
}
