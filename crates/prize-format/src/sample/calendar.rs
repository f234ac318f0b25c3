//! The days of the Prize's ratings.

use crate::parse::date::Date;

/// Day 0 of the Prize's ratings.
pub const FIRST_DAY: (u32, u32, u32) = (1999, 11, 11);
/// Days from the first rating to the last, 2005-12-31.
pub const DAYS: u32 = 2243;

/// Every day's date, by its number.
pub fn calendar() -> Vec<Date> {
    let (year, month, day) = FIRST_DAY;
    std::iter::successors(Date::new(year, month, day), |date| date.next()).take(DAYS as usize).collect()
}

/// The first day of a year, counted as days are; 0 for years that began before them.
pub fn first_day(year: u32) -> u32 {
    const OF_2000: u32 = 51;
    year.checked_sub(2000).map_or(0, |years| OF_2000 + years * 365 + years.div_ceil(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_begin_where_the_calendar_says() {
        let calendar = calendar();
        assert_eq!(calendar.len(), DAYS as usize);
        for year in 2000..=2005 {
            assert_eq!(calendar[first_day(year) as usize].ymd(), (year, 1, 1));
        }
        assert_eq!(first_day(1999), 0);
    }
}
