//! Brings index entries into order in little more memory than eight bytes each, without knowing their range before.
//!
//! Rows that were loaded in the order of the key make long runs, of which only the ends are kept. Others are packed
//! into 64 bits each, key above place, and dealt to buckets by the upper bits of the key.

/// The rows are not for this method: out of range, too many for memory, or two of one key.
#[derive(Debug, PartialEq)]
pub struct Unfit;

/// A key, as a number that sorts as the key does, and the place of its row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    pub key: u64,
    pub block: u32,
    pub offset: u16,
}

/// What a key is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Parts {
    /// One number.
    One,
    /// Two numbers of 32 bits each.
    Two,
}

/// Collects entries in any order, and gives them in the order of their keys.
pub struct Sorter {
    runs: Vec<Run>,
    rows: u64,
    packed: Option<Packed>,
    parts: Parts,
    blocks: u32,
    limit: usize,
}

/// Rows side by side in a block whose keys rise by one from row to row.
struct Run {
    key: u64,
    block: u32,
    offset: u16,
    length: u16,
}

/// Runs are worth keeping while they are this long on average; and a few are never too many.
const WORTHWHILE_RUN: u64 = 16;
const FEW_RUNS: u64 = 4096;

impl Sorter {
    /// For a table of this many blocks, within this many bytes.
    pub fn new(parts: Parts, blocks: u32, limit: usize) -> Sorter {
        Sorter { runs: Vec::new(), rows: 0, packed: None, parts, blocks, limit }
    }

