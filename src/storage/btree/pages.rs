//! Builds the pages of a B-tree over keys of eight bytes, byte for byte as PostgreSQL's own build does (`nbtsort.c`).
//!
//! Each level is filled from left to right. When a page is finished, the level above gets a downlink to it. The terms are
//! PostgreSQL's: a high key is the upper bound of a page, and a pivot tuple is a high key or a downlink.

use super::entry::{Entry, Parts};

/// A page, aligned as direct I/O requires.
#[repr(C, align(4096))]
pub struct Page(pub [u8; PAGE]);

/// Bytes of a page. The quick build does not support servers that were built with another page size.
pub const PAGE: usize = 8192;

/// Bytes of a page header.
const HEADER: usize = 24;
/// Bytes of a line pointer.
const LINE_POINTER: usize = 4;
/// The offset of a B-tree page's special space (`BTPageOpaqueData`): the siblings, the level and flags.
const SPECIAL: usize = PAGE - 16;
/// The page layout version in the page header.
const LAYOUT_VERSION: u16 = 4;

/// Bytes of an index tuple with a key.
const TUPLE: usize = 16;
/// Bytes of an index tuple without a key, which sorts before all others.
const KEYLESS_TUPLE: usize = 8;
/// `INDEX_ALT_TID_MASK`, set in a pivot tuple: its TID holds a block of the index and the number of columns that are not
/// truncated.
const IS_PIVOT: u16 = 1 << 13;

/// Page flags.
const LEAF: u16 = 1 << 0;
const ROOT: u16 = 1 << 1;
/// Free space to leave on an inner page, in percent.
const INNER_FREE_PERCENT: usize = 30;
/// Free space that a leaf must have for a heap TID in its high key, in bytes.
const HEAP_TID_SPACE: usize = 8;

/// The types of the key columns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Columns {
    Int4,
    Int8,
    TwoInt4,
}

const INT4_SIGN: u32 = 1 << 31;
const INT8_SIGN: u64 = 1 << 63;

impl Columns {
    /// How the integer of a key is made of the columns.
    pub fn parts(self) -> Parts {
        if self == Columns::TwoInt4 { Parts::Two } else { Parts::One }
    }

    /// An `int4` as an unsigned integer with the same order.
    pub fn int4(value: i32) -> u64 {
        (value.cast_unsigned() ^ INT4_SIGN).into()
    }

    /// An `int8` as an unsigned integer with the same order.
    pub fn int8(value: i64) -> u64 {
        value.cast_unsigned() ^ INT8_SIGN
    }

    /// A pair of `int4` as an unsigned integer with the same order.
    pub fn two_int4(first: i32, second: i32) -> u64 {
        Columns::int4(first) << 32 | Columns::int4(second)
    }

    /// The key as an index tuple stores it.
    #[inline]
    fn stored(self, key: u64) -> u64 {
        let int4 = |part: u64| u64::from(part as u32 ^ INT4_SIGN);
        match self {
            Columns::Int8 => key ^ INT8_SIGN,
            Columns::Int4 => side_by_side(int4(key), 0),
            Columns::TwoInt4 => side_by_side(int4(key >> 32), int4(key)),
        }
    }

    /// How many columns the high key between two leaves needs. `left` is the last key of the left leaf, `right` the first of
    /// the right one.
    fn columns_needed(self, left: u64, right: u64) -> u16 {
        if self == Columns::TwoInt4 && left >> 32 == right >> 32 { 2 } else { 1 }
    }

    /// The key of a high key in which only the first `columns` columns are not truncated.
    fn truncated(self, key: u64, columns: u16) -> u64 {
        match (self, columns) {
            (Columns::TwoInt4, 1) => side_by_side(u64::from((key >> 32) as u32 ^ INT4_SIGN), 0),
            _ => self.stored(key),
        }
    }
}

/// The eight bytes of two `int4` that are stored one after the other.
#[inline]
fn side_by_side(first: u64, second: u64) -> u64 {
    if cfg!(target_endian = "little") { second << 32 | first } else { first << 32 | second }
}

/// An index tuple.
#[derive(Clone, Copy)]
struct Tuple {
    /// In a leaf: the row's block. In an inner page: the child's block.
    block: u32,
    /// In a leaf: the row's offset number. In a pivot tuple: the number of columns that are not truncated.
    offset: u16,
    /// `t_info`: the size and flags.
    info: u16,
    /// The key as an index tuple stores it.
    key: u64,
}

