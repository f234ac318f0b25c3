//! The pages of a B-tree over keys of eight bytes, byte for byte as PostgreSQL's own build lays them out
//! (`nbtsort.c`): filled from the left, each level passing the bounds of its finished pages to the one above.

use super::entry::{Entry, Parts};

/// A page, placed as direct I/O wants it.
#[repr(C, align(4096))]
pub struct Page(pub [u8; PAGE]);

/// Bytes a page. Servers built with others are not served.
pub const PAGE: usize = 8192;

const HEADER: usize = 24;
const ITEM_POINTER: usize = 4;
/// What a B-tree's pages hold at their end: the neighbours, the level and flags.
const SPECIAL: usize = PAGE - 16;
const LAYOUT_VERSION: u16 = 4;

/// Bytes an index tuple, and one that has no key and is below all others.
const TUPLE: usize = 16;
const BARE_TUPLE: usize = 8;
/// Set where a tuple's place holds something else: a block of the index, and how many columns are kept.
const IS_PIVOT: u16 = 1 << 13;

const LEAF: u16 = 1 << 0;
const ROOT: u16 = 1 << 1;
/// Room to be left on an inner page, in percent.
const INNER_FREE: usize = 30;
/// A leaf must have room to append a row's place to its upper bound.
const ROW_PLACE: usize = 8;

/// What the columns of a key are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Columns {
    Int4,
    Int8,
    TwoInt4,
}

const INT4_SIGN: u32 = 1 << 31;
const INT8_SIGN: u64 = 1 << 63;

impl Columns {
    pub fn parts(self) -> Parts {
        if self == Columns::TwoInt4 { Parts::Two } else { Parts::One }
    }

    /// A number that sorts as an `int4` does.
    pub fn int4(value: i32) -> u64 {
        (value.cast_unsigned() ^ INT4_SIGN).into()
    }

    /// A number that sorts as an `int8` does.
    pub fn int8(value: i64) -> u64 {
        value.cast_unsigned() ^ INT8_SIGN
    }

    /// A number that sorts as a pair of `int4` does.
    pub fn two_int4(first: i32, second: i32) -> u64 {
        Columns::int4(first) << 32 | Columns::int4(second)
    }

    /// The key as an index tuple holds it.
    #[inline]
    fn stored(self, key: u64) -> u64 {
        let int4 = |part: u64| u64::from(part as u32 ^ INT4_SIGN);
        match self {
            Columns::Int8 => key ^ INT8_SIGN,
            Columns::Int4 => side_by_side(int4(key), 0),
            Columns::TwoInt4 => side_by_side(int4(key >> 32), int4(key)),
        }
    }

    /// The columns of a bound between two leaves that are needed to tell them apart.
    fn needed(self, left: u64, right: u64) -> u16 {
        if self == Columns::TwoInt4 && left >> 32 == right >> 32 { 2 } else { 1 }
    }

    /// The key of a bound that keeps only so many columns.
    fn truncated(self, key: u64, columns: u16) -> u64 {
        match (self, columns) {
            (Columns::TwoInt4, 1) => side_by_side(u64::from((key >> 32) as u32 ^ INT4_SIGN), 0),
            _ => self.stored(key),
        }
    }
}

/// Eight bytes of memory made of four and four.
#[inline]
fn side_by_side(first: u64, second: u64) -> u64 {
    if cfg!(target_endian = "little") { second << 32 | first } else { first << 32 | second }
}

/// An index tuple.
#[derive(Clone, Copy)]
struct Tuple {
    block: u32,
    offset: u16,
    info: u16,
    key: u64,
}

impl Tuple {
    /// Below all others.
    const LOWEST: Tuple = Tuple { block: 0, offset: 0, info: BARE_TUPLE as u16 | IS_PIVOT, key: 0 };

    fn size(self) -> usize {
        usize::from(self.info & (IS_PIVOT - 1))
    }

