//! A query that a user gives as text: parsed as it stands, so that the server's errors name its own lines; and its rows, with the
//! search_path and the privileges that the user has.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::panic::AssertUnwindSafe;
use std::ptr;

use pgrx::datum::Date;
use pgrx::pg_sys::BuiltinOid;
use pgrx::spi::SpiClient;
use pgrx::{FromDatum, PgTryBuilder, Spi, pg_sys};

use super::{Error, interrupt};

/// Rows fetched at a time.
const BATCH: i64 = 1000;

/// A column that a query returns.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its number, from 1.
    number: i32,
    pub name: String,
    pub kind: Kind,
    type_oid: pg_sys::Oid,
}

/// The types that are told apart; a domain is of the type beneath it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Numeric,
    /// `text`, `varchar` or `char`.
    Text,
    Date,
    Timestamp,
    TimestampTz,
    Other,
}

/// What a row has in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    /// Of a `numeric` as well, all of its digits; and of any type that is not told apart.
    Text(String),
    Date(Date),
    /// Microseconds since 2000-01-01, the greatest and the least number for the infinities.
    Timestamp(i64),
}

impl Kind {
    fn of(type_oid: pg_sys::Oid) -> Kind {
        match BuiltinOid::try_from(type_oid) {
            Ok(BuiltinOid::BOOLOID) => Kind::Bool,
            Ok(BuiltinOid::INT2OID) => Kind::Int2,
            Ok(BuiltinOid::INT4OID) => Kind::Int4,
            Ok(BuiltinOid::INT8OID) => Kind::Int8,
            Ok(BuiltinOid::FLOAT4OID) => Kind::Float4,
            Ok(BuiltinOid::FLOAT8OID) => Kind::Float8,
            Ok(BuiltinOid::NUMERICOID) => Kind::Numeric,
            Ok(BuiltinOid::TEXTOID | BuiltinOid::VARCHAROID | BuiltinOid::BPCHAROID) => Kind::Text,
            Ok(BuiltinOid::DATEOID) => Kind::Date,
            Ok(BuiltinOid::TIMESTAMPOID) => Kind::Timestamp,
            Ok(BuiltinOid::TIMESTAMPTZOID) => Kind::TimestampTz,
            _ => Kind::Other,
        }
    }
}

impl Column {
    /// What the type is called in SQL.
    pub fn type_name(&self) -> String {
        // SAFETY: a type's oid; the C string that comes back is the current memory context's.
        unsafe {
            let name = pg_sys::format_type_extended(self.type_oid, -1, 0);
            CStr::from_ptr(name).to_string_lossy().into_owned()
        }
    }
}

/// A row that came back.
pub struct Row {
    tuple: pg_sys::HeapTuple,
    descriptor: pg_sys::TupleDesc,
}

impl Row {
    /// What it has in a column of its query.
    pub fn value(&self, column: &Column) -> Value {
        let mut is_null = false;
        // SAFETY: a row of the query's and its descriptor, both there until the next rows are fetched; each value is read as the
        // type that its column was found to have.
        unsafe {
            let datum = pg_sys::SPI_getbinval(self.tuple, self.descriptor, column.number, &raw mut is_null);
            if is_null {
                return Value::Null;
            }
            match column.kind {
                Kind::Bool => bool::from_datum(datum, false).map(Value::Bool),
                Kind::Int2 => i16::from_datum(datum, false).map(|number| Value::Integer(number.into())),
                Kind::Int4 => i32::from_datum(datum, false).map(|number| Value::Integer(number.into())),
                Kind::Int8 => i64::from_datum(datum, false).map(Value::Integer),
                Kind::Float4 => f32::from_datum(datum, false).map(|number| Value::Float(number.into())),
                Kind::Float8 => f64::from_datum(datum, false).map(Value::Float),
                Kind::Date => Date::from_datum(datum, false).map(Value::Date),
                Kind::Timestamp => i64::from_datum(datum, false).map(Value::Timestamp),
                Kind::Numeric | Kind::Text | Kind::TimestampTz | Kind::Other => {
                    self.text(column).map(Value::Text)
                }
            }
            .unwrap_or(Value::Null)
        }
    }