impl Tuple {
    /// A pivot tuple without columns, which sorts before all others ("minus infinity").
    const LOWEST: Tuple = Tuple { block: 0, offset: 0, info: KEYLESS_TUPLE as u16 | IS_PIVOT, key: 0 };

    fn size(self) -> usize {
        usize::from(self.info & (IS_PIVOT - 1))
    }

    #[inline]
    fn write(self, page: &mut Page, at: usize) {
        let halves = [(self.block >> 16) as u16, self.block as u16, self.offset, self.info];
        for (half, to) in halves.into_iter().zip(page.0[at..at + KEYLESS_TUPLE].chunks_exact_mut(2)) {
            to.copy_from_slice(&half.to_ne_bytes());
        }
        if self.size() == TUPLE {
            page.0[at + KEYLESS_TUPLE..at + TUPLE].copy_from_slice(&self.key.to_ne_bytes());
        }
    }
}

impl Page {
    fn put_u16(&mut self, at: usize, value: u16) {
        self.0[at..at + 2].copy_from_slice(&value.to_ne_bytes());
    }

    fn put_u32(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }

    /// Writes a line pointer: the tuple's offset on the page, the flag LP_NORMAL, the tuple's size. `offset_number`
    /// counts from 1.
    #[inline]
    fn put_line_pointer(&mut self, offset_number: usize, at: usize, size: usize) {
        let (at, size) = (at as u32, size as u32);
        let bits = if cfg!(target_endian = "little") {
            at | 1 << 15 | size << 17
        } else {
            at << 17 | 1 << 15 | size
        };
        self.put_u32(HEADER + (offset_number - 1) * LINE_POINTER, bits);
    }
}

/// A level of the tree: its page that is being filled.
struct Level {
    page: Box<Page>,
    block: u32,
    /// The block of the left sibling.
    previous: u32,
    /// The number of tuples on the page. The first has offset number 2, because number 1 is reserved for the high key.
    tuples: usize,
    /// `pd_upper`: the offset of the last tuple on the page.
    upper: usize,
    /// The last tuple.
    last: Tuple,
    /// In a leaf: the key of the last tuple.
    last_key: u64,
    /// In a leaf: the key of the tuple before the last one.
    previous_key: u64,
    /// The lower bound of the page: the high key of the left sibling. The downlink to the page has this key.
    low_key: Tuple,
    /// Free space to leave on a page, in bytes.
    min_free: usize,
}

/// A tree that is being built.
pub struct Tree {
    columns: Columns,
    levels: Vec<Level>,
    leaf_free: usize,
    /// The number of blocks that pages have been assigned, including the meta page.
    blocks: u32,
    /// Finished pages with their blocks. The caller writes them. Their order is close to that of the blocks.
    pub finished: Vec<(u32, Box<Page>)>,
    /// Pages whose memory can be used again.
    pub spare: Vec<Box<Page>>,
}

/// The block and the level of the root.
pub type Root = (u32, u32);

impl Tree {
    /// An empty tree. `leaf_free` is the number of bytes to leave free on each leaf.
    pub fn new(columns: Columns, leaf_free: usize) -> Tree {
        Tree { columns, levels: Vec::new(), leaf_free, blocks: 1, finished: Vec::new(), spare: Vec::new() }
    }

    /// Adds an entry. The entries must come in the order of their keys.
    #[inline]
    pub fn push(&mut self, entry: Entry) {
        let tuple = Tuple {
            block: entry.block,
            offset: entry.offset,
            info: TUPLE as u16,
            key: self.columns.stored(entry.key),
        };
        if self.levels.is_empty() {
            self.add_level();
        }
        self.add(0, tuple, entry.key);
    }

    /// Finishes the last page of each level. Returns `None` if there was no entry, and so no root.
    pub fn finish(&mut self) -> Option<Root> {
        let mut index = 0;
        while index < self.levels.len() {
            let is_root = index + 1 == self.levels.len();
            if !is_root {
                let Level { low_key, block, .. } = self.levels[index];
                self.add(index + 1, Tuple { block, ..low_key }, 0);
            }
            let empty = self.empty_page();
            let level = &mut self.levels[index];
            // The rightmost page of a level has no high key, so its line pointers move to the front.
            let line_pointers = HEADER + LINE_POINTER..HEADER + (level.tuples + 1) * LINE_POINTER;
            level.page.0.copy_within(line_pointers, HEADER);
            let flags = if is_root { ROOT } else { 0 };
            let page = level.close(index, level.tuples, 0, flags, empty);
            self.finished.push((level.block, page));
            index += 1;
        }
        self.levels.last().map(|level| (level.block, self.levels.len() as u32 - 1))
    }

