//! A set of ids that knows the rank of each id. It is small if the ids are close together.

const PAGE_BITS: u32 = 16;
const WORDS: usize = 1 << (PAGE_BITS - 6);

type Page = Box<[u64; WORDS]>;
/// A page, and for each of its words the number of ids in the set that come before the word.
type RankedPage = (Page, Box<[u32; WORDS]>);

/// A set of ids that grows. It is a bitmap in pages of 65,536 possible ids. A page with at least one id takes 12 KB, of
/// which 4 KB are for the ranks; other pages take almost nothing.
#[derive(Default)]
pub struct IdSet {
    pages: Vec<Option<Page>>,
    /// The number of pages that have ids.
    pages_used: usize,
}

impl IdSet {
    /// Adds an id. Returns whether it was not in the set before.
    #[inline]
    pub fn insert(&mut self, id: u32) -> bool {
        let page = (id >> PAGE_BITS) as usize;
        if page >= self.pages.len() {
            self.pages.resize(page + 1, None);
        }
        let words = self.pages[page].get_or_insert_with(|| {
            self.pages_used += 1;
            Box::new([0; WORDS])
        });
        let (word, bit) = (&mut words[word_index(id)], 1 << (id & 63));
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Removes an id. Its page stays allocated.
    pub fn remove(&mut self, id: u32) {
        if let Some(Some(words)) = self.pages.get_mut((id >> PAGE_BITS) as usize) {
            words[word_index(id)] &= !(1 << (id & 63));
        }
    }

    /// Adds all ids of another set.
    pub fn merge(&mut self, other: IdSet) {
        if other.pages.len() > self.pages.len() {
            self.pages.resize(other.pages.len(), None);
        }
        for (page, other) in self.pages.iter_mut().zip(other.pages) {
            match (page, other) {
                (_, None) => {}
                (Some(words), Some(other)) => {
                    words.iter_mut().zip(*other).for_each(|(word, other)| *word |= other)
                }
                (page, other) => {
                    *page = other;
                    self.pages_used += 1;
                }
            }
        }
    }

    /// The bytes of memory that the set takes when it is ranked.
    pub fn bytes(&self) -> usize {
        self.pages_used * (size_of::<[u64; WORDS]>() + size_of::<[u32; WORDS]>())
            + self.pages.len() * size_of::<Option<RankedPage>>()
    }

    /// Finishes the set: counts the ids before each word, so that ranks can be looked up.
    pub fn rank(self) -> RankedIds {
        let mut ids_before = 0;
        let pages = self.pages.into_iter().map(|page| {
            let words = page?;
            let ranks = Box::new(std::array::from_fn(|i| {
                let rank = ids_before;
                ids_before += words[i].count_ones();
                rank
            }));
            Some((words, ranks))
        });
        let pages = pages.collect();
        RankedIds { pages, len: ids_before as usize }
    }
}

/// A finished set of ids. The rank of an id is the number of smaller ids in the set.
pub struct RankedIds {
    pages: Vec<Option<RankedPage>>,
    len: usize,
}

impl RankedIds {
    /// The number of ids.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the set has no ids.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The rank of an id. `None` if the id is not in the set.
    #[inline]
    pub fn rank(&self, id: u32) -> Option<usize> {
        let (words, ranks) = self.pages.get((id >> PAGE_BITS) as usize)?.as_ref()?;
        let (word, bit) = (word_index(id), 1u64 << (id & 63));
        (words[word] & bit != 0).then(|| (ranks[word] + (words[word] & (bit - 1)).count_ones()) as usize)
    }

    /// The ids in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.pages.iter().enumerate().filter_map(|(i, page)| Some((i, page.as_ref()?))).flat_map(
            |(i, (words, _))| {
                words.iter().enumerate().flat_map(move |(w, &word)| {
                    let base = ((i as u32) << PAGE_BITS) + ((w as u32) << 6);
                    let rest = std::iter::successors(Some(word), |rest| Some(rest & (rest - 1)));
                    rest.take(word.count_ones() as usize).map(move |rest| base + rest.trailing_zeros())
                })
            },
        )
    }
}

/// The index of the word with an id's bit in its page.
fn word_index(id: u32) -> usize {
    (id as usize & ((1 << PAGE_BITS) - 1)) >> 6
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn agrees_with_a_sorted_set(ids in prop::collection::vec(
            prop_oneof![1u32..300, 65_500u32..65_600, 1u32..=i32::MAX as u32], 0..200)) {
            let naive = ids.iter().copied().collect::<BTreeSet<_>>();
            // The ids go to two sets, as if two threads had found them.
            let (mut set, mut other) = (IdSet::default(), IdSet::default());
            let mut seen = BTreeSet::new();
            for (n, &id) in ids.iter().enumerate() {
                if n % 3 == 0 {
                    other.insert(id);
                } else {
                    prop_assert_eq!(set.insert(id), seen.insert(id));
                }
            }
            for &id in &ids {
                other.insert(id ^ 1);
                other.remove(id ^ 1);
                if naive.contains(&(id ^ 1)) {
                    other.insert(id ^ 1);
                }
            }
            set.merge(other);
            let ranked = set.rank();
            prop_assert_eq!(ranked.len(), naive.len());
            prop_assert!(ranked.iter().eq(naive.iter().copied()));
            for (rank, &id) in naive.iter().enumerate() {
                prop_assert_eq!(ranked.rank(id), Some(rank));
                if !naive.contains(&(id + 1)) {
                    prop_assert_eq!(ranked.rank(id + 1), None);
                }
            }
        }
    }
}
