//! The columns of the extension's tables as CREATE EXTENSION makes them; and what somebody changed about them, with the
//! statement that undoes it. Many are read and written by their place in a row.

use std::ffi::CStr;

use pgrx::pg_sys::{self, BuiltinOid};

use super::Error;
use super::catalog::{self, Privilege, Table, TableColumn};

/// A column as it is made.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    pub name: &'static str,
    pub type_oid: BuiltinOid,
    /// Whether a row may have NULL there.
    pub is_optional: bool,
}

impl Column {
    /// One that every row has a value for.
    pub const fn required(name: &'static str, type_oid: BuiltinOid) -> Column {
        Column { name, type_oid, is_optional: false }
    }

    /// One that some rows have no value for.
    pub const fn optional(name: &'static str, type_oid: BuiltinOid) -> Column {
        Column { name, type_oid, is_optional: true }
    }
}

pub const DIM_CUSTOMER: [Column; 6] = [
    Column::required("customer_key", BuiltinOid::INT4OID),
    Column::required("customer_id", BuiltinOid::INT4OID),
    Column::required("rating_count", BuiltinOid::INT8OID),
    Column::optional("rating_mean", BuiltinOid::FLOAT8OID),
    Column::optional("first_rated_on", BuiltinOid::DATEOID),
    Column::optional("last_rated_on", BuiltinOid::DATEOID),
];

pub const DIM_MOVIE: [Column; 8] = [
    Column::required("movie_key", BuiltinOid::INT4OID),
    Column::required("movie_id", BuiltinOid::INT4OID),
    Column::optional("title", BuiltinOid::TEXTOID),
    Column::optional("release_year", BuiltinOid::INT2OID),
    Column::required("rating_count", BuiltinOid::INT8OID),
    Column::optional("rating_mean", BuiltinOid::FLOAT8OID),
    Column::optional("first_rated_on", BuiltinOid::DATEOID),
    Column::optional("last_rated_on", BuiltinOid::DATEOID),
];

pub const FACT_RATINGS: [Column; 6] = [
    Column::required("rating_key", BuiltinOid::INT8OID),
    Column::required("customer_key", BuiltinOid::INT4OID),
    Column::required("movie_key", BuiltinOid::INT4OID),
    Column::required("date_key", BuiltinOid::INT4OID),
    Column::required("rating", BuiltinOid::INT2OID),
    Column::required("is_probe", BuiltinOid::BOOLOID),
];

pub const QUALIFYING: [Column; 5] = [
    Column::required("customer_key", BuiltinOid::INT4OID),
    Column::required("movie_key", BuiltinOid::INT4OID),
    Column::required("date_key", BuiltinOid::INT4OID),
    Column::optional("rating", BuiltinOid::INT2OID),
    Column::optional("subset", BuiltinOid::TEXTOID),
];

pub const CUSTOMER_FACTORS: [Column; 4] = [
    Column::required("model_id", BuiltinOid::INT4OID),
    Column::required("customer_key", BuiltinOid::INT4OID),
    Column::required("bias", BuiltinOid::FLOAT4OID),
    Column::required("factors", BuiltinOid::FLOAT4ARRAYOID),
];

pub const MOVIE_FACTORS: [Column; 5] = [
    Column::required("model_id", BuiltinOid::INT4OID),
    Column::required("movie_key", BuiltinOid::INT4OID),
    Column::required("bias", BuiltinOid::FLOAT4OID),
    Column::required("factors", BuiltinOid::FLOAT4ARRAYOID),
    Column::optional("links", BuiltinOid::FLOAT4ARRAYOID),
];

pub const DIM_DATE: [Column; 11] = [
    Column::required("date_key", BuiltinOid::INT4OID),
    Column::required("date", BuiltinOid::DATEOID),
    Column::required("year", BuiltinOid::INT2OID),
    Column::required("quarter", BuiltinOid::INT2OID),
    Column::required("month", BuiltinOid::INT2OID),
    Column::required("month_name", BuiltinOid::TEXTOID),
    Column::required("week", BuiltinOid::INT2OID),
    Column::required("day", BuiltinOid::INT2OID),
    Column::required("day_of_week", BuiltinOid::INT2OID),
    Column::required("day_name", BuiltinOid::TEXTOID),
    Column::required("is_weekend", BuiltinOid::BOOLOID),
];

