//! Which rows a query or a scan sees.

/// A snapshot of the database.
#[derive(Clone, Copy, Debug)]
pub enum Snapshot {
    /// The calling statement's: for a function that is declared stable.
    Statement,
    /// The one that the next statement of the transaction would have: a new one in a READ COMMITTED transaction.
    Transaction,
    /// A new one, whatever the isolation level: it sees what another transaction committed while this one waited for a lock.
    Latest,
}
