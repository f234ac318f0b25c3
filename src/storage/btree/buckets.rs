//! Bucket sort of index entries that are packed into 64 bits each: the upper bits of the key choose the bucket.

use super::entry::{Entry, Parts, Unfit};

/// Entries in buckets. A packed entry holds, from its highest bit down: the lower bits of the key's first part (the bucket
/// stands for the upper ones), the second part, the block, the offset.
pub struct Buckets {
    key: KeyBits,
    block_bits: u32,
    buckets: Vec<Bucket>,
    pool: Pool,
}

/// How a key is split into its bucket and the bits that the packed entry holds. A key of one column is split into two parts, too.
#[derive(Clone, Copy)]
struct KeyBits {
    /// Bits of the second part in the key, and in the entry.
    second: u32,
    packed_second: u32,
    /// Bits of the first part that the entry holds.
    first: u32,
    /// Subtracted from each part.
    first_base: u64,
    second_base: u64,
}

const COUNT: usize = 1 << 18;
/// The most entries in a bucket: sorting as many takes some tens of milliseconds, without a check for interrupts.
const FULL_BUCKET: u32 = 1 << 20;
/// A page has room for 291 rows.
const OFFSET_BITS: u32 = 9;

impl KeyBits {
    /// For keys around this one: a key that is too far from it is [`Unfit`].
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
        let first_base = (key >> second).saturating_sub((COUNT as u64 / 2) << first);
        KeyBits { second, packed_second, first, first_base, second_base }
    }

    /// The bucket of a key, and the bits that the packed entry holds.
    fn split(self, key: u64) -> Result<(usize, u64), Unfit> {
        let first = (key >> self.second).wrapping_sub(self.first_base);
        let second = (key & ((1 << self.second) - 1)).wrapping_sub(self.second_base);
        let bucket = first >> self.first;
        if bucket >= COUNT as u64 || second >> self.packed_second != 0 {
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

impl Buckets {
    /// For keys around this one, in a table of this many blocks, within this many bytes.
    pub fn new(parts: Parts, blocks: u32, key: u64, limit: usize) -> Result<Buckets, Unfit> {
        let block_bits = u32::BITS - blocks.leading_zeros();
        let mut buckets = Vec::new();
        buckets.try_reserve_exact(COUNT).map_err(|_| Unfit)?;
        buckets.resize(COUNT, Bucket::default());
        let key = KeyBits::around(key, parts, block_bits + OFFSET_BITS);
        Ok(Buckets { key, block_bits, buckets, pool: Pool::new(limit) })
    }

    /// Adds an entry; `rows` is how many there are with it.
    #[inline]
    pub fn push(&mut self, Entry { key, block, offset }: Entry, rows: u64) -> Result<(), Unfit> {
        let (bucket, held) = self.key.split(key)?;
        if u32::from(offset) >> OFFSET_BITS != 0 || u64::from(block) >> self.block_bits != 0 {
            return Err(Unfit);
        }
        let place = u64::from(block) << OFFSET_BITS | u64::from(offset);
        let entry = held << (self.block_bits + OFFSET_BITS) | place;
        self.pool.push(&mut self.buckets[bucket], entry, rows)
    }

    /// Calls `each` with all entries in the order of their keys. [`Unfit`] at the second of two equal keys.
    pub fn sorted(self, mut each: impl FnMut(Entry)) -> Result<(), Unfit> {
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

/// Sorts entries that have [`GROUP_BITS`] bits above `shift`: first into groups by these bits, then each group. Rows that were
/// loaded in the order of the key's second part are sorted within each group already, which the second step detects quickly.
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
    /// The places of its first chunk and of its next entry; 0 if it has no chunk.
    start: u32,
    next: u32,
    length: u32,
}

/// Memory for the buckets: chunks of entries, in slabs that never move. The last word of a chunk is the place of the bucket's next
/// chunk. Chunks are small, because each bucket has one that is half empty on average; slabs are large, so that freeing one
/// returns it to the system.
struct Pool {
    slabs: Vec<Vec<u64>>,
    /// The place of the next chunk to be handed out.
    free: u32,
    limit: usize,
}

const CHUNK: u32 = 128;
const SLAB: usize = 1 << 17;
/// The most bytes, as a constant and a number for each row. Keys that are far apart would take a chunk each.
const SPARSE: (u64, u64) = (16 << 20, 12);

impl Pool {
    fn new(limit: usize) -> Pool {
        // Place 0 means none, so the first chunk is never handed out.
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

    /// Reads a bucket's entries, in the order in which they were pushed.
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