    /// The same as its type prints it; `None` of NULL.
    pub fn text(&self, column: &Column) -> Option<String> {
        // SAFETY: as above; the C string that comes back is the current memory context's.
        unsafe {
            let text = pg_sys::SPI_getvalue(self.tuple, self.descriptor, column.number);
            (!text.is_null()).then(|| {
                let copied = CStr::from_ptr(text).to_string_lossy().into_owned();
                pg_sys::pfree(text.cast());
                copied
            })
        }
    }
}

/// Why a text is not run.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("query must be one statement, not {}", if *.0 == 0 { "none".into() } else { .0.to_string() })]
    Statements(usize),
    #[error("query must be a SELECT that writes nothing")]
    NoSelect,
}

/// Runs a query: shows its columns to `choose`, and hands on each of its rows with what that made of them.
pub fn each<C, E: From<Error> + From<Refusal> + From<pgrx::spi::Error>>(
    query: &str,
    choose: impl FnOnce(&[Column]) -> Result<C, E>,
    mut each: impl FnMut(&C, Row) -> Result<(), E>,
) -> Result<(), E> {
    let query = CString::new(query).map_err(|_| Error::Null("query"))?;
    Spi::connect_mut(|client| {
        // SAFETY: a C string, which the plan copies; a plan of this connection's, which ends with it.
        let (plan, columns) = unsafe {
            let plan = prepare(&query);
            if plan.is_null() {
                Spi::check_status(pg_sys::SPI_result)?;
                return Err(Refusal::NoSelect.into());
            }
            (plan, columns(plan)?)
        };
        let chosen = choose(&columns)?;
        let mut cursor = open(client, plan)?;
        loop {
            let rows = cursor.fetch(BATCH)?;
            if rows.is_empty() {
                return Ok(());
            }
            // SAFETY: the rows just fetched, of which all that is kept is copied; nobody looks at them once they are freed.
            unsafe {
                let table = pg_sys::SPI_tuptable;
                let handed_on = (0..(*table).numvals as usize).try_for_each(|row| {
                    each(&chosen, Row { tuple: *(*table).vals.add(row), descriptor: (*table).tupdesc })
                });
                pg_sys::SPI_freetuptable(table);
                pg_sys::SPI_tuptable = ptr::null_mut();
                handed_on?;
            }
            interrupt::check();
        }
    })
}

/// Prepares a query. What is wrong with it raises the server's own error, which points to its place in the text: pgrx leaves that
/// out when it passes an error on, so that it is read as the error is raised here, and put in as it is raised again.
///
/// # Safety
///
/// Within a connection of SPI.
unsafe fn prepare(query: &CStr) -> pg_sys::SPIPlanPtr {
    let place = Cell::new(0);
    // SAFETY: on the backend's thread. The entry is on the stack of entries while this frame is there, and taken off in either way.
    unsafe {
        let entries = pg_sys::error_context_stack;
        let mut entry = pg_sys::ErrorContextCallback {
            previous: entries,
            callback: Some(read_place),
            arg: ptr::from_ref(&place).cast_mut().cast(),
        };
        let (entry, place) = (AssertUnwindSafe(&raw mut entry), AssertUnwindSafe(&place));
        PgTryBuilder::new(move || {
            pg_sys::error_context_stack = { entry }.0;
            let plan = pg_sys::SPI_prepare(query.as_ptr(), 0, ptr::null_mut());
            pg_sys::error_context_stack = entries;
            plan
        })
        .catch_others(move |error| {
            pg_sys::error_context_stack = entries;
            point_to(place.get(), query);
            error.rethrow()
        })
        .execute()
    }
}

/// Where an error points to, and in which text.
struct Place {
    entry: pg_sys::ErrorContextCallback,
    position: c_int,
    query: *const c_char,
}

