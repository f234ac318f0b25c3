//! Writes an index's pages to its file without shared buffers, as PostgreSQL's own build does.

use pgrx::pg_sys;

use super::pages::{PAGE, Page, Tree};
use crate::pg::interrupt;

/// The number of pages that are logged and written together.
pub const PAGES_PER_WRITE: usize = 32;
/// After how many blocks the system is asked to start writing them to disk, and after how many the build waits until they are
/// there. Without these steps, the wait at the end would be long, and it cannot be interrupted.
const BLOCKS_PER_WRITEBACK: u32 = (1 << 20) / PAGE as u32;
const BLOCKS_PER_SYNC: u32 = (128 << 20) / PAGE as u32;

const MAIN: pg_sys::ForkNumber::Type = pg_sys::ForkNumber::MAIN_FORKNUM;

/// The file of an index that is being built.
pub struct Writer {
    index: pg_sys::Relation,
    is_logged: bool,
    zeros: Box<Page>,
    /// The number of blocks in the file.
    blocks: u32,
    /// The number of blocks that the system was asked to write to disk.
    written_back: u32,
    /// The number of blocks that are known to be on disk.
    synced: u32,
}

impl Writer {
    /// # Safety
    ///
    /// An index of a permanent table, with a new, empty file and an AccessExclusiveLock. It stays open while the writer is
    /// used.
    pub unsafe fn new(index: pg_sys::Relation) -> Writer {
        // SAFETY: as the caller promises.
        let is_logged = unsafe {
            #[cfg(any(feature = "pg14", feature = "pg15"))]
            let skipped = pg_sys::RelFileNodeSkippingWAL((*index).rd_node);
            #[cfg(not(any(feature = "pg14", feature = "pg15")))]
            let skipped = pg_sys::RelFileLocatorSkippingWAL((*index).rd_locator);
            !skipped
        };
        Writer { index, is_logged, zeros: Box::new(Page([0; PAGE])), blocks: 0, written_back: 0, synced: 0 }
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
        // SAFETY: the index's own file; the blocks exist.
        unsafe {
            if self.blocks - self.written_back >= BLOCKS_PER_WRITEBACK {
                let storage = pg_sys::RelationGetSmgr(self.index);
                pg_sys::smgrwriteback(storage, MAIN, self.written_back, self.blocks - self.written_back);
                self.written_back = self.blocks;
            }
            if self.blocks - self.synced >= BLOCKS_PER_SYNC {
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
        // SAFETY: two lists of the same length; the pages have the standard layout. The call sets the LSN of each page.
        unsafe {
            #[cfg(any(feature = "pg14", feature = "pg15"))]
            let file = &raw mut (*self.index).rd_node;
            #[cfg(not(any(feature = "pg14", feature = "pg15")))]
            let file = &raw mut (*self.index).rd_locator;
            let count = blocks.len() as i32;
            pg_sys::log_newpages(file, MAIN, count, blocks.as_mut_ptr(), pointers.as_mut_ptr(), true);
        }
    }

    /// Writes a page to its block. Blocks before it that are not finished yet are written as zeros first.
    fn put(&mut self, block: u32, page: &mut Page) {
        // The checkpointer need not sync the file, because `finish` or the end of the transaction does.
        let skip_sync = true;
        // SAFETY: the index's own file, and buffers of the size of a page.
        unsafe {
            let storage = pg_sys::RelationGetSmgr(self.index);
            while self.blocks < block {
                let zeros = self.zeros.0.as_mut_ptr().cast();
                pg_sys::smgrextend(storage, MAIN, self.blocks, zeros, skip_sync);
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

    /// Syncs the file if it was logged to the WAL. Otherwise, after a checkpoint during the build, crash recovery would not
    /// replay the earlier WAL records. A file that was not logged is synced when the transaction commits.
    pub fn finish(self) {
        if self.is_logged {
            // SAFETY: the index's own file.
            unsafe { pg_sys::smgrimmedsync(pg_sys::RelationGetSmgr(self.index), MAIN) };
        }
    }

    /// Truncates the file to zero blocks.
    pub fn truncate(self) {
        // SAFETY: an index that no other transaction can open.
        unsafe { pg_sys::RelationTruncate(self.index, 0) };
    }
}
