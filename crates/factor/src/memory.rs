//! Room for many numbers: asked for, not taken for granted, and laid out as processors like it.

#![allow(unsafe_code)] // numbers of other types than the lines are made of, and advice to the system

use std::alloc::{Layout, alloc_zeroed};
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::AtomicBool;

use ndarray::Array2;
use rayon::prelude::*;

use crate::error::{Error, check};

/// A type whose zero (of all its numbers) is zero bits.
///
/// # Safety
///
/// It must be so.
pub(crate) unsafe trait Zero: Copy {}
// SAFETY: integers, and floats as IEEE 754 has them.
unsafe impl Zero for u8 {}
// SAFETY: as above.
unsafe impl Zero for u32 {}
// SAFETY: as above.
unsafe impl Zero for u64 {}
// SAFETY: as above.
unsafe impl Zero for usize {}
// SAFETY: as above.
unsafe impl Zero for f32 {}
// SAFETY: as above.
unsafe impl Zero for f64 {}

/// A vector of this many zeros, or [`Error::OutOfMemory`] instead of an abort. Of many, the system gives them as they are
/// first touched: to all threads at the same time, and nobody waits for gigabytes of zeros before the work begins.
pub(crate) fn try_vec<T: Zero>(len: usize) -> Result<Vec<T>, Error> {
    let bytes = len.saturating_mul(size_of::<T>());
    let layout = Layout::array::<T>(len).map_err(|_| Error::OutOfMemory { bytes })?;
    if bytes == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the layout is not empty.
    let start = unsafe { alloc_zeroed(layout) };
    if start.is_null() {
        return Err(Error::OutOfMemory { bytes });
    }
    advise_huge_pages(start, bytes);
    // SAFETY: from the allocator that vectors are from, by the layout of just so many, each of which zero bits are.
    Ok(unsafe { Vec::from_raw_parts(start.cast(), len, len) })
}

/// A matrix of zeros, or [`Error::OutOfMemory`].
pub(crate) fn zeros<T: Zero>((rows, columns): (usize, usize)) -> Result<Array2<T>, Error> {
    let len = rows.saturating_mul(columns);
    // A matrix of more numbers than there are addresses is all that could fail.
    let failed = |_| Error::OutOfMemory { bytes: len.saturating_mul(size_of::<T>()) };
    Array2::from_shape_vec((rows, columns), try_vec(len)?).map_err(failed)
}

/// An empty vector with room for this many, which the system has not given yet: it does when they are written to, to all
/// threads at the same time.
pub(crate) fn try_room<T>(len: usize) -> Result<Vec<T>, Error> {
    let mut vec = Vec::<T>::new();
    let bytes = len.saturating_mul(size_of::<T>());
    vec.try_reserve_exact(len).map_err(|_| Error::OutOfMemory { bytes })?;
    advise_huge_pages(vec.as_mut_ptr().cast(), bytes);
    Ok(vec)
}

/// The room that [`try_room`] made for this many.
pub(crate) fn room<T>(vec: &mut Vec<T>, len: usize) -> &mut [MaybeUninit<T>] {
    &mut vec.spare_capacity_mut()[..len]
}

/// Has the system give all of the room, on all threads. Where rows are written to in no order, it would stop for pages all over
/// the room before the first few rows are done, and nobody could cancel that.
pub(crate) fn touch<T: Zero + Default + Send>(
    room: &mut [MaybeUninit<T>],
    cancelled: &AtomicBool,
) -> Result<(), Error> {
    const PAGE: usize = 4096;
    room.par_chunks_mut(HUGE / size_of::<T>()).try_for_each(|chunk| {
        check(cancelled)?;
        chunk.iter_mut().step_by(PAGE / size_of::<T>()).for_each(|place| {
            place.write(T::default());
        });
        Ok(())
    })
}

const HUGE: usize = 2 << 20;

/// Asks for pages of 2 MB where there are many of 4 KB: rows of a large matrix are gone to in no order, and the processor
/// knows the places of a few thousand pages only.
fn advise_huge_pages(start: *mut u8, bytes: usize) {
    #[cfg(target_os = "linux")]
    if bytes >= 2 * HUGE {
        let skipped = start.align_offset(HUGE);
        let whole = bytes.saturating_sub(skipped) / HUGE * HUGE;
        // SAFETY: whole pages of memory that is ours. Advice that is not taken changes nothing.
        unsafe { libc::madvise(start.wrapping_add(skipped).cast(), whole, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}

#[derive(Clone, Copy, Default)]
#[repr(C, align(64))]
struct CacheLine([u32; 16]);

/// A type of which any bits are a value.
///
/// # Safety
///
/// It must be so, and a line must hold a whole number of them.
pub(crate) unsafe trait Plain: Copy {}
// SAFETY: any four, or two, bytes are one.
unsafe impl Plain for f32 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}

// SAFETY: sixteen zeros.
unsafe impl Zero for CacheLine {}

/// As many numbers as it was made for, and some more up to a whole line. They begin where a cache line does: registers that
/// are loaded from them never cross one.
pub(crate) struct Aligned<T> {
    lines: Vec<CacheLine>,
    of: std::marker::PhantomData<T>,
}

impl<T: Plain> Aligned<T> {
    /// Numbers in a line.
    pub const LINE: usize = size_of::<CacheLine>() / size_of::<T>();

    /// At least as many zeros.
    pub fn zeros(len: usize) -> Result<Aligned<T>, Error> {
        Ok(Aligned { lines: try_vec(len.div_ceil(Self::LINE))?, of: std::marker::PhantomData })
    }
}

impl<T: Plain> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: the lines hold as many numbers, and any bits are one.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * Self::LINE) }
    }
}

impl<T: Plain> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above.
        unsafe {
            std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * Self::LINE)
        }
    }
}
