//! Access to tables below SQL, for speed: it reads rows from pages, inserts them in batches, and builds indexes. It works on
//! any table that a [`table::Table`] describes, and knows no table's name.

#![allow(unsafe_code)] // calls PostgreSQL's C code

pub mod btree;
pub mod bulk;
mod column_offset;
mod heap_pages;
pub mod indexes;
pub mod lookup;
pub mod scan;
pub mod table;
