//! The library's global allocator: the system's allocator, and a reserve for small requests that the system refuses.
//!
//! If an infallible allocation fails, Rust aborts the process, and PostgreSQL then ends all sessions. Therefore data whose size
//! grows with the tables is allocated fallibly ([`super::memory`]). Small allocations remain: inside libraries, for `format!`,
//! queues and errors. The reserve serves these until the work reaches [`interrupt::check`](super::interrupt::check) or the end
//! of [`threads::run`](super::threads::run), which raise [`Error::OutOfMemory`](super::Error).
//!
//! Three alternatives do not work. A hook for failed allocations needs unstable Rust. An allocator that unwinds, or that raises a
//! PostgreSQL error, is undefined behaviour. A reserve that is returned to the system when it is needed can be taken by another
//! thread or by PostgreSQL.
//!
//! The reserve is part of the library's zeroed data, so it takes no memory before it is used.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Size of the reserve in bytes.
const RESERVE_BYTES: usize = 4 << 20;
/// The largest request that the reserve serves, in bytes.
const MAX_REQUEST: usize = 64 << 10;
/// The shortage has ended when the system grants a request of this size.
const PROBE: Layout = Layout::new::<[u8; 1 << 20]>();

#[repr(align(64))]
struct Reserve(UnsafeCell<[u8; RESERVE_BYTES]>);

// SAFETY: each byte has one owner at a time, because `USED` changes atomically.
unsafe impl Sync for Reserve {}

static RESERVE: Reserve = Reserve(UnsafeCell::new([0; RESERVE_BYTES]));
/// Upper 32 bits: the number of blocks in use. Lower 32 bits: the offset of the free part.
static USED: AtomicU64 = AtomicU64::new(0);
/// Whether the reserve was used since the last call of [`is_exhausted`].
static WAS_USED: AtomicBool = AtomicBool::new(false);

/// Whether the system has refused a small request. If so, long work should stop.
pub fn is_short() -> bool {
    WAS_USED.load(Ordering::Relaxed)
}

/// Whether the system has refused a small request since the last call of this function and is still short of memory.
pub fn is_exhausted() -> bool {
    if !is_short() {
        return false;
    }
    WAS_USED.store(false, Ordering::Relaxed);
    // SAFETY: the layout is not empty; the block is freed at once.
    unsafe {
        let probe = System.alloc(PROBE);
        if !probe.is_null() {
            System.dealloc(probe, PROBE);
        }
        probe.is_null()
    }
}

/// Returns freed memory to the system. Without this call, the C library keeps memory that it expects to need again.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call changes free memory only.
    unsafe {
        libc::malloc_trim(0);
    }
}

struct Allocator;

