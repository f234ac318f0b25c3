//! Bucket sort of index entries, which are packed into 64 bits each. The upper bits of the key choose the bucket.

use super::entry::{Entry, Parts, Unfit};

/// Entries in buckets. A packed entry has these fields, from its highest bit down: the lower bits of the key's first part (the
/// bucket's index has the upper ones), the key's second part, the block, the offset number.
pub struct Buckets {
    key: KeyBits,
    block_bits: u32,
    buckets: Vec<Bucket>,
    pool: Pool,
}

/// How a key is split into a bucket's index and the key bits of a packed entry. A key of one column is split into two parts,
/// too.
#[derive(Clone, Copy)]
struct KeyBits {
    /// The number of bits of the second part in the key.
    second: u32,
    /// The number of bits of the second part in a packed entry.
    packed_second: u32,
    /// The number of bits of the first part in a packed entry.
    packed_first: u32,
    /// What is subtracted from the first part.
    first_base: u64,
    /// What is subtracted from the second part.
    second_base: u64,
}

const BUCKETS: usize = 1 << 18;
/// The greatest number of entries in a bucket. Sorting them takes some tens of milliseconds, without a check for interrupts.
const MAX_BUCKET_ENTRIES: u32 = 1 << 20;
/// Bits of an offset number: a page has room for 291 tuples.
const OFFSET_BITS: u32 = 9;

impl KeyBits {
    /// A split for keys around `key`. `tid_bits` is the number of bits of block and offset number in a packed entry.
    fn around(key: u64, parts: Parts, tid_bits: u32) -> KeyBits {
        let (second, packed_first) = match parts {
            Parts::One => (16, 0),
            Parts::Two => (32, 6),
        };
        let packed_second = second.min(64 - tid_bits - packed_first);
        let second_base = if packed_second == second {
            0
        } else {
            (key & ((1 << second) - 1)).saturating_sub(1 << (packed_second - 1))
        };
        let first_base = (key >> second).saturating_sub((BUCKETS as u64 / 2) << packed_first);
        KeyBits { second, packed_second, packed_first, first_base, second_base }
    }

    /// The bucket's index and the packed key bits of a key. [`Unfit`] if the key is too far from the first one.
    fn split(self, key: u64) -> Result<(usize, u64), Unfit> {
        let first = (key >> self.second).wrapping_sub(self.first_base);
        let second = (key & ((1 << self.second) - 1)).wrapping_sub(self.second_base);
        let bucket = first >> self.packed_first;
        if bucket >= BUCKETS as u64 || second >> self.packed_second != 0 {
            return Err(Unfit);
        }
        Ok((bucket as usize, (first & ((1 << self.packed_first) - 1)) << self.packed_second | second))
    }

    /// The key of a bucket's index and packed key bits.
    fn join(self, bucket: usize, packed: u64) -> u64 {
        let first = ((bucket as u64) << self.packed_first | packed >> self.packed_second) + self.first_base;
        let second = (packed & ((1 << self.packed_second) - 1)) + self.second_base;
        first << self.second | second
    }
}

impl Buckets {
    /// Buckets for keys around `key`, in a table of `blocks` blocks. They use at most `limit` bytes.
    pub fn new(parts: Parts, blocks: u32, key: u64, limit: usize) -> Result<Buckets, Unfit> {
        let block_bits = u32::BITS - blocks.leading_zeros();
        let mut buckets = Vec::new();
        buckets.try_reserve_exact(BUCKETS).map_err(|_| Unfit)?;
        buckets.resize(BUCKETS, Bucket::default());
        let key = KeyBits::around(key, parts, block_bits + OFFSET_BITS);
        Ok(Buckets { key, block_bits, buckets, pool: Pool::new(limit) })
    }

    /// Adds an entry. `entries` is the number of entries including this one.
    #[inline]
    pub fn push(&mut self, Entry { key, block, offset }: Entry, entries: u64) -> Result<(), Unfit> {
        let (bucket, packed_key) = self.key.split(key)?;
        if u32::from(offset) >> OFFSET_BITS != 0 || u64::from(block) >> self.block_bits != 0 {
            return Err(Unfit);
        }
        let tid = u64::from(block) << OFFSET_BITS | u64::from(offset);
        let entry = packed_key << (self.block_bits + OFFSET_BITS) | tid;
        self.pool.push(&mut self.buckets[bucket], entry, entries)
    }