pub const LOAD_RUN: [Column; 20] = [
    Column::required("run_id", BuiltinOid::INT8OID),
    Column::optional("path", BuiltinOid::TEXTOID),
    Column::required("status", BuiltinOid::TEXTOID),
    Column::required("started_at", BuiltinOid::TIMESTAMPTZOID),
    Column::optional("finished_at", BuiltinOid::TIMESTAMPTZOID),
    Column::required("loaded_by", BuiltinOid::NAMEOID),
    Column::required("files", BuiltinOid::INT4OID),
    Column::required("ratings_read", BuiltinOid::INT8OID),
    Column::required("ratings_loaded", BuiltinOid::INT8OID),
    Column::required("duplicates", BuiltinOid::INT8OID),
    Column::required("rejected", BuiltinOid::INT8OID),
    Column::required("ratings_planned", BuiltinOid::INT8OID),
    Column::required("first_rating_key", BuiltinOid::INT8OID),
    Column::required("is_first", BuiltinOid::BOOLOID),
    Column::optional("customers", BuiltinOid::INT8OID),
    Column::optional("movies", BuiltinOid::INT8OID),
    Column::optional("probe_pairs", BuiltinOid::INT8OID),
    Column::optional("qualifying_pairs", BuiltinOid::INT8OID),
    Column::optional("last_customer_key", BuiltinOid::INT4OID),
    Column::optional("last_movie_key", BuiltinOid::INT4OID),
];

pub const LOAD_INSERTED: [Column; 3] = [
    Column::required("run_id", BuiltinOid::INT8OID),
    Column::required("rating_keys", BuiltinOid::INT8MULTIRANGEOID),
    Column::required("indexes_aside", BuiltinOid::OIDARRAYOID),
];

pub const LOAD_FILE: [Column; 12] = [
    Column::required("run_id", BuiltinOid::INT8OID),
    Column::required("file_no", BuiltinOid::INT4OID),
    Column::required("kind", BuiltinOid::TEXTOID),
    Column::required("path", BuiltinOid::TEXTOID),
    Column::optional("member", BuiltinOid::TEXTOID),
    Column::required("position", BuiltinOid::INT8OID),
    Column::required("bytes", BuiltinOid::INT8OID),
    Column::optional("modified", BuiltinOid::INT8OID),
    Column::required("checksum", BuiltinOid::INT8OID),
    Column::required("records", BuiltinOid::INT8OID),
    Column::required("rejected", BuiltinOid::INT8OID),
    Column::required("state", BuiltinOid::TEXTOID),
];

pub const LOAD_UNIT: [Column; 6] = [
    Column::required("run_id", BuiltinOid::INT8OID),
    Column::required("unit_no", BuiltinOid::INT4OID),
    Column::required("ratings", BuiltinOid::INT8OID),
    Column::required("first_rating_key", BuiltinOid::INT8OID),
    Column::required("files", BuiltinOid::INT4ARRAYOID),
    Column::required("plan", BuiltinOid::BYTEAOID),
];

pub const LOAD_REJECT: [Column; 6] = [
    Column::required("run_id", BuiltinOid::INT8OID),
    Column::required("reject_no", BuiltinOid::INT8OID),
    Column::optional("file_no", BuiltinOid::INT4OID),
    Column::required("line", BuiltinOid::INT8OID),
    Column::required("text", BuiltinOid::TEXTOID),
    Column::required("reason", BuiltinOid::TEXTOID),
];

