//! Notices DISCARD ALL and DISCARD PLANS. PostgreSQL calls no hook for them, but they invalidate all plans. So a plan that is
//! never run serves as a marker.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use pgrx::{Spi, pg_sys};

use super::Error;

/// The plan; null before the first [`set_marker`].
static MARKER: AtomicPtr<pg_sys::_SPI_plan> = AtomicPtr::new(ptr::null_mut());

/// Makes [`is_marker_valid`] true until plans are discarded.
pub fn set_marker() -> Result<(), Error> {
    if is_marker_valid() {
        return Ok(());
    }
    // SAFETY: a C string, connected to SPI; a plan that SPI keeps lives until it is freed.
    Spi::connect(|_| unsafe {
        let plan = pg_sys::SPI_prepare(c"SELECT 1".as_ptr(), 0, ptr::null_mut());
        if plan.is_null() {
            return Err(Error::Null("query"));
        }
        pg_sys::SPI_keepplan(plan);
        let old = MARKER.swap(plan, Ordering::Relaxed);
        if !old.is_null() {
            pg_sys::SPI_freeplan(old);
        }
        Ok(())
    })
}

/// Whether no plans were discarded since [`set_marker`].
pub fn is_marker_valid() -> bool {
    let plan = MARKER.load(Ordering::Relaxed);
    // SAFETY: a plan that SPI keeps; only its flags are read.
    !plan.is_null() && unsafe { pg_sys::SPI_plan_is_valid(plan) }
}
