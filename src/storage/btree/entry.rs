//! What sorting takes and gives: a key beside the place of its row.

/// The rows do not suit this method: keys too far apart, too many rows for the memory, or two rows of one key.
#[derive(Debug, PartialEq)]
pub struct Unfit;

/// An index entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// The key as an unsigned number that sorts as the key does.
    pub key: u64,
    /// The row's block, and its line pointer in that block.
    pub block: u32,
    pub offset: u16,
}

/// How the key's number is made of the columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Parts {
    /// One column.
    One,
    /// Two columns of 32 bits each.
    Two,
}
