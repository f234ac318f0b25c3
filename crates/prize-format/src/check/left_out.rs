//! Which of the ratings that were found are not to be loaded.

use std::collections::HashMap;

use super::segment::SegmentId;

/// The ratings that are left out.
#[derive(Default)]
pub(crate) struct Duplicates {
    pub count: u64,
    /// For each segment that has any: a bit for each of its records, and how many are set.
    pub left_out: HashMap<SegmentId, (Vec<u8>, u64)>,
}

impl Duplicates {
    /// A bit for each of a segment's records, or nothing where none is left out.
    pub fn of(&self, segment: SegmentId) -> &[u8] {
        self.left_out.get(&segment).map_or(&[], |(bits, _)| bits)
    }

    /// How many of a segment's records are left out.
    pub fn count_of(&self, segment: SegmentId) -> u64 {
        self.left_out.get(&segment).map_or(0, |&(_, count)| count)
    }

    pub fn add(&mut self, segment: SegmentId, records: u32, record: u32) {
        let empty = || (vec![0; (records as usize).div_ceil(8)], 0);
        let (bits, count) = self.left_out.entry(segment).or_insert_with(empty);
        bits[record as usize / 8] |= 1 << (record % 8);
        *count += 1;
        self.count += 1;
    }
}
