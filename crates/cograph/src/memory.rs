//! Allocations that can fail, and the cancel flag.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::error::Error;

/// A vector with room for so many elements. [`Error::OutOfMemory`] if the system refuses the memory.
pub(crate) fn try_with_capacity<T>(capacity: usize) -> Result<Vec<T>, Error> {
    let mut vec = Vec::new();
    let failed = |_| Error::OutOfMemory { bytes: capacity.saturating_mul(size_of::<T>()) };
    vec.try_reserve_exact(capacity).map_err(failed)?;
    Ok(vec)
}

/// A vector of so many default elements.
pub(crate) fn try_vec<T: Clone + Default>(length: usize) -> Result<Vec<T>, Error> {
    let mut vec = try_with_capacity(length)?;
    vec.resize(length, T::default());
    Ok(vec)
}

/// A copy of a slice.
pub(crate) fn try_clone<T: Copy>(slice: &[T]) -> Result<Vec<T>, Error> {
    let mut vec = try_with_capacity(slice.len())?;
    vec.extend_from_slice(slice);
    Ok(vec)
}

/// A vector of the elements of an iterator that knows their number.
pub(crate) fn try_collect<T>(elements: impl ExactSizeIterator<Item = T>) -> Result<Vec<T>, Error> {
    let mut vec = try_with_capacity(elements.len())?;
    vec.extend(elements);
    Ok(vec)
}

/// Fills a vector of so many elements in parallel with what `of` returns for each index, or returns the first error.
pub(crate) fn try_parallel<T: Clone + Default + Send, S>(
    length: usize,
    init: impl Fn() -> S + Send + Sync,
    of: impl Fn(&mut S, usize) -> Result<T, Error> + Send + Sync,
) -> Result<Vec<T>, Error> {
    let mut vec: Vec<T> = try_vec(length)?;
    vec.par_iter_mut().enumerate().try_for_each_init(init, |state, (at, to)| {
        *to = of(state, at)?;
        Ok::<_, Error>(())
    })?;
    Ok(vec)
}

/// Steps between two looks at the cancel flag.
const STEPS_PER_CHECK: usize = 256;

/// [`Error::Cancelled`] if the flag is set. It is looked at in some steps only.
#[inline]
pub(crate) fn check(cancelled: &AtomicBool, step: usize) -> Result<(), Error> {
    match step.is_multiple_of(STEPS_PER_CHECK) && cancelled.load(Ordering::Relaxed) {
        true => Err(Error::Cancelled),
        false => Ok(()),
    }
}
