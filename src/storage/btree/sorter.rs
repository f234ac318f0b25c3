//! Sorts index entries, with little more than eight bytes of memory for each. It need not know the range of the keys in
//! advance.
//!
//! Rows that were inserted in the order of the key form long runs. A run is stored as its first entry and its length. If the
//! runs turn out to be short, all entries go to buckets instead.

use super::buckets::Buckets;
use super::entry::{Entry, Parts, Unfit};

/// Collects entries in any order and returns them in the order of their keys.
pub struct Sorter {
    runs: Vec<Run>,
    entries: u64,
    buckets: Option<Buckets>,
    parts: Parts,
    blocks: u32,
    limit: usize,
}

/// Consecutive rows of a block whose keys rise by one from row to row.
struct Run {
    key: u64,
    block: u32,
    offset: u16,
    length: u16,
}

/// Entries stay in runs while the runs have this average length, or while there are few runs.
const MIN_AVERAGE_RUN: u64 = 16;
const FEW_RUNS: u64 = 4096;

impl Sorter {
    /// A sorter for a table of `blocks` blocks. It uses at most `limit` bytes.
    pub fn new(parts: Parts, blocks: u32, limit: usize) -> Sorter {
        Sorter { runs: Vec::new(), entries: 0, buckets: None, parts, blocks, limit }
    }

    /// The number of entries.
    pub fn len(&self) -> u64 {
        self.entries
    }

    /// Adds an entry.
    #[inline]
    pub fn push(&mut self, entry: Entry) -> Result<(), Unfit> {
        self.entries += 1;
        if let Some(buckets) = &mut self.buckets {
            return buckets.push(entry, self.entries);
        }
        if let Some(run) = self.runs.last_mut()
            && run.block == entry.block
            && run.offset.checked_add(run.length) == Some(entry.offset)
            && run.key.checked_add(run.length.into()) == Some(entry.key)
        {
            run.length += 1;
            return Ok(());
        }
        self.start_run(entry)
    }

    #[inline(never)]
    fn start_run(&mut self, Entry { key, block, offset }: Entry) -> Result<(), Unfit> {
        if self.runs.len() as u64 > FEW_RUNS + self.entries / MIN_AVERAGE_RUN {
            let mut buckets = Buckets::new(self.parts, self.blocks, key, self.limit)?;
            for run in std::mem::take(&mut self.runs) {
                for entry in run.entries() {
                    buckets.push(entry, self.entries)?;
                }
            }
            buckets.push(Entry { key, block, offset }, self.entries)?;
            self.buckets = Some(buckets);
            return Ok(());
        }
        if (self.runs.len() + 1) * size_of::<Run>() > self.limit {
            return Err(Unfit);
        }
        self.runs.try_reserve(1).map_err(|_| Unfit)?;
        self.runs.push(Run { key, block, offset, length: 1 });
        Ok(())
    }

    /// Calls `each` with all entries in the order of their keys. [`Unfit`] if two keys are equal.
    pub fn for_each_sorted(self, mut each: impl FnMut(Entry)) -> Result<(), Unfit> {
        if let Some(buckets) = self.buckets {
            return buckets.for_each_sorted(each);
        }
        let mut runs = self.runs;
        runs.sort_unstable_by_key(|run| run.key);
        // A run has every key from its first to its last. So if two runs overlap, they have a key in common.
        if runs.windows(2).any(|pair| pair[1].key - pair[0].key < pair[0].length.into()) {
            return Err(Unfit);
        }
        runs.iter().flat_map(Run::entries).for_each(&mut each);
        Ok(())
    }
}