pub const MODEL: [Column; 23] = [
    Column::required("model_id", BuiltinOid::INT4OID),
    Column::required("name", BuiltinOid::TEXTOID),
    Column::required("version", BuiltinOid::INT4OID),
    Column::required("algorithm", BuiltinOid::TEXTOID),
    Column::required("params", BuiltinOid::JSONBOID),
    Column::required("train_on", BuiltinOid::TEXTOID),
    Column::required("hold_out", BuiltinOid::FLOAT8OID),
    Column::required("is_deployed", BuiltinOid::BOOLOID),
    Column::required("factors", BuiltinOid::INT4OID),
    Column::required("samples", BuiltinOid::INT4OID),
    Column::required("global_mean", BuiltinOid::FLOAT4OID),
    Column::required("ratings", BuiltinOid::INT8OID),
    Column::required("iterations", BuiltinOid::INT4OID),
    Column::required("train_rmse", BuiltinOid::FLOAT8OID),
    Column::optional("probe_rmse", BuiltinOid::FLOAT8OID),
    Column::optional("held_out_rmse", BuiltinOid::FLOAT8OID),
    Column::optional("judged_ratings", BuiltinOid::INT8OID),
    Column::optional("judged_digest", BuiltinOid::INT8OID),
    Column::optional("summary", BuiltinOid::JSONBOID),
    Column::optional("prior", BuiltinOid::FLOAT4ARRAYOID),
    Column::required("elapsed", BuiltinOid::INTERVALOID),
    Column::required("trained_at", BuiltinOid::TIMESTAMPTZOID),
    Column::required("trained_by", BuiltinOid::NAMEOID),
];

pub const MODEL_VERSION: [Column; 3] = [
    Column::required("name", BuiltinOid::TEXTOID),
    Column::required("version", BuiltinOid::INT4OID),
    Column::required("model_id", BuiltinOid::INT4OID),
];

pub const MODEL_ITERATION: [Column; 5] = [
    Column::required("model_id", BuiltinOid::INT4OID),
    Column::required("iteration", BuiltinOid::INT4OID),
    Column::required("train_rmse", BuiltinOid::FLOAT8OID),
    Column::optional("held_out_rmse", BuiltinOid::FLOAT8OID),
    Column::required("seconds", BuiltinOid::FLOAT8OID),
];

pub const MODEL_DEPLOYMENT: [Column; 4] = [
    Column::required("deployment_id", BuiltinOid::INT8OID),
    Column::required("model_id", BuiltinOid::INT4OID),
    Column::required("deployed_at", BuiltinOid::TIMESTAMPTZOID),
    Column::required("deployed_by", BuiltinOid::NAMEOID),
];

/// The columns of one of the extension's tables.
pub fn made(table: &str) -> &'static [Column] {
    match table {
        "dim_date" => &DIM_DATE,
        "dim_customer" => &DIM_CUSTOMER,
        "dim_movie" => &DIM_MOVIE,
        "fact_ratings" => &FACT_RATINGS,
        "qualifying" => &QUALIFYING,
        "customer_factors" => &CUSTOMER_FACTORS,
        "movie_factors" => &MOVIE_FACTORS,
        "load_run" => &LOAD_RUN,
        "load_inserted" => &LOAD_INSERTED,
        "load_file" => &LOAD_FILE,
        "load_unit" => &LOAD_UNIT,
        "load_reject" => &LOAD_REJECT,
        "model" => &MODEL,
        "model_version" => &MODEL_VERSION,
        "model_iteration" => &MODEL_ITERATION,
        "model_deployment" => &MODEL_DEPLOYMENT,
        _ => &[],
    }
}

/// Checks that the role may do all of this with a table, and that its columns are as they were made.
pub fn require(table: &'static str, privileges: &[Privilege]) -> Result<(), Error> {
    let open = Table::open(table, privileges, pg_sys::AccessShareLock as pg_sys::LOCKMODE)?;
    check(table, &open.columns(), usize::MAX)
}

