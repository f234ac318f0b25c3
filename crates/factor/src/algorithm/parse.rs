//! Reads the parameters of an algorithm out of JSON, and names the parameter that is wrong.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::algorithm::parameter::ParameterRange;
use crate::algorithm::trainer::Trainer;
use crate::error::Error;

/// An error shows at most this many characters of a value.
const LONGEST_SHOWN: usize = 40;

/// Reads and checks an algorithm's parameters. A parameter that the JSON object does not name has its default.
pub(super) fn read<T: Trainer + Default + DeserializeOwned>(params: &Value) -> Result<T, Error> {
    if !params.is_object() {
        return Err(Error::Params { text: "parameters must be a JSON object".into() });
    }
    let params = T::completed(params);
    let trainer: T = serde_path_to_error::deserialize(&*params)
        .map_err(|error| wrong(&T::default(), &params, &error.path().to_string(), error.inner()))?;
    trainer.check()?;
    Ok(trainer)
}

/// The error of a parameter that is unknown or has a value of the wrong type.
fn wrong(trainer: &dyn Trainer, params: &Value, name: &str, error: &serde_json::Error) -> Error {
    let text = error.to_string().replace('`', "\"");
    let text = if text.starts_with("unknown field") {
        // serde names the field in its message.
        text.replacen("unknown field", "unknown parameter", 1)
    } else if let Some(expected) = text.strip_prefix("it must be ") {
        let range = trainer.table().iter().find(|parameter| parameter.name == name);
        let range = match range.map(|parameter| &parameter.range) {
            Some(range @ (ParameterRange::Whole(_) | ParameterRange::Real(_))) => format!(" {range}"),
            _ => String::new(),
        };
        format!("{name} must be {expected}{range}, not {}", shown(&params[name]))
    } else {
        format!("parameter {name}: {text}")
    };
    Error::Params { text }
}

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

/// Reads JSON text. A number that is too large for any type counts as infinite, because PostgreSQL's `jsonb` can hold such
/// numbers and `serde_json` cannot.
pub(super) fn json(text: &str) -> Result<Value, Error> {
    serde_json::from_str(text).or_else(|error| {
        let invalid = || Error::Params { text: format!("the parameters are not JSON: {error}") };
        let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|_| invalid())?;
        let read = |(name, raw): (String, &RawValue)| {
            let value = serde_json::from_str(raw.get()).or_else(|_| match raw.get().as_bytes() {
                [b'-', ..] => Ok("-Infinity".into()),
                [b'0'..=b'9', ..] => Ok("Infinity".into()),
                _ => Err(invalid()),
            });
            Ok((name, value?))
        };
        fields.into_iter().map(read).collect::<Result<serde_json::Map<_, _>, _>>().map(Value::Object)
    })
}

#[cfg(test)]
mod tests;
