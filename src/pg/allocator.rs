//! The library's allocator: the system's, and a reserve for small requests that the system refuses.
//!
//! Where an allocation that cannot fail is refused, Rust aborts the process, and PostgreSQL then ends all sessions. What
//! grows with the data is therefore reserved fallibly ([`super::memory`]). That leaves the small allocations inside of
//! libraries, `format!`, queues and errors: the reserve serves those, so that the work comes as far as
//! [`interrupt::check`](super::interrupt::check) or the end of [`interrupt::run`](super::interrupt::run), which raise
//! [`Error::OutOfMemory`](super::Error).
//!
//! A hook for refused allocations needs an unstable Rust. An allocator that unwinds, or raises an error of PostgreSQL's, is
//! undefined behaviour. A reserve that is given back to the system when it is needed may be taken by another thread or by
//! PostgreSQL. This one is part of the library's zeroed data: it takes no memory before it is used.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// Bytes of the reserve.
const BYTES: usize = 4 << 20;
/// The largest request that it serves.
const SMALL: usize = 64 << 10;
/// What the system must give again for the shortage to be over.
const PROBE: Layout = Layout::new::<[u8; 1 << 20]>();

#[repr(align(64))]
struct Reserve(UnsafeCell<[u8; BYTES]>);

// SAFETY: each byte is handed to one owner at a time, by changes of `USED` that are atomic.
unsafe impl Sync for Reserve {}

static RESERVE: Reserve = Reserve(UnsafeCell::new([0; BYTES]));
/// The number of blocks in use (high half), and where the free part begins (low half).
static USED: AtomicU64 = AtomicU64::new(0);
/// Whether the reserve was needed since [`is_exhausted`] was asked last.
static NEEDED: AtomicBool = AtomicBool::new(false);

/// Whether the system has refused a small request. Long work should end.
pub fn is_short() -> bool {
    NEEDED.load(Ordering::Relaxed)
}

/// Whether the system has refused a small request since this was asked last, and has no memory still.
pub fn is_exhausted() -> bool {
    if !is_short() {
        return false;
    }
    NEEDED.store(false, Ordering::Relaxed);
    // SAFETY: a layout that is not empty; the block is given back at once.
    unsafe {
        let probe = System.alloc(PROBE);
        if !probe.is_null() {
            System.dealloc(probe, PROBE);
        }
        probe.is_null()
    }
}

/// Gives memory that was freed back to the system: the C library keeps what it expects to need again.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: touches free memory alone.
    unsafe {
        libc::malloc_trim(0);
    }
}

struct Allocator;

// SAFETY: blocks are the system's, or disjoint parts of the reserve; each goes back to where it came from.
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
            // SAFETY: a block of this size.
            unsafe { ptr::write_bytes(block, 0, layout.size()) };
        }
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match offset(block) {
            Some(offset) => give_back(offset, layout.size()),
            // SAFETY: the system's, as the caller promises.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if offset(block).is_none() {
            // SAFETY: the system's, as the caller promises.
            let moved = unsafe { System.realloc(block, layout, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: as the caller promises; the blocks do not overlap, as both are in use.
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

/// Where in the reserve a block lies, if it does.
#[inline]
fn offset(block: *mut u8) -> Option<usize> {
    let offset = (block as usize).wrapping_sub(RESERVE.0.get() as usize);
    (offset < BYTES).then_some(offset)
}

/// A block of the reserve; null where the request is not small or the reserve is used up.
#[cold]
fn from_reserve(layout: Layout) -> *mut u8 {
    if layout.size() > SMALL {
        return ptr::null_mut();
    }
    NEEDED.store(true, Ordering::Relaxed);
    let base = RESERVE.0.get().cast::<u8>();
    let mut used = USED.load(Ordering::Relaxed);
    loop {
        let start = (base as usize + used as u32 as usize).next_multiple_of(layout.align()) - base as usize;
        let end = start + layout.size();
        if end > BYTES {
            return ptr::null_mut();
        }
        let after = ((used >> 32) + 1) << 32 | end as u64;
        match USED.compare_exchange_weak(used, after, Ordering::Acquire, Ordering::Relaxed) {
            // SAFETY: within the reserve.
            Ok(_) => return unsafe { base.add(start) },
            Err(now) => used = now,
        }
    }
}

/// Takes a block back: the last one's room is free again, and all of it once no block is in use.
#[cold]
fn give_back(offset: usize, size: usize) {
    let free = |used: u64| {
        let (blocks, end) = ((used >> 32) - 1, used as u32 as usize);
        let end = match blocks {
            0 => 0,
            _ if offset + size == end => offset,
            _ => end,
        };
        Some(blocks << 32 | end as u64)
    };
    let _ = USED.fetch_update(Ordering::Release, Ordering::Relaxed, free);
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::*;
    use pgrx::prelude::*;

    #[pg_test]
    fn blocks_of_the_reserve_are_disjoint_and_come_back() {
        let layouts = [(1, 1), (24, 8), (4096, 4096), (SMALL, 16), (3, 1), (64, 64)];
        let layouts = layouts.map(|(size, align)| Layout::from_size_align(size, align).unwrap());
        let blocks = layouts.map(from_reserve);
        for (at, (&block, layout)) in blocks.iter().zip(layouts).enumerate() {
            assert!(offset(block).is_some() && (block as usize).is_multiple_of(layout.align()));
            // SAFETY: a block of this size that nobody else has.
            unsafe { ptr::write_bytes(block, at as u8 + 1, layout.size()) };
        }
        for (at, (&block, layout)) in blocks.iter().zip(layouts).enumerate() {
            // SAFETY: as written above.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            assert!(bytes.iter().all(|&byte| byte == at as u8 + 1));
        }
        // SAFETY: a block of the reserve and its layout; what was written moves along.
        let (grown, size) = unsafe {
            let size = 2 * layouts[5].size();
            (ALLOCATOR.realloc(blocks[5], layouts[5], size), size)
        };
        // SAFETY: as large as asked for.
        assert_eq!(unsafe { *grown.add(63) }, 6);
        // SAFETY: each block with its layout, once.
        unsafe {
            ALLOCATOR.dealloc(grown, Layout::from_size_align(size, 64).unwrap());
            blocks[..5].iter().zip(layouts).for_each(|(&block, layout)| ALLOCATOR.dealloc(block, layout));
        }
        assert_eq!(USED.load(Ordering::Relaxed), 0);
        assert!(is_short());
        // The system has memory: the shortage is over.
        assert!(!is_exhausted() && !is_short());
    }

    #[pg_test]
    fn the_reserve_ends() {
        let small = Layout::from_size_align(SMALL, 16).unwrap();
        let blocks = std::iter::repeat_with(|| from_reserve(small)).take_while(|block| !block.is_null());
        let blocks = blocks.collect::<Vec<_>>();
        assert_eq!(blocks.len(), BYTES / SMALL);
        assert!(from_reserve(Layout::from_size_align(SMALL + 1, 1).unwrap()).is_null());
        blocks.into_iter().rev().for_each(|block| give_back(offset(block).unwrap(), SMALL));
        assert_eq!(USED.load(Ordering::Relaxed), 0);
        assert!(!is_exhausted());
    }
}
