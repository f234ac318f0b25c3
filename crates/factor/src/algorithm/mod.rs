//! The one door to all algorithms: a name and parameters as JSON, checked.

pub mod als;
pub mod baseline;
pub mod bpmf;
mod estimate;
pub(crate) mod fold_in;
mod parameter;
mod regularization;
pub(crate) mod run;
mod start;
pub mod svd;
pub mod svdpp;
pub mod truncated_svd;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::algorithm::run::{Run, Size, Trained};
use crate::error::Error;
use crate::ratings::matrix::RatingMatrix;

/// An algorithm and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Algorithm {
    /// See [`als`].
    Als(als::Params),
    /// See [`svd`].
    Svd(svd::Params),
    /// See [`svdpp`].
    Svdpp(svdpp::Params),
    /// See [`bpmf`].
    Bpmf(bpmf::Params),
    /// See [`truncated_svd`].
    TruncatedSvd(truncated_svd::Params),
    /// See [`baseline`].
    Baseline(baseline::Params),
}

/// Bytes that a thread takes, and the whole once, for what is not worth counting: stacks, lists of blocks of work, rows of a
/// turn, and what the allocator keeps of memory that was given back.
const UNCOUNTED: usize = 1 << 20;

impl Algorithm {
    /// All names.
    pub const NAMES: [&str; 6] = ["als", "svd", "svdpp", "bpmf", "truncated_svd", "baseline"];

    /// Reads and checks parameters, a JSON object; what it does not name has its default. [`Error::Algorithm`] and
    /// [`Error::Params`] where a name is unknown or a value of the wrong type, [`Error::Parameter`] where it is out of range.
    pub fn parse(name: &str, params: &Value) -> Result<Algorithm, Error> {
        Algorithm::read(name, params).map_err(|wrong| match wrong {
            Wrong::Error(error) => error,
            Wrong::Type { parameter, expected } => {
                // No parameter's range goes so far; those that have none take it.
                let beyond = serde_json::json!({ parameter.as_str(): 1u64 << 53 });
                let range = match Algorithm::read(name, &beyond) {
                    Err(Wrong::Error(Error::Parameter { range, .. })) => format!(" {range}"),
                    _ => String::new(),
                };
                let value = shown(&params[&parameter]);
                Error::Params { text: format!("{parameter} must be {expected}{range}, not {value}") }
            }
        })
    }

    /// The same of JSON as text, which may have numbers that are too large for any type: these count as infinite.
    pub fn parse_text(name: &str, params: &str) -> Result<Algorithm, Error> {
        let value = serde_json::from_str(params).or_else(|error| {
            let invalid = || Error::Params { text: format!("the parameters are not JSON: {error}") };
            let fields: BTreeMap<String, &RawValue> = serde_json::from_str(params).map_err(|_| invalid())?;
            let read = |(name, raw): (String, &RawValue)| {
                let value = serde_json::from_str(raw.get()).or_else(|_| match raw.get().as_bytes() {
                    [b'-', ..] => Ok("-Infinity".into()),
                    [b'0'..=b'9', ..] => Ok("Infinity".into()),
                    _ => Err(invalid()),
                });
                Ok((name, value?))
            };
            fields.into_iter().map(read).collect::<Result<serde_json::Map<_, _>, _>>().map(Value::Object)
        })?;
        Algorithm::parse(name, &value)
    }

    fn read(name: &str, params: &Value) -> Result<Algorithm, Wrong> {
        let algorithm = match name {
            "als" => Algorithm::Als(read(params)?),
            "svd" => Algorithm::Svd(read(params)?),
            "svdpp" => Algorithm::Svdpp(read(&svdpp::completed(params))?),
            "bpmf" => Algorithm::Bpmf(read(params)?),
            "truncated_svd" => Algorithm::TruncatedSvd(read(params)?),
            "baseline" => Algorithm::Baseline(read(params)?),
            _ => return Err(Error::Algorithm { name: name.into() }.into()),
        };
        match &algorithm {
            Algorithm::Als(params) => params.check(),
            Algorithm::Svd(params) => params.check(),
            Algorithm::Svdpp(params) => params.check(),
            Algorithm::Bpmf(params) => params.check(),
            Algorithm::TruncatedSvd(params) => params.check(),
            Algorithm::Baseline(params) => params.check(),
        }?;
        Ok(algorithm)
    }

