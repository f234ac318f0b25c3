//! What goes below SQL for speed: rows read from pages, written in batches, and sorted into indexes. It works on any table that
//! [`table::Table`] describes, and names none.

#![allow(unsafe_code)] // talks to the server's C code

pub mod btree;
pub mod bulk;
pub mod indexes;
pub mod lookup;
pub mod scan;
pub mod table;
