//! A folded-in customer, and the two kinds of linear systems whose solution it is in every algorithm but bpmf.

use std::ops::Range;

use crate::algorithm::fold_in::bayesian;
use crate::algorithm::fold_in::customer_ratings::{CustomerRatings, Targets};
use crate::error::Error;
use crate::linear::gram::RIDGE;
use crate::linear::symmetric::{PANEL, add_products, factorise, solve};
use crate::memory::{try_vec, try_with_capacity};
use crate::model::sample_layout::SampleLayout;

/// The result of a fold-in.
#[derive(Clone, Debug)]
pub struct FoldedIn {
    /// The customer's bias in stars, as in [`crate::Side::biases`].
    pub bias: f32,
    /// The customer's vector, as a row of [`crate::Side::factors`].
    pub factors: Vec<f32>,
    system: System,
    targets: Targets,
}

/// The linear system whose solution is the customer's factors and, last, the bias. Its right-hand side is a sum over the
/// ratings (see [`Targets`]).
#[derive(Clone, Debug)]
enum System {
    /// The Cholesky factor `U` of the matrix `UᵀU`, see [`factorise`].
    Factorised(Vec<f64>),
    /// The inverse of a diagonal matrix.
    Diagonal(Vec<f64>),
    /// One system for each posterior sample.
    Bayesian(bayesian::Systems),
    /// One customer for each part of a blend.
    Parts(Vec<FoldedPart>),
    /// The customer has no ratings: the solution is zero.
    Nothing,
}

/// A customer who was folded into a part of a blend.
#[derive(Clone, Debug)]
pub(in crate::algorithm) struct FoldedPart {
    /// The part's entries in a row.
    pub entries: Range<usize>,
    /// The part's weight, but for what depends on the movie.
    pub weight: f64,
    /// How the weight changes with the logarithm of the movie's number of ratings.
    pub by_movie: f64,
    /// Weight of the movie's own bias in the part, beside that in the blend's bias.
    pub by_bias: f64,
    pub folded: FoldedIn,
    /// The ratings that the part was given, and their places among all.
    pub ratings: CustomerRatings,
    pub places: Vec<u32>,
}

impl FoldedPart {
    /// The part's factors in a movie's vector, and the part's weight for that movie.
    fn factors_and_weight<'a>(&self, vector: &'a [f32]) -> (&'a [f32], f64) {
        let own = &vector[self.entries.clone()];
        let factors = self.folded.factors.len();
        (&own[..factors], self.weight + self.by_movie * self.log_count(own))
    }

    /// The logarithm of the movie's number of ratings, if the weight depends on it. 0 otherwise.
    fn log_count(&self, own: &[f32]) -> f64 {
        match own.len() > self.folded.factors.len() + 1 {
            true => f64::from(own[own.len() - 2]),
            false => 0.0,
        }
    }

    /// The part of the product that no rating contributes.
    fn expected(&self, vector: &[f32]) -> Result<f64, Error> {
        let own = &vector[self.entries.clone()];
        let (factors, weight) = self.factors_and_weight(vector);
        let bias = own.last().copied().unwrap_or(0.0);
        Ok(weight * self.folded.expected(&self.ratings, factors)?
            + self.by_movie * self.log_count(own) * f64::from(self.folded.bias)
            + self.by_bias * f64::from(bias))
    }
}

impl System {
    /// Replaces a right-hand side by the solution.
    fn solve(&self, right: &mut [f64]) {
        match self {
            System::Factorised(upper) => solve(upper, right),
            System::Diagonal(inverse) => right.iter_mut().zip(inverse).for_each(|(to, by)| *to *= by),
            // These are solved one by one, in their own files.
            System::Bayesian(_) | System::Parts(_) | System::Nothing => right.fill(0.0),
        }
    }
}

impl FoldedIn {
    /// The most memory that a fold-in takes, in bytes. The customer's ratings are not included.
    pub fn memory(layout: SampleLayout) -> usize {
        match layout.count() {
            1 => {
                let unknowns = layout.length() + 1;
                unknowns.saturating_mul(unknowns + PANEL + 3).saturating_mul(size_of::<f64>())
            }
            _ => bayesian::memory(layout),
        }
    }

