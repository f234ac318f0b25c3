//! The calling transaction: what it may do, and subtransactions of it.

use std::ffi::CStr;
use std::panic::AssertUnwindSafe;
use std::ptr;

use pgrx::pg_sys::panic::CaughtError;
use pgrx::{PgSqlErrorCode, PgTryBuilder, pg_sys};

use super::Error;

/// Raises PostgreSQL's own error if the transaction is read-only. A long call checks this first, so that it does not fail at
/// its end.
pub fn require_writable(function: &CStr) {
    // SAFETY: a C string; the call reads the transaction's state and raises an error or returns.
    unsafe { pg_sys::PreventCommandIfReadOnly(function.as_ptr()) };
}

/// Whether the transaction uses one snapshot for all its statements, because it is REPEATABLE READ or SERIALIZABLE. It does not
/// see what others commit after that snapshot was taken.
pub fn uses_one_snapshot() -> bool {
    // SAFETY: the transaction's isolation level, read on the backend's thread.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// Refuses a call inside a transaction block, a function or a DO block. For functions that commit while they run, because such
/// a call could not be rolled back. `call` is what PostgreSQL passed to a set-returning function.
#[allow(clippy::not_unsafe_ptr_arg_deref)] // PostgreSQL is the only source of pointers of this type
pub fn refuse_transaction_block(
    function: &'static CStr,
    call: pg_sys::FunctionCallInfo,
) -> Result<(), Error> {
    // SAFETY: the call's own information and a C string; PostgreSQL reads the transaction's state. PreventInTransactionBlock
    // also makes the transaction commit as soon as the statement ends.
    unsafe {
        let is_called_by_client = is_called_by_client(call);
        if pg_sys::IsInTransactionBlock(is_called_by_client) {
            return Err(Error::TransactionBlock { function, is_called_by_client });
        }
        pg_sys::PreventInTransactionBlock(true, function.as_ptr());
    }
    Ok(())
}

/// Whether a call is inside a transaction block, a function or a DO block, so that what it does can be rolled back after it. `call` is
/// what PostgreSQL passed to a set-returning function.
#[allow(clippy::not_unsafe_ptr_arg_deref)] // PostgreSQL is the only source of pointers of this type
pub fn is_in_block(call: pg_sys::FunctionCallInfo) -> bool {
    // SAFETY: the call's own information; PostgreSQL reads the transaction's state.
    unsafe { pg_sys::IsInTransactionBlock(is_called_by_client(call)) }
}

/// Whether the client's own statement calls the function. A statement of a function, a procedure or a DO block runs below the
/// client's statement: with an executor state of its own, or in a cursor that SPI named.
///
/// # Safety
///
/// `call` is what PostgreSQL passed to a function that is running.
unsafe fn is_called_by_client(call: pg_sys::FunctionCallInfo) -> bool {
    // SAFETY: as the caller promises; the portal and the executor states live as long as the call.
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
        // EXECUTE of a prepared statement names its portal in the same way, but that portal is not visible.
        let is_named_by_spi =
            (*portal).visible && CStr::from_ptr((*portal).name).to_bytes().starts_with(b"<unnamed portal");
        (*(*portal).queryDesc).estate == (*(*result).econtext).ecxt_estate && !is_named_by_spi
    }
}

/// Whether the transaction has an id, because it has written something. At the beginning of a statement outside a transaction
/// block, it has none.
pub fn has_transaction_id() -> bool {
    // SAFETY: reads the transaction's state.
    unsafe { pg_sys::GetTopTransactionIdIfAny() != pg_sys::InvalidTransactionId }
}

/// Runs `work` in a subtransaction, which is rolled back if `work` returns an error or PostgreSQL raises one. The message of
/// PostgreSQL's error is returned as `Ok(Err(message))`. A cancel or timeout of the statement is raised again instead.
pub fn in_subtransaction<T, E>(work: impl FnOnce() -> Result<T, E>) -> Result<Result<T, String>, E> {
    let work = AssertUnwindSafe(work);
    // SAFETY: on the backend's thread, in a transaction. The subtransaction ends in each case below. The current memory context
    // and resource owner are restored then, as PL/pgSQL does it.
    unsafe {
        let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let end = move |is_done: bool| {
            match is_done {
                true => pg_sys::ReleaseCurrentSubTransaction(),
                false => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
            }
            pg_sys::MemoryContextSwitchTo(context);
            pg_sys::CurrentResourceOwner = owner;
        };
        PgTryBuilder::new(move || {
            let result = { work }.0();
            end(result.is_ok());
            result.map(Ok)
        })
        .catch_others(|error| match error {
            CaughtError::PostgresError(report)
                if report.sql_error_code() != PgSqlErrorCode::ERRCODE_QUERY_CANCELED =>
            {
                end(false);
                Ok(Err(report.message().into()))
            }
            error => error.rethrow(),
        })
        .execute()
    }
}
