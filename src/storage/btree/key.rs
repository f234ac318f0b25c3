//! The key of an index that can be built quickly, and how it is read from a row.

use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid;

use super::pages::{Columns, PAGE};
use crate::storage::{scan, table};

/// Where the key stands in a row.
#[derive(Clone, Copy)]
pub struct Key {
    pub columns: Columns,
    /// From the row's first byte.
    pub offsets: [usize; 2],
    /// How many columns a row must hold for that to be true.
    pub last: usize,
}

impl Key {
    /// The key of such an index, if it is one.
    ///
    /// # Safety
    ///
    /// An open table, its open B-tree index, and the index's description.
    pub unsafe fn find(
        heap: pg_sys::Relation,
        index: pg_sys::Relation,
        info: *const pg_sys::IndexInfo,
    ) -> Option<Key> {
        // SAFETY: as the caller promises; the arrays have an element for each column of the index.
        unsafe {
            let class = (*heap).rd_rel;
            let is_plain = (*class).relkind as u8 == pg_sys::RELKIND_RELATION
                && (*class).relam == pg_sys::HEAP_TABLE_AM_OID
                && (*class).relpersistence as u8 == pg_sys::RELPERSISTENCE_PERMANENT
                && (*info).ii_Unique
                && !(*info).ii_Concurrent
                && (*info).ii_Expressions.is_null()
                && (*info).ii_Predicate.is_null()
                && (*info).ii_ExclusionOps.is_null()
                && (*info).ii_NumIndexAttrs == (*info).ii_NumIndexKeyAttrs
                && pg_sys::RelationGetNumberOfBlocksInFork(index, pg_sys::ForkNumber::MAIN_FORKNUM) == 0
                && pg_sys::BLCKSZ as usize == PAGE;
            let count = (*info).ii_NumIndexAttrs as usize;
            if !is_plain || count > 2 {
                return None;
            }
            let columns = table::columns(heap);
            let mut types = Vec::new();
            let mut offsets = [0; 2];
            let mut last = 0;
            for (at, offset) in offsets.iter_mut().enumerate().take(count) {
                let number = usize::try_from((*info).ii_IndexAttrNumbers[at]).ok()?;
                let column = columns.get(number.checked_sub(1)?)?;
                let is_default = *(*index).rd_opfamily.add(at) == pg_sys::INTEGER_BTREE_FAM_OID
                    && *(*index).rd_opcintype.add(at) == column.type_oid
                    && *(*index).rd_indoption.add(at) == 0;
                if !is_default {
                    return None;
                }
                *offset = scan::offset(&columns, number - 1)?;
                types.push(column.type_oid);
                last = last.max(number);
            }
            let int4 = BuiltinOid::INT4OID.value();
            let columns = match types[..] {
                [first, second] if first == int4 && second == int4 => Columns::TwoInt4,
                [only] if only == int4 => Columns::Int4,
                [only] if only == BuiltinOid::INT8OID.value() => Columns::Int8,
                _ => return None,
            };
            Some(Key { columns, offsets, last })
        }
    }

    /// As a number that sorts as the key does.
    ///
    /// # Safety
    ///
    /// A row that holds the key's columns, none of them null.
    pub unsafe fn of(&self, row: pg_sys::HeapTupleHeader) -> u64 {
        // SAFETY: as the caller promises.
        unsafe {
            let data = row.cast::<u8>().add((*row).t_hoff.into());
            let [first, second] = self.offsets;
            let int4 = |offset: usize| data.add(offset).cast::<i32>().read_unaligned();
            match self.columns {
                Columns::Int4 => Columns::int4(int4(first)),
                Columns::Int8 => Columns::int8(data.add(first).cast::<i64>().read_unaligned()),
                Columns::TwoInt4 => Columns::two_int4(int4(first), int4(second)),
            }
        }
    }
}