    /// How much each rating contributes to the product of the customer's factors and a movie's `factors`, in stars, one entry
    /// per rating. `ratings` are those that the customer was folded in with. The contributions and [`FoldedIn::expected`]
    /// add up to the product.
    pub fn contributions(&self, ratings: &CustomerRatings, factors: &[f32]) -> Result<Vec<f64>, Error> {
        if let System::Parts(parts) = &self.system {
            let mut contributions: Vec<f64> = try_vec(ratings.len())?;
            for part in parts {
                let (own, weight) = part.factors_and_weight(factors);
                for (&place, own) in part.places.iter().zip(part.folded.contributions(&part.ratings, own)?) {
                    contributions[place as usize] += weight * own;
                }
            }
            return Ok(contributions);
        }
        if let System::Bayesian(systems) = &self.system {
            let mut contributions = systems.contributions(ratings, factors)?;
            contributions.truncate(ratings.len());
            return Ok(contributions);
        }
        // The product is qᵀ A⁻¹ Σ right, and A is symmetric. So we solve for A⁻¹q once, and each contribution is a scalar product.
        let mut weights: Vec<f64> = try_vec(self.factors.len() + 1)?;
        weights
            .iter_mut()
            .take(self.factors.len())
            .zip(factors)
            .for_each(|(to, &from)| *to = f64::from(from));
        self.system.solve(&mut weights);
        let (weights, bias_weight) = weights.split_at(self.factors.len());
        let product = |vector: &[f32]| {
            vector.iter().zip(weights).map(|(&entry, &weight)| f64::from(entry) * weight).sum::<f64>()
        };
        let mut contributions = try_with_capacity(ratings.len())?;
        contributions.extend(ratings.iter().map(|(rating, bias, factors, links)| {
            self.targets.of(rating, bias) * (product(factors) + bias_weight[0])
                + self.targets.link_weight * product(links)
        }));
        Ok(contributions)
    }

    /// The part of that product that no rating contributes, in stars: what the prior of a Bayesian model expects of every
    /// customer; in a blend whose weights depend on numbers of ratings, also what these add to the biases. 0 in all other models.
    pub fn expected(&self, ratings: &CustomerRatings, factors: &[f32]) -> Result<f64, Error> {
        match &self.system {
            System::Bayesian(systems) => Ok(systems.contributions(ratings, factors)?.pop().unwrap_or(0.0)),
            System::Parts(parts) => {
                let mut sum = 0.0;
                for part in parts {
                    sum += part.expected(factors)?;
                }
                Ok(sum)
            }
            _ => Ok(0.0),
        }
    }

    /// A customer of a blend.
    pub(in crate::algorithm) fn of_parts(bias: f32, factors: Vec<f32>, parts: Vec<FoldedPart>) -> FoldedIn {
        FoldedIn { bias, factors, system: System::Parts(parts), targets: Targets::of_mean(0.0) }
    }

    /// Forms the right-hand side of a system and solves it.
    fn solve(ratings: &CustomerRatings, system: System, targets: Targets) -> Result<FoldedIn, Error> {
        let mut solution: Vec<f64> = try_vec(ratings.factors + 1)?;
        for (rating, bias, factors, links) in ratings.iter() {
            let target = targets.of(rating, bias);
            let (sums, last) = solution.split_at_mut(ratings.factors);
            sums.iter_mut().zip(factors).for_each(|(sum, &factor)| *sum += target * f64::from(factor));
            sums.iter_mut().zip(links).for_each(|(sum, &link)| *sum += targets.link_weight * f64::from(link));
            last[0] += target;
        }
        system.solve(&mut solution);
        let mut factors = try_with_capacity(ratings.factors)?;
        factors.extend(solution[..ratings.factors].iter().map(|&factor| factor as f32));
        Ok(FoldedIn { bias: solution[ratings.factors] as f32, factors, system, targets })
    }
}