impl Run {
    fn entries(&self) -> impl Iterator<Item = Entry> {
        (0..self.length).map(|n| Entry {
            key: self.key + u64::from(n),
            block: self.block,
            offset: self.offset + n,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const BLOCKS: u32 = 5000;

    fn entries(keys: Vec<u64>) -> Vec<Entry> {
        let place = |n: usize| (n as u32 / 50 * 7 % BLOCKS, n as u16 % 50 + 1);
        let entry = |(n, key)| {
            let (block, offset) = place(n);
            Entry { key, block, offset }
        };
        keys.into_iter().enumerate().map(entry).collect()
    }

    /// A sort that is obviously correct.
    fn naive(mut entries: Vec<Entry>) -> Result<Vec<Entry>, Unfit> {
        entries.sort_by_key(|entry| entry.key);
        if entries.windows(2).any(|pair| pair[0].key == pair[1].key) { Err(Unfit) } else { Ok(entries) }
    }

    fn by_sorter(entries: &[Entry]) -> Result<Vec<Entry>, Unfit> {
        let mut sorter = Sorter::new(Parts::One, BLOCKS, usize::MAX);
        entries.iter().try_for_each(|&entry| sorter.push(entry))?;
        assert_eq!(sorter.len(), entries.len() as u64);
        let mut sorted = Vec::new();
        sorter.for_each_sorted(|entry| sorted.push(entry)).map(|()| sorted)
    }

    fn by_buckets(parts: Parts, entries: &[Entry]) -> Result<Vec<Entry>, Unfit> {
        let first = entries.first().map_or(0, |entry| entry.key);
        let mut buckets = Buckets::new(parts, BLOCKS, first, usize::MAX)?;
        entries.iter().try_for_each(|&entry| buckets.push(entry, 0))?;
        let mut sorted = Vec::new();
        buckets.for_each_sorted(|entry| sorted.push(entry)).map(|()| sorted)
    }

    proptest! {
        #[test]
        fn pairs_in_buckets_come_in_order(
            base in (0..=u32::MAX - 5000, 0..=u32::MAX - 100_000),
            keys in vec((0..5000u32, 0..100_000u32), 0..2000),
        ) {
            let key = |(a, b)| u64::from(base.0 + a) << 32 | u64::from(base.1 + b);
            let entries = entries(keys.into_iter().map(key).collect());
            prop_assert_eq!(by_buckets(Parts::Two, &entries), naive(entries));
        }

        #[test]
        fn numbers_in_buckets_come_in_order(base in 0..u64::MAX >> 1, keys in vec(0..1u64 << 25, 0..2000)) {
            let entries = entries(keys.into_iter().map(|key| base + key).collect());
            prop_assert_eq!(by_buckets(Parts::One, &entries), naive(entries));
        }

        #[test]
        fn runs_come_in_order(starts in vec((0..1u64 << 20, 1..40u64), 0..200)) {
            let keys = starts.into_iter().flat_map(|(start, length)| start..start + length).collect();
            let entries = entries(keys);
            prop_assert_eq!(by_sorter(&entries), naive(entries));
        }
    }

    #[test]
    fn short_runs_go_to_buckets() {
        // An odd multiplier permutes the keys.
        let keys = (0..1u64 << 16).map(|n| n * 40503 % (1 << 16)).collect();
        let entries = entries(keys);
        assert_eq!(by_sorter(&entries), naive(entries));
    }

    #[test]
    fn keys_far_apart_are_unfit() {
        let entries = entries(vec![0, u64::MAX]);
        assert_eq!(by_buckets(Parts::One, &entries), Err(Unfit));
        assert_eq!(by_buckets(Parts::Two, &entries), Err(Unfit));
        assert_eq!(by_sorter(&entries), naive(entries));
    }

    #[test]
    fn memory_limit_is_observed() {
        let mut sorter = Sorter::new(Parts::One, BLOCKS, 2 << 20);
        let mut keys = (0..u64::MAX).map(|n| n * 7 % 1_000_003);
        let failed = keys.position(|key| sorter.push(Entry { key, block: 1, offset: 1 }).is_err());
        // Two slabs with 8 bytes per entry, minus the links and the chunks that are only half full.
        assert!((200_000..1 << 18).contains(&failed.unwrap()), "{failed:?}");
    }
}
