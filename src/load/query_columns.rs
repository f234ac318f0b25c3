//! The columns of a query that returns ratings: which ones are required, of which types, and the values of a row.

use pgrx::datum::Date;
use prize_format::Reason;

use super::error::LoadError;
use crate::pg::user_query::row::{Column, ColumnType, Row, Value};

/// The columns that a load uses. Other columns of the query are ignored.
pub struct RatingColumns {
    customer_id: Column,
    movie_id: Column,
    rating: Column,
    rated_on: Column,
    is_probe: Option<Column>,
}

/// A valid rating of a query.
#[derive(Clone, Copy)]
pub struct GivenRating {
    pub customer_id: u32,
    pub movie_id: u32,
    pub rating: u8,
    pub date: prize_format::Date,
    pub is_probe: bool,
}

const NUMBERS: &[ColumnType] = &[
    ColumnType::Int2,
    ColumnType::Int4,
    ColumnType::Int8,
    ColumnType::Numeric,
    ColumnType::Float4,
    ColumnType::Float8,
    ColumnType::Text,
];
const DAYS: &[ColumnType] = &[ColumnType::Date, ColumnType::Timestamp, ColumnType::Text];

impl RatingColumns {
    /// Finds the columns by their names, and checks their types.
    pub fn choose(columns: &[Column]) -> Result<RatingColumns, LoadError> {
        let find = |name: &'static str| {
            let mut of_name = columns.iter().filter(|column| column.name == name);
            match (of_name.next(), of_name.next()) {
                (column, None) => Ok(column.cloned()),
                (_, Some(_)) => Err(LoadError::ColumnTwice(name)),
            }
        };
        let need = |name: &'static str, kinds: &[ColumnType], wanted: &'static str| {
            let found = || columns.iter().map(|column| column.name.clone()).collect();
            let column = find(name)?.ok_or_else(|| LoadError::NoColumn { name, found: found() })?;
            check(column, kinds, wanted)
        };
        let numeric = |name| need(name, NUMBERS, "a number or text");
        let rated_on = match find("rated_on")? {
            // Its day depends on the time zone, and so on the session.
            Some(column) if column.column_type == ColumnType::TimestampTz => {
                return Err(LoadError::TimeZone(column.name));
            }
            _ => need("rated_on", DAYS, "date, timestamp or text")?,
        };
        Ok(RatingColumns {
            customer_id: numeric("customer_id")?,
            movie_id: numeric("movie_id")?,
            rating: numeric("rating")?,
            rated_on,
            is_probe: find("is_probe")?
                .map(|column| check(column, &[ColumnType::Bool], "boolean"))
                .transpose()?,
        })
    }

    /// Whether the query has a column is_probe.
    pub fn has_probe(&self) -> bool {
        self.is_probe.is_some()
    }

    /// The value of a row's rating, even if it is off the scale.
    pub fn stars(&self, row: &Row) -> Option<f64> {
        float(row, &self.rating)
    }

    /// The rating of a row, or what is wrong with it.
    pub fn read(&self, row: &Row) -> Result<GivenRating, Reason> {
        let is_probe = self.is_probe.as_ref().map(|column| row.value(column));
        Ok(GivenRating {
            customer_id: id(row, &self.customer_id).ok_or(Reason::Customer)?,
            movie_id: id(row, &self.movie_id).ok_or(Reason::Movie)?,
            rating: self.stars(row).and_then(whole_stars).ok_or(Reason::Rating)?,
            date: day(row, &self.rated_on).ok_or(Reason::Date)?,
            is_probe: is_probe == Some(Value::Bool(true)),
        })
    }

    /// A row as a line of a file, to be listed among the rejects.
    pub fn text(&self, row: &Row) -> String {
        let text = |column| row.text(column).unwrap_or_else(|| "NULL".into());
        let [customer, movie, rating] = [&self.customer_id, &self.movie_id, &self.rating].map(text);
        // Independent of the session's DateStyle.
        let day = match date(row, &self.rated_on) {
            None => text(&self.rated_on),
            Some(day) if day.is_infinity() => "infinity".into(),
            Some(day) if day.is_neg_infinity() => "-infinity".into(),
            Some(day) => format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day()),
        };
        format!("{customer},{movie},{rating},{day}")
    }
}

