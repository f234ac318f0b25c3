//! What a thread of the first pass keeps from one job to the next.

use super::ids::IdSet;
use crate::parse::date::Date;
use crate::parse::lines::LineBuffer;

/// What a thread has seen in all of its jobs.
#[derive(Default)]
pub struct ThreadState {
    pub customers: IdSet,
    pub movies: IdSet,
    /// The first and the last day.
    pub days: Option<(Date, Date)>,
    /// The customers in the current segment, to notice a customer who is there twice.
    pub raters: IdSet,
    /// The same, so that `raters` can be emptied without going through all of its memory.
    rater_list: Vec<u32>,
    /// The buffer for the reader of the next text.
    pub buffer: LineBuffer,
    /// The number of rejects that are kept.
    pub rejects_kept: usize,
    /// How many bytes of the sets' memory have been reported to the pass.
    pub bytes_reported: usize,
}

impl ThreadState {
    /// Adds what another state has seen.
    pub fn merge(&mut self, other: ThreadState) {
        self.customers.merge(other.customers);
        self.movies.merge(other.movies);
        if let Some((first, last)) = other.days {
            self.add_day(first);
            self.add_day(last);
        }
    }

    #[inline]
    pub fn add_day(&mut self, date: Date) {
        let (first, last) = self.days.get_or_insert((date, date));
        *first = date.min(*first);
        *last = date.max(*last);
    }

    /// Adds a customer of the current segment. Returns whether the customer was not in it before.
    #[inline]
    pub fn add_rater(&mut self, customer_id: u32) -> bool {
        let is_new = self.raters.insert(customer_id);
        if is_new {
            self.rater_list.push(customer_id);
        }
        is_new
    }

    /// Removes the customers of the current segment, because a new segment begins.
    pub fn clear_raters(&mut self) {
        self.rater_list.drain(..).for_each(|id| self.raters.remove(id));
    }

    /// The bytes of memory that the sets take.
    pub fn bytes(&self) -> usize {
        self.customers.bytes() + self.movies.bytes() + self.raters.bytes()
    }
}
