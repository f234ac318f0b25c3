//! Arguments of type jsonb. pgrx's own type panics on numbers that PostgreSQL's jsonb can hold and Rust's number types cannot,
//! such as 1e999.

use std::ffi::CStr;

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::nullable::Nullable;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{FromDatum, direct_function_call, pg_sys};

/// A jsonb value as text. The caller parses it.
pub struct JsonText(pub String);

impl FromDatum for JsonText {
    unsafe fn from_polymorphic_datum(
        datum: pg_sys::Datum,
        is_null: bool,
        _: pg_sys::Oid,
    ) -> Option<JsonText> {
        if is_null {
            return None;
        }
        // SAFETY: a jsonb, which is detoasted if necessary. Its text is copied; the memory context frees the original.
        unsafe {
            let unpacked = pg_sys::pg_detoast_datum(datum.cast_mut_ptr());
            let text = direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(unpacked.into())])?;
            Some(JsonText(text.to_string_lossy().into_owned()))
        }
    }
}

// SAFETY: `from_polymorphic_datum` above reads it, because its type is jsonb.
unsafe impl<'fcx> ArgAbi<'fcx> for JsonText {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> JsonText {
        // SAFETY: as the caller promises, an argument of this type. An argument that may be NULL has type `Nullable` or
        // `Option`.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or_else(|| JsonText("null".into()))
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<JsonText> {
        // SAFETY: as above.
        unsafe { arg.unbox_arg_using_from_datum() }.into()
    }
}

// SAFETY: its SQL type is jsonb, and it is read as jsonb.
unsafe impl SqlTranslatable for JsonText {
    const TYPE_IDENT: &'static str = "netflix_rec::pg::json::JsonText";
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
