//! Writes an index's pages past the shared buffers, as PostgreSQL's own build does.

use pgrx::pg_sys;

use super::pages::{PAGE, Page, Tree};
use crate::pg::interrupt;

/// Pages that are logged and written together.
pub const BATCH: usize = 32;
/// Blocks after which the system is told to start writing them out, and after which they are waited for. Otherwise
/// the last wait would be long, and no interrupt is heard in it.
const FLUSH: u32 = (1 << 20) / PAGE as u32;
const SYNC: u32 = (128 << 20) / PAGE as u32;

const MAIN: pg_sys::ForkNumber::Type = pg_sys::ForkNumber::MAIN_FORKNUM;

/// The file of an index that is being built.
pub struct Writer {
    index: pg_sys::Relation,
    is_logged: bool,
    empty: Box<Page>,
    /// Blocks that the file has; that the system was told to write; that are on disk.
    blocks: u32,
    flushed: u32,
    synced: u32,
}

impl Writer {
    /// # Safety
    ///
    /// An index of a permanent table with a new, empty file, locked against all others, that stays open longer.
    pub unsafe fn new(index: pg_sys::Relation) -> Writer {
        // SAFETY: as the caller promises.
        let is_logged = unsafe {
            #[cfg(any(feature = "pg14", feature = "pg15"))]
            let skipped = pg_sys::RelFileNodeSkippingWAL((*index).rd_node);
            #[cfg(not(any(feature = "pg14", feature = "pg15")))]
            let skipped = pg_sys::RelFileLocatorSkippingWAL((*index).rd_locator);
            !skipped
        };
        Writer { index, is_logged, empty: Box::new(Page([0; PAGE])), blocks: 0, flushed: 0, synced: 0 }
    }

    /// Logs and writes the finished pages of a tree.
    pub fn write(&mut self, tree: &mut Tree) {
        interrupt::check();
        tree.finished.sort_unstable_by_key(|&(block, _)| block);
        self.log(&mut tree.finished);
        for (block, page) in &mut tree.finished {
            self.put(*block, page);
        }
        tree.spare.extend(tree.finished.drain(..).map(|(_, page)| page));
        // SAFETY: the index's own file, up to a block that it has.
        unsafe {
            if self.blocks - self.flushed >= FLUSH {
                let storage = pg_sys::RelationGetSmgr(self.index);
                pg_sys::smgrwriteback(storage, MAIN, self.flushed, self.blocks - self.flushed);
                self.flushed = self.blocks;
            }
            if self.blocks - self.synced >= SYNC {
                pg_sys::smgrimmedsync(pg_sys::RelationGetSmgr(self.index), MAIN);
                self.synced = self.blocks;
            }
        }
    }

    fn log(&self, pages: &mut [(u32, Box<Page>)]) {
        if !self.is_logged || pages.is_empty() {
            return;
        }
        let mut blocks = pages.iter().map(|&(block, _)| block).collect::<Vec<_>>();
        let mut pointers = pages.iter_mut().map(|(_, page)| page.0.as_mut_ptr().cast()).collect::<Vec<_>>();
        // SAFETY: as many blocks and pages as there are, of the standard layout; the log sequence number is set in
        // each.
        unsafe {
            #[cfg(any(feature = "pg14", feature = "pg15"))]
            let file = &raw mut (*self.index).rd_node;
            #[cfg(not(any(feature = "pg14", feature = "pg15")))]
            let file = &raw mut (*self.index).rd_locator;
            let count = blocks.len() as i32;
            pg_sys::log_newpages(file, MAIN, count, blocks.as_mut_ptr(), pointers.as_mut_ptr(), true);
        }
    }

    /// Writes a block where it belongs. Those before it that are not finished yet are empty until they are.
    fn put(&mut self, block: u32, page: &mut Page) {
        // The checkpointer need not sync what `finish`, or the end of the transaction, does.
        let skip_sync = true;
        // SAFETY: pages of the right size, of the index's own file.
        unsafe {
            let storage = pg_sys::RelationGetSmgr(self.index);
            while self.blocks < block {
                let empty = self.empty.0.as_mut_ptr().cast();
                pg_sys::smgrextend(storage, MAIN, self.blocks, empty, skip_sync);
                self.blocks += 1;
            }
            let bytes = page.0.as_mut_ptr();
            pg_sys::PageSetChecksumInplace(bytes.cast(), block);
            if self.blocks == block {
                pg_sys::smgrextend(storage, MAIN, block, bytes.cast(), skip_sync);
                self.blocks += 1;
            } else {
                pg_sys::smgrwrite(storage, MAIN, block, bytes.cast(), skip_sync);
            }
        }
    }

    /// Sees to it that a file that was logged is on disk: a checkpoint may have come between, after which the log is
    /// not read again. One that was not logged is synced as the transaction commits.
    pub fn finish(self) {
        if self.is_logged {
            // SAFETY: the index's own file.
            unsafe { pg_sys::smgrimmedsync(pg_sys::RelationGetSmgr(self.index), MAIN) };
        }
    }

    /// Empties the file again.
    pub fn undo(self) {
        // SAFETY: an index that nobody else sees.
        unsafe { pg_sys::RelationTruncate(self.index, 0) };
    }
}