/// Has the error that is about to be raised again point to a place in a query.
///
/// # Safety
///
/// An error is raised next, and whoever catches it puts back the stack of entries that it began with.
unsafe fn point_to(position: c_int, query: &CStr) {
    if position <= 0 {
        return;
    }
    // SAFETY: as the caller promises; the entry and the text last until the transaction ends.
    unsafe {
        let room =
            pg_sys::MemoryContextAlloc(pg_sys::TopTransactionContext, size_of::<Place>()).cast::<Place>();
        let query = pg_sys::MemoryContextStrdup(pg_sys::TopTransactionContext, query.as_ptr());
        let entry = pg_sys::ErrorContextCallback {
            previous: pg_sys::error_context_stack,
            callback: Some(write_place),
            arg: room.cast(),
        };
        room.write(Place { entry, position, query });
        pg_sys::error_context_stack = &raw mut (*room).entry;
    }
}

unsafe extern "C-unwind" {
    // utils/elog.h. Not pgrx's guarded calls of these: nothing is raised in them, and they are called while an error is.
    fn getinternalerrposition() -> c_int;
    fn internalerrposition(position: c_int) -> c_int;
    fn internalerrquery(query: *const c_char) -> c_int;
}

/// Called while an error is raised, when SPI has made the place in its query of it.
unsafe extern "C-unwind" fn read_place(place: *mut c_void) {
    // SAFETY: the cell of `prepare`, whose frame is below.
    unsafe { (*place.cast::<Cell<c_int>>()).set(getinternalerrposition()) };
}

/// Called while the error is raised again.
unsafe extern "C-unwind" fn write_place(place: *mut c_void) {
    // SAFETY: as `point_to` made it.
    unsafe {
        let Place { position, query, .. } = *place.cast::<Place>();
        internalerrposition(position);
        internalerrquery(query);
    }
}

/// The columns of a plan, if it is of one SELECT.
///
/// # Safety
///
/// A plan that SPI has prepared.
unsafe fn columns(plan: pg_sys::SPIPlanPtr) -> Result<Vec<Column>, Refusal> {
    // SAFETY: the plan's own lists and trees, which live as long as it does; a name that is a C string within its array.
    unsafe {
        let sources = pg_sys::SPI_plan_get_plan_sources(plan);
        let statements = if sources.is_null() { 0 } else { (*sources).length as usize };
        if statements != 1 {
            return Err(Refusal::Statements(statements));
        }
        let source = (*(*sources).elements).ptr_value.cast::<pg_sys::CachedPlanSource>();
        let queries = (*source).query_list;
        let query = match queries.is_null() {
            true => ptr::null_mut(),
            false => (*(*queries).elements).ptr_value.cast::<pg_sys::Query>(),
        };
        let is_select = !query.is_null()
            && (*queries).length == 1
            && (*query).commandType == pg_sys::CmdType::CMD_SELECT
            && !(*query).hasModifyingCTE;
        let descriptor = (*source).resultDesc;
        if !is_select || descriptor.is_null() {
            return Err(Refusal::NoSelect);
        }
        let columns = (*descriptor).attrs.as_slice((*descriptor).natts as usize).iter().zip(1..);
        Ok(columns
            .map(|(attribute, number)| {
                let name = CStr::from_ptr(attribute.attname.data.as_ptr()).to_string_lossy().into_owned();
                let type_oid = attribute.atttypid;
                Column { number, name, kind: Kind::of(pg_sys::getBaseType(type_oid)), type_oid }
            })
            .collect())
    }
}

/// A cursor over a plan without parameters. It may write by the functions that it calls.
fn open<'conn>(
    client: &SpiClient<'conn>,
    plan: pg_sys::SPIPlanPtr,
) -> Result<pgrx::spi::SpiCursor<'conn>, Error> {
    // SAFETY: a plan of one SELECT, which takes no values; the portal that comes back, never null, keeps its own name.
    let name = unsafe {
        let portal = pg_sys::SPI_cursor_open(ptr::null(), plan, ptr::null_mut(), ptr::null(), false);
        CStr::from_ptr((*portal).name).to_string_lossy().into_owned()
    };
    Ok(client.find_cursor(&name)?)
}
