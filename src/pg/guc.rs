//! Settings: for each one static, one range, one sentence.
//!
//! What anybody may set and takes memory or threads has a ceiling that only an administrator sets. SET refuses what is above it;
//! what stands elsewhere (in postgresql.conf, with a role or database, in a connection's options) is taken for the ceiling itself,
//! as one cannot tell there in which order the two are read.

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

/// The machine's memory, where the system does not tell.
const USUAL_MEMORY: u64 = 8 << 30;

/// Makes the settings known to the server.
pub fn register() {
    // Half of the memory is what administrators let one call have, unless they say otherwise, and a quarter is what one takes.
    let memory = (machine::memory().unwrap_or(USUAL_MEMORY) >> 20).min(i32::MAX as u64) as i32;
    // SAFETY: called once, as the library is loaded, before the server or anybody else knows of the two.
    unsafe {
        *MEMORY_LIMIT.as_ptr() = (memory / 2).max(1);
        *MAX_MEMORY.as_ptr() = (memory / 4).max(1);
    }
    // The ceilings first: what is above them is looked at by them.
    GucRegistry::define_int_guc(
        c"netflix_rec.memory_limit",
        c"The most memory that anybody may set netflix_rec.max_memory and netflix_rec.cache_memory to.",
        c"Half of the machine's or its control group's memory, unless set.",
        &MEMORY_LIMIT,
        1,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"netflix_rec.thread_limit",
        c"The most threads that anybody may set netflix_rec.threads to, and workers that a load may have; 0 for one on each core.",
        c"",
        &THREAD_LIMIT,
        0,
        1024,
        GucContext::Suset,
        GucFlags::default(),
    );
    // SAFETY: the hooks are guarded.
    unsafe {
        GucRegistry::define_int_guc_with_hooks(
            c"netflix_rec.threads",
            c"Threads that a training or recommend_all may use; 0 for one on each core.",
            c"The result does not depend on it. More than netflix_rec.thread_limit are not used.",
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
            c"Memory that one call (a load, training, evaluation, recommend_all) may take beyond shared_buffers; more is refused.",
            c"A quarter of the machine's or its control group's memory, unless set. More than netflix_rec.memory_limit is not used.",
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
            c"Memory that a backend keeps movies' factors in between recommendations; a model that would need more is read anew each time.",
            c"More than netflix_rec.memory_limit is not used.",
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
            c"Folder of the server below which every role may have files loaded that may write the tables.",
            c"Unset, only roles with the privileges of pg_read_server_files may load files.",
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
        c"The model that is meant where none is named; unset, the deployed one that was trained last.",
        c"",
        &DEFAULT_MODEL,
        GucContext::Userset,
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"netflix_rec.quick_index_build",
        c"Whether the first load builds the indexes of fact_ratings itself, several times as fast as REINDEX.",
        c"Off, PostgreSQL builds them.",
        &QUICK_INDEX_BUILD,
        GucContext::Suset,
        GucFlags::default(),
    );
    // SAFETY: a C string that lives for ever; called once, as the library is loaded.
    unsafe {
        #[cfg(feature = "pg14")]
        pg_sys::EmitWarningsOnPlaceholders(c"netflix_rec".as_ptr());
        #[cfg(not(feature = "pg14"))]
        pg_sys::MarkGUCPrefixReserved(c"netflix_rec".as_ptr());
    }
}

/// Refuses SET of more threads than the ceiling.
#[pg_guard]
unsafe extern "C-unwind" fn check_threads(
    new: *mut c_int,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: the server hands over the new value.
    let (threads, limit) = (unsafe { *new }, thread_limit());
    let is_good = source != pg_sys::GucSource::PGC_S_SESSION || threads as usize <= limit;
    if !is_good {
        refuse(&format!("netflix_rec.thread_limit allows {limit}."));
    }
    is_good
}

/// Refuses SET of more memory than the ceiling.
#[pg_guard]
unsafe extern "C-unwind" fn check_memory(
    new: *mut c_int,
    _extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: the server hands over the new value.
    let (memory, limit) = (unsafe { *new }, MEMORY_LIMIT.get());
    let is_good = source != pg_sys::GucSource::PGC_S_SESSION || memory <= limit;
    if !is_good {
        refuse(&format!("netflix_rec.memory_limit allows {limit} MB."));
    }
    is_good
}

/// A path is looked up by every process of the server, each in a folder of its own.
#[pg_guard]
unsafe extern "C-unwind" fn check_data_directory(
    new: *mut *mut std::ffi::c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: the server hands over the new value, a C string where it is not null.
    let path = unsafe { if (*new).is_null() { c"" } else { CStr::from_ptr(*new) } }.to_bytes();
    let is_good = path.is_empty() || (path[0] == b'/' && path.len() < pg_sys::MAXPGPATH as usize);
    if !is_good {
        refuse("It must be an absolute path, shorter than 1024 bytes.");
    }
    is_good
}

/// Says why a value is refused.
fn refuse(why: &str) {
    let why = CString::new(why).unwrap_or_default();
    // SAFETY: a copy in the server's memory, which it looks at when the hook has returned.
    unsafe { pg_sys::GUC_check_errdetail_string = pg_sys::pstrdup(why.as_ptr()) };
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// How many threads a call may use at the most, whatever it asks for.
pub fn thread_limit() -> usize {
    match THREAD_LIMIT.get() {
        0 => cores(),
        limit => limit as usize,
    }
}

/// How many threads to train on.
pub fn threads() -> usize {
    let threads = match THREADS.get() {
        0 => cores(),
        threads => threads as usize,
    };
    threads.min(thread_limit())
}

/// How many background workers a load may have: two of the server's are left to others, such as parallel queries and logical
/// replication.
pub fn most_workers() -> usize {
    // SAFETY: set once, as the server starts.
    let all = unsafe { pg_sys::max_worker_processes };
    thread_limit().min((all.max(3) - 2) as usize)
}

/// How many bytes a call may take.
pub fn max_memory() -> usize {
    (max_memory_mb() as usize) << 20
}

/// The same in megabytes.
pub fn max_memory_mb() -> i32 {
    MAX_MEMORY.get().min(MEMORY_LIMIT.get())
}

/// The most that it may be, in megabytes.
pub fn memory_limit_mb() -> i32 {
    MEMORY_LIMIT.get()
}

/// What a call that needs more than `max_memory` is told to do.
pub fn raise_memory() -> &'static str {
    if MAX_MEMORY.get() < MEMORY_LIMIT.get() {
        "Raise netflix_rec.max_memory"
    } else {
        "Have an administrator raise netflix_rec.memory_limit, then raise netflix_rec.max_memory"
    }
}

/// How many bytes of factors a backend may keep between calls.
pub fn cache_memory() -> usize {
    (CACHE_MEMORY.get().min(MEMORY_LIMIT.get()) as usize) << 20
}

/// Whether indexes are built by the extension and not by PostgreSQL.
pub fn quick_index_build() -> bool {
    QUICK_INDEX_BUILD.get()
}

/// The model meant where none is named, if one is set.
pub fn default_model() -> Option<String> {
    let name = DEFAULT_MODEL.get()?.into_string().ok()?;
    (!name.is_empty()).then_some(name)
}

/// The folder below which files may be loaded without the privileges of `pg_read_server_files`, if one is set.
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
        assert_eq!((threads(), thread_limit(), most_workers()), (1, 1, 1));
        // SAFETY: set once, as the server starts.
        let all = unsafe { pg_sys::max_worker_processes } as usize;
        set("thread_limit", "1024");
        assert_eq!(most_workers(), all - 2);

        set("memory_limit", "1000MB");
        set("max_memory", "900MB");
        set("cache_memory", "800MB");
        assert_eq!((max_memory(), cache_memory()), (900 << 20, 800 << 20));
        assert_eq!(raise_memory(), "Raise netflix_rec.max_memory");
        set("memory_limit", "700MB");
        assert_eq!((max_memory(), cache_memory()), (700 << 20, 700 << 20));
        assert!(raise_memory().contains("netflix_rec.memory_limit"));
    }
}