    /// Adds a tuple to a level, on a new page if the current one is full. `key` matters in a leaf only.
    fn add(&mut self, index: usize, tuple: Tuple, key: u64) {
        let level = &self.levels[index];
        let is_leaf = index == 0;
        let free = (level.upper - HEADER - LINE_POINTER * (level.tuples + 1)).saturating_sub(LINE_POINTER);
        let needed = tuple.size() + if is_leaf { HEAP_TID_SPACE } else { 0 };
        if free < needed || (free < level.min_free && level.tuples > 1) {
            self.next_page(index);
        }
        self.levels[index].append(tuple, key, is_leaf);
    }

    /// Finishes the page of a level and begins the next one. The last tuple moves to the next page; the finished page keeps it
    /// as its high key.
    #[inline(never)]
    fn next_page(&mut self, index: usize) {
        let is_leaf = index == 0;
        let block = self.new_block();
        if index + 1 == self.levels.len() {
            self.add_level();
        }
        let empty = self.empty_page();
        let columns = self.columns;
        let level = &mut self.levels[index];
        let (last, last_key) = (level.last, level.last_key);
        let mut high_key = last;
        if is_leaf {
            let kept = columns.columns_needed(level.previous_key, last_key);
            high_key.offset = kept;
            high_key.info = TUPLE as u16 | IS_PIVOT;
            high_key.key = columns.truncated(last_key, kept);
            high_key.write(&mut level.page, level.upper);
        }
        level.page.put_line_pointer(1, level.upper, TUPLE);
        // The line pointer of the tuple that moves is cleared.
        level.page.put_u32(HEADER + level.tuples * LINE_POINTER, 0);
        let old_block = level.block;
        let page = level.close(index, level.tuples, block, 0, empty);
        let downlink = Tuple { block: old_block, ..level.low_key };
        level.low_key = high_key;
        level.previous = old_block;
        level.block = block;
        level.append(last, last_key, is_leaf);
        self.finished.push((old_block, page));
        self.add(index + 1, downlink, 0);
    }

    fn add_level(&mut self) {
        let min_free = if self.levels.is_empty() { self.leaf_free } else { PAGE * INNER_FREE_PERCENT / 100 };
        let level = Level {
            page: self.empty_page(),
            block: self.new_block(),
            previous: 0,
            tuples: 0,
            upper: SPECIAL,
            last: Tuple::LOWEST,
            last_key: 0,
            previous_key: 0,
            low_key: Tuple::LOWEST,
            min_free,
        };
        self.levels.push(level);
    }

    fn new_block(&mut self) -> u32 {
        self.blocks += 1;
        self.blocks - 1
    }

    fn empty_page(&mut self) -> Box<Page> {
        let mut page = self.spare.pop().unwrap_or_else(|| Box::new(Page([0; PAGE])));
        page.0.fill(0);
        page
    }
}

impl Level {
    #[inline]
    fn append(&mut self, tuple: Tuple, key: u64, is_leaf: bool) {
        let mut stored = tuple;
        // The first tuple of an inner page is stored without its key.
        if !is_leaf && self.tuples == 0 {
            stored = Tuple { block: tuple.block, ..Tuple::LOWEST };
        }
        let size = stored.size();
        self.upper -= size;
        stored.write(&mut self.page, self.upper);
        self.tuples += 1;
        self.page.put_line_pointer(self.tuples + 1, self.upper, size);
        self.last = tuple;
        self.previous_key = self.last_key;
        self.last_key = key;
    }

    /// Writes the page's header and special space. Returns the page and continues with an empty one. `index` is the level, 0
    /// for leaves; `next` is the block of the right sibling.
    fn close(
        &mut self,
        index: usize,
        line_pointers: usize,
        next: u32,
        flags: u16,
        empty: Box<Page>,
    ) -> Box<Page> {
        let mut page = std::mem::replace(&mut self.page, empty);
        page.put_u16(12, (HEADER + line_pointers * LINE_POINTER) as u16);
        page.put_u16(14, self.upper as u16);
        page.put_u16(16, SPECIAL as u16);
        page.put_u16(18, PAGE as u16 | LAYOUT_VERSION);
        page.put_u32(SPECIAL, self.previous);
        page.put_u32(SPECIAL + 4, next);
        page.put_u32(SPECIAL + 8, index as u32);
        page.put_u16(SPECIAL + 12, flags | if index == 0 { LEAF } else { 0 });
        self.tuples = 0;
        self.upper = SPECIAL;
        page
    }
}
