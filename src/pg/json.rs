//! Arguments of type jsonb. pgrx's own type panics on what JSON of PostgreSQL's can say and Rust's numbers cannot, 1e999 for one.

use std::ffi::CStr;

use pgrx::callconv::{Arg, ArgAbi};
use pgrx::nullable::Nullable;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{FromDatum, direct_function_call, pg_sys};

/// A jsonb value as text, to be parsed by whoever knows what it is for.
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
        // SAFETY: a jsonb, which is unpacked where it has to be; its text is copied, and goes with the memory context.
        unsafe {
            let unpacked = pg_sys::pg_detoast_datum(datum.cast_mut_ptr());
            let text = direct_function_call::<&CStr>(pg_sys::jsonb_out, &[Some(unpacked.into())])?;
            Some(JsonText(text.to_string_lossy().into_owned()))
        }
    }
}

// SAFETY: read by `from_polymorphic_datum` above, as its type is jsonb.
unsafe impl<'fcx> ArgAbi<'fcx> for JsonText {
    unsafe fn unbox_arg_unchecked(arg: Arg<'_, 'fcx>) -> JsonText {
        // SAFETY: as the caller promises, an argument of this type; one that may be NULL is asked for as such.
        unsafe { arg.unbox_arg_using_from_datum() }.unwrap_or_else(|| JsonText("null".into()))
    }

    unsafe fn unbox_nullable_arg(arg: Arg<'_, 'fcx>) -> Nullable<JsonText> {
        // SAFETY: as above.
        unsafe { arg.unbox_arg_using_from_datum() }.into()
    }
}

// SAFETY: it is a jsonb in SQL, and read as one.
unsafe impl SqlTranslatable for JsonText {
    const TYPE_IDENT: &'static str = "netflix_rec::pg::json::JsonText";
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: Result<SqlMappingRef, ArgumentError> = Ok(SqlMappingRef::literal("jsonb"));
    const RETURN_SQL: Result<ReturnsRef, ReturnsError> = Ok(ReturnsRef::One(SqlMappingRef::literal("jsonb")));
}