/// Checks that the first columns of a table, so many of them, have the names, types and places they were made with, and
/// are NOT NULL where they were; [`Error::Altered`] otherwise.
pub fn check(table: &'static str, found: &[TableColumn], first: usize) -> Result<(), Error> {
    let made = made(table);
    for (place, made) in made.iter().enumerate().take(first) {
        let name = made.name;
        let altered = |undo| Err(Error::Altered { table, column: name.into(), undo });
        let change = |action: String| altered(format!("{} {action};", alter(table)));
        let Some(found_here) = found.get(place) else {
            let null = if made.is_optional { "" } else { " NOT NULL" };
            return change(format!("ADD COLUMN {name} {}{null}", type_name(made)));
        };
        if found_here.is_dropped {
            let why = "ALTER TABLE cannot put a column back in its place: restore the table from a backup.";
            return altered(why.into());
        }
        if found_here.name != name {
            return altered(rename(table, self::made(table), found));
        }
        if found_here.type_oid != made.type_oid.value() {
            return change(format!("ALTER COLUMN {name} TYPE {}", type_name(made)));
        }
        // Nobody checks the rows: a NULL in a column that must not be NULL would be read as something else.
        match (found_here.not_null, made.is_optional) {
            (true, true) => return change(format!("ALTER COLUMN {name} DROP NOT NULL")),
            (false, false) => return change(format!("ALTER COLUMN {name} SET NOT NULL")),
            _ => {}
        }
    }
    Ok(())
}

/// Checks that a row can be inserted that has NULL in all columns which somebody added, without SQL's defaults, generated
/// values and constraints; [`Error::Altered`] otherwise.
pub fn check_added(table: &'static str, found: &[TableColumn]) -> Result<(), Error> {
    for added in found.iter().skip(made(table).len()).filter(|column| !column.is_dropped) {
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
            let undo = format!("{} {};", alter(table), actions.join(", "));
            return Err(Error::Altered { table, column: added.name.clone(), undo });
        }
    }
    Ok(())
}

/// Whether values of a type are checked, or are something else than NULL where none is given.
fn is_constrained_domain(type_oid: pg_sys::Oid) -> bool {
    // SAFETY: look-ups in the catalog for the type of a column that is there.
    unsafe {
        pg_sys::get_typtype(type_oid) as u8 == pg_sys::TYPTYPE_DOMAIN
            && (pg_sys::DomainHasConstraints(type_oid) || !pg_sys::get_typdefault(type_oid).is_null())
    }
}

/// The statements that give all columns their names back, by way of other names where two have changed places.
fn rename(table: &'static str, made: &[Column], found: &[TableColumn]) -> String {
    let mut names = found.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    let mut statements = Vec::new();
    let mut apply = |names: &mut Vec<String>, place: usize, to: String| {
        let (from, quoted) = (pgrx::spi::quote_identifier(&names[place]), pgrx::spi::quote_identifier(&to));
        statements.push(format!("{} RENAME COLUMN {from} TO {quoted};", alter(table)));
        names[place] = to;
    };
    while let Some(wrong) = (0..made.len().min(names.len())).find(|&n| names[n] != made[n].name) {
        let wanted = made[wrong].name;
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

/// `ALTER TABLE` and the table's name in full.
pub fn alter(table: &str) -> String {
    match catalog::schema() {
        Ok(schema) => format!("ALTER TABLE {}.{table}", schema.quoted),
        Err(_) => format!("ALTER TABLE {table}"),
    }
}

fn type_name(column: &Column) -> String {
    // SAFETY: a type of PostgreSQL's own; what comes back is a C string in the current memory context.
    unsafe {
        let name = pg_sys::format_type_be(column.type_oid.value());
        CStr::from_ptr(name).to_string_lossy().into_owned()
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::*;
    use pgrx::prelude::*;

    #[pg_test]
    fn all_tables_are_as_they_are_said_to_be_made() {
        let tables = Spi::get_one::<Vec<String>>(
            "SELECT array_agg(relname::text) FROM pg_class
             WHERE oid = ANY (SELECT unnest(extconfig) FROM pg_extension WHERE extname = 'netflix_rec') AND relkind = 'r'",
        );
        let tables = tables.unwrap().unwrap();
        assert!(tables.len() >= 14);
        for table in tables {
            let table: &'static str = table.leak();
            let open = Table::open(table, &[], pg_sys::AccessShareLock as pg_sys::LOCKMODE).unwrap();
            let found = open.columns();
            assert_eq!(made(table).len(), found.len(), "{table}");
            check(table, &found, usize::MAX).unwrap();
        }
    }
}
