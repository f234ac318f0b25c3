//! Links: what an algorithm learns from who rated what.

use super::{GO, all, bits, ratings, train};
use crate::algorithm::Algorithm;
use crate::algorithm::training::{Callbacks, TrainingData};
use crate::error::Error;
use crate::ratings::Ratings;
use crate::ratings::matrix::RatingMatrix;
use serde_json::{Value, json};

#[test]
fn interactions_are_what_links_see() {
    let (matrix, held_out) = ratings(300, 60);
    // The interactions of the training ratings and of the held-out ratings.
    let mut known = held_out.clone();
    for customer in 0..300 {
        let (movies, values) = matrix.by_customer.row(customer);
        movies.iter().zip(values).for_each(|(&movie, &value)| known.push(customer as u32, movie, value));
    }
    let interactions = &RatingMatrix::new(300, 60, &known, &GO).unwrap();
    // The same interactions with other values.
    known.values.fill(1);
    let values = &RatingMatrix::new(300, 60, &known, &GO).unwrap();
    for algorithm in all() {
        let trained = |interactions: &RatingMatrix| {
            let callbacks = &mut Callbacks { cancelled: &GO, on_iteration: &mut |_| {} };
            let data = TrainingData { interactions, ..TrainingData::new(&matrix, &held_out) };
            bits(&algorithm.train(data, callbacks).unwrap().model)
        };
        let with = trained(interactions);
        assert_eq!(with == trained(&matrix), !algorithm.folds_in_links(), "{algorithm:?}");
        assert!(with == trained(values), "{algorithm:?}");
    }
    let narrow = &RatingMatrix::new(300, 61, &known, &GO).unwrap();
    let data = TrainingData { interactions: narrow, ..TrainingData::new(&matrix, &held_out) };
    let callbacks = &mut Callbacks { cancelled: &GO, on_iteration: &mut |_| {} };
    let refused = all()[0].train(data, callbacks).unwrap_err();
    assert!(matches!(refused, Error::OutOfBounds { movie: 60, movies: 60, .. }), "{refused:?}");
}

#[test]
fn links_without_regularization_are_finite_and_learned() {
    let (matrix, held_out) = ratings(300, 60);
    // One more customer and movie, without ratings.
    let mut list = Ratings::default();
    for customer in 0..300 {
        let (movies, values) = matrix.by_customer.row(customer);
        movies.iter().zip(values).for_each(|(&movie, &value)| list.push(customer as u32, movie, value));
    }
    let matrix = RatingMatrix::new(301, 61, &list, &GO).unwrap();
    let algorithm = Algorithm::parse("svdpp", &json!({"factors": 4, "link_regularization": 0})).unwrap();
    let model = train(&algorithm, &matrix, &held_out).unwrap().model;
    let links = model.links.unwrap();
    assert!(links.iter().all(|link| link.is_finite()));
    assert!(links.row(60).iter().all(|&link| link == 0.0));
    assert!(links.rows().into_iter().take(60).all(|row| row.iter().any(|&link| link != 0.0)));
}

/// In this data set, who rated what tells nothing: some customers rated nearly all of a few movies, and many others rated one.
#[test]
fn links_do_no_harm_where_there_is_nothing_to_learn_from_them() {
    let mut rng = crate::random::generator(7);
    let (eager, once, movies) = (700, 2500, 60);
    let mut normal =
        |scale: f32| scale * rand_distr::Distribution::<f32>::sample(&rand_distr::StandardNormal, &mut rng);
    let mut side =
        |rows: usize| (0..rows).map(|_| [normal(0.6), normal(0.5), normal(0.45)]).collect::<Vec<_>>();
    let (of_customers, of_movies) = (side(eager + once), side(movies));
    let (mut kept, mut held) = (Ratings::default(), Ratings::default());
    for (customer, p) in of_customers.iter().enumerate() {
        for (movie, q) in of_movies.iter().enumerate() {
            let chance = crate::random::hash((customer * movies + movie) as u64);
            let rates = if customer < eager { chance % 100 < 84 } else { customer % movies == movie };
            if rates {
                let score = 3.5 + p[2] + q[2] + p[0] * q[0] + p[1] * q[1] + normal(0.8);
                let list = if customer < eager && chance >> 32 & 7 == 0 { &mut held } else { &mut kept };
                list.push(customer as u32, movie as u32, score.round().clamp(1.0, 5.0) as u8);
            }
        }
    }
    let matrix = RatingMatrix::new(eager + once, movies, &kept, &GO).unwrap();
    let held_out_rmse = |name: &str, params: Value| {
        let algorithm = Algorithm::parse(name, &params).unwrap();
        train(&algorithm, &matrix, &held).unwrap().iteration.held_out_rmse.unwrap()
    };
    let unlinked = json!({"link_regularization": 1e6, "link_movies": false});
    let (svdpp, plain) = (held_out_rmse("svdpp", json!({})), held_out_rmse("svdpp", unlinked));
    assert!(svdpp < plain + 0.001, "svdpp {svdpp}, without links {plain}");
    let (bpmf, plain) = (held_out_rmse("bpmf", json!({})), held_out_rmse("bpmf", json!({"links": false})));
    assert!(bpmf < plain + 0.002, "bpmf {bpmf}, without links {plain}");
    let (als, svd) = (held_out_rmse("als", json!({})), held_out_rmse("svd", json!({})));
    assert!(bpmf < svdpp.min(als).min(svd) + 0.001, "bpmf {bpmf}, svdpp {svdpp}, als {als}, svd {svd}");
}
