//! The parameters of an algorithm. Each algorithm has one table of them, written with the macro [`parameters!`]: the macro
//! makes the struct `Params`, its defaults, its range checks and the public table `PARAMETERS` out of the same lines.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::error::Error;

/// One parameter of an algorithm.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name in JSON and in SQL.
    pub name: &'static str,
    /// The values that it may have.
    pub range: ParameterRange,
    /// What it does: one sentence or more.
    pub meaning: &'static str,
    pub(crate) default: fn() -> Value,
}

impl Parameter {
    /// The value of a parameter that is not given.
    pub fn default_value(&self) -> Value {
        (self.default)()
    }
}

/// The values that a parameter may have.
#[derive(Clone, Debug, PartialEq)]
pub enum ParameterRange {
    /// Whole numbers, both bounds included.
    Whole(RangeInclusive<usize>),
    /// Real numbers, both bounds included. NaN is in no range.
    Real(RangeInclusive<f64>),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any value of the parameter's type: a boolean, or a seed of 64 bits.
    Any,
}

impl fmt::Display for ParameterRange {
    /// As error messages show it after the words 'must be'.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParameterRange::Whole(range) => write!(to, "from {} to {}", range.start(), range.end()),
            ParameterRange::Real(range) => write!(to, "from {} to {}", range.start(), range.end()),
            ParameterRange::OneOf(words) => write!(to, "one of {}", words.join(", ")),
            ParameterRange::Any => write!(to, "any value"),
        }
    }
}

/// What the macro [`parameters!`] implements for the parameters of each algorithm.
pub(crate) trait Parameters {
    /// [`Error::Parameter`] if a parameter is out of its range.
    fn check(&self) -> Result<(), Error>;
    /// The algorithm's table of parameters.
    fn table(&self) -> &'static [Parameter];
    /// The values of all parameters, as a JSON object.
    fn to_json(&self) -> Value;
}

/// Declares the parameters of an algorithm, one a line: `/// Meaning.` and below it `name: type = default, range;`. The
/// range is `low..=high` for `usize` and `f64`, a list of words for an enum, and left out for `bool` and for the seed.
macro_rules! parameters {
    ($(
        $(#[doc = $meaning:literal])+
        $name:ident: $type:ident = $default:expr $(, $range:expr)?;
    )+) => {
        /// The parameters of this algorithm. [`PARAMETERS`] is the same as a table.
        #[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Params {
            $(
                $(#[doc = $meaning])+
                #[doc = concat!("\n\nDefault `", stringify!($default), "`" $(, ", range `", stringify!($range), "`")?, ".")]
                #[serde(deserialize_with = "crate::algorithm::parameter::from_json")]
                pub $name: $type,
            )+
        }

        impl Default for Params {
            fn default() -> Params {
                Params { $($name: $default),+ }
            }
        }

        /// The table of this algorithm's parameters.
        pub const PARAMETERS: &[crate::algorithm::parameter::Parameter] = &[$(
            crate::algorithm::parameter::Parameter {
                name: stringify!($name),
                range: parameters!(@range $type $(, $range)?),
                meaning: concat!($($meaning),+).trim_ascii(),
                default: || serde_json::json!(Params::default().$name),
            }
        ),+];

        impl crate::algorithm::parameter::Parameters for Params {
            fn check(&self) -> Result<(), crate::error::Error> {
                use crate::algorithm::parameter::ParameterType;
                $(self.$name.check(stringify!($name), &parameters!(@range $type $(, $range)?))?;)+
                Ok(())
            }

            fn table(&self) -> &'static [crate::algorithm::parameter::Parameter] {
                PARAMETERS
            }

            fn to_json(&self) -> serde_json::Value {
                // Numbers, words and booleans can always be written as JSON.
                serde_json::to_value(self).unwrap_or_default()
            }
        }
    };
    (@range usize, $range:expr) => { crate::algorithm::parameter::ParameterRange::Whole($range) };
    (@range f64, $range:expr) => { crate::algorithm::parameter::ParameterRange::Real($range) };
    (@range $type:ident, $words:expr) => { crate::algorithm::parameter::ParameterRange::OneOf(&$words) };
    (@range $type:ident) => { crate::algorithm::parameter::ParameterRange::Any };
}
pub(crate) use parameters;

/// A type that a parameter can have.
pub(crate) trait ParameterType: DeserializeOwned {
    /// Reads a value.
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::deserialize(from)
    }

    /// [`Error::Parameter`] if the value of the parameter `name` is not in its range.
    fn check(&self, _name: &'static str, _range: &ParameterRange) -> Result<(), Error> {
        Ok(())
    }
}

/// Reads the value of a parameter.
pub(crate) fn from_json<'de, D: Deserializer<'de>, T: ParameterType>(from: D) -> Result<T, D::Error> {
    T::read(from)
}

fn out_of_range(name: &'static str, value: String, range: &ParameterRange) -> Result<(), Error> {
    Err(Error::Parameter { name, value, range: range.to_string() })
}

impl ParameterType for bool {}

impl ParameterType for usize {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
        let number = f64::read(from)?;
        // Every whole number up to 2^53 is a different f64.
        if number.fract() == 0.0 && (0.0..=2f64.powi(53)).contains(&number) {
            return Ok(number as usize);
        }
        Err(D::Error::custom("it must be a whole number"))
    }

    fn check(&self, name: &'static str, range: &ParameterRange) -> Result<(), Error> {
        match range {
            ParameterRange::Whole(whole) if !whole.contains(self) => {
                out_of_range(name, self.to_string(), range)
            }
            _ => Ok(()),
        }
    }
}

impl ParameterType for f64 {
    /// Reads NaN and infinities, too, which PostgreSQL writes to JSON as strings. They are refused later, by the parameter's
    /// range, so that the error names the range.
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "it must be a number")]
        enum Number {
            Finite(f64),
            NotFinite(Word),
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
            Number::NotFinite(Word::NaN) => f64::NAN,
            Number::NotFinite(Word::Infinity) => f64::INFINITY,
            Number::NotFinite(Word::NegativeInfinity) => f64::NEG_INFINITY,
        })
    }

    fn check(&self, name: &'static str, range: &ParameterRange) -> Result<(), Error> {
        match range {
            ParameterRange::Real(real) if !real.contains(self) => {
                out_of_range(name, self.to_string().replace("inf", "Infinity"), range)
            }
            _ => Ok(()),
        }
    }
}

/// Seeds. Unlike counts, they are read as integers, because an f64 cannot hold all of 64 bits.
impl ParameterType for i64 {
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "it must be a whole number of 64 bits")]
        enum Seed {
            Whole(i64),
        }
        let Seed::Whole(seed) = Seed::deserialize(from)?;
        Ok(seed)
    }
}
