//! The extension's own queries that run often: each backend plans them once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::marker::PhantomData;

use pgrx::datum::DatumWithOid;
use pgrx::{FromDatum, IntoDatum, PgLogLevel, Spi, pg_sys};

use super::spi::{self, Arguments};
use super::{Error, catalog, memory, report};

/// A query that returns rows. It names the extension's tables `@extschema@.table`, as in [`super::query`], and runs in
/// functions whose search_path is pg_catalog, pg_temp. It uses the calling statement's snapshot.
///
/// Only the plan is cached, as long as it is valid. PostgreSQL checks the role's privileges and row-level security at each run.
pub struct Prepared(pub &'static str);

/// A plan, and the name that the extension's schema had when the plan was made.
struct Plan {
    schema: String,
    plan: pg_sys::SPIPlanPtr,
}

thread_local! {
    static PLANS: RefCell<HashMap<&'static str, Plan>> = RefCell::default();
}

/// A row that a query returned.
pub struct Row<'a> {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    lifetime: PhantomData<&'a ()>,
}

impl Row<'_> {
    /// The value of a column, counted from 1; `None` if it is NULL. Raises an error if somebody has changed the column's type.
    pub fn get<T: FromDatum + IntoDatum>(&self, column: i32) -> Option<T> {
        let mut is_null = false;
        // SAFETY: a row of the query and its descriptor, which both live while `each` runs.
        unsafe {
            if pg_sys::SPI_gettypeid(self.descriptor, column) != T::type_oid() {
                let undo = "Change the column back to the type that CREATE EXTENSION gave it.".into();
                let altered = Error::Altered { table: "(queried)", column: column.to_string(), undo };
                report(altered).report(PgLogLevel::ERROR);
            }
            let datum = pg_sys::SPI_getbinval(self.tuple, self.descriptor, column, &raw mut is_null);
            T::from_datum(datum, is_null)
        }
    }

    /// The value of a column that must not be NULL; an error if it is.
    pub fn need<T: FromDatum + IntoDatum>(&self, column: i32, table: &'static str) -> Result<T, Error> {
        self.get(column).ok_or(Error::Null(table))
    }

    /// The elements of an array; an empty list if the array is NULL, an error if an element is NULL.
    pub fn floats(&self, column: i32, table: &'static str) -> Result<Vec<f32>, Error> {
        let elements = self.get::<Vec<Option<f32>>>(column).unwrap_or_default();
        elements.into_iter().collect::<Option<_>>().ok_or(Error::Null(table))
    }
}

impl Prepared {
    /// Runs the query and calls `each` with each row.
    pub fn each<E: From<Error> + From<pgrx::spi::Error>>(
        &self,
        args: &[DatumWithOid<'_>],
        mut each: impl FnMut(Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Arguments { types, mut values, nulls } = Arguments::new(args);
        let schema = catalog::schema()?.quoted;
        Spi::connect(|_| {
            let plan = self.plan(&schema, types)?;
            // SAFETY: a plan that SPI keeps, and as many values as it has parameters, which outlive the call. A read-only
            // execution uses the active snapshot. A `Row` returns copies only.
            unsafe {
                let code = pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), nulls.as_ptr(), true, 0);
                Spi::check_status(code)?;
                spi::take_rows(|tuple, descriptor| each(Row { tuple, descriptor, lifetime: PhantomData }))
            }
        })
    }

    /// Runs the query and collects what `each` returns for each row.
    pub fn all<T>(
        &self,
        args: &[DatumWithOid<'_>],
        mut each: impl FnMut(Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        self.each(args, |row| memory::push(&mut all, each(row)?))?;
        Ok(all)
    }

    /// Runs the query and returns the first value of the first column that is not NULL.
    pub fn one<T: FromDatum + IntoDatum>(&self, args: &[DatumWithOid<'_>]) -> Result<Option<T>, Error> {
        let mut found = None;
        self.each(args, |row| {
            found = found.take().or_else(|| row.get(1));
            Ok::<_, Error>(())
        })?;
        Ok(found)
    }

    /// The cached plan. The query is planned again if the extension's schema was renamed.
    fn plan(&self, schema: &str, mut types: Vec<pg_sys::Oid>) -> Result<pg_sys::SPIPlanPtr, Error> {
        let cached = PLANS.with_borrow(|plans| {
            plans.get(self.0).filter(|plan| plan.schema == schema).map(|plan| plan.plan)
        });
        if let Some(plan) = cached {
            return Ok(plan);
        }
        let text = CString::new(self.0.replace("@extschema@", schema)).map_err(|_| Error::Null("query"))?;
        // SAFETY: a C string and as many types as the query has parameters, connected to SPI. A plan that SPI keeps lives until
        // it is freed.
        let plan = unsafe {
            // All rows are fetched at once, so the plan may be parallel. (That of a cursor may not.)
            let options = pg_sys::CURSOR_OPT_PARALLEL_OK as i32;
            let plan =
                pg_sys::SPI_prepare_cursor(text.as_ptr(), types.len() as i32, types.as_mut_ptr(), options);
            if plan.is_null() {
                Spi::check_status(pg_sys::SPI_result)?;
                return Err(Error::Null("query"));
            }
            pg_sys::SPI_keepplan(plan);
            plan
        };
        let new = Plan { schema: schema.into(), plan };
        let old = PLANS.with_borrow_mut(|plans| plans.insert(self.0, new));
        if let Some(old) = old {
            // SAFETY: the list held the only pointer to it.
            unsafe { pg_sys::SPI_freeplan(old.plan) };
        }
        Ok(plan)
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::*;
    use crate::pg::snapshot;
    use pgrx::prelude::*;

    #[pg_test]
    fn plans_last_and_see_what_the_statement_sees() {
        static MOVIES: Prepared =
            Prepared("SELECT movie_id, title FROM @extschema@.dim_movie WHERE movie_id >= $1 ORDER BY 1");
        let titles = |from: i32| {
            let pair = |row: Row<'_>| Ok((row.need::<i32>(1, "dim_movie")?, row.get::<String>(2)));
            MOVIES.all(&[from.into()], pair).unwrap()
        };
        assert_eq!(titles(0), []);
        Spi::run("INSERT INTO dim_movie VALUES (1, 7, 'A', 2000, 0), (2, 9, NULL, 2000, 0)").unwrap();
        assert_eq!(titles(0), []);
        snapshot::with_latest(|| {
            assert_eq!(titles(0), [(7, Some("A".to_owned())), (9, None)]);
            assert_eq!(titles(8), [(9, None)]);
            assert_eq!(MOVIES.one::<i32>(&[8.into()]).unwrap(), Some(9));
            assert_eq!(MOVIES.one::<i32>(&[10.into()]).unwrap(), None);
            assert_eq!(MOVIES.one::<i32>(&[None::<i32>.into()]).unwrap(), None);
        });
    }

    #[pg_test]
    fn another_schema_makes_another_plan() {
        static MOVIES: Prepared = Prepared("SELECT count(*) FROM @extschema@.dim_movie");
        let count = || snapshot::with_latest(|| MOVIES.one::<i64>(&[]).unwrap());
        assert_eq!(count(), Some(0));
        Spi::run("INSERT INTO dim_movie VALUES (1, 7, 'A', 2000, 0)").unwrap();
        let schema = catalog::schema().unwrap().quoted;
        Spi::run(&format!("ALTER SCHEMA {schema} RENAME TO \"Moved\"")).unwrap();
        assert_eq!(count(), Some(1));
        Spi::run(&format!("ALTER SCHEMA \"Moved\" RENAME TO {schema}")).unwrap();
        assert_eq!(count(), Some(1));
    }
}
