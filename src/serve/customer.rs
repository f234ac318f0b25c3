//! What a model knows of a customer: factors from training, factors folded in from ratings that came later, or nothing.
//! `recommend`, `predict_rating` and `explain` begin with it.

use super::error::ServeError;
use super::fold_in;
use crate::models::{ModelRow, read};
use crate::pg::{Error, memory};
use crate::warehouse::dimension::{Dimension, Key};

/// What a customer's predictions are based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The factors from training.
    Model,
    /// Factors folded in from the ratings there are now, because the model was trained without this customer.
    FoldIn,
    /// The movies' biases alone: nothing is known of the customer.
    Popularity,
}

impl Source {
    /// The value of the column `source`.
    pub fn name(self) -> &'static str {
        match self {
            Source::Model => "model",
            Source::FoldIn => "fold-in",
            Source::Popularity => "popularity",
        }
    }
}

/// A customer.
pub struct Customer {
    pub key: Option<Key>,
    pub source: Source,
    /// Bias and factors; `None` if `source` is popularity.
    pub factors: Option<(f32, Vec<f32>)>,
}

impl Customer {
    /// Finds what a model knows of the customer with this id.
    pub fn find(model: &ModelRow, customer_id: i64) -> Result<Customer, ServeError> {
        Customer::of_key(model, Dimension::Customer.key_of(customer_id)?)
    }

    /// The same by the key; `None` for an id that does not exist.
    pub fn of_key(model: &ModelRow, key: Option<Key>) -> Result<Customer, ServeError> {
        let Some(known) = key else {
            return Ok(Customer { key, source: Source::Popularity, factors: None });
        };
        if let Some(factors) = read::row(model, Dimension::Customer, known)? {
            return Ok(Customer { key, source: Source::Model, factors: Some(factors) });
        }
        let factors = fold_in::new_customer(model, known)?;
        let source = if factors.is_some() { Source::FoldIn } else { Source::Popularity };
        Ok(Customer { key, source, factors })
    }

    /// Bias and factors, `length` of them. They are all 0 if nothing is known of the customer: then only the movie's bias counts.
    pub fn bias_and_factors(self, length: usize) -> Result<(f32, Vec<f32>), Error> {
        self.factors.map_or_else(|| Ok((0.0, memory::filled(0.0, length)?)), Ok)
    }
}
