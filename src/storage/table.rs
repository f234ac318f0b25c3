//! A table as the extension defines it, and what somebody has changed about it since: with the statement that undoes the
//! change. Rows are read and written by the places of their columns, so each access begins with these checks.

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
    /// Whether a row may have NULL in it.
    pub is_optional: bool,
}

/// A column that is NOT NULL.
pub const fn required(name: &'static str, type_oid: BuiltinOid) -> Column {
    Column { name, type_oid, is_optional: false }
}

/// A column that may be NULL.
pub const fn optional(name: &'static str, type_oid: BuiltinOid) -> Column {
    Column { name, type_oid, is_optional: true }
}

/// A table as CREATE EXTENSION makes it, in the extension's schema.
#[derive(Debug)]
pub struct Table {
    pub name: &'static str,
    /// In the order of the table's definition.
    pub columns: &'static [Column],
}

impl Table {
    /// Opens the table, if the role has these privileges on it.
    ///
    /// Errors: any relation but an ordinary heap table, because its rows are stored elsewhere; a table that has child tables,
    /// because SQL reads their rows as well; a partition, because nobody would check its bounds.
    pub fn open(&self, privileges: &[Privilege], lock: pg_sys::LOCKMODE) -> Result<OpenTable, Error> {
        let table = self.name;
        let oid = catalog::require(table, privileges)?;
        // SAFETY: an existing relation; its catalog row lives as long as it is open.
        unsafe {
            let open = OpenTable { relation: pg_sys::table_open(oid, lock) };
            let class = (*open.relation).rd_rel;
            if (*class).relkind as u8 != pg_sys::RELKIND_RELATION {
                return Err(Error::NotATable { table });
            }
            if (*class).relam != pg_sys::HEAP_TABLE_AM_OID {
                return Err(Error::NotHeap { table, undo: self.make_heap() });
            }
            if (*class).relispartition {
                let parent = relative("SELECT inhparent FROM pg_catalog.pg_inherits WHERE inhrelid", oid)?;
                let parent = parent.unwrap_or_default();
                let undo = format!("ALTER TABLE {parent} DETACH PARTITION {};", self.qualified());
                return Err(Error::Partition { table, parent, undo });
            }
            // PostgreSQL does not reset the flag when the last child is gone.
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

    /// Checks that the role has these privileges, and that all columns are as they were made.
    pub fn require(&self, privileges: &[Privilege]) -> Result<(), Error> {
        let open = self.open(privileges, pg_sys::AccessShareLock as pg_sys::LOCKMODE)?;
        self.check(&open.columns(), self.columns.len())
    }

    /// Checks that the first `count` columns have the names, types and places that they were made with, and are NOT NULL where
    /// they were; [`Error::Altered`] otherwise.
    pub fn check(&self, found: &[TableColumn], count: usize) -> Result<(), Error> {
        for (place, made) in self.columns.iter().enumerate().take(count) {
            let name = made.name;
            let altered = |undo| Err(Error::Altered { table: self.name, column: name.into(), undo });
            let change = |action: String| altered(format!("{} {action};", self.alter()));
            let Some(found_here) = found.get(place) else {
                let null = if made.is_optional { "" } else { " NOT NULL" };
                return change(format!("ADD COLUMN {name} {}{null}", type_name(made)));
            };
            if found_here.is_dropped {
                let why =
                    "ALTER TABLE cannot put a column back in its place: restore the table from a backup.";
                return altered(why.into());
            }
            if found_here.name != name {
                return altered(self.rename_columns(found));
            }
            if found_here.type_oid != made.type_oid.value() {
                return change(format!("ALTER COLUMN {name} TYPE {}", type_name(made)));
            }
            // Rows are written without SQL's checks: a NULL in a column that must not be NULL would be read as something else.
            match (found_here.not_null, made.is_optional) {
                (true, true) => return change(format!("ALTER COLUMN {name} DROP NOT NULL")),
                (false, false) => return change(format!("ALTER COLUMN {name} SET NOT NULL")),
                _ => {}
            }
        }
        Ok(())
    }

    /// Checks that a row can have NULL in all columns that somebody added, because rows are written without SQL's defaults,
    /// generated values and constraints; [`Error::Altered`] otherwise.
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

    /// The statements that give all columns their names back. Where two columns have swapped names, a third name comes between.
    fn rename_columns(&self, found: &[TableColumn]) -> String {
        let mut names = found.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        let mut statements = Vec::new();
        let mut apply = |names: &mut Vec<String>, place: usize, to: String| {
            let quoted = [&names[place], &to].map(pgrx::spi::quote_identifier);
            statements.push(format!("{} RENAME COLUMN {} TO {};", self.alter(), quoted[0], quoted[1]));
            names[place] = to;
        };
        let columns = self.columns;
        while let Some(wrong) = (0..columns.len().min(names.len())).find(|&n| names[n] != columns[n].name) {
            let wanted = columns[wrong].name;
            if let Some(holder) = names.iter().position(|name| name == wanted) {
                let mut other = format!("{wanted}_");
                while names.contains(&other) {
                    other.push('_');
                }
                apply(&mut names, holder, other);
            }
            apply(&mut names, wrong, wanted.into());
        }
        statements.join(" ")
    }

    /// What to do about a table of another access method. (PostgreSQL 14 cannot change it.)
    fn make_heap(&self) -> String {
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

/// A table that is open and locked. Dropping it closes it; the lock stays until the transaction ends.
pub struct OpenTable {
    pub relation: pg_sys::Relation,
}

/// A column of a table, as the catalog describes it.
pub struct TableColumn {
    pub name: String,
    pub type_oid: pg_sys::Oid,
    /// In bytes; negative where it varies.
    pub width: i16,
    pub align: u8,
    pub not_null: bool,
    pub has_default: bool,
    pub is_generated: bool,
    pub is_identity: bool,
    /// Whether rows that are older than the column do not hold it.
    pub may_be_missing: bool,
    pub is_dropped: bool,
}

impl OpenTable {
    /// The columns in order, dropped ones included.
    pub fn columns(&self) -> Vec<TableColumn> {
        // SAFETY: it is open.
        unsafe { columns(self.relation) }
    }
}

/// The name of a table that inherits from another, or that another inherits from.
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

/// The columns of a table in order, dropped ones included.
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
        // While an error unwinds, the transaction's resource owner closes it.
        if !std::thread::panicking() {
            // SAFETY: it has been open since `Table::open`.
            unsafe { pg_sys::table_close(self.relation, pg_sys::NoLock as pg_sys::LOCKMODE) };
        }
    }
}

/// Whether values of a type are checked, or are something else than NULL where none is given.
fn is_constrained_domain(type_oid: pg_sys::Oid) -> bool {
    // SAFETY: look-ups in the catalog for the type of a column that is there.
    unsafe {
        pg_sys::get_typtype(type_oid) as u8 == pg_sys::TYPTYPE_DOMAIN
            && (pg_sys::DomainHasConstraints(type_oid) || !pg_sys::get_typdefault(type_oid).is_null())
    }
}

fn type_name(column: &Column) -> String {
    // SAFETY: a type of PostgreSQL's own; what comes back is a C string in the current memory context.
    unsafe {
        let name = pg_sys::format_type_be(column.type_oid.value());
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}
