//! The calendar, dim_date: every day of every year in which there is a rating.
//!
//! Only the planning of a load adds days, not the workers that insert ratings. These would hold the days that they add until they
//! commit; two of them could wait for each other's days; and PostgreSQL would not notice, because processes of one lock group do not
//! wait for each other's locks.

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

    /// The key of a day.
    #[inline]
    pub fn key(&self, day: prize_format::Date) -> Result<i32, LoadError> {
        match self.date_keys.rank(day.key()) {
            Some(_) => Ok(day.key() as i32),
            None => Err(LoadError::MemberGone { what: "day", table: "dim_date", id: day.key() }),
        }
    }
}

/// A first year and a last one.
pub type Years = (i32, i32);

/// The years of a first day and a last one.
pub fn years((first, last): (prize_format::Date, prize_format::Date)) -> Years {
    (first.ymd().0 as i32, last.ymd().0 as i32)
}

/// Adds the days of these years that the calendar lacks.
pub fn add_years((first, last): Years) -> Result<(), LoadError> {
    query::run(
        "INSERT INTO @extschema@.dim_date (date_key, date, year, quarter, month, month_name, week, day, day_of_week,
                                           day_name, is_weekend)
         SELECT to_char(day::timestamp, 'YYYYMMDD')::int, day, extract(year FROM day), extract(quarter FROM day),
                extract(month FROM day), to_char(day::timestamp, 'FMMonth'), extract(week FROM day), extract(day FROM day),
                extract(isodow FROM day), to_char(day::timestamp, 'FMDay'), extract(isodow FROM day) >= 6
         FROM (SELECT make_date($1, 1, 1) + n AS day
               FROM generate_series(0, make_date($2, 12, 31) - make_date($1, 1, 1)) AS n) AS days
         ON CONFLICT DO NOTHING",
        &[first.into(), last.into()],
    )?;
    Ok(())
}
