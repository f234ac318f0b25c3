//! A customer's factors out of ratings, with all that the model knows of movies held fixed: the half of a training step that
//! is solved for one customer, in double precision.
//!
//! Each of the algorithms finds a customer's bias and factors as a linear map of what the ratings leave to be explained, so
//! that each rating's share in them, and in any prediction, can be told apart (Hu, Koren and Volinsky 2008, "Collaborative
//! filtering for implicit feedback datasets", section 5).

mod bayesian;
pub(crate) mod rated;

use std::ops::ControlFlow;

use crate::algorithm::fold_in::rated::{Rated, Targets};
use crate::algorithm::regularization::{PRIOR_COUNT, ridge};
use crate::algorithm::{Algorithm, baseline, truncated_svd};
use crate::error::Error;
use crate::linear::dense::RIDGE;
use crate::linear::symmetric::{PANEL, add_products, factorise, solve};
use crate::memory::{try_vec, try_with_capacity};
use crate::model::customer_prior::CustomerPrior;
use crate::model::samples::Samples;

/// A sum over all movies that a model's customers have in common, in double precision.
#[derive(Clone, Debug, PartialEq)]
pub enum Shared {
    /// None is needed.
    Nothing,
    /// The squares of each factor, over the movies' factors.
    Squares(Vec<f64>),
    /// The upper triangle of the sum of the products `y yᵀ`, over the movies' links `y`: as many rows and columns.
    Products(Vec<f64>),
    /// No sum: the prior of customers in each sample, [`crate::Model::prior`], and how the samples lie.
    Prior(Samples, Vec<f32>),
}

impl Shared {
    /// Bytes that one takes at most, of a model of such rows.
    pub fn memory(samples: Samples) -> usize {
        match samples.count() {
            1 => samples.length().saturating_mul(samples.length()).saturating_mul(size_of::<f64>()),
            count => CustomerPrior::of(samples.factors()).length(count).saturating_mul(size_of::<f32>()),
        }
    }

    /// Adds a movie's vector. What is beyond the length is not looked at.
    pub fn add(&mut self, vector: &[f32]) {
        match self {
            Shared::Nothing | Shared::Prior(..) => {}
            Shared::Squares(squares) => {
                let entries = squares.iter_mut().zip(vector);
                entries.for_each(|(sum, &entry)| *sum += f64::from(entry) * f64::from(entry));
            }
            Shared::Products(products) => {
                let factors = products.len().isqrt();
                for (at, (&one, row)) in vector.iter().zip(products.chunks_exact_mut(factors)).enumerate() {
                    let others = row[at..].iter_mut().zip(&vector[at..]);
                    others.for_each(|(sum, &other)| *sum += f64::from(one) * f64::from(other));
                }
            }
        }
    }
}

/// A customer, found.
#[derive(Clone, Debug)]
pub struct FoldedIn {
    /// As [`crate::Side::biases`].
    pub bias: f32,
    /// As [`crate::Side::factors`].
    pub factors: Vec<f32>,
    system: System,
    targets: Targets,
}

/// The matrix of the linear system whose right-hand side is the sum over all ratings. Its unknowns are the factors and, behind
/// them, the bias.
#[derive(Clone, Debug)]
enum System {
    /// `U`, where the matrix is `UᵀU`: see [`factorise`].
    Factorised(Vec<f64>),
    /// The inverse of a diagonal matrix.
    Diagonal(Vec<f64>),
    /// One system a sample.
    Bayesian(bayesian::Systems),
    /// Of nobody's ratings, nothing follows.
    Nothing,
}

impl System {
    /// Replaces a right-hand side by the solution.
    fn solve(&self, right: &mut [f64]) {
        match self {
            System::Factorised(upper) => solve(upper, right),
            System::Diagonal(inverse) => right.iter_mut().zip(inverse).for_each(|(to, by)| *to *= by),
            // Several systems, which are solved one by one.
            System::Bayesian(_) | System::Nothing => right.fill(0.0),
        }
    }
}

impl FoldedIn {
    /// Bytes that finding one takes at most, beside its ratings.
    pub fn memory(samples: Samples) -> usize {
        match samples.count() {
            1 => {
                let unknowns = samples.length() + 1;
                unknowns.saturating_mul(unknowns + PANEL + 3).saturating_mul(size_of::<f64>())
            }
            _ => bayesian::memory(samples),
        }
    }

