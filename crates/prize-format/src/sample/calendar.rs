//! The days of the Prize's ratings. A day is an index from 0 on, where day 0 is 1999-11-11.

use crate::parse::date::Date;

/// Year, month and day of day 0.
const FIRST_DATE: (u32, u32, u32) = (1999, 11, 11);
/// The number of days from the first rating to the last one on 2005-12-31.
pub const DAYS: u32 = 2243;

/// The date of every day.
pub fn calendar() -> Vec<Date> {
    let (year, month, day) = FIRST_DATE;
    std::iter::successors(Date::new(year, month, day), |date| date.next()).take(DAYS as usize).collect()
}

/// The first day of a year. Day 0 for a year that began before day 0.
pub fn first_day(year: u32) -> u32 {
    const START_OF_2000: u32 = 51;
    year.checked_sub(2000).map_or(0, |years| START_OF_2000 + years * 365 + years.div_ceil(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_day_of_a_year_is_january_1() {
        let calendar = calendar();
        assert_eq!(calendar.len(), DAYS as usize);
        for year in 2000..=2005 {
            assert_eq!(calendar[first_day(year) as usize].ymd(), (year, 1, 1));
        }
        assert_eq!(first_day(1999), 0);
    }
}
