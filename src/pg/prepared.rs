//! Queries of the extension's own that run again and again: each backend plans them once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::CString;
use std::marker::PhantomData;

use pgrx::datum::DatumWithOid;
use pgrx::{FromDatum, IntoDatum, PgLogLevel, Spi, pg_sys};

use super::{Error, catalog, memory, report};

/// A query that returns rows. It names the extension's tables `@extschema@.table`, as [`super::query`]'s do, and runs in
/// functions whose search_path is pg_catalog only. It sees what the calling statement sees.
///
/// Only the plan is cached, as long as it is valid. PostgreSQL checks the role's privileges and row-level security at each run.
pub struct Prepared(pub &'static str);

/// A plan, and the schema that the extension was in when it was made.
struct Plan {
    schema: String,
    plan: pg_sys::SPIPlanPtr,
}

thread_local! {
    static PLANS: RefCell<HashMap<&'static str, Plan>> = RefCell::default();
}

/// A row that came back.
pub struct Row<'a> {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
    of: PhantomData<&'a ()>,
}

impl Row<'_> {
    /// A column's value, counted from 1; `None` where it is NULL. Raises an error where somebody gave the column another type.
    pub fn get<T: FromDatum + IntoDatum>(&self, column: i32) -> Option<T> {
        let mut is_null = false;
        // SAFETY: a row of the query's and its descriptor, both there until its last row was handed on.
        unsafe {
            if pg_sys::SPI_gettypeid(self.descriptor, column) != T::type_oid() {
                let undo = "Give the column the type back that CREATE EXTENSION made it with.".into();
                let altered = Error::Altered { table: "(queried)", column: column.to_string(), undo };
                report(altered).report(PgLogLevel::ERROR);
            }
            let datum = pg_sys::SPI_getbinval(self.tuple, self.descriptor, column, &raw mut is_null);
            T::from_datum(datum, is_null)
        }
    }

    /// A column's value that cannot be NULL in a table as the extension makes it.
    pub fn need<T: FromDatum + IntoDatum>(&self, column: i32, table: &'static str) -> Result<T, Error> {
        self.get(column).ok_or(Error::Null(table))
    }

    /// An array's numbers; none where the array is NULL, an error where one of them is.
    pub fn floats(&self, column: i32, table: &'static str) -> Result<Vec<f32>, Error> {
        let numbers = self.get::<Vec<Option<f32>>>(column).unwrap_or_default();
        numbers.into_iter().collect::<Option<_>>().ok_or(Error::Null(table))
    }
}

impl Prepared {
    /// Runs the query and calls `each` with each row.
    pub fn each<E: From<Error> + From<pgrx::spi::Error>>(
        &self,
        args: &[DatumWithOid<'_>],
        mut each: impl FnMut(Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let datum = |arg: &DatumWithOid<'_>| arg.datum().map_or(pg_sys::Datum::null(), |d| d.sans_lifetime());
        let mut values = args.iter().map(datum).collect::<Vec<_>>();
        let null = |arg: &DatumWithOid<'_>| if arg.datum().is_none() { b'n' } else { b' ' };
        let nulls = args.iter().map(|arg| null(arg) as std::ffi::c_char).collect::<Vec<_>>();
        let schema = catalog::schema()?.quoted;
        Spi::connect(|_| {
            let plan = self.plan(&schema, args)?;
            // SAFETY: a plan that is kept; as many values as it has parameters, which outlive the call. To be read only, it
            // sees by the active snapshot. What it returns is this connection's to look at, until it is freed here.
            unsafe {
                let code = pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), nulls.as_ptr(), true, 0);
                Spi::check_status(code)?;
                let (table, rows) = (pg_sys::SPI_tuptable, pg_sys::SPI_processed as usize);
                if table.is_null() {
                    return Ok(());
                }
                let result = (0..rows).try_for_each(|row| {
                    each(Row {
                        tuple: *(*table).vals.add(row),
                        descriptor: (*table).tupdesc,
                        of: PhantomData,
                    })
                });
                pg_sys::SPI_freetuptable(table);
                result
            }
        })
    }

    /// Runs the query and collects what `make` makes of each row.
    pub fn all<T>(
        &self,
        args: &[DatumWithOid<'_>],
        mut make: impl FnMut(Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        self.each(args, |row| memory::push(&mut all, make(row)?))?;
        Ok(all)
    }

    /// Runs the query and returns the first column of the first row in which that is not NULL.
    pub fn one<T: FromDatum + IntoDatum>(&self, args: &[DatumWithOid<'_>]) -> Result<Option<T>, Error> {
        let mut found = None;
        self.each(args, |row| {
            found = found.take().or_else(|| row.get(1));
            Ok::<_, Error>(())
        })?;
        Ok(found)
    }

    /// The plan. It is made if there is none yet, or if the extension's schema has another name than before.
    fn plan(&self, schema: &str, args: &[DatumWithOid<'_>]) -> Result<pg_sys::SPIPlanPtr, Error> {
        let known = PLANS.with_borrow(|plans| {
            plans.get(self.0).filter(|plan| plan.schema == schema).map(|plan| plan.plan)
        });
        if let Some(plan) = known {
            return Ok(plan);
        }
        let text = CString::new(self.0.replace("@extschema@", schema)).map_err(|_| Error::Null("query"))?;
        let mut types = args.iter().map(DatumWithOid::oid).collect::<Vec<_>>();
        // SAFETY: a C string and as many types as the query has parameters, connected to SPI. A plan that is kept is the
        // backend's until it is freed.
        let plan = unsafe {
            let plan = pg_sys::SPI_prepare(text.as_ptr(), types.len() as i32, types.as_mut_ptr());
            if plan.is_null() {
                Spi::check_status(pg_sys::SPI_result)?;
                return Err(Error::Null("query"));
            }
            pg_sys::SPI_keepplan(plan);
            plan
        };
        let plan_of = Plan { schema: schema.into(), plan };
        let before = PLANS.with_borrow_mut(|plans| plans.insert(self.0, plan_of));
        if let Some(before) = before {
            // SAFETY: it was kept, and nobody else knows it.
            unsafe { pg_sys::SPI_freeplan(before.plan) };
        }
        Ok(plan)
    }
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::*;
    use crate::pg::query;
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
        query::now(|| {
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
        let count = || query::now(|| MOVIES.one::<i64>(&[]).unwrap());
        assert_eq!(count(), Some(0));
        Spi::run("INSERT INTO dim_movie VALUES (1, 7, 'A', 2000, 0)").unwrap();
        let schema = catalog::schema().unwrap().quoted;
        Spi::run(&format!("ALTER SCHEMA {schema} RENAME TO \"Moved\"")).unwrap();
        assert_eq!(count(), Some(1));
        Spi::run(&format!("ALTER SCHEMA \"Moved\" RENAME TO {schema}")).unwrap();
        assert_eq!(count(), Some(1));
    }
}
