//! The metrics are those of scikit-learn and ranx, on the cases that `fixtures/judge.py` has written.

use std::sync::atomic::AtomicBool;

use factor::{Catalog, Gain, Metrics, RankingMetrics};
use serde_json::Value;

fn cases(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["cases"].as_array().unwrap().clone()
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[track_caller]
fn assert_close(found: f64, wanted: &Value, tolerance: f64) {
    let wanted = wanted.as_f64().unwrap();
    assert!((found - wanted).abs() <= tolerance * wanted.abs().max(1.0), "{found} {wanted}");
}

#[test]
fn rating_metrics_are_those_of_scikit_learn() {
    for case in cases("rating_metrics.json") {
        let ratings = numbers(&case["ratings"]).into_iter().map(|rating| rating as u8);
        let predictions = numbers(&case["predictions"]).into_iter().map(|prediction| prediction as f32);
        let found = Metrics::of(predictions.zip(ratings)).unwrap();
        let pairs = [
            (found.mse, "mse"),
            (found.rmse, "rmse"),
            (found.mae, "mae"),
            (found.mape / 100.0, "mape"),
            (found.bias, "bias"),
        ];
        pairs.into_iter().for_each(|(found, name)| assert_close(found, &case[name], 1e-12));
        if !case["r2"].is_null() {
            assert_close(found.r2, &case["r2"], 1e-12);
        }
    }
}

#[test]
fn ranking_metrics_are_those_of_ranx() {
    for case in cases("ranking_metrics.json") {
        let lists = case["lists"].as_array().unwrap().iter();
        let lists = lists.map(|list| numbers(list).into_iter().map(|movie| movie as u32).collect::<Vec<_>>());
        let relevant = case["relevant"].as_array().unwrap().iter().map(|relevant| {
            let pair = |pair: &Value| (pair[0].as_u64().unwrap() as u32, pair[1].as_u64().unwrap() as u8);
            relevant.as_array().unwrap().iter().map(pair).collect::<Vec<_>>()
        });
        let (lists, relevant) = (lists.collect::<Vec<_>>(), relevant.collect::<Vec<_>>());
        let (k, movies) = (case["k"].as_u64().unwrap() as usize, case["movies"].as_u64().unwrap() as usize);
        let (ratings, is_candidate) = (vec![1; movies], vec![true; movies]);
        let catalog = Catalog { ratings: &ratings, is_candidate: &is_candidate, customers: 1 };
        for (gain, name) in [(Gain::Binary, "binary"), (Gain::Rating, "rating")] {
            let found =
                RankingMetrics::of(&lists, &relevant, k, gain, catalog, &AtomicBool::new(false)).unwrap();
            let pairs = [
                (found.precision, "precision"),
                (found.recall, "recall"),
                (found.hit_rate, "hit_rate"),
                (found.mrr, "mrr"),
                (found.map, "map"),
                (found.ndcg, "ndcg"),
            ];
            pairs.into_iter().for_each(|(found, metric)| assert_close(found.mean, &case[name][metric], 1e-9));
        }
    }
}
