//! Settings: for each one static, one range, one sentence.

use std::ffi::CString;

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting};

static THREADS: GucSetting<i32> = GucSetting::<i32>::new(0);
static MAX_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(8192);
static CACHE_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(96);
static DEFAULT_MODEL: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// Makes the settings known to the server.
pub fn register() {
    GucRegistry::define_int_guc(
        c"netflix_rec.threads",
        c"Threads that a training or recommend_all may use; 0 for one on each core.",
        c"The result does not depend on it.",
        &THREADS,
        0,
        1024,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"netflix_rec.max_memory",
        c"Memory that one call (a load, training, evaluation, recommend_all, …) may take beyond shared_buffers; more is refused.",
        c"",
        &MAX_MEMORY,
        1,
        i32::MAX,
        GucContext::Userset,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"netflix_rec.cache_memory",
        c"Memory that a backend keeps movies' factors in between recommendations; a model that would need more is read anew each time.",
        c"",
        &CACHE_MEMORY,
        0,
        i32::MAX,
        GucContext::Userset,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_string_guc(
        c"netflix_rec.default_model",
        c"The model that is meant where none is named; unset, the deployed one that was trained last.",
        c"",
        &DEFAULT_MODEL,
        GucContext::Userset,
        GucFlags::default(),
    );
    // SAFETY: a C string that lives for ever; called once, as the library is loaded.
    unsafe {
        #[cfg(feature = "pg14")]
        pgrx::pg_sys::EmitWarningsOnPlaceholders(c"netflix_rec".as_ptr());
        #[cfg(not(feature = "pg14"))]
        pgrx::pg_sys::MarkGUCPrefixReserved(c"netflix_rec".as_ptr());
    }
}

/// How many threads to train on.
pub fn threads() -> usize {
    match THREADS.get() {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads as usize,
    }
}

/// How many bytes a call may take.
pub fn max_memory() -> usize {
    (MAX_MEMORY.get() as usize) << 20
}

/// The same in megabytes, as the setting has it.
pub fn max_memory_mb() -> i32 {
    MAX_MEMORY.get()
}

/// How many bytes of factors a backend may keep between calls.
pub fn cache_memory() -> usize {
    (CACHE_MEMORY.get() as usize) << 20
}

/// The model meant where none is named, if one is set.
pub fn default_model() -> Option<String> {
    let name = DEFAULT_MODEL.get()?.into_string().ok()?;
    (!name.is_empty()).then_some(name)
}