    #[inline]
    fn write(self, page: &mut Page, at: usize) {
        let halves = [(self.block >> 16) as u16, self.block as u16, self.offset, self.info];
        for (half, to) in halves.into_iter().zip(page.0[at..at + BARE_TUPLE].chunks_exact_mut(2)) {
            to.copy_from_slice(&half.to_ne_bytes());
        }
        if self.size() == TUPLE {
            page.0[at + BARE_TUPLE..at + TUPLE].copy_from_slice(&self.key.to_ne_bytes());
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

    /// Points to a tuple: where it is, that it is in use, its size.
    #[inline]
    fn put_item(&mut self, number: usize, at: usize, size: usize) {
        let (at, size) = (at as u32, size as u32);
        let bits = if cfg!(target_endian = "little") {
            at | 1 << 15 | size << 17
        } else {
            at << 17 | 1 << 15 | size
        };
        self.put_u32(HEADER + (number - 1) * ITEM_POINTER, bits);
    }
}

/// The page of a level that is being filled.
struct Level {
    page: Box<Page>,
    block: u32,
    previous: u32,
    /// Tuples on the page. The first has item number 2, as the upper bound is to have number 1.
    tuples: usize,
    /// Where the last of them is.
    upper: usize,
    /// The last tuple, and for a leaf the key of the one before.
    last: Tuple,
    last_key: u64,
    key_before: u64,
    /// The lower bound of the page.
    low: Tuple,
    /// Room to be left on a page.
    free: usize,
}

/// A tree being built.
pub struct Tree {
    columns: Columns,
    levels: Vec<Level>,
    leaf_free: usize,
    /// The number of blocks given to pages, the meta page's included.
    blocks: u32,
    /// Finished pages and their blocks, for the caller to write: in an order that is close to that of the blocks.
    pub finished: Vec<(u32, Box<Page>)>,
    /// Pages to use again.
    pub spare: Vec<Box<Page>>,
}

/// The root's block and level.
pub type Root = (u32, u32);

impl Tree {
    /// With so many bytes left free on each leaf.
    pub fn new(columns: Columns, leaf_free: usize) -> Tree {
        Tree { columns, levels: Vec::new(), leaf_free, blocks: 1, finished: Vec::new(), spare: Vec::new() }
    }

    /// Adds an entry, which must come in order.
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

    /// Finishes the last page of each level. There is no root where there was no entry.
    pub fn finish(&mut self) -> Option<Root> {
        let mut number = 0;
        while number < self.levels.len() {
            let is_root = number + 1 == self.levels.len();
            if !is_root {
                let Level { low, block, .. } = self.levels[number];
                self.add(number + 1, Tuple { block, ..low }, 0);
            }
            let empty = self.empty_page();
            let level = &mut self.levels[number];
            // The last page of a level has no upper bound: its items move up.
            let items = HEADER + ITEM_POINTER..HEADER + (level.tuples + 1) * ITEM_POINTER;
            level.page.0.copy_within(items, HEADER);
            let flags = if is_root { ROOT } else { 0 };
            let page = level.close(number, level.tuples, 0, flags, empty);
            self.finished.push((level.block, page));
            number += 1;
        }
        self.levels.last().map(|level| (level.block, self.levels.len() as u32 - 1))
    }

    fn add(&mut self, number: usize, tuple: Tuple, key: u64) {
        let level = &self.levels[number];
        let is_leaf = number == 0;
        let room = (level.upper - HEADER - ITEM_POINTER * (level.tuples + 1)).saturating_sub(ITEM_POINTER);
        let needed = tuple.size() + if is_leaf { ROW_PLACE } else { 0 };
        if room < needed || (room < level.free && level.tuples > 1) {
            self.next_page(number);
        }
        self.levels[number].append(tuple, key, is_leaf);
    }

    /// Finishes a page: its last tuple becomes its upper bound, and the first of the next page.
    #[inline(never)]
    fn next_page(&mut self, number: usize) {
        let is_leaf = number == 0;
        let block = self.new_block();
        if number + 1 == self.levels.len() {
            self.add_level();
        }
        let empty = self.empty_page();
        let columns = self.columns;
        let level = &mut self.levels[number];
        let (last, last_key) = (level.last, level.last_key);
        let mut bound = last;
        if is_leaf {
            let kept = columns.needed(level.key_before, last_key);
            bound.offset = kept;
            bound.info = TUPLE as u16 | IS_PIVOT;
            bound.key = columns.truncated(last_key, kept);
            bound.write(&mut level.page, level.upper);
        }
        level.page.put_item(1, level.upper, TUPLE);
        level.page.put_u32(HEADER + level.tuples * ITEM_POINTER, 0);
        let old_block = level.block;
        let page = level.close(number, level.tuples, block, 0, empty);
        let below = Tuple { block: old_block, ..level.low };
        level.low = bound;
        level.previous = old_block;
        level.block = block;
        level.append(last, last_key, is_leaf);
        self.finished.push((old_block, page));
        self.add(number + 1, below, 0);
    }

    fn add_level(&mut self) {
        let free = if self.levels.is_empty() { self.leaf_free } else { PAGE * INNER_FREE / 100 };
        let level = Level {
            page: self.empty_page(),
            block: self.new_block(),
            previous: 0,
            tuples: 0,
            upper: SPECIAL,
            last: Tuple::LOWEST,
            last_key: 0,
            key_before: 0,
            low: Tuple::LOWEST,
            free,
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
        // The first of an inner page is below all others, whatever its key.
        if !is_leaf && self.tuples == 0 {
            stored = Tuple { block: tuple.block, ..Tuple::LOWEST };
        }
        let size = stored.size();
        self.upper -= size;
        stored.write(&mut self.page, self.upper);
        self.tuples += 1;
        self.page.put_item(self.tuples + 1, self.upper, size);
        self.last = tuple;
        self.key_before = self.last_key;
        self.last_key = key;
    }

    /// Writes a page's header and end, and takes an empty one in its place.
    fn close(&mut self, number: usize, items: usize, next: u32, flags: u16, empty: Box<Page>) -> Box<Page> {
        let mut page = std::mem::replace(&mut self.page, empty);
        page.put_u16(12, (HEADER + items * ITEM_POINTER) as u16);
        page.put_u16(14, self.upper as u16);
        page.put_u16(16, SPECIAL as u16);
        page.put_u16(18, PAGE as u16 | LAYOUT_VERSION);
        page.put_u32(SPECIAL, self.previous);
        page.put_u32(SPECIAL + 4, next);
        page.put_u32(SPECIAL + 8, number as u32);
        page.put_u16(SPECIAL + 12, flags | if number == 0 { LEAF } else { 0 });
        self.tuples = 0;
        self.upper = SPECIAL;
        page
    }
}