    /// How much each rating adds to the product of the customer's factors and a movie's; `rated` are those that the customer was
    /// found by. With [`FoldedIn::expected`], they sum up to that product.
    pub fn contributions(&self, rated: &Rated, factors: &[f32]) -> Result<Vec<f64>, Error> {
        if let System::Bayesian(systems) = &self.system {
            let mut contributions = systems.contributions(rated, factors)?;
            contributions.truncate(rated.len());
            return Ok(contributions);
        }
        // The product is qᵀ A⁻¹ Σ right, and A is symmetric: solved for once, a rating's part is a scalar product.
        let mut shares: Vec<f64> = try_vec(self.factors.len() + 1)?;
        shares.iter_mut().take(self.factors.len()).zip(factors).for_each(|(to, &from)| *to = f64::from(from));
        self.system.solve(&mut shares);
        let (shares, last) = shares.split_at(self.factors.len());
        let product = |vector: &[f32]| {
            vector.iter().zip(shares).map(|(&entry, &share)| f64::from(entry) * share).sum::<f64>()
        };
        let mut contributions = try_with_capacity(rated.len())?;
        contributions.extend(rated.iter().map(|(rating, bias, factors, links)| {
            self.targets.of(rating, bias) * (product(factors) + last[0])
                + self.targets.weight * product(links)
        }));
        Ok(contributions)
    }

    /// How much of that product no rating adds: what the model expects of every customer. 0 of all but Bayesian models.
    pub fn expected(&self, rated: &Rated, factors: &[f32]) -> Result<f64, Error> {
        match &self.system {
            System::Bayesian(systems) => Ok(systems.contributions(rated, factors)?.pop().unwrap_or(0.0)),
            _ => Ok(0.0),
        }
    }
}

impl Algorithm {
    /// Whether customers can be folded in, by a model with or without a [`crate::Model::prior`]: [`Error::NoFoldIn`] of `bpmf`
    /// without one.
    pub fn check_fold_in(&self, has_prior: bool) -> Result<(), Error> {
        match self {
            Algorithm::Bpmf(_) if !has_prior => Err(Error::NoFoldIn { algorithm: self.name() }),
            _ => Ok(()),
        }
    }

    /// Whether folding in needs the movies' [`crate::Model::links`].
    pub fn folds_in_links(&self) -> bool {
        match self {
            Algorithm::Als(params) => params.implicit_weight > 0.0,
            Algorithm::Svdpp(_) => true,
            Algorithm::Bpmf(params) => params.links,
            _ => false,
        }
    }

    /// The sum over all movies that [`Algorithm::fold_in`] has to be given, over none yet. Of `bpmf`, it is the model's prior, and
    /// [`Error::NoFoldIn`] where there is none that fits.
    pub fn shared(&self, samples: Samples, prior: Option<&[f32]>) -> Result<Shared, Error> {
        let factors = samples.length();
        Ok(match self {
            Algorithm::Bpmf(_) => {
                let length = CustomerPrior::of(samples.factors()).length(samples.count());
                let fitting = prior.filter(|prior| samples.count() > 1 && prior.len() == length);
                let mut copy = try_with_capacity(length)?;
                copy.extend_from_slice(fitting.ok_or(Error::NoFoldIn { algorithm: self.name() })?);
                Shared::Prior(samples, copy)
            }
            Algorithm::Als(params) if params.implicit_weight > 0.0 => {
                Shared::Products(try_vec(factors.saturating_mul(factors))?)
            }
            Algorithm::TruncatedSvd(_) => Shared::Squares(try_vec(factors)?),
            _ => Shared::Nothing,
        })
    }

    /// Finds the customer of these ratings. `mean` is the model's, `shared` the sum that [`Algorithm::shared`] begins, over all
    /// movies. `proceed` is asked every few milliseconds whether to go on; [`Error::Cancelled`] where not.
    ///
    /// Of `als` without `cg_steps`, `svdpp`, `truncated_svd` and `baseline`, a customer trained on the same ratings has the same
    /// factors, but for rounding; of `svd`, and of `als` with `cg_steps`, this is the minimum that their steps approach.
    /// Of `bpmf` it is, in each sample, the mean that the customer's factors scatter about. [`Error::Undetermined`] where there is
    /// no regularisation and too few ratings.
    pub fn fold_in(
        &self,
        mean: f32,
        rated: &Rated,
        shared: &Shared,
        proceed: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<FoldedIn, Error> {
        let ratings = rated.len();
        let targets = Targets::of_mean(mean);
        let mut check = || match proceed() {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Cancelled),
        };
        match self {
            Algorithm::Als(params) => {
                // As the kernel has it, in single precision.
                let targets = Targets { weight: f64::from(params.implicit_weight as f32), ..targets };
                least_squares(rated, targets, params.ridges(ratings), shared, &mut check)
            }
            Algorithm::Svd(params) => {
                let of = |regularization: f64| f64::from(ridge(regularization, ratings, PRIOR_COUNT));
                let ridges = (of(params.regularization), of(params.bias_regularization));
                least_squares(rated, targets, ridges, &Shared::Nothing, &mut check)
            }
            Algorithm::Svdpp(params) => {
                let ridges = params.ridges(ratings);
                let targets = Targets { weight: ridges.0 / (ratings.max(1) as f64).sqrt(), ..targets };
                least_squares(rated, targets, ridges, &Shared::Nothing, &mut check)
            }
            Algorithm::TruncatedSvd(params) => {
                let damping = match params.center {
                    truncated_svd::Center::Biases => Some(baseline::Params::default().customer_damping),
                    truncated_svd::Center::Mean | truncated_svd::Center::None => None,
                };
                let squares = match shared {
                    Shared::Squares(squares) => &squares[..],
                    _ => &[],
                };
                project(rated, targets, damping, squares)
            }
            Algorithm::Baseline(params) => {
                let damping = match params.kind {
                    baseline::Kind::Biases => Some(params.customer_damping),
                    baseline::Kind::Mean | baseline::Kind::Popularity => None,
                };
                project(rated, targets, damping, &[])
            }
            Algorithm::Bpmf(_) => match shared {
                Shared::Prior(samples, _) if rated.is_empty() => {
                    let factors = try_vec(samples.length())?;
                    Ok(FoldedIn { bias: 0.0, factors, system: System::Nothing, targets })
                }
                Shared::Prior(samples, prior) => {
                    let (bias, factors, systems) =
                        bayesian::fold_in(rated, *samples, mean, prior, &mut check)?;
                    Ok(FoldedIn { bias, factors, system: System::Bayesian(systems), targets })
                }
                _ => Err(Error::NoFoldIn { algorithm: self.name() }),
            },
        }
    }
}