    /// Its name, one of [`Algorithm::NAMES`].
    pub fn name(&self) -> &'static str {
        match self {
            Algorithm::Als(_) => "als",
            Algorithm::Svd(_) => "svd",
            Algorithm::Svdpp(_) => "svdpp",
            Algorithm::Bpmf(_) => "bpmf",
            Algorithm::TruncatedSvd(_) => "truncated_svd",
            Algorithm::Baseline(_) => "baseline",
        }
    }

    /// All parameters, as [`Algorithm::parse`] reads them.
    pub fn params(&self) -> Value {
        let params = match self {
            Algorithm::Als(params) => serde_json::to_value(params),
            Algorithm::Svd(params) => serde_json::to_value(params),
            Algorithm::Svdpp(params) => serde_json::to_value(params),
            Algorithm::Bpmf(params) => serde_json::to_value(params),
            Algorithm::TruncatedSvd(params) => serde_json::to_value(params),
            Algorithm::Baseline(params) => serde_json::to_value(params),
        };
        // Numbers, words and booleans: all of them are JSON.
        params.unwrap_or_default()
    }

    /// Numbers in a vector that is solved for.
    pub(crate) fn factors(&self) -> usize {
        match self {
            Algorithm::Als(params) => params.factors,
            Algorithm::Svd(params) => params.factors,
            Algorithm::Svdpp(params) => params.factors,
            Algorithm::Bpmf(params) => params.factors,
            Algorithm::TruncatedSvd(params) => params.factors,
            Algorithm::Baseline(_) => 0,
        }
    }

    /// How many iterations it will report, at the most.
    pub fn iterations(&self) -> usize {
        match self {
            Algorithm::Als(params) => params.iterations,
            Algorithm::Svd(params) => params.iterations,
            Algorithm::Svdpp(params) => params.iterations,
            Algorithm::Bpmf(params) => params.burn_in + params.samples,
            Algorithm::TruncatedSvd(_) | Algorithm::Baseline(_) => 1,
        }
    }

    /// The seed of its random numbers, where it has one.
    pub fn seed(&self) -> Option<i64> {
        match self {
            Algorithm::Als(params) => Some(params.seed),
            Algorithm::Svd(params) => Some(params.seed),
            Algorithm::Svdpp(params) => Some(params.seed),
            Algorithm::Bpmf(params) => Some(params.seed),
            Algorithm::TruncatedSvd(params) => Some(params.seed),
            Algorithm::Baseline(_) => None,
        }
    }

    /// Bytes that training takes at its height, the matrix and its making included.
    pub fn memory(&self, size: Size) -> usize {
        let counted = match self {
            Algorithm::Als(params) => params.memory(size),
            Algorithm::Svd(params) => params.memory(size),
            Algorithm::Svdpp(params) => params.memory(size),
            Algorithm::Bpmf(params) => params.memory(size),
            Algorithm::TruncatedSvd(params) => params.memory(size),
            Algorithm::Baseline(params) => params.memory(size),
        };
        counted.saturating_add(UNCOUNTED * (1 + size.threads))
    }

    /// Trains a model on a matrix, in rayon's current pool. The same matrix, parameters and seed give the same bits
    /// whatever the number of threads. Beside it, what there is to tell of it: of a truncated singular value decomposition
    /// its [`truncated_svd::Spectrum`].
    pub fn train(&self, matrix: &RatingMatrix, run: &mut Run<'_>) -> Result<(Trained, Option<Value>), Error> {
        let trained = match self {
            Algorithm::Als(params) => als::train(matrix, params, run),
            Algorithm::Svd(params) => svd::train(matrix, params, run),
            Algorithm::Svdpp(params) => svdpp::train(matrix, params, run),
            Algorithm::Bpmf(params) => bpmf::train(matrix, params, run),
            Algorithm::Baseline(params) => baseline::train(matrix, params, run),
            Algorithm::TruncatedSvd(params) => {
                let (trained, spectrum) = truncated_svd::train(matrix, params, run)?;
                return Ok((trained, serde_json::to_value(spectrum).ok()));
            }
        };
        Ok((trained?, None))
    }
}

/// What is wrong with parameters.
enum Wrong {
    Error(Error),
    /// One is no such value as it has to be.
    Type {
        parameter: String,
        expected: String,
    },
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Wrong {
        Wrong::Error(error)
    }
}

/// Reads parameters, and says which of them is wrong.
fn read<T: DeserializeOwned>(params: &Value) -> Result<T, Wrong> {
    if !params.is_object() {
        return Err(Error::Params { text: "parameters must be a JSON object".into() }.into());
    }
    serde_path_to_error::deserialize(params).map_err(|error| {
        let parameter = error.path().to_string();
        let text = match error.inner().to_string().replace('`', "\"") {
            // It is named there.
            text if text.starts_with("unknown field") => {
                text.replacen("unknown field", "unknown parameter", 1)
            }
            text => match text.strip_prefix("it must be ") {
                Some(expected) => return Wrong::Type { parameter, expected: expected.into() },
                None => format!("parameter {parameter}: {text}"),
            },
        };
        Error::Params { text }.into()
    })
}

/// The most characters of a value that an error shows.
const LONGEST_SHOWN: usize = 40;

/// A value as an error shows it.
fn shown(value: &Value) -> String {
    let text = match value.as_str() {
        Some(word @ ("NaN" | "Infinity" | "-Infinity")) => word.into(),
        _ => value.to_string(),
    };
    match text.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