fn check(column: Column, kinds: &[ColumnType], wanted: &'static str) -> Result<Column, LoadError> {
    match kinds.contains(&column.column_type) {
        true => Ok(column),
        false => Err(LoadError::ColumnType { type_name: column.type_name(), name: column.name, wanted }),
    }
}

/// A numeric value; `None` for NULL, and for text that is not a number.
fn float(row: &Row, column: &Column) -> Option<f64> {
    match row.value(column) {
        Value::Integer(value) => Some(value as f64),
        Value::Float(value) => Some(value),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn id(row: &Row, column: &Column) -> Option<u32> {
    let id = float(row, column)?;
    ((1.0..=f64::from(i32::MAX)).contains(&id) && id.fract() == 0.0).then_some(id as u32)
}

/// Stars from 1 to 5.
fn whole_stars(stars: f64) -> Option<u8> {
    [1.0, 2.0, 3.0, 4.0, 5.0].contains(&stars).then_some(stars as u8)
}

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

/// The day of a column that is not text.
fn date(row: &Row, column: &Column) -> Option<Date> {
    match row.value(column) {
        Value::Date(date) => Some(date),
        Value::Timestamp(i64::MIN) => Some(Date::negative_infinity()),
        Value::Timestamp(i64::MAX) => Some(Date::positive_infinity()),
        Value::Timestamp(at) => Some(Date::saturating_from_raw(at.div_euclid(MICROSECONDS_PER_DAY) as i32)),
        _ => None,
    }
}

fn day(row: &Row, column: &Column) -> Option<prize_format::Date> {
    if column.column_type == ColumnType::Text {
        // Not by the session's DateStyle, on which it depends which day 02/03/2005 is.
        return prize_format::Date::parse(row.text(column)?.trim().as_bytes());
    }
    let date = date(row, column).filter(|date| !date.is_infinity() && !date.is_neg_infinity())?;
    prize_format::Date::new(u32::try_from(date.year()).ok()?, date.month().into(), date.day().into())
}

/// Counts ratings that are not on the scale of 1 to 5 whole stars.
#[derive(Clone, Copy, Debug, Default)]
pub struct OffScale {
    rows: u64,
    off: u64,
    lowest: f64,
    highest: f64,
    has_fractions: bool,
}

/// At least this many ratings, and one in this many of all, must be off the scale before another scale is assumed.
const LEAST_OFF: u64 = 10;
const ONE_IN: u64 = 10;

impl OffScale {
    /// Counts one more rating.
    pub fn count(&mut self, stars: Option<f64>) {
        let Some(stars) = stars.filter(|stars| stars.is_finite()) else { return };
        self.rows += 1;
        self.off += u64::from(whole_stars(stars).is_none());
        (self.lowest, self.highest) = match self.rows {
            1 => (stars, stars),
            _ => (self.lowest.min(stars), self.highest.max(stars)),
        };
        self.has_fractions |= stars.fract() != 0.0;
    }

    /// An error if the ratings are on another scale.
    pub fn check(&self) -> Result<(), LoadError> {
        if self.off < LEAST_OFF || self.off * ONE_IN < self.rows {
            return Ok(());
        }
        let OffScale { off, rows, lowest, highest, has_fractions } = *self;
        let convert = match (lowest, highest, has_fractions) {
            (0.0.., ..=5.0, true) => "greatest(ceil(rating), 1)".to_owned(),
            (0.0.., ..=5.0, false) => "greatest(rating, 1)".to_owned(),
            (0.0.., ..=10.0, _) => "greatest(ceil(rating / 2.0), 1)".to_owned(),
            _ if lowest == 0.0 => format!("1 + round(4.0 * rating / {highest})"),
            _ => format!("1 + round(4.0 * (rating - ({lowest})) / {})", highest - lowest),
        };
        Err(LoadError::Scale { off, rows, lowest, highest, convert })
    }
}
