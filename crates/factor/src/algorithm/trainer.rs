//! What every algorithm implements beside its parameters: training, what training costs, and fold-in.

use std::borrow::Cow;

use serde_json::Value;

use crate::algorithm::fold_in::FoldIn;
use crate::algorithm::parameter::Parameters;
use crate::algorithm::training::{Callbacks, Size, Trained, TrainingData};
use crate::error::Error;

/// One algorithm with its parameters. Each algorithm implements it for its `Params`, in its own file.
pub(crate) trait Trainer: Parameters + FoldIn {
    /// Length of a customer's or movie's vector. In a Bayesian model, the length of the vector of one sample.
    fn factors(&self) -> usize;

    /// How many iterations training reports at most.
    fn iterations(&self) -> usize;

    /// The seed of its random numbers. `None` if it uses no random numbers.
    fn seed(&self) -> Option<i64>;

    /// The peak of the memory that training takes, in bytes. The rating matrix and the held-out ratings are not included.
    fn memory(&self, size: Size) -> usize;

    /// How long training takes, in multiplications. What is slower than a multiplication counts as several (see
    /// [`crate::algorithm::cost`]). The evaluation of held-out ratings is not included.
    fn work(&self, size: Size) -> f64;

    /// The same algorithm with few iterations, and with no more factors than a matrix of this size allows. It is trained to
    /// estimate how long training takes.
    fn shortened(&self, size: Size) -> Box<dyn Trainer>;

    /// See [`crate::Algorithm::train`]. The parameters have been checked.
    fn train(&self, data: TrainingData<'_>, callbacks: &mut Callbacks<'_>) -> Result<Trained, Error>;

    /// Whether its models are posterior samples side by side, with a [`crate::Model::prior`].
    fn is_bayesian(&self) -> bool {
        false
    }

    /// The parameters of a stored model. If an older version of this crate stored it, parameters that did not exist then are
    /// added, with the values that were built in then.
    fn completed(params: &Value) -> Cow<'_, Value>
    where
        Self: Sized,
    {
        Cow::Borrowed(params)
    }
}
