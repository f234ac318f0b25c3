//! Ranges of parameters, and numbers as JSON has them.

use std::ops::RangeInclusive;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::error::Error;

/// Whether a whole number is in its range.
pub(crate) fn whole(name: &'static str, value: usize, range: RangeInclusive<usize>) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    let range = format!("from {} to {}", range.start(), range.end());
    Err(Error::Parameter { name, value: value.to_string(), range })
}

/// Whether a number is in its range; what is no number is in none.
pub(crate) fn real(name: &'static str, value: f64, range: RangeInclusive<f64>) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    let range = format!("from {} to {}", range.start(), range.end());
    Err(Error::Parameter { name, value: value.to_string().replace("inf", "Infinity"), range })
}

/// Reads a number that may be none: JSON has no NaN and no infinity, and a database that converts one to it writes a string.
/// Which of them is in the parameter's range is for [`real`] to say.
pub(crate) fn lenient<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "it must be a number")]
    enum Number {
        Finite(f64),
        Other(Word),
    }
    #[derive(Deserialize)]
    enum Word {
        NaN,
        Infinity,
        #[serde(rename = "-Infinity")]
        NegativeInfinity,
    }
    Ok(match Number::deserialize(from)? {
        Number::Finite(number) => number,
        Number::Other(Word::NaN) => f64::NAN,
        Number::Other(Word::Infinity) => f64::INFINITY,
        Number::Other(Word::NegativeInfinity) => f64::NEG_INFINITY,
    })
}

/// Reads a number that counts something.
pub(crate) fn count<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
    let number = lenient(from)?;
    // Up to here each whole number is a double of its own.
    if number.fract() == 0.0 && (0.0..=2f64.powi(53)).contains(&number) {
        return Ok(number as usize);
    }
    Err(D::Error::custom("it must be a whole number"))
}

/// Reads the seed of random numbers.
pub(crate) fn seed<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "it must be a whole number of 64 bits")]
    enum Seed {
        Whole(i64),
    }
    let Seed::Whole(seed) = Seed::deserialize(from)?;
    Ok(seed)
}
