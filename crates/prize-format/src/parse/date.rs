//! Calendar days. The Prize writes them `yyyy-mm-dd`; in memory they are the integer `yyyymmdd`.

use std::fmt;

/// A day of the Gregorian calendar from 1900-01-01 to 2099-12-31.
///
/// This range holds every real rating. It is no wider, because the warehouse makes a row for each day from the first
/// rating to the last, and a single mistyped year must not make a calendar of thousands of years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(u32);

impl Date {
    /// The first day accepted.
    pub const MIN: Date = Date(19_000_101);
    /// The last day accepted.
    pub const MAX: Date = Date(20_991_231);

    /// The day with this year, month and day of the month. `None` where the calendar or the range has no such day.
    pub fn new(year: u32, month: u32, day: u32) -> Option<Date> {
        let is_valid = (1900..=2099).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_in_month(year, month)).contains(&day);
        is_valid.then_some(Date(year * 10_000 + month * 100 + day))
    }

    /// Reads exactly `yyyy-mm-dd`.
    pub fn parse(text: &[u8]) -> Option<Date> {
        let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = text else { return None };
        let decimal = |digits: &[u8]| {
            digits.iter().try_fold(0, |n, &b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
        };
        Date::new(decimal(&[y0, y1, y2, y3])?, decimal(&[m0, m1])?, decimal(&[d0, d1])?)
    }

    /// The integer `yyyymmdd`.
    pub fn key(self) -> u32 {
        self.0
    }

    /// The day whose [`Date::key`] is this integer.
    pub(crate) fn from_key(key: u32) -> Date {
        Date(key)
    }

    /// Year, month and day of the month.
    pub fn ymd(self) -> (u32, u32, u32) {
        (self.0 / 10_000, self.0 / 100 % 100, self.0 % 100)
    }

    /// The next day. `None` after [`Date::MAX`].
    pub fn next(self) -> Option<Date> {
        let (year, month, day) = self.ymd();
        Date::new(year, month, day + 1)
            .or_else(|| Date::new(year, month + 1, 1))
            .or_else(|| Date::new(year + 1, 1, 1))
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.ymd();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_days_are_read() {
        for good in ["1999-11-11", "2000-02-29", "2005-12-31", "1900-01-01", "2099-12-31"] {
            assert_eq!(Date::parse(good.as_bytes()).map(|d| d.to_string()).as_deref(), Some(good));
        }
        for bad in
            ["2001-02-29", "1900-02-29", "2005-13-01", "2005-00-10", "2005-04-31", "1899-12-31", "2100-01-01"]
        {
            assert_eq!(Date::parse(bad.as_bytes()), None, "{bad}");
        }
        for malformed in
            ["", "2005-1-01", "2005/01/01", "20050101", "2005-01-01 ", "x005-01-01", "+005-01-01"]
        {
            assert_eq!(Date::parse(malformed.as_bytes()), None, "{malformed}");
        }
    }

    #[test]
    fn next_goes_through_every_day_once() {
        let days = std::iter::successors(Some(Date::MIN), |d| d.next()).collect::<Vec<_>>();
        assert_eq!(days.len(), 73_049); // 200 years, 49 of them leap years
        assert_eq!(days.last(), Some(&Date::MAX));
        assert!(days.windows(2).all(|w| w[0] < w[1]));
    }
}
