use crate::algorithm::Algorithm;
use crate::algorithm::parameter::ParameterRange;
use serde_json::{Value, json};

fn message(name: &str, params: Value) -> String {
    Algorithm::parse(name, &params).unwrap_err().to_string()
}

#[test]
fn parameters_come_back_as_they_went_in() {
    for name in Algorithm::NAMES {
        let default = Algorithm::parse(name, &json!({})).unwrap();
        assert_eq!(default.name(), name);
        assert_eq!(Algorithm::parse(name, &default.params()), Ok(default.clone()));
        if name != "baseline" {
            let other = Algorithm::parse(name, &json!({"factors": 7.0, "seed": -3})).unwrap();
            assert_eq!((other.params()["factors"].as_u64(), other.seed()), (Some(7), Some(-3)));
            assert_ne!(other, default);
        }
    }
}

#[test]
fn errors_name_the_parameter_and_its_value() {
    assert_eq!(message("alz", json!({})), "there is no algorithm \"alz\"");
    assert_eq!(message("als", json!([3])), "parameters must be a JSON object");
    let unknown = message("als", json!({"facters": 3}));
    assert!(unknown.starts_with("unknown parameter \"facters\", expected one of \"factors\", "), "{unknown}");
    for (value, shown) in [
        (json!("many"), "\"many\""),
        (json!(null), "null"),
        (json!([1]), "[1]"),
        (json!({"a": 1}), "{\"a\":1}"),
        (json!(true), "true"),
        (json!("x".repeat(90)), &format!("\"{}...", "x".repeat(39))),
    ] {
        let expected = |range: &str| format!("must be a number {range}, not {shown}");
        let factors = format!("factors {}", expected("from 1 to 1024"));
        assert_eq!(message("als", json!({"factors": value})), factors);
        let regularization = format!("regularization {}", expected("from 0 to 1000000"));
        assert_eq!(message("als", json!({"regularization": value})), regularization);
    }
    for value in [json!(-1), json!(1.5), json!("Infinity"), json!("NaN"), json!(1e300)] {
        let shown = value.as_str().map_or_else(|| value.to_string(), String::from);
        let message = message("bpmf", json!({"samples": value}));
        assert_eq!(message, format!("samples must be a whole number from 2 to 1000, not {shown}"));
    }
    // Numbers that JSON may have and no type can hold.
    let text = |text: &str| Algorithm::parse_text("als", text).unwrap_err().to_string();
    assert_eq!(
        text(r#"{"seed": 7, "factors": 1e999}"#),
        "factors must be a whole number from 1 to 1024, not Infinity"
    );
    assert_eq!(
        text(r#"{"regularization": -1e999}"#),
        "regularization must be from 0 to 1000000, not -Infinity"
    );
    assert_eq!(text("[3]"), "parameters must be a JSON object");
    assert!(text(r#"{"factors": "#).starts_with("the parameters are not JSON: EOF"));
    assert!(text(r#"{"factors": [1e999]}"#).starts_with("the parameters are not JSON: number out of range"));
    let plain = Algorithm::parse_text("als", r#"{"factors": 7}"#).unwrap();
    assert_eq!(plain, Algorithm::parse("als", &json!({"factors": 7})).unwrap());
    assert_eq!(message("als", json!({"factors": 0})), "factors must be from 1 to 1024, not 0");
    assert_eq!(message("svd", json!({"decay": 1.5})), "decay must be from 0 to 1, not 1.5");
    assert_eq!(message("svd", json!({"decay": null})), "decay must be a number from 0 to 1, not null");
    assert_eq!(message("svd", json!({"seed": 1.5})), "seed must be a whole number of 64 bits, not 1.5");
    for number in ["NaN", "Infinity", "-Infinity"] {
        assert_eq!(
            message("svdpp", json!({"regularization": number})),
            format!("regularization must be from 0 to 1000000, not {number}")
        );
    }
    assert!(
        message("baseline", json!({"kind": "best"})).starts_with("parameter kind: unknown variant \"best\"")
    );
}

#[test]
fn values_out_of_range_are_named() {
    for name in Algorithm::NAMES {
        for parameter in Algorithm::parse(name, &json!({})).unwrap().parameters() {
            let (inside, outside) = match &parameter.range {
                ParameterRange::Whole(range) => {
                    let (low, high) = (*range.start(), *range.end());
                    (vec![json!(low), json!(high)], vec![json!(low as i64 - 1), json!(high + 1)])
                }
                ParameterRange::Real(range) => {
                    let (low, high) = (*range.start(), *range.end());
                    let outside =
                        vec![json!(low - 1e-9), json!(high * 1.001), json!("NaN"), json!("Infinity")];
                    (vec![json!(low), json!(high)], outside)
                }
                ParameterRange::OneOf(words) => (words.iter().map(|word| json!(word)).collect(), vec![]),
                ParameterRange::Any => (vec![parameter.default_value()], vec![]),
            };
            for value in inside {
                let algorithm = Algorithm::parse(name, &json!({ parameter.name: value })).unwrap();
                assert_eq!(algorithm.params()[parameter.name], value);
            }
            for value in outside {
                let message = message(name, json!({ parameter.name: value }));
                let start = format!("{} must be ", parameter.name);
                let range = parameter.range.to_string();
                assert!(message.starts_with(&start) && message.contains(&range), "{name}: {message}");
            }
        }
    }
}

#[test]
fn models_stored_without_a_prior_count_had_60() {
    let stored = json!({
        "factors": 20, "iterations": 20, "regularization": 0.1, "bias_regularization": 0.017, "link_regularization": 4.0,
        "link_movies": true, "tolerance": 0.0, "seed": 42,
    });
    let prior_count =
        |params: &Value| Algorithm::parse("svdpp", params).unwrap().params()["prior_count"].as_f64();
    assert_eq!(prior_count(&stored), Some(60.0));
    let mut named = stored.clone();
    named["prior_count"] = json!(7);
    assert_eq!(prior_count(&named), Some(7.0));
    assert_eq!(prior_count(&json!({"regularization": 0.1})), Some(200.0));
}