/// Least squares with ridges for factors and bias, and a precision of the factors besides: the shared products times the
/// targets' weight.
fn least_squares(
    rated: &Rated,
    targets: Targets,
    (ridge, bias_ridge): (f64, f64),
    shared: &Shared,
    check: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<FoldedIn, Error> {
    if rated.is_empty() {
        return FoldedIn::new(rated, System::Nothing, targets);
    }
    let (factors, unknowns) = (rated.factors, rated.factors + 1);
    let mut matrix: Vec<f64> = try_vec(unknowns.saturating_mul(unknowns))?;
    if let Shared::Products(products) = shared {
        for (to, from) in matrix.chunks_exact_mut(unknowns).zip(products.chunks_exact(factors)) {
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = targets.weight * from);
        }
        // As training does.
        matrix.iter_mut().step_by(unknowns + 1).for_each(|diagonal| *diagonal *= 1.0 + RIDGE);
    }
    for (unknown, row) in matrix.chunks_exact_mut(unknowns).enumerate() {
        row[unknown] += if unknown < factors { ridge } else { bias_ridge };
    }
    let mut panel: Vec<f64> = try_vec(PANEL * unknowns)?;
    let mut rows = rated.iter();
    while rows.len() > 0 {
        check()?;
        panel.fill(0.0);
        for (to, (_, _, factors, _)) in panel.chunks_exact_mut(unknowns).zip(&mut rows) {
            to.iter_mut().zip(factors).for_each(|(to, &from)| *to = f64::from(from));
            to[factors.len()] = 1.0;
        }
        add_products(&mut matrix, unknowns, &panel, 1.0);
    }
    let undetermined = Error::Undetermined { ratings: rated.len() };
    if !factorise(&mut matrix, unknowns, check)? {
        return Err(undetermined);
    }
    let found = FoldedIn::new(rated, System::Factorised(matrix), targets)?;
    let is_finite = found.factors.iter().chain([&found.bias]).all(|number| number.is_finite());
    if is_finite { Ok(found) } else { Err(undetermined) }
}

/// A damped bias, where there is any, and what is left of the ratings projected on the movies' factors, whose squares over
/// all movies are given.
fn project(
    rated: &Rated,
    targets: Targets,
    damping: Option<f64>,
    squares: &[f64],
) -> Result<FoldedIn, Error> {
    let share = |by: f64| if by > 0.0 { 1.0 / by } else { 0.0 };
    let mut inverse: Vec<f64> = try_vec(rated.factors + 1)?;
    inverse.iter_mut().take(rated.factors).zip(squares).for_each(|(to, &square)| *to = share(square));
    let above = rated.iter().map(|(rating, bias, ..)| targets.of(rating, bias)).sum::<f64>();
    let bias = damping.map_or(0.0, |damping| above * share(rated.len() as f64 + damping));
    let targets = Targets { offset: bias, ..targets };
    let found = FoldedIn::new(rated, System::Diagonal(inverse), targets)?;
    Ok(FoldedIn { bias: bias as f32, ..found })
}

impl FoldedIn {
    fn new(rated: &Rated, system: System, targets: Targets) -> Result<FoldedIn, Error> {
        let mut solution: Vec<f64> = try_vec(rated.factors + 1)?;
        for (rating, bias, factors, links) in rated.iter() {
            let target = targets.of(rating, bias);
            let (sums, last) = solution.split_at_mut(rated.factors);
            sums.iter_mut().zip(factors).for_each(|(sum, &factor)| *sum += target * f64::from(factor));
            sums.iter_mut().zip(links).for_each(|(sum, &link)| *sum += targets.weight * f64::from(link));
            last[0] += target;
        }
        system.solve(&mut solution);
        let mut factors = try_with_capacity(rated.factors)?;
        factors.extend(solution[..rated.factors].iter().map(|&factor| factor as f32));
        Ok(FoldedIn { bias: solution[rated.factors] as f32, factors, system, targets })
    }
}

#[cfg(test)]
mod tests;
