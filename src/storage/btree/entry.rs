//! The index entries that are sorted: a key and its row's tuple id (TID).

/// The quick build is not possible: the keys are too far apart, the rows need too much memory, or two rows have the same key.
#[derive(Debug, PartialEq)]
pub struct Unfit;

/// An index entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// The key as an unsigned integer with the same order.
    pub key: u64,
    /// The row's block, and its offset number there (its line pointer, from 1).
    pub block: u32,
    pub offset: u16,
}

/// How the integer of a key is made of the columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Parts {
    /// One column.
    One,
    /// Two columns of 32 bits each: the first one in the upper half.
    Two,
}