/// Fold-in by least squares: the system matrix is `Σ z zᵀ + ridges`, where z is a movie's factors and, last, a 1.
/// `gram`, the upper triangle of a factors × factors matrix, times the weight of the links is added to it.
pub(in crate::algorithm) fn least_squares(
    ratings: &CustomerRatings,
    targets: Targets,
    (ridge, bias_ridge): (f64, f64),
    gram: Option<&[f64]>,
    check: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<FoldedIn, Error> {
    if ratings.is_empty() {
        return FoldedIn::solve(ratings, System::Nothing, targets);
    }
    let (factors, unknowns) = (ratings.factors, ratings.factors + 1);
    let mut matrix: Vec<f64> = try_vec(unknowns.saturating_mul(unknowns))?;
    if let Some(gram) = gram {
        for (to, from) in matrix.chunks_exact_mut(unknowns).zip(gram.chunks_exact(factors)) {
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = targets.link_weight * from);
        }
        // Training does the same.
        matrix.iter_mut().step_by(unknowns + 1).for_each(|diagonal| *diagonal *= 1.0 + RIDGE);
    }
    for (unknown, row) in matrix.chunks_exact_mut(unknowns).enumerate() {
        row[unknown] += if unknown < factors { ridge } else { bias_ridge };
    }
    let mut panel: Vec<f64> = try_vec(PANEL * unknowns)?;
    let mut rows = ratings.iter();
    while rows.len() > 0 {
        check()?;
        panel.fill(0.0);
        for (to, (_, _, factors, _)) in panel.chunks_exact_mut(unknowns).zip(&mut rows) {
            to.iter_mut().zip(factors).for_each(|(to, &from)| *to = f64::from(from));
            to[factors.len()] = 1.0;
        }
        add_products(&mut matrix, unknowns, &panel, 1.0);
    }
    let undetermined = Error::Undetermined { ratings: ratings.len() };
    if !factorise(&mut matrix, unknowns, check)? {
        return Err(undetermined);
    }
    let found = FoldedIn::solve(ratings, System::Factorised(matrix), targets)?;
    let is_finite = found.factors.iter().chain([&found.bias]).all(|entry| entry.is_finite());
    if is_finite { Ok(found) } else { Err(undetermined) }
}

/// Fold-in by projection: a damped bias, if there is a damping, and then the projection of the ratings less that bias on the
/// movies' factors. `squared_norms` are `Σ q²` for each factor over all movies.
pub(in crate::algorithm) fn project(
    ratings: &CustomerRatings,
    targets: Targets,
    damping: Option<f64>,
    squared_norms: &[f64],
) -> Result<FoldedIn, Error> {
    let inverse = |value: f64| if value > 0.0 { 1.0 / value } else { 0.0 };
    let mut diagonal: Vec<f64> = try_vec(ratings.factors + 1)?;
    diagonal
        .iter_mut()
        .take(ratings.factors)
        .zip(squared_norms)
        .for_each(|(to, &squared)| *to = inverse(squared));
    let residuals = ratings.iter().map(|(rating, bias, ..)| targets.of(rating, bias)).sum::<f64>();
    let bias = damping.map_or(0.0, |damping| residuals * inverse(ratings.len() as f64 + damping));
    let targets = Targets { customer_bias: bias, ..targets };
    let found = FoldedIn::solve(ratings, System::Diagonal(diagonal), targets)?;
    Ok(FoldedIn { bias: bias as f32, ..found })
}

/// Fold-in of a Bayesian model: one system for each sample, with that sample's prior. `prior` is the model's.
pub(in crate::algorithm) fn bayesian(
    ratings: &CustomerRatings,
    layout: SampleLayout,
    mean: f32,
    prior: &[f32],
    check: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<FoldedIn, Error> {
    let targets = Targets::of_mean(mean);
    if ratings.is_empty() {
        let factors = try_vec(layout.length())?;
        return Ok(FoldedIn { bias: 0.0, factors, system: System::Nothing, targets });
    }
    let (bias, factors, systems) = bayesian::fold_in(ratings, layout, mean, prior, check)?;
    Ok(FoldedIn { bias, factors, system: System::Bayesian(systems), targets })
}
