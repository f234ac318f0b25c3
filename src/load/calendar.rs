//! The calendar, dim_date: every day of every year in which there is a rating.

use prize_format::{IdSet, RankedIds};

use super::error::LoadError;
use crate::pg::query;
use crate::pg::snapshot::Snapshot;

/// The days that dim_date has.
pub struct Calendar {
    date_keys: RankedIds,
}

impl Calendar {
    /// Reads the days that there are now.
    pub fn read() -> Result<Calendar, LoadError> {
        let mut keys = IdSet::default();
        query::for_each_row(Snapshot::Latest, "SELECT date_key FROM @extschema@.dim_date", &[], |row| {
            if let Some(key) = row.get::<i32>(1)? {
                keys.insert(key.max(0) as u32);
            }
            Ok(())
        })?;
        Ok(Calendar { date_keys: keys.rank() })
    }

    /// If a day is missing, adds all days of its year.
    #[inline]
    pub fn ensure(&mut self, day: prize_format::Date) -> Result<(), LoadError> {
        if self.date_keys.rank(day.key()).is_none() {
            add_years(Some((day, day)))?;
            *self = Calendar::read()?;
        }
        Ok(())
    }
}

/// Adds the days of every year from that of the first day to that of the last.
pub fn add_years(days: Option<(prize_format::Date, prize_format::Date)>) -> Result<(), LoadError> {
    let Some((first, last)) = days else { return Ok(()) };
    let year = |date: prize_format::Date| date.ymd().0 as i32;
    query::run(
        "INSERT INTO @extschema@.dim_date (date_key, date, year, quarter, month, month_name, week, day, day_of_week,
                                           day_name, is_weekend)
         SELECT to_char(day::timestamp, 'YYYYMMDD')::int, day, extract(year FROM day), extract(quarter FROM day),
                extract(month FROM day), to_char(day::timestamp, 'FMMonth'), extract(week FROM day), extract(day FROM day),
                extract(isodow FROM day), to_char(day::timestamp, 'FMDay'), extract(isodow FROM day) >= 6
         FROM (SELECT make_date($1, 1, 1) + n AS day
               FROM generate_series(0, make_date($2, 12, 31) - make_date($1, 1, 1)) AS n) AS days
         ON CONFLICT DO NOTHING",
        &[year(first).into(), year(last).into()],
    )?;
    Ok(())
}
