//! The extension's settings.
//!
//! A setting that takes memory or threads, and that every role may change, has a ceiling that only superusers may change. SET
//! refuses a value above the ceiling. A value from another source (postgresql.conf, ALTER ROLE, ALTER DATABASE, a connection's
//! options) is accepted, because PostgreSQL may read it before it reads the ceiling. When the setting is used, the ceiling
//! counts in place of such a value.

use std::ffi::{CStr, CString, c_int, c_void};

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, pg_guard, pg_sys};

use super::machine;

static THREADS: GucSetting<i32> = GucSetting::<i32>::new(0);
static THREAD_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(0);
static MAX_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(0);
static MEMORY_LIMIT: GucSetting<i32> = GucSetting::<i32>::new(0);
static CACHE_MEMORY: GucSetting<i32> = GucSetting::<i32>::new(96);
static QUICK_INDEX_BUILD: GucSetting<bool> = GucSetting::<bool>::new(true);
static DEFAULT_MODEL: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static DATA_DIRECTORY: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);

/// The memory, in bytes, that is assumed if the system does not say how much there is.
const ASSUMED_MEMORY: u64 = 8 << 30;

/// Defines the settings, when the library is loaded.
pub fn register() {
    // By default, the ceiling is half of the memory, and a call may use a quarter of it.
    let memory = (machine::memory().unwrap_or(ASSUMED_MEMORY) >> 20).min(i32::MAX as u64) as i32;
    // SAFETY: called once, when the library is loaded, before PostgreSQL or another function reads the two.
    unsafe {
        *MEMORY_LIMIT.as_ptr() = (memory / 2).max(1);
        *MAX_MEMORY.as_ptr() = (memory / 4).max(1);
    }
    // The ceilings are defined first, because the check hooks of the other settings read them.
    GucRegistry::define_int_guc(
        c"netflix_rec.memory_limit",
        c"Ceiling of netflix_rec.max_memory and netflix_rec.cache_memory.",
        c"The default is half of the memory of the machine or of the server's control group.",
        &MEMORY_LIMIT,
        1,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"netflix_rec.thread_limit",
        c"Ceiling of netflix_rec.threads and of the number of workers of a load; 0 means the number of cores.",
        c"",
        &THREAD_LIMIT,
        0,
        1024,
        GucContext::Suset,
        GucFlags::default(),
    );
    // SAFETY: the hooks are functions with `pg_guard`.
    unsafe {
        GucRegistry::define_int_guc_with_hooks(
            c"netflix_rec.threads",
            c"Number of threads that a training or recommend_all uses; 0 means the number of cores.",
            c"The result does not depend on this number. A value above netflix_rec.thread_limit has the effect of that limit.",
            &THREADS,
            0,
            1024,
            GucContext::Userset,
            GucFlags::default(),
            Some(check_threads),
            None,
            None,
        );
        GucRegistry::define_int_guc_with_hooks(
            c"netflix_rec.max_memory",
            c"Memory that one call may use in addition to shared_buffers; a call that needs more is refused.",
            c"It applies to loads, trainings, evaluations and recommend_all. The default is a quarter of the memory of the \
              machine or of the server's control group. A value above netflix_rec.memory_limit has the effect of that limit.",
            &MAX_MEMORY,
            1,
            i32::MAX,
            GucContext::Userset,
            GucFlags::UNIT_MB,
            Some(check_memory),
            None,
            None,
        );
        GucRegistry::define_int_guc_with_hooks(
            c"netflix_rec.cache_memory",
            c"Memory in which a session caches movies' factors; a model that needs more is not cached but read by each call.",
            c"A value above netflix_rec.memory_limit has the effect of that limit.",
            &CACHE_MEMORY,
            0,
            i32::MAX,
            GucContext::Userset,
            GucFlags::UNIT_MB,
            Some(check_memory),
            None,
            None,
        );
        GucRegistry::define_string_guc_with_hooks(
            c"netflix_rec.data_directory",
            c"Folder on the server; every role that may write to the tables can load files below it.",
            c"If it is empty, only roles with the privileges of pg_read_server_files may load files.",
            &DATA_DIRECTORY,
            GucContext::Suset,
            GucFlags::default(),
            Some(check_data_directory),
            None,
            None,
        );
    }
    GucRegistry::define_string_guc(
        c"netflix_rec.default_model",
        c"Name of the model that answers if a call names none.",
        c"If it is empty, the deployed model whose name was trained first answers.",
        &DEFAULT_MODEL,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"netflix_rec.quick_index_build",
        c"Builds the indexes of fact_ratings by the extension's own code, which is several times as fast as REINDEX.",
        c"If it is off, PostgreSQL builds them. It concerns the first load only; the indexes are the same.",
        &QUICK_INDEX_BUILD,
        GucContext::Suset,
        GucFlags::default(),
    );
    // SAFETY: a static C string; called once, when the library is loaded.
    unsafe {
        #[cfg(feature = "pg14")]
        pg_sys::EmitWarningsOnPlaceholders(c"netflix_rec".as_ptr());
        #[cfg(not(feature = "pg14"))]
        pg_sys::MarkGUCPrefixReserved(c"netflix_rec".as_ptr());
    }
}

