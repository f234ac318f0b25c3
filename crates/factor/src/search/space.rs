//! The space of a search: the values that each parameter may have.

use rand::Rng;
use serde_json::{Map, Value};

use crate::algorithm::Algorithm;
use crate::algorithm::parameter::{Parameter, ParameterRange};
use crate::error::Error;
use crate::random::{generator, hash};

/// For each parameter of an algorithm the values to try. As JSON, an object of parameters, each with
///
/// - a list of values: `[10, 20, 50]`,
/// - `{"range": [low, high]}`: all values between, or
/// - `{"log": [low, high]}`: all values between, log-uniform: as many from 1 to 10 as from 10 to 100. Both bounds must be above 0.
///
/// In a grid, the last two need `"steps"`, the number of values, at least 2; of steps that are rounded to the same whole number, one
/// is tried. Any other value stands for itself.
#[derive(Clone, Debug)]
pub struct SearchSpace {
    algorithm: String,
    axes: Vec<Axis>,
}

#[derive(Clone, Debug)]
struct Axis {
    name: String,
    values: Values,
    /// Whether values are rounded to whole numbers.
    is_whole: bool,
}

#[derive(Clone, Debug)]
enum Values {
    List(Vec<Value>),
    Between {
        low: f64,
        high: f64,
        is_log: bool,
        /// The values of a grid.
        steps: Option<Vec<Value>>,
    },
}

fn wrong(text: String) -> Error {
    Error::Params { text }
}

impl SearchSpace {
    /// Reads a space from JSON text. [`Error::Algorithm`] if there is no such algorithm, [`Error::Params`] if it has no such
    /// parameter or the values cannot be read.
    pub fn parse(algorithm: &str, text: &str) -> Result<SearchSpace, Error> {
        let space = serde_json::from_str::<Value>(text);
        let space = space.map_err(|error| wrong(format!("the parameters are not JSON: {error}")))?;
        let Value::Object(space) = space else {
            return Err(wrong("parameters must be a JSON object".into()));
        };
        let parameters = Algorithm::parse(algorithm, &Value::Object(Map::new()))?.parameters();
        let axes = space.into_iter().map(|(name, values)| Axis::parse(algorithm, parameters, name, values));
        Ok(SearchSpace { algorithm: algorithm.into(), axes: axes.collect::<Result<_, _>>()? })
    }

    /// How many points the grid has. [`Error::Params`] if a range has no steps.
    pub fn points(&self) -> Result<u128, Error> {
        let mut points = 1u128;
        for axis in &self.axes {
            points = points.saturating_mul(axis.steps()? as u128);
        }
        Ok(points)
    }

    /// A point of the grid, below [`SearchSpace::points`]. Of two points that follow each other, the last parameter differs first.
    /// The errors are those of [`Algorithm::parse`].
    pub fn grid_point(&self, point: u128) -> Result<Algorithm, Error> {
        let (mut rest, mut params) = (point, Map::new());
        for axis in self.axes.iter().rev() {
            let steps = axis.steps()?.max(1) as u128;
            params.insert(axis.name.clone(), axis.step((rest % steps) as usize)?);
            rest /= steps;
        }
        Algorithm::parse(&self.algorithm, &Value::Object(params))
    }

    /// A point drawn at random. It depends on the seed and on its number only, so that more trials of the same seed begin with the
    /// same points. The errors are those of [`Algorithm::parse`].
    pub fn random_point(&self, seed: i64, number: u64) -> Result<Algorithm, Error> {
        let mut rng = generator(hash(seed as u64 ^ hash(number)) as i64);
        let params = self.axes.iter().map(|axis| (axis.name.clone(), axis.draw(&mut rng)));
        let params = params.collect::<Map<_, _>>();
        Algorithm::parse(&self.algorithm, &Value::Object(params))
    }
}

impl Axis {
    fn parse(algorithm: &str, parameters: &[Parameter], name: String, values: Value) -> Result<Axis, Error> {
        let Some(parameter) = parameters.iter().find(|parameter| parameter.name == name) else {
            let known = parameters.iter().map(|parameter| parameter.name).collect::<Vec<_>>().join(", ");
            return Err(wrong(format!("{algorithm} has no parameter \"{name}\": it has {known}")));
        };
        let is_whole = matches!(parameter.range, ParameterRange::Whole(_)) || name == "seed";
        let values = match values {
            Value::Array(list) if list.is_empty() => {
                return Err(wrong(format!("there are no values of {name}")));
            }
            Value::Array(list) => Values::List(list),
            Value::Object(between) => Values::between(&name, between, is_whole)?,
            single => Values::List(vec![single]),
        };
        if let (Values::Between { .. }, false) =
            (&values, is_whole || matches!(parameter.range, ParameterRange::Real(_)))
        {
            return Err(wrong(format!("{name} is not a number: list its values")));
        }
        Ok(Axis { name, values, is_whole })
    }

