//! A table as CREATE EXTENSION makes it, and checks that it still is so. Rows are read and written by the positions of their
//! columns, so each access begins with these checks. Their errors give the statement that undoes a change.

use std::ffi::CStr;

use pgrx::pg_sys::{self, BuiltinOid};
use pgrx::{PgTupleDesc, Spi};

use crate::pg::Error;
use crate::pg::catalog::{self, Privilege};

/// A column as CREATE EXTENSION makes it.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub type_oid: BuiltinOid,
    pub is_nullable: bool,
}

/// A column that is NOT NULL.
pub const fn required(name: &'static str, type_oid: BuiltinOid) -> Column {
    Column { name, type_oid, is_nullable: false }
}

/// A column that may be NULL.
pub const fn optional(name: &'static str, type_oid: BuiltinOid) -> Column {
    Column { name, type_oid, is_nullable: true }
}

/// A table as CREATE EXTENSION makes it, in the extension's schema.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// The columns in the order of the table's definition.
    pub columns: &'static [Column],
}

impl Table {
    /// Opens and locks the table, if the role has these privileges on it.
    ///
    /// It is an error if the relation is not an ordinary heap table, because its rows are stored elsewhere; if it has child
    /// tables, because SQL also reads their rows; or if it is a partition, because nobody would check its bounds.
    pub fn open(&self, privileges: &[Privilege], lock: pg_sys::LOCKMODE) -> Result<OpenTable, Error> {
        let table = self.name;
        let oid = catalog::require(table, privileges)?;
        // SAFETY: an existing relation; its catalog row is valid while it is open.
        unsafe {
            let open = OpenTable { relation: pg_sys::table_open(oid, lock) };
            let class = (*open.relation).rd_rel;
            if (*class).relkind as u8 != pg_sys::RELKIND_RELATION {
                return Err(Error::NotATable { table });
            }
            if (*class).relam != pg_sys::HEAP_TABLE_AM_OID {
                return Err(Error::NotHeap { table, undo: self.undo_access_method() });
            }
            if (*class).relispartition {
                let parent = relative("SELECT inhparent FROM pg_catalog.pg_inherits WHERE inhrelid", oid)?;
                let parent = parent.unwrap_or_default();
                let undo = format!("ALTER TABLE {parent} DETACH PARTITION {};", self.qualified());
                return Err(Error::Partition { table, parent, undo });
            }
            // PostgreSQL does not reset this flag when the last child is dropped.
            if (*class).relhassubclass
                && let Some(child) =
                    relative("SELECT inhrelid FROM pg_catalog.pg_inherits WHERE inhparent", oid)?
            {
                let undo = format!("ALTER TABLE {child} NO INHERIT {};", self.qualified());
                return Err(Error::Child { table, child, undo });
            }
            Ok(open)
        }
    }

    /// Checks that the role has these privileges, and that nobody has changed the columns.
    pub fn require(&self, privileges: &[Privilege]) -> Result<(), Error> {
        let open = self.open(privileges, pg_sys::AccessShareLock as pg_sys::LOCKMODE)?;
        self.check(&open.columns(), self.columns.len())
    }

