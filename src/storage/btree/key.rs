//! The key of an index, and how it is read from a tuple. Only indexes that the quick build supports have such a key.

use pgrx::pg_sys;
use pgrx::pg_sys::BuiltinOid;

use super::pages::{Columns, PAGE};
use crate::storage::{column_offset, table};

/// The columns of the key, and where they are in a tuple.
#[derive(Clone, Copy)]
pub struct Key {
    pub columns: Columns,
    /// The offset of each key column in bytes from the tuple's first column.
    pub offsets: [usize; 2],
    /// The number of columns up to the last key column. The offsets hold if all of these are stored and not NULL.
    pub columns_read: usize,
}

impl Key {
    /// The key of an index; `None` if the quick build does not support the index.
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
            let mut columns_read = 0;
            for (index_column, offset) in offsets.iter_mut().enumerate().take(count) {
                let attribute = usize::try_from((*info).ii_IndexAttrNumbers[index_column]).ok()?;
                let column = columns.get(attribute.checked_sub(1)?)?;
                let is_default = *(*index).rd_opfamily.add(index_column) == pg_sys::INTEGER_BTREE_FAM_OID
                    && *(*index).rd_opcintype.add(index_column) == column.type_oid
                    && *(*index).rd_indoption.add(index_column) == 0;
                if !is_default {
                    return None;
                }
                *offset = column_offset::offset(&columns, attribute - 1)?;
                types.push(column.type_oid);
                columns_read = columns_read.max(attribute);
            }
            let int4 = BuiltinOid::INT4OID.value();
            let columns = match types[..] {
                [first, second] if first == int4 && second == int4 => Columns::TwoInt4,
                [only] if only == int4 => Columns::Int4,
                [only] if only == BuiltinOid::INT8OID.value() => Columns::Int8,
                _ => return None,
            };
            Some(Key { columns, offsets, columns_read })
        }
    }

    /// The key of a tuple, as an unsigned integer with the same order.
    ///
    /// # Safety
    ///
    /// A tuple's header. Its first `columns_read` columns are stored and not NULL.
    pub unsafe fn of(&self, header: pg_sys::HeapTupleHeader) -> u64 {
        // SAFETY: as the caller promises.
        unsafe {
            let data = header.cast::<u8>().add((*header).t_hoff.into());
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