    fn steps(&self) -> Result<usize, Error> {
        match &self.values {
            Values::List(list) => Ok(list.len()),
            Values::Between { steps, .. } => match steps {
                Some(steps) => Ok(steps.len()),
                None => Err(wrong(format!("a grid needs \"steps\" in the range of {}", self.name))),
            },
        }
    }

    /// A value of the grid.
    fn step(&self, step: usize) -> Result<Value, Error> {
        self.steps()?;
        match &self.values {
            Values::List(list) | Values::Between { steps: Some(list), .. } => Ok(list[step].clone()),
            Values::Between { steps: None, .. } => Ok(Value::Null),
        }
    }

    fn draw(&self, rng: &mut impl Rng) -> Value {
        match &self.values {
            Values::List(list) => list[rng.random_range(0..list.len())].clone(),
            &Values::Between { low, high, is_log, .. } => {
                // Half a number beyond the bounds, so that the bounds are drawn as often as other whole numbers.
                let beyond = if self.is_whole { 0.5 } else { 0.0 };
                let value = between(low - beyond, high + beyond, is_log, rng.random_range(0.0..1.0));
                number(value.clamp(low, high), self.is_whole)
            }
        }
    }
}

/// The value at this share of the way between two bounds.
fn between(low: f64, high: f64, is_log: bool, share: f64) -> f64 {
    match is_log {
        true => (low.ln() + share * (high.ln() - low.ln())).exp(),
        false => low + share * (high - low),
    }
}

fn number(value: f64, is_whole: bool) -> Value {
    // Rounded to nine digits, so that a logarithm and its inverse give 0.1 and not 0.10000000000000002.
    let rounded = format!("{value:.8e}").parse::<f64>().unwrap_or(value);
    if is_whole { (rounded.round() as i64).into() } else { rounded.into() }
}