/// Refuses a SET of `threads` above the ceiling.
#[pg_guard]
unsafe extern "C-unwind" fn check_threads(
    new: *mut c_int,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes the new value.
    let (threads, limit) = (unsafe { *new }, thread_limit());
    let is_accepted = source != pg_sys::GucSource::PGC_S_SESSION || threads as usize <= limit;
    if !is_accepted {
        refuse(&format!("netflix_rec.thread_limit allows {limit}."));
    }
    is_accepted
}

/// Refuses a SET of `max_memory` or `cache_memory` above the ceiling.
#[pg_guard]
unsafe extern "C-unwind" fn check_memory(
    new: *mut c_int,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes the new value.
    let (memory, limit) = (unsafe { *new }, MEMORY_LIMIT.get());
    let is_accepted = source != pg_sys::GucSource::PGC_S_SESSION || memory <= limit;
    if !is_accepted {
        refuse(&format!("netflix_rec.memory_limit allows {limit} MB."));
    }
    is_accepted
}

/// Refuses a relative path, because each process of the server may have another working directory.
#[pg_guard]
unsafe extern "C-unwind" fn check_data_directory(
    new: *mut *mut std::ffi::c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes the new value, a C string or null.
    let path = unsafe { if (*new).is_null() { c"" } else { CStr::from_ptr(*new) } }.to_bytes();
    let is_accepted = path.is_empty() || (path[0] == b'/' && path.len() < pg_sys::MAXPGPATH as usize);
    if !is_accepted {
        refuse("It must be an absolute path, shorter than 1024 bytes.");
    }
    is_accepted
}

/// Sets the detail of the error with which PostgreSQL refuses a value.
fn refuse(why: &str) {
    let why = CString::new(why).unwrap_or_default();
    // SAFETY: a copy in PostgreSQL's memory, which it reads after the hook has returned.
    unsafe { pg_sys::GUC_check_errdetail_string = pg_sys::pstrdup(why.as_ptr()) };
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The greatest number of threads that a call may use.
pub fn thread_limit() -> usize {
    match THREAD_LIMIT.get() {
        0 => cores(),
        limit => limit as usize,
    }
}

/// The number of threads that a call uses.
pub fn threads() -> usize {
    let threads = match THREADS.get() {
        0 => cores(),
        threads => threads as usize,
    };
    threads.min(thread_limit())
}

/// The greatest number of background workers that a load may have. Two of the server's are left to others, such as parallel
/// queries and logical replication.
pub fn max_workers() -> usize {
    // SAFETY: set once, when the server starts.
    let all = unsafe { pg_sys::max_worker_processes };
    thread_limit().min((all.max(3) - 2) as usize)
}

/// The memory that a call may use, in bytes.
pub fn max_memory() -> usize {
    (max_memory_mb() as usize) << 20
}

/// The memory that a call may use, in megabytes.
pub fn max_memory_mb() -> i32 {
    MAX_MEMORY.get().min(MEMORY_LIMIT.get())
}

/// The ceiling of `max_memory` and `cache_memory`, in megabytes.
pub fn memory_limit_mb() -> i32 {
    MEMORY_LIMIT.get()
}

/// The hint for a call that needs more than `max_memory`, without a full stop.
pub fn raise_memory_hint() -> &'static str {
    if MAX_MEMORY.get() < MEMORY_LIMIT.get() {
        "Raise netflix_rec.max_memory"
    } else {
        "Have an administrator raise netflix_rec.memory_limit, then raise netflix_rec.max_memory"
    }
}

/// The size of the cache of factors in a backend, in bytes.
pub fn cache_memory() -> usize {
    (CACHE_MEMORY.get().min(MEMORY_LIMIT.get()) as usize) << 20
}

/// Whether the extension, and not PostgreSQL, builds indexes.
pub fn quick_index_build() -> bool {
    QUICK_INDEX_BUILD.get()
}

/// `netflix_rec.default_model`; `None` if it is empty.
pub fn default_model() -> Option<String> {
    let name = DEFAULT_MODEL.get()?.into_string().ok()?;
    (!name.is_empty()).then_some(name)
}

/// `netflix_rec.data_directory`: the folder below which files may be loaded without the privileges of `pg_read_server_files`;
/// `None` if it is empty.
pub fn data_directory() -> Option<CString> {
    DATA_DIRECTORY.get().filter(|path| !path.is_empty())
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::*;
    use pgrx::prelude::*;

    fn set(setting: &str, value: &str) {
        Spi::run(&format!("SET netflix_rec.{setting} = '{value}'")).unwrap();
    }

    #[pg_test]
    fn a_ceiling_that_is_lowered_later_holds() {
        set("thread_limit", "9");
        set("threads", "9");
        assert_eq!((threads(), thread_limit()), (9, 9));
        set("thread_limit", "1");
        assert_eq!((threads(), thread_limit(), max_workers()), (1, 1, 1));
        // SAFETY: set once, when the server starts.
        let all = unsafe { pg_sys::max_worker_processes } as usize;
        set("thread_limit", "1024");
        assert_eq!(max_workers(), all - 2);

        set("memory_limit", "1000MB");
        set("max_memory", "900MB");
        set("cache_memory", "800MB");
        assert_eq!((max_memory(), cache_memory()), (900 << 20, 800 << 20));
        assert_eq!(raise_memory_hint(), "Raise netflix_rec.max_memory");
        set("memory_limit", "700MB");
        assert_eq!((max_memory(), cache_memory()), (700 << 20, 700 << 20));
        assert!(raise_memory_hint().contains("netflix_rec.memory_limit"));
    }
}
