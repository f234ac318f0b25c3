//! What a model knows of a customer: factors found in training, factors folded in from ratings that came since, or nothing.
//! `recommend`, `predict_rating` and `explain` begin with it.

use crate::pg::model::{self, ModelRow};
use crate::pg::prepared::Prepared;
use crate::pg::{Error, memory};

use super::error::ServeError;
use super::fold_in;

/// What a customer's predictions are based on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The factors that the model was trained to.
    Model,
    /// Factors folded in from the ratings there are now: the model was trained without this customer.
    FoldIn,
    /// The movies' biases alone: nothing is known of the customer.
    Popularity,
}

impl Source {
    /// As it stands in the column `source`.
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
    pub key: Option<i32>,
    pub source: Source,
    /// Its bias and factors; none where `source` is popularity.
    pub factors: Option<(f32, Vec<f32>)>,
}

impl Customer {
    /// Finds what a model knows of a customer.
    pub fn find(row: &ModelRow, customer_id: i64) -> Result<Customer, ServeError> {
        Customer::of_key(row, customer_key(customer_id)?)
    }

    /// The same by its key.
    pub fn of_key(row: &ModelRow, key: Option<i32>) -> Result<Customer, ServeError> {
        let Some(of) = key else { return Ok(Customer { key, source: Source::Popularity, factors: None }) };
        if let Some(factors) = model::read_row(row, "customer_factors", of)? {
            return Ok(Customer { key, source: Source::Model, factors: Some(factors) });
        }
        let factors = fold_in::newcomer(row, of)?;
        let source = if factors.is_some() { Source::FoldIn } else { Source::Popularity };
        Ok(Customer { key, source, factors })
    }

    /// Its bias and factors as numbers, which are all 0 where nothing is known of it: a movie's bias is then all that counts.
    pub fn numbers(self, factors: usize) -> Result<(f32, Vec<f32>), Error> {
        self.factors.map_or_else(|| Ok((0.0, memory::filled(0.0, factors)?)), Ok)
    }
}

/// The key of a customer, if it is there.
pub fn customer_key(customer_id: i64) -> Result<Option<i32>, Error> {
    static KEY: Prepared =
        Prepared("SELECT customer_key FROM @extschema@.dim_customer WHERE customer_id = $1");
    KEY.one(&[customer_id.into()])
}