impl Values {
    fn between(name: &str, mut bounds: Map<String, Value>, is_whole: bool) -> Result<Values, Error> {
        let steps = match bounds.remove("steps") {
            None => None,
            Some(steps) => {
                let steps = steps.as_u64().filter(|steps| (2..=1_000_000).contains(steps));
                Some(steps.ok_or_else(|| {
                    wrong(format!("\"steps\" of {name} must be a whole number of at least 2"))
                })? as usize)
            }
        };
        let mut bounds = bounds.into_iter();
        let form = || {
            wrong(format!(
                "{name} must be a list of values, {{\"range\": [low, high]}} or {{\"log\": [low, high]}}"
            ))
        };
        let (Some((kind, Value::Array(bounds))), None) = (bounds.next(), bounds.next()) else {
            return Err(form());
        };
        let [low, high] = &bounds[..] else { return Err(form()) };
        let (Some(low), Some(high), true) =
            (low.as_f64(), high.as_f64(), ["range", "log"].contains(&kind.as_str()))
        else {
            return Err(form());
        };
        let is_log = kind == "log";
        match low <= high && (!is_log || low > 0.0) {
            true => {
                let steps = steps.map(|steps: usize| {
                    let at =
                        |step| between(low, high, is_log, step as f64 / (steps - 1) as f64).clamp(low, high);
                    let mut values = (0..steps).map(|step| number(at(step), is_whole)).collect::<Vec<_>>();
                    values.dedup();
                    values
                });
                Ok(Values::Between { low, high, is_log, steps })
            }
            false if low > high => Err(wrong(format!("the range of {name} ends before it begins"))),
            false => Err(wrong(format!("the bounds of \"log\" of {name} must be above 0"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn space(text: Value) -> Result<SearchSpace, Error> {
        SearchSpace::parse("als", &text.to_string())
    }

    fn params(algorithm: &Algorithm, names: &[&str]) -> Vec<Value> {
        names.iter().map(|name| algorithm.params()[name].clone()).collect()
    }

    #[test]
    fn a_grid_has_every_combination_once() {
        let space = space(json!({"factors": [5, 10, 20], "regularization": {"log": [0.01, 1], "steps": 3}, "iterations": 4})).unwrap();
        assert_eq!(space.points().unwrap(), 9);
        let points = (0..9).map(|point| {
            params(&space.grid_point(point).unwrap(), &["factors", "regularization", "iterations"])
        });
        let points = points.collect::<Vec<_>>();
        assert_eq!(points[0], [json!(5), json!(0.01), json!(4)]);
        assert_eq!(points[1], [json!(5), json!(0.1), json!(4)]);
        assert_eq!(points[8], [json!(20), json!(1.0), json!(4)]);
        for (at, one) in points.iter().enumerate() {
            assert!(!points[..at].contains(one));
        }
        let whole = SearchSpace::parse("als", r#"{"factors": {"range": [10, 40], "steps": 4}}"#).unwrap();
        let factors = (0..4).map(|point| whole.grid_point(point).unwrap().params()["factors"].clone());
        assert_eq!(factors.collect::<Vec<_>>(), [10, 20, 30, 40]);
        // No whole number comes twice.
        let few = SearchSpace::parse("als", r#"{"factors": {"range": [1, 3], "steps": 5}}"#).unwrap();
        assert_eq!(few.points().unwrap(), 3);
        assert_eq!(self::space(json!({})).unwrap().points().unwrap(), 1);
    }

    #[test]
    fn random_points_are_within_their_bounds_and_the_same_for_a_seed() {
        let space = space(json!({"factors": {"log": [4, 64]}, "regularization": {"range": [0.01, 0.1]}, "cg_steps": [0, 3]})).unwrap();
        let of = |seed, number| {
            params(&space.random_point(seed, number).unwrap(), &["factors", "regularization", "cg_steps"])
        };
        let mut below_16 = 0;
        for number in 0..200 {
            let point = of(1, number);
            let factors = point[0].as_u64().unwrap();
            below_16 += u32::from(factors < 16);
            assert!((4..=64).contains(&factors));
            assert!((0.01..=0.1).contains(&point[1].as_f64().unwrap()));
            assert!([0, 3].contains(&point[2].as_u64().unwrap()));
            assert_eq!(point, of(1, number));
        }
        // Half of the logarithms are below that of 16.
        assert!((80..120).contains(&below_16), "{below_16}");
        assert_ne!(of(1, 0), of(2, 0));
        // The bounds are as likely as the numbers between.
        let few = SearchSpace::parse("als", r#"{"factors": {"range": [1, 3]}}"#).unwrap();
        for factors in 1..=3 {
            let drawn = (0..600)
                .filter(|&number| few.random_point(1, number).unwrap().params()["factors"] == factors);
            assert!((150..250).contains(&drawn.count()), "{factors}");
        }
    }

    #[test]
    fn mistakes_name_the_parameter() {
        let message = |result: Result<SearchSpace, Error>| result.unwrap_err().to_string();
        assert!(
            message(space(json!({"factor": [1]})))
                .starts_with("als has no parameter \"factor\": it has factors, iterations")
        );
        assert_eq!(message(space(json!({"factors": []}))), "there are no values of factors");
        assert_eq!(message(space(json!([]))), "parameters must be a JSON object");
        assert!(
            message(space(json!({"factors": {"from": [1, 2]}})))
                .starts_with("factors must be a list of values")
        );
        assert!(
            message(space(json!({"factors": {"range": [1]}})))
                .starts_with("factors must be a list of values")
        );
        assert_eq!(
            message(space(json!({"factors": {"range": [3, 1]}}))),
            "the range of factors ends before it begins"
        );
        assert_eq!(
            message(space(json!({"regularization": {"log": [0, 1]}}))),
            "the bounds of \"log\" of regularization must be above 0"
        );
        assert_eq!(
            message(space(json!({"factors": {"range": [1, 3], "steps": 1}}))),
            "\"steps\" of factors must be a whole number of at least 2"
        );
        assert!(matches!(SearchSpace::parse("alsx", "{}"), Err(Error::Algorithm { .. })));
        let svd = SearchSpace::parse("truncated_svd", r#"{"center": {"range": [1, 2]}}"#);
        assert_eq!(message(svd), "center is not a number: list its values");
        let no_steps = space(json!({"factors": {"range": [1, 3]}})).unwrap();
        assert_eq!(
            no_steps.points().unwrap_err().to_string(),
            "a grid needs \"steps\" in the range of factors"
        );
        assert!(matches!(
            space(json!({"factors": [5000]})).unwrap().grid_point(0),
            Err(Error::Parameter { .. })
        ));
    }
}
