//! All customers by key, for functions that rank customers.

use crate::pg::{Error, memory};
use crate::warehouse::dimension::{Dimension, Id, Key};

/// Key and id of all customers, by key. Checks that there is memory for them, and for a score of each.
pub fn customers() -> Result<Vec<(Key, Id)>, Error> {
    let bytes = size_of::<(Key, Id)>() + size_of::<(f32, Id, Key)>();
    memory::declare("ranking customers", Dimension::Customer.rows()? * bytes)?;
    Dimension::Customer.members()
}

/// The id of a key.
pub fn id_of(customers: &[(Key, Id)], key: Key) -> Option<Id> {
    customers.binary_search_by_key(&key, |&(key, _)| key).ok().map(|at| customers[at].1)
}