    /// Calls `each` with all entries in the order of their keys. [`Unfit`] if two keys are equal.
    pub fn for_each_sorted(self, mut each: impl FnMut(Entry)) -> Result<(), Unfit> {
        let tid_bits = self.block_bits + OFFSET_BITS;
        let (mut entries, mut scratch) = (Vec::new(), Vec::new());
        for (index, bucket) in self.buckets.iter().enumerate() {
            if bucket.length == 0 {
                continue;
            }
            self.pool.read(bucket, &mut entries)?;
            let key_bits = self.key.packed_first + self.key.packed_second;
            sort(&mut entries, &mut scratch, tid_bits + key_bits - GROUP_BITS)?;
            let mut previous = None;
            for &entry in &entries {
                let packed_key = entry >> tid_bits;
                if previous == Some(packed_key) {
                    return Err(Unfit);
                }
                previous = Some(packed_key);
                each(Entry {
                    key: self.key.join(index, packed_key),
                    block: ((entry & ((1 << tid_bits) - 1)) >> OFFSET_BITS) as u32,
                    offset: (entry & ((1 << OFFSET_BITS) - 1)) as u16,
                });
            }
        }
        Ok(())
    }
}

const GROUP_BITS: u32 = 6;

/// Sorts packed entries: first into groups by the [`GROUP_BITS`] bits above `shift`, which are their highest bits, then within
/// each group. Rows that were inserted in the order of the key's second part are already sorted within each group, which the
/// second step detects quickly.
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

/// A linked list of chunks in the pool.
#[derive(Clone, Copy, Default)]
struct Bucket {
    /// The position of its first chunk; 0 if it has no chunk.
    start: u32,
    /// The position of its next entry; 0 if it has no chunk.
    next: u32,
    /// The number of entries.
    length: u32,
}

/// Memory for the buckets: chunks of entries, in slabs that never move. A position counts words of 64 bits over all slabs. The
/// last word of a chunk is the position of the bucket's next chunk.
///
/// Chunks are small, because each bucket has one that is half empty on average. Slabs are large, so the C library returns a
/// freed slab to the system.
struct Pool {
    slabs: Vec<Vec<u64>>,
    /// The position of the next chunk that no bucket has.
    free: u32,
    limit: usize,
}

/// Words of a chunk.
const CHUNK: u32 = 128;
/// Words of a slab.
const SLAB: usize = 1 << 17;
/// The slabs may take this many bytes, and some more for each entry. Keys that are far apart would take a chunk each and exceed
/// it.
const BASE_BYTES: u64 = 16 << 20;
const BYTES_PER_ENTRY: u64 = 12;

impl Pool {
    fn new(limit: usize) -> Pool {
        // Position 0 means none, so no bucket gets the first chunk.
        Pool { slabs: Vec::new(), free: CHUNK, limit }
    }

    #[inline]
    fn push(&mut self, bucket: &mut Bucket, entry: u64, entries: u64) -> Result<(), Unfit> {
        if bucket.next % CHUNK == CHUNK - 1 || bucket.next == 0 {
            self.add_chunk(bucket, entries)?;
        }
        let next = bucket.next as usize;
        self.slabs[next / SLAB][next % SLAB] = entry;
        bucket.next += 1;
        bucket.length += 1;
        Ok(())
    }

    #[inline(never)]
    fn add_chunk(&mut self, bucket: &mut Bucket, entries: u64) -> Result<(), Unfit> {
        if bucket.length > MAX_BUCKET_ENTRIES {
            return Err(Unfit);
        }
        let chunk = self.free;
        self.free = chunk.checked_add(CHUNK).ok_or(Unfit)?;
        if chunk as usize / SLAB >= self.slabs.len() {
            let bytes = (self.slabs.len() + 1) * SLAB * size_of::<u64>();
            if bytes > self.limit || bytes as u64 > BASE_BYTES + BYTES_PER_ENTRY * entries {
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

    /// Copies a bucket's entries to a list, in the order in which they were added.
    fn read(&self, bucket: &Bucket, entries: &mut Vec<u64>) -> Result<(), Unfit> {
        entries.clear();
        entries.try_reserve(bucket.length as usize).map_err(|_| Unfit)?;
        let mut chunk = bucket.start as usize;
        let mut remaining = bucket.length as usize;
        loop {
            let words = &self.slabs[chunk / SLAB][chunk % SLAB..][..CHUNK as usize];
            let (&link, words) = words.split_last().ok_or(Unfit)?;
            let chunk_entries = &words[..remaining.min(words.len())];
            entries.extend_from_slice(chunk_entries);
            remaining -= chunk_entries.len();
            if remaining == 0 {
                return Ok(());
            }
            chunk = link as usize;
        }
    }
}
