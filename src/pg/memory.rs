//! Memory: declared before it is taken, and taken fallibly. Where the system refuses it, the lists here return
//! [`Error::OutOfMemory`], while `Vec`'s own methods abort the process.

use super::{Error, guc};

/// Declares what a long call is about to take, in bytes: refused if that is more than `netflix_rec.max_memory`. `what` is the
/// subject of the error's message.
pub fn require(what: &'static str, needed: usize) -> Result<(), Error> {
    pgrx::debug1!("{what} needs about {} MB of memory", needed >> 20);
    check(what, needed)
}

/// The same for an amount that turns out to be larger while the call runs.
pub fn check(what: &'static str, needed: usize) -> Result<(), Error> {
    let limit = guc::max_memory();
    if needed > limit { Err(Error::MemoryLimit { what, needed, limit }) } else { Ok(()) }
}

/// Adds an element.
#[inline]
pub fn push<T>(list: &mut Vec<T>, element: T) -> Result<(), Error> {
    if list.len() == list.capacity() {
        list.try_reserve(1)?;
    }
    list.push(element);
    Ok(())
}

/// Adds copies of all elements of a slice.
pub fn extend<T: Copy>(list: &mut Vec<T>, elements: &[T]) -> Result<(), Error> {
    list.try_reserve(elements.len())?;
    list.extend_from_slice(elements);
    Ok(())
}

/// A list of all that an iterator gives.
pub fn collect<T>(elements: impl IntoIterator<Item = T>) -> Result<Vec<T>, Error> {
    try_collect(elements.into_iter().map(Ok))
}

/// The same for an iterator that may give an error.
pub fn try_collect<T, E: From<Error>>(elements: impl IntoIterator<Item = Result<T, E>>) -> Result<Vec<T>, E> {
    let elements = elements.into_iter();
    let mut list = Vec::new();
    list.try_reserve_exact(elements.size_hint().0).map_err(Error::from)?;
    for element in elements {
        push(&mut list, element?)?;
    }
    Ok(list)
}

/// A list of so many equal elements.
pub fn filled<T: Clone>(element: T, count: usize) -> Result<Vec<T>, Error> {
    let mut list = Vec::new();
    list.try_reserve_exact(count)?;
    list.resize(count, element);
    Ok(list)
}

impl From<std::collections::TryReserveError> for Error {
    fn from(_: std::collections::TryReserveError) -> Error {
        Error::OutOfMemory
    }
}
