//! What the calling transaction may do and see.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::Error;

/// Raises PostgreSQL's own error where the transaction may not write: better before long work than after it.
pub fn require_writable(function: &CStr) {
    // SAFETY: a C string; the call looks at the transaction's state and raises an error or returns.
    unsafe { pg_sys::PreventCommandIfReadOnly(function.as_ptr()) };
}

/// Whether the transaction goes on seeing what it saw first, and so not what another commits.
pub fn has_old_snapshot() -> bool {
    // SAFETY: the transaction's isolation level, read on the backend's thread.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// Refuses to run inside a transaction block, a function or a DO block: for what commits on the way and cannot be rolled back.
/// `call` is what PostgreSQL gave a function that returns a set.
#[allow(clippy::not_unsafe_ptr_arg_deref)] // no other pointer of this type is to be had
pub fn refuse_transaction_block(
    function: &'static CStr,
    call: pg_sys::FunctionCallInfo,
) -> Result<(), Error> {
    // SAFETY: the call's own information; a C string; PostgreSQL looks at the transaction's state. The second call has it commit
    // before anything else comes.
    unsafe {
        let is_called_by_client = is_called_by_client(call);
        if pg_sys::IsInTransactionBlock(is_called_by_client) {
            return Err(Error::TransactionBlock { function, is_called_by_client });
        }
        pg_sys::PreventInTransactionBlock(true, function.as_ptr());
    }
    Ok(())
}

/// Whether the statement that calls a function is the one that the client sent. Statements of functions, procedures and DO
/// blocks run below that one, with an execution state of their own or in a cursor that SPI named.
///
/// # Safety
///
/// What PostgreSQL gave a function that is being called.
unsafe fn is_called_by_client(call: pg_sys::FunctionCallInfo) -> bool {
    // SAFETY: as the caller promises; what the call runs in lives as long as it does.
    unsafe {
        let result = (*call).resultinfo.cast::<pg_sys::ReturnSetInfo>();
        let portal = pg_sys::ActivePortal;
        if result.is_null()
            || (*result).econtext.is_null()
            || portal.is_null()
            || (*portal).queryDesc.is_null()
        {
            return false;
        }
        // EXECUTE of a prepared statement names its cursor likewise, but does not list it.
        let is_named_by_spi =
            (*portal).visible && CStr::from_ptr((*portal).name).to_bytes().starts_with(b"<unnamed portal");
        (*(*portal).queryDesc).estate == (*(*result).econtext).ecxt_estate && !is_named_by_spi
    }
}

/// Whether the transaction has written something: a statement by itself, at its beginning, has not.
pub fn has_transaction_id() -> bool {
    // SAFETY: looks at the transaction's state.
    unsafe { pg_sys::GetTopTransactionIdIfAny() != pg_sys::InvalidTransactionId }
}
