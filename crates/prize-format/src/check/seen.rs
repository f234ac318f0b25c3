//! What a thread has seen in all of its jobs.

use super::ids::IdSet;
use crate::parse::date::Date;
use crate::parse::lines::Buffer;

/// What a thread has seen in all of its jobs.
#[derive(Default)]
pub struct Sets {
    pub customers: IdSet,
    pub movies: IdSet,
    pub days: Option<(Date, Date)>,
    /// The customers of the movie under way, to notice those who rate it twice.
    pub raters: IdSet,
    rater_list: Vec<u32>,
    /// Lent to the reader of each text.
    pub buffer: Buffer,
    /// Rejects kept.
    pub rejects: usize,
    /// Bytes accounted for.
    pub accounted: usize,
}

impl Sets {
    /// Adds what another has seen.
    pub fn merge(&mut self, other: Sets) {
        self.customers.merge(other.customers);
        self.movies.merge(other.movies);
        if let Some((first, last)) = other.days {
            self.see_day(first);
            self.see_day(last);
        }
    }

    pub fn see_day(&mut self, date: Date) {
        let (first, last) = self.days.get_or_insert((date, date));
        *first = date.min(*first);
        *last = date.max(*last);
    }

    pub fn is_new_rater(&mut self, customer_id: u32) -> bool {
        let is_new = self.raters.insert(customer_id);
        if is_new {
            self.rater_list.push(customer_id);
        }
        is_new
    }

    pub fn forget_raters(&mut self) {
        self.rater_list.drain(..).for_each(|id| self.raters.remove(id));
    }
}
