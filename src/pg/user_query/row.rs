//! The columns and rows of a user's query.

use std::ffi::CStr;

use pgrx::datum::Date;
use pgrx::pg_sys::BuiltinOid;
use pgrx::{FromDatum, pg_sys};

/// A column that a query returns.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its attribute number: 1 for the first column.
    attribute: i32,
    pub name: String,
    pub column_type: ColumnType,
    type_oid: pg_sys::Oid,
}

/// The type of a column, as far as it matters here. A domain counts as its base type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
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

/// The value of a row in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    /// A text, a `numeric` with all its digits, or a value of a type without a variant of its own.
    Text(String),
    Date(Date),
    /// Microseconds since 2000-01-01; the greatest and the least `i64` stand for the infinities.
    Timestamp(i64),
}

impl ColumnType {
    fn of(type_oid: pg_sys::Oid) -> ColumnType {
        match BuiltinOid::try_from(type_oid) {
            Ok(BuiltinOid::BOOLOID) => ColumnType::Bool,
            Ok(BuiltinOid::INT2OID) => ColumnType::Int2,
            Ok(BuiltinOid::INT4OID) => ColumnType::Int4,
            Ok(BuiltinOid::INT8OID) => ColumnType::Int8,
            Ok(BuiltinOid::FLOAT4OID) => ColumnType::Float4,
            Ok(BuiltinOid::FLOAT8OID) => ColumnType::Float8,
            Ok(BuiltinOid::NUMERICOID) => ColumnType::Numeric,
            Ok(BuiltinOid::TEXTOID | BuiltinOid::VARCHAROID | BuiltinOid::BPCHAROID) => ColumnType::Text,
            Ok(BuiltinOid::DATEOID) => ColumnType::Date,
            Ok(BuiltinOid::TIMESTAMPOID) => ColumnType::Timestamp,
            Ok(BuiltinOid::TIMESTAMPTZOID) => ColumnType::TimestampTz,
            _ => ColumnType::Other,
        }
    }
}

impl Column {
    /// The columns of a tuple descriptor.
    ///
    /// # Safety
    ///
    /// The descriptor is valid.
    pub(super) unsafe fn all_of(descriptor: pg_sys::TupleDesc) -> Vec<Column> {
        // SAFETY: as the caller promises; a name is a C string within its array.
        unsafe {
            let attributes = (*descriptor).attrs.as_slice((*descriptor).natts as usize).iter().zip(1..);
            attributes
                .map(|(form, attribute)| {
                    let name = CStr::from_ptr(form.attname.data.as_ptr()).to_string_lossy().into_owned();
                    let type_oid = form.atttypid;
                    let column_type = ColumnType::of(pg_sys::getBaseType(type_oid));
                    Column { attribute, name, column_type, type_oid }
                })
                .collect()
        }
    }

    /// The SQL name of the column's type.
    pub fn type_name(&self) -> String {
        // SAFETY: a type's oid; the result is a C string in the current memory context.
        unsafe {
            let name = pg_sys::format_type_extended(self.type_oid, -1, 0);
            CStr::from_ptr(name).to_string_lossy().into_owned()
        }
    }
}

/// A row that the query returned.
pub struct Row {
    pub(super) tuple: pg_sys::HeapTuple,
    pub(super) descriptor: pg_sys::TupleDesc,
}

impl Row {
    /// The row's value in a column of its query.
    pub fn value(&self, column: &Column) -> Value {
        let mut is_null = false;
        // SAFETY: a row of the query and its descriptor, which both live until the next rows are fetched. Each value is read as
        // the type that its column has.
        unsafe {
            let datum =
                pg_sys::SPI_getbinval(self.tuple, self.descriptor, column.attribute, &raw mut is_null);
            if is_null {
                return Value::Null;
            }
            match column.column_type {
                ColumnType::Bool => bool::from_datum(datum, false).map(Value::Bool),
                ColumnType::Int2 => i16::from_datum(datum, false).map(|value| Value::Integer(value.into())),
                ColumnType::Int4 => i32::from_datum(datum, false).map(|value| Value::Integer(value.into())),
                ColumnType::Int8 => i64::from_datum(datum, false).map(Value::Integer),
                ColumnType::Float4 => f32::from_datum(datum, false).map(|value| Value::Float(value.into())),
                ColumnType::Float8 => f64::from_datum(datum, false).map(Value::Float),
                ColumnType::Date => Date::from_datum(datum, false).map(Value::Date),
                ColumnType::Timestamp => i64::from_datum(datum, false).map(Value::Timestamp),
                ColumnType::Numeric | ColumnType::Text | ColumnType::TimestampTz | ColumnType::Other => {
                    self.text(column).map(Value::Text)
                }
            }
            .unwrap_or(Value::Null)
        }
    }

    /// The row's value in a column as text, as its type prints it; `None` if it is NULL.
    pub fn text(&self, column: &Column) -> Option<String> {
        // SAFETY: as above; the result is a C string in the current memory context.
        unsafe {
            let text = pg_sys::SPI_getvalue(self.tuple, self.descriptor, column.attribute);
            (!text.is_null()).then(|| {
                let copied = CStr::from_ptr(text).to_string_lossy().into_owned();
                pg_sys::pfree(text.cast());
                copied
            })
        }
    }
}