    /// How many entries there are.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds an entry.
    #[inline]
    pub fn push(&mut self, entry: Entry) -> Result<(), Unfit> {
        self.rows += 1;
        if let Some(packed) = &mut self.packed {
            return packed.push(entry, self.rows);
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
        if self.runs.len() as u64 > FEW_RUNS + self.rows / WORTHWHILE_RUN {
            let mut packed = Packed::new(self.parts, self.blocks, key, self.limit)?;
            for run in std::mem::take(&mut self.runs) {
                for entry in run.entries() {
                    packed.push(entry, self.rows)?;
                }
            }
            packed.push(Entry { key, block, offset }, self.rows)?;
            self.packed = Some(packed);
            return Ok(());
        }
        if (self.runs.len() + 1) * size_of::<Run>() > self.limit {
            return Err(Unfit);
        }
        self.runs.try_reserve(1).map_err(|_| Unfit)?;
        self.runs.push(Run { key, block, offset, length: 1 });
        Ok(())
    }

    /// Hands on all entries in order. Ends with [`Unfit`] at the second of two equal keys.
    pub fn sorted(self, mut each: impl FnMut(Entry)) -> Result<(), Unfit> {
        if let Some(packed) = self.packed {
            return packed.sorted(each);
        }
        let mut runs = self.runs;
        runs.sort_unstable_by_key(|run| run.key);
        // Each holds every number from its first key to its last: where two overlap, they share one.
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

/// Entries of 64 bits: from above, what the bucket leaves open of the key's first part, the second part, the block,
/// the offset.
struct Packed {
    key: KeyBits,
    block_bits: u32,
    buckets: Vec<Bucket>,
    pool: Pool,
}

/// How a key is told apart into a bucket and what its entry holds. A key of one number is taken as two.
#[derive(Clone, Copy)]
struct KeyBits {
    /// Bits of the second part in the key, and in the entry.
    second: u32,
    packed_second: u32,
    /// Bits of the first part that the entry holds.
    first: u32,
    /// What is taken off each part.
    first_base: u64,
    second_base: u64,
}

const BUCKETS: usize = 1 << 18;
/// Sorting one that is this full takes some tens of milliseconds, in which no interrupt is heard.
const FULL_BUCKET: u32 = 1 << 20;
/// A page has room for 291 rows.
const OFFSET_BITS: u32 = 9;

impl KeyBits {
    /// Around a key: what lies too far from it is unfit.
    fn around(key: u64, parts: Parts, place_bits: u32) -> KeyBits {
        let (second, first) = match parts {
            Parts::One => (16, 0),
            Parts::Two => (32, 6),
        };
        let packed_second = second.min(64 - place_bits - first);
        let second_base = if packed_second == second {
            0
        } else {
            (key & ((1 << second) - 1)).saturating_sub(1 << (packed_second - 1))
        };
        let first_base = (key >> second).saturating_sub((BUCKETS as u64 / 2) << first);
        KeyBits { second, packed_second, first, first_base, second_base }
    }

    /// The bucket, and what the entry holds.
    fn split(self, key: u64) -> Result<(usize, u64), Unfit> {
        let first = (key >> self.second).wrapping_sub(self.first_base);
        let second = (key & ((1 << self.second) - 1)).wrapping_sub(self.second_base);
        let bucket = first >> self.first;
        if bucket >= BUCKETS as u64 || second >> self.packed_second != 0 {
            return Err(Unfit);
        }
        Ok((bucket as usize, (first & ((1 << self.first) - 1)) << self.packed_second | second))
    }

    fn join(self, bucket: usize, held: u64) -> u64 {
        let first = ((bucket as u64) << self.first | held >> self.packed_second) + self.first_base;
        let second = (held & ((1 << self.packed_second) - 1)) + self.second_base;
        first << self.second | second
    }
}

impl Packed {
    fn new(parts: Parts, blocks: u32, key: u64, limit: usize) -> Result<Packed, Unfit> {
        let block_bits = u32::BITS - blocks.leading_zeros();
        let mut buckets = Vec::new();
        buckets.try_reserve_exact(BUCKETS).map_err(|_| Unfit)?;
        buckets.resize(BUCKETS, Bucket::default());
        let key = KeyBits::around(key, parts, block_bits + OFFSET_BITS);
        Ok(Packed { key, block_bits, buckets, pool: Pool::new(limit) })
    }

    #[inline]
    fn push(&mut self, Entry { key, block, offset }: Entry, rows: u64) -> Result<(), Unfit> {
        let (bucket, held) = self.key.split(key)?;
        if u32::from(offset) >> OFFSET_BITS != 0 || u64::from(block) >> self.block_bits != 0 {
            return Err(Unfit);
        }
        let place = u64::from(block) << OFFSET_BITS | u64::from(offset);
        let entry = held << (self.block_bits + OFFSET_BITS) | place;
        self.pool.push(&mut self.buckets[bucket], entry, rows)
    }

    fn sorted(self, mut each: impl FnMut(Entry)) -> Result<(), Unfit> {
        let place_bits = self.block_bits + OFFSET_BITS;
        let (mut entries, mut scratch) = (Vec::new(), Vec::new());
        for (at, bucket) in self.buckets.iter().enumerate() {
            if bucket.length == 0 {
                continue;
            }
            self.pool.read(bucket, &mut entries)?;
            let key_bits = self.key.first + self.key.packed_second;
            sort(&mut entries, &mut scratch, place_bits + key_bits - GROUP_BITS)?;
            let mut before = None;
            for &entry in &entries {
                let held = entry >> place_bits;
                if before == Some(held) {
                    return Err(Unfit);
                }
                before = Some(held);
                each(Entry {
                    key: self.key.join(at, held),
                    block: ((entry & ((1 << place_bits) - 1)) >> OFFSET_BITS) as u32,
                    offset: (entry & ((1 << OFFSET_BITS) - 1)) as u16,
                });
            }
        }
        Ok(())
    }
}

const GROUP_BITS: u32 = 6;

/// Sorts entries whose bits above `shift` are [`GROUP_BITS`]. Rows that were loaded in the order of the key's second
/// part are sorted once they are told apart by its first, which is quickly found.
fn sort(entries: &mut Vec<u64>, scratch: &mut Vec<u64>, shift: u32) -> Result<(), Unfit> {
    let group = |entry: u64| (entry >> shift) as usize;
    let mut ends = [0; 1 << GROUP_BITS];
    for &entry in &*entries {
        ends[group(entry)] += 1;
    }
    let mut sum = 0;
    for end in &mut ends {
        sum += std::mem::replace(end, sum);
    }
    scratch.clear();
    scratch.try_reserve(entries.len()).map_err(|_| Unfit)?;
    scratch.resize(entries.len(), 0);
    for &entry in &*entries {
        let next = &mut ends[group(entry)];
        scratch[*next] = entry;
        *next += 1;
    }
    std::mem::swap(entries, scratch);
    let mut start = 0;
    for end in ends {
        entries[start..end].sort_unstable();
        start = end;
    }
    Ok(())
}

/// A list of chunks of the pool.
#[derive(Clone, Copy, Default)]
struct Bucket {
    /// Where its first chunk is, and where its next entry goes; 0 where it has none.
    start: u32,
    next: u32,
    length: u32,
}

/// Memory for the buckets: chunks of entries, of which the last word is the place of the bucket's next chunk, in
/// slabs that never move. Chunks are small, as each bucket has a half empty one; slabs are large, so that they go
/// back to the system.
struct Pool {
    slabs: Vec<Vec<u64>>,
    /// The chunk that is given next.
    free: u32,
    limit: usize,
}

const CHUNK: u32 = 128;
const SLAB: usize = 1 << 17;
/// Keys far apart would take a chunk each.
const SPARSE: (u64, u64) = (16 << 20, 12);

impl Pool {
    fn new(limit: usize) -> Pool {
        // The first chunk is never given: its place is 0.
        Pool { slabs: Vec::new(), free: CHUNK, limit }
    }

    #[inline]
    fn push(&mut self, bucket: &mut Bucket, entry: u64, rows: u64) -> Result<(), Unfit> {
        if bucket.next % CHUNK == CHUNK - 1 || bucket.next == 0 {
            self.add_chunk(bucket, rows)?;
        }
        let next = bucket.next as usize;
        self.slabs[next / SLAB][next % SLAB] = entry;
        bucket.next += 1;
        bucket.length += 1;
        Ok(())
    }

    #[inline(never)]
    fn add_chunk(&mut self, bucket: &mut Bucket, rows: u64) -> Result<(), Unfit> {
        if bucket.length > FULL_BUCKET {
            return Err(Unfit);
        }
        let chunk = self.free;
        self.free = chunk.checked_add(CHUNK).ok_or(Unfit)?;
        if chunk as usize / SLAB >= self.slabs.len() {
            let bytes = (self.slabs.len() + 1) * SLAB * size_of::<u64>();
            if bytes > self.limit || bytes as u64 > SPARSE.0 + SPARSE.1 * rows {
                return Err(Unfit);
            }
            let mut slab = Vec::new();
            slab.try_reserve_exact(SLAB).map_err(|_| Unfit)?;
            slab.resize(SLAB, 0);
            self.slabs.push(slab);
        }
        if bucket.next == 0 {
            bucket.start = chunk;
        } else {
            let link = bucket.next as usize;
            self.slabs[link / SLAB][link % SLAB] = chunk.into();
        }
        bucket.next = chunk;
        Ok(())
    }

    /// Reads what was pushed, in the same order.
    fn read(&self, bucket: &Bucket, entries: &mut Vec<u64>) -> Result<(), Unfit> {
        entries.clear();
        entries.try_reserve(bucket.length as usize).map_err(|_| Unfit)?;
        let mut chunk = bucket.start as usize;
        let mut left = bucket.length as usize;
        loop {
            let words = &self.slabs[chunk / SLAB][chunk % SLAB..][..CHUNK as usize];
            let (&link, held) = words.split_last().ok_or(Unfit)?;
            let held = &held[..left.min(held.len())];
            entries.extend_from_slice(held);
            left -= held.len();
            if left == 0 {
                return Ok(());
            }
            chunk = link as usize;
        }
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

    /// What is obviously right.
    fn naive(mut entries: Vec<Entry>) -> Result<Vec<Entry>, Unfit> {
        entries.sort_by_key(|entry| entry.key);
        if entries.windows(2).any(|pair| pair[0].key == pair[1].key) { Err(Unfit) } else { Ok(entries) }
    }

    fn by_sorter(entries: &[Entry]) -> Result<Vec<Entry>, Unfit> {
        let mut sorter = Sorter::new(Parts::One, BLOCKS, usize::MAX);
        entries.iter().try_for_each(|&entry| sorter.push(entry))?;
        assert_eq!(sorter.rows(), entries.len() as u64);
        let mut sorted = Vec::new();
        sorter.sorted(|entry| sorted.push(entry)).map(|()| sorted)
    }

    fn by_packing(parts: Parts, entries: &[Entry]) -> Result<Vec<Entry>, Unfit> {
        let first = entries.first().map_or(0, |entry| entry.key);
        let mut packed = Packed::new(parts, BLOCKS, first, usize::MAX)?;
        entries.iter().try_for_each(|&entry| packed.push(entry, 0))?;
        let mut sorted = Vec::new();
        packed.sorted(|entry| sorted.push(entry)).map(|()| sorted)
    }

    proptest! {
        #[test]
        fn packed_pairs_come_in_order(
            base in (0..=u32::MAX - 5000, 0..=u32::MAX - 100_000),
            keys in vec((0..5000u32, 0..100_000u32), 0..2000),
        ) {
            let key = |(a, b)| u64::from(base.0 + a) << 32 | u64::from(base.1 + b);
            let entries = entries(keys.into_iter().map(key).collect());
            prop_assert_eq!(by_packing(Parts::Two, &entries), naive(entries));
        }

        #[test]
        fn packed_numbers_come_in_order(base in 0..u64::MAX >> 1, keys in vec(0..1u64 << 25, 0..2000)) {
            let entries = entries(keys.into_iter().map(|key| base + key).collect());
            prop_assert_eq!(by_packing(Parts::One, &entries), naive(entries));
        }

        #[test]
        fn runs_come_in_order(starts in vec((0..1u64 << 20, 1..40u64), 0..200)) {
            let keys = starts.into_iter().flat_map(|(start, length)| start..start + length).collect();
            let entries = entries(keys);
            prop_assert_eq!(by_sorter(&entries), naive(entries));
        }
    }

    #[test]
    fn short_runs_are_packed() {
        // A multiplier that is odd puts all keys in another order.
        let keys = (0..1u64 << 16).map(|n| n * 40503 % (1 << 16)).collect();
        let entries = entries(keys);
        assert_eq!(by_sorter(&entries), naive(entries));
    }

    #[test]
    fn keys_far_apart_are_unfit() {
        let entries = entries(vec![0, u64::MAX]);
        assert_eq!(by_packing(Parts::One, &entries), Err(Unfit));
        assert_eq!(by_packing(Parts::Two, &entries), Err(Unfit));
        assert_eq!(by_sorter(&entries), naive(entries));
    }

    #[test]
    fn memory_is_kept_to() {
        let mut sorter = Sorter::new(Parts::One, BLOCKS, 2 << 20);
        let mut keys = (0..u64::MAX).map(|n| n * 7 % 1_000_003);
        let failed = keys.position(|key| sorter.push(Entry { key, block: 1, offset: 1 }).is_err());
        // Two slabs of 8 bytes a row, less what is lost in links and half empty chunks.
        assert!((200_000..1 << 18).contains(&failed.unwrap()), "{failed:?}");
    }
}
