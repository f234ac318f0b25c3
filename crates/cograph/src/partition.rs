//! Partitions: the group of every node.

use crate::error::Error;
use crate::memory::{try_vec, try_with_capacity};

/// Numbers the groups of a partition anew, from 0: the largest comes first, and of equally large ones that with the smallest node.
/// So the numbers stay if only the labels change. Groups must be numbered below the number of nodes. [`Error::OutOfMemory`].
pub fn number_by_size(groups: &mut [u32]) -> Result<(), Error> {
    // Size and first node of each group.
    let mut found: Vec<(usize, usize)> = try_vec(groups.len())?;
    for (node, &group) in groups.iter().enumerate() {
        let (size, first) = &mut found[group as usize];
        if *size == 0 {
            *first = node;
        }
        *size += 1;
    }
    let mut order: Vec<usize> = try_with_capacity(groups.len())?;
    order.extend((0..groups.len()).filter(|&group| found[group].0 > 0));
    order.sort_unstable_by_key(|&group| (usize::MAX - found[group].0, found[group].1));
    let mut number: Vec<u32> = try_vec(groups.len())?;
    order.iter().enumerate().for_each(|(at, &group)| number[group] = at as u32);
    groups.iter_mut().for_each(|group| *group = number[*group as usize]);
    Ok(())
}

/// How many groups a partition has, if they are numbered without gaps.
pub(crate) fn count(groups: &[u32]) -> usize {
    groups.iter().max().map_or(0, |&last| last as usize + 1)
}
