//! Memory limits and fallible allocation. A long call checks how much memory it needs before it starts. If the system refuses
//! memory, these functions return [`Error::OutOfMemory`], whereas `Vec`'s own methods abort the process.

use super::{Error, guc};

/// Checks that the bytes that a long call needs do not exceed `netflix_rec.max_memory`; [`Error::MemoryLimit`] otherwise.
/// `what` is the subject of the error's message.
pub fn declare(what: &'static str, needed: usize) -> Result<(), Error> {
    pgrx::debug1!("{what} needs about {} MB of memory", needed >> 20);
    recheck(what, needed)
}

/// The same check without a debug message, for a call that finds while it runs that it needs more.
pub fn recheck(what: &'static str, needed: usize) -> Result<(), Error> {
    let limit = guc::max_memory();
    if needed > limit { Err(Error::MemoryLimit { what, needed, limit }) } else { Ok(()) }
}

/// Appends an element to a list.
#[inline]
pub fn push<T>(list: &mut Vec<T>, element: T) -> Result<(), Error> {
    if list.len() == list.capacity() {
        list.try_reserve(1)?;
    }
    list.push(element);
    Ok(())
}

/// Appends copies of all elements of a slice to a list.
pub fn extend<T: Copy>(list: &mut Vec<T>, elements: &[T]) -> Result<(), Error> {
    list.try_reserve(elements.len())?;
    list.extend_from_slice(elements);
    Ok(())
}

/// A list of all items of an iterator.
pub fn collect<T>(elements: impl IntoIterator<Item = T>) -> Result<Vec<T>, Error> {
    try_collect(elements.into_iter().map(Ok))
}

/// A list of all items of an iterator, or the first error among them.
pub fn try_collect<T, E: From<Error>>(elements: impl IntoIterator<Item = Result<T, E>>) -> Result<Vec<T>, E> {
    let elements = elements.into_iter();
    let mut list = Vec::new();
    list.try_reserve_exact(elements.size_hint().0).map_err(Error::from)?;
    for element in elements {
        push(&mut list, element?)?;
    }
    Ok(list)
}

/// A list of `count` copies of an element.
pub fn filled<T: Clone>(element: T, count: usize) -> Result<Vec<T>, Error> {
    let mut list = Vec::new();
    list.try_reserve_exact(count)?;
    list.resize(count, element);
    Ok(list)
}

/// Checks that the system grants so many bytes, and returns them at once. For a library that allocates infallibly, right before it does:
/// nothing else in this process takes them meanwhile.
pub fn check_available(bytes: usize) -> Result<(), Error> {
    let mut block: Vec<u8> = Vec::new();
    block.try_reserve_exact(bytes)?;
    // The optimizer must not remove an allocation that is not used.
    std::hint::black_box(&block);
    Ok(())
}

impl From<std::collections::TryReserveError> for Error {
    fn from(_: std::collections::TryReserveError) -> Error {
        Error::OutOfMemory
    }
}