    /// Checks that the first `count` columns have the names, types and positions that CREATE EXTENSION gave them, and are NOT
    /// NULL if they were; [`Error::Altered`] otherwise. `found` are the table's columns.
    pub fn check(&self, found: &[TableColumn], count: usize) -> Result<(), Error> {
        for (index, original) in self.columns.iter().enumerate().take(count) {
            let name = original.name;
            let altered = |undo| Err(Error::Altered { table: self.name, column: name.into(), undo });
            let change = |action: String| altered(format!("{} {action};", self.alter()));
            let Some(column) = found.get(index) else {
                let null = if original.is_nullable { "" } else { " NOT NULL" };
                return change(format!("ADD COLUMN {name} {}{null}", type_name(original)));
            };
            if column.is_dropped {
                let why =
                    "ALTER TABLE cannot put a column back in its place: restore the table from a backup.";
                return altered(why.into());
            }
            if column.name != name {
                return altered(self.rename_columns(found));
            }
            if column.type_oid != original.type_oid.value() {
                return change(format!("ALTER COLUMN {name} TYPE {}", type_name(original)));
            }
            // Direct reads and writes do not check for NULL, so the column must be NOT NULL exactly if it was.
            match (column.not_null, original.is_nullable) {
                (true, true) => return change(format!("ALTER COLUMN {name} DROP NOT NULL")),
                (false, false) => return change(format!("ALTER COLUMN {name} SET NOT NULL")),
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks that a row can have NULL in all columns that somebody has added; [`Error::Altered`] otherwise. Rows are written
    /// with NULL in these columns, without the defaults, generated values and constraints of SQL.
    pub fn check_added(&self, found: &[TableColumn]) -> Result<(), Error> {
        for added in found.iter().skip(self.columns.len()).filter(|column| !column.is_dropped) {
            let name = pgrx::spi::quote_identifier(&added.name);
            let mut actions = Vec::new();
            if added.is_generated || is_constrained_domain(added.type_oid) {
                actions.push(format!("DROP COLUMN {name}"));
            } else {
                if added.is_identity {
                    actions.push(format!("ALTER COLUMN {name} DROP IDENTITY"));
                } else if added.has_default {
                    actions.push(format!("ALTER COLUMN {name} DROP DEFAULT"));
                }
                if added.not_null {
                    actions.push(format!("ALTER COLUMN {name} DROP NOT NULL"));
                }
            }
            if !actions.is_empty() {
                let undo = format!("{} {};", self.alter(), actions.join(", "));
                return Err(Error::Altered { table: self.name, column: added.name.clone(), undo });
            }
        }
        Ok(())
    }

    /// The statements that restore the names of all columns. If another column has a wanted name, it first gets a third name.
    fn rename_columns(&self, found: &[TableColumn]) -> String {
        let mut names = found.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        let mut statements = Vec::new();
        let mut rename = |names: &mut Vec<String>, index: usize, to: String| {
            let quoted = [&names[index], &to].map(pgrx::spi::quote_identifier);
            statements.push(format!("{} RENAME COLUMN {} TO {};", self.alter(), quoted[0], quoted[1]));
            names[index] = to;
        };
        let columns = self.columns;
        while let Some(wrong) = (0..columns.len().min(names.len())).find(|&n| names[n] != columns[n].name) {
            let wanted = columns[wrong].name;
            if let Some(holder) = names.iter().position(|name| name == wanted) {
                let mut other = format!("{wanted}_");
                while names.contains(&other) {
                    other.push('_');
                }
                rename(&mut names, holder, other);
            }
            rename(&mut names, wrong, wanted.into());
        }
        statements.join(" ")
    }

    /// The hint for a table with another access method than heap. (PostgreSQL 14 has no statement that changes it.)
    fn undo_access_method(&self) -> String {
        match cfg!(feature = "pg14") {
            true => format!(
                "Make {} a heap table again: restore it where default_table_access_method is heap.",
                self.name
            ),
            false => format!("{} SET ACCESS METHOD heap;", self.alter()),
        }
    }

    /// `ALTER TABLE` and the table's qualified name.
    pub fn alter(&self) -> String {
        format!("ALTER TABLE {}", self.qualified())
    }

    /// The table's name with its schema.
    fn qualified(&self) -> String {
        match catalog::schema() {
            Ok(schema) => format!("{}.{}", schema.quoted, self.name),
            Err(_) => self.name.into(),
        }
    }
}

/// A table that is open and locked. Dropping this value closes it; the lock stays until the transaction ends.
pub struct OpenTable {
    pub relation: pg_sys::Relation,
}

/// A column of an existing table, as the catalog describes it.
pub struct TableColumn {
    pub name: String,
    pub type_oid: pg_sys::Oid,
    /// Bytes of a value; negative if the width varies.
    pub width: i16,
    /// `typalign`: `c`, `s`, `i` or `d`.
    pub align: u8,
    pub not_null: bool,
    pub has_default: bool,
    pub is_generated: bool,
    pub is_identity: bool,
    /// Whether rows that are older than the column do not store a value of it (`atthasmissing`).
    pub may_be_missing: bool,
    pub is_dropped: bool,
}

impl OpenTable {
    /// The columns in order, including dropped ones.
    pub fn columns(&self) -> Vec<TableColumn> {
        // SAFETY: the table is open.
        unsafe { columns(self.relation) }
    }
}

/// The qualified name of a table's parent or child. `query` selects its oid from pg_inherits.
fn relative(query: &str, table: pg_sys::Oid) -> Result<Option<String>, Error> {
    let query = format!(
        "SELECT pg_catalog.format('%I.%I', nspname, relname)
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
         WHERE c.oid OPERATOR(pg_catalog.=) ANY (ARRAY({query} OPERATOR(pg_catalog.=) $1)) ORDER BY 1 LIMIT 1"
    );
    Spi::connect(|client| {
        let rows = client.select(query.as_str(), Some(1), &[table.into()])?;
        Ok(if rows.is_empty() { None } else { rows.first().get_one::<String>()? })
    })
}

/// The columns of a table in order, including dropped ones.
///
/// # Safety
///
/// An open relation.
pub unsafe fn columns(relation: pg_sys::Relation) -> Vec<TableColumn> {
    // SAFETY: the descriptor belongs to the open relation.
    let descriptor = unsafe { PgTupleDesc::from_pg_unchecked((*relation).rd_att) };
    let column = |attribute: &pg_sys::FormData_pg_attribute| TableColumn {
        name: attribute.name().to_owned(),
        type_oid: attribute.atttypid,
        width: attribute.attlen,
        align: attribute.attalign as u8,
        not_null: attribute.attnotnull,
        has_default: attribute.atthasdef,
        is_generated: attribute.attgenerated != 0,
        is_identity: attribute.attidentity != 0,
        may_be_missing: attribute.atthasmissing,
        is_dropped: attribute.attisdropped,
    };
    descriptor.iter().map(column).collect()
}

impl Drop for OpenTable {
    fn drop(&mut self) {
        // After an error, the transaction's resource owner closes the table.
        if !std::thread::panicking() {
            // SAFETY: the table has been open since `Table::open`.
            unsafe { pg_sys::table_close(self.relation, pg_sys::NoLock as pg_sys::LOCKMODE) };
        }
    }
}

/// Whether a type is a domain with constraints or with a default.
fn is_constrained_domain(type_oid: pg_sys::Oid) -> bool {
    // SAFETY: catalog look-ups for the type of an existing column.
    unsafe {
        pg_sys::get_typtype(type_oid) as u8 == pg_sys::TYPTYPE_DOMAIN
            && (pg_sys::DomainHasConstraints(type_oid) || !pg_sys::get_typdefault(type_oid).is_null())
    }
}

fn type_name(column: &Column) -> String {
    // SAFETY: a built-in type; the result is a C string in the current memory context.
    unsafe {
        let name = pg_sys::format_type_be(column.type_oid.value());
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}
