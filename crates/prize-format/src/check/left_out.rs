//! Which of the ratings in the files are not to be loaded.

use std::collections::HashMap;

use super::segment::SegmentId;

/// The ratings that are not to be loaded.
#[derive(Default)]
pub(crate) struct LeftOut {
    /// The number of these ratings.
    pub count: u64,
    /// A bitmap of the records of each segment that has such ratings, and the number of bits that are set.
    segments: HashMap<SegmentId, (Vec<u8>, u64)>,
}

impl LeftOut {
    /// The bitmap of a segment's records. Empty if all of its records are to be loaded.
    pub fn bitmap_of(&self, segment: SegmentId) -> &[u8] {
        self.segments.get(&segment).map_or(&[], |(bits, _)| bits)
    }

    /// The number of a segment's records that are not to be loaded.
    pub fn count_of(&self, segment: SegmentId) -> u64 {
        self.segments.get(&segment).map_or(0, |&(_, count)| count)
    }

    /// Adds the record with index `record` of a segment of `records` records.
    pub fn add(&mut self, segment: SegmentId, records: u32, record: u32) {
        let empty = || (vec![0; (records as usize).div_ceil(8)], 0);
        let (bits, count) = self.segments.entry(segment).or_insert_with(empty);
        bits[record as usize / 8] |= 1 << (record % 8);
        *count += 1;
        self.count += 1;
    }

    /// Adds the ratings of other segments.
    pub fn extend(&mut self, other: LeftOut) {
        self.count += other.count;
        self.segments.extend(other.segments);
    }
}