// SAFETY: a block comes from the system or is a part of the reserve that overlaps no other; it is freed where it came from.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() { from_reserve(layout) } else { block }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            return block;
        }
        let block = from_reserve(layout);
        if !block.is_null() {
            // SAFETY: the block has this size.
            unsafe { ptr::write_bytes(block, 0, layout.size()) };
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match offset(block) {
            Some(offset) => free(offset, layout.size()),
            // SAFETY: the block came from the system, as the caller promises.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if offset(block).is_none() {
            // SAFETY: the block came from the system, as the caller promises.
            let moved = unsafe { System.realloc(block, layout, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: as the caller promises; the blocks do not overlap, because both are in use.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                ptr::copy_nonoverlapping(block, moved, size.min(layout.size()));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// The offset of a block in the reserve; `None` if the block came from the system.
#[inline]
fn offset(block: *mut u8) -> Option<usize> {
    let offset = (block as usize).wrapping_sub(RESERVE.0.get() as usize);
    (offset < RESERVE_BYTES).then_some(offset)
}

/// Allocates a block in the reserve. Returns null if the request is too large or the reserve is full.
#[cold]
fn from_reserve(layout: Layout) -> *mut u8 {
    if layout.size() > MAX_REQUEST {
        return ptr::null_mut();
    }
    WAS_USED.store(true, Ordering::Relaxed);
    let base = RESERVE.0.get().cast::<u8>();
    let mut used = USED.load(Ordering::Relaxed);
    loop {
        let start = (base as usize + used as u32 as usize).next_multiple_of(layout.align()) - base as usize;
        let end = start + layout.size();
        if end > RESERVE_BYTES {
            return ptr::null_mut();
        }
        let after = ((used >> 32) + 1) << 32 | end as u64;
        match USED.compare_exchange_weak(used, after, Ordering::Acquire, Ordering::Relaxed) {
            // SAFETY: the block lies within the reserve.
            Ok(_) => return unsafe { base.add(start) },
            Err(now) => used = now,
        }
    }
}

/// Frees a block of the reserve. Its space can be used again if it was the last block, or when no block is in use any more.
#[cold]
fn free(offset: usize, size: usize) {
    let without_block = |used: u64| {
        let (blocks, end) = ((used >> 32) - 1, used as u32 as usize);
        let end = match blocks {
            0 => 0,
            _ if offset + size == end => offset,
            _ => end,
        };
        Some(blocks << 32 | end as u64)
    };
    let _ = USED.fetch_update(Ordering::Release, Ordering::Relaxed, without_block);
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::*;
    use pgrx::prelude::*;

    #[pg_test]
    fn blocks_of_the_reserve_are_disjoint_and_can_be_freed() {
        let layouts = [(1, 1), (24, 8), (4096, 4096), (MAX_REQUEST, 16), (3, 1), (64, 64)];
        let layouts = layouts.map(|(size, align)| Layout::from_size_align(size, align).unwrap());
        let blocks = layouts.map(from_reserve);
        for (index, (&block, layout)) in blocks.iter().zip(layouts).enumerate() {
            assert!(offset(block).is_some() && (block as usize).is_multiple_of(layout.align()));
            // SAFETY: the block has this size and no other owner.
            unsafe { ptr::write_bytes(block, index as u8 + 1, layout.size()) };
        }
        for (index, (&block, layout)) in blocks.iter().zip(layouts).enumerate() {
            // SAFETY: the block has this size and was written above.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            assert!(bytes.iter().all(|&byte| byte == index as u8 + 1));
        }
        // SAFETY: a block of the reserve and its layout; realloc copies what was written.
        let (grown, size) = unsafe {
            let size = 2 * layouts[5].size();
            (ALLOCATOR.realloc(blocks[5], layouts[5], size), size)
        };
        // SAFETY: the block is as large as requested.
        assert_eq!(unsafe { *grown.add(63) }, 6);
        // SAFETY: each block is freed once, with its layout.
        unsafe {
            ALLOCATOR.dealloc(grown, Layout::from_size_align(size, 64).unwrap());
            blocks[..5].iter().zip(layouts).for_each(|(&block, layout)| ALLOCATOR.dealloc(block, layout));
        }
        assert_eq!(USED.load(Ordering::Relaxed), 0);
        assert!(is_short());
        // The system has memory, so there is no shortage any more.
        assert!(!is_exhausted() && !is_short());
    }

    #[pg_test]
    fn a_full_reserve_refuses() {
        let small = Layout::from_size_align(MAX_REQUEST, 16).unwrap();
        let blocks = std::iter::repeat_with(|| from_reserve(small)).take_while(|block| !block.is_null());
        let blocks = blocks.collect::<Vec<_>>();
        assert_eq!(blocks.len(), RESERVE_BYTES / MAX_REQUEST);
        assert!(from_reserve(Layout::from_size_align(MAX_REQUEST + 1, 1).unwrap()).is_null());
        blocks.into_iter().rev().for_each(|block| free(offset(block).unwrap(), MAX_REQUEST));
        assert_eq!(USED.load(Ordering::Relaxed), 0);
        assert!(!is_exhausted());
    }
}
