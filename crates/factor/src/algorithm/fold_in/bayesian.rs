//! Fold-in of a Bayesian model. In each posterior sample, the customer's vector is the mean of its conditional distribution,
//! given the ratings and that sample's movies and hyperparameters. This mean is the solution of a linear system; training adds
//! noise to the solution, fold-in does not, so that it gives the same result at each call.

use crate::algorithm::fold_in::customer_ratings::CustomerRatings;
use crate::error::Error;
use crate::linear::gram::RIDGE;
use crate::linear::symmetric::{PANEL, add_products, factorise, solve};
use crate::memory::{try_vec, try_with_capacity};
use crate::model::customer_prior::CustomerPrior;
use crate::model::sample_layout::SampleLayout;

/// One linear system for each sample.
#[derive(Clone, Debug)]
pub(super) struct Systems {
    layout: SampleLayout,
    mean: f32,
    /// For each sample, the Cholesky factor `U` of the system matrix `UᵀU` (unknowns × unknowns).
    factorised: Vec<f64>,
    /// The model's prior, see [`CustomerPrior`].
    prior: Vec<f32>,
}

/// The memory that a fold-in takes, in bytes.
pub(super) fn memory(layout: SampleLayout) -> usize {
    let unknowns = layout.factors() + 1;
    let systems = layout.count().saturating_mul(unknowns * unknowns * size_of::<f64>());
    let prior = CustomerPrior::of(layout.factors()).length(layout.count()).saturating_mul(size_of::<f32>());
    systems.saturating_add(prior).saturating_add((PANEL + 4) * unknowns * size_of::<f64>())
}

/// Finds the bias and the vector of a customer who has at least one rating. `prior` is the model's.
pub(super) fn fold_in(
    ratings: &CustomerRatings,
    layout: SampleLayout,
    mean: f32,
    prior: &[f32],
    check: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<(f32, Vec<f32>, Systems), Error> {
    let mut factors = try_vec(layout.length())?;
    let unknowns = layout.factors() + 1;
    let mut own_prior: Vec<f32> = try_with_capacity(prior.len())?;
    own_prior.extend_from_slice(prior);
    let mut systems = Systems {
        layout,
        mean,
        factorised: try_vec(layout.count().saturating_mul(unknowns * unknowns))?,
        prior: own_prior,
    };
    let mut panel: Vec<f64> = try_vec(PANEL * unknowns)?;
    let mut right: Vec<f64> = try_vec(unknowns)?;
    let mut expected: Vec<f64> = try_vec(unknowns)?;
    let mut biases: Vec<f64> = try_vec(layout.count())?;
    let scale = f64::from(layout.count() as u32).sqrt();
    for (sample, part) in layout.sample_ranges().enumerate() {
        let priors = CustomerPrior::of(layout.factors());
        let (prior_mean, triangle) = priors.sample(&systems.prior, sample);
        let matrix = &mut systems.factorised[sample * unknowns * unknowns..][..unknowns * unknowns];
        priors.fill(triangle, matrix);
        // Training does the same.
        matrix.iter_mut().step_by(unknowns + 1).for_each(|diagonal| *diagonal *= 1.0 + RIDGE);
        right.fill(0.0);
        expected.fill(0.0);
        let share = 1.0 / (ratings.len() as f64).sqrt();
        let mut rows = ratings.iter();
        while rows.len() > 0 {
            check()?;
            panel.fill(0.0);
            for (z, (rating, bias, factors, links)) in panel.chunks_exact_mut(unknowns).zip(&mut rows) {
                let target = gather(mean, (rating, bias, &factors[part.clone()]), scale, z);
                right.iter_mut().zip(&*z).for_each(|(sum, &entry)| *sum += target * entry);
                let links = links.iter().skip(part.start).take(unknowns);
                expected.iter_mut().zip(links).for_each(|(sum, &link)| *sum += share * f64::from(link));
            }
            add_products(matrix, unknowns, &panel, 1.0);
        }
        expected.iter_mut().zip(prior_mean).for_each(|(sum, &entry)| *sum += f64::from(entry));
        priors.multiply(triangle, &expected, &mut right);
        if !factorise(matrix, unknowns, check)? {
            return Err(Error::Undetermined { ratings: ratings.len() });
        }
        solve(matrix, &mut right);
        if right.iter().any(|entry| !entry.is_finite()) {
            return Err(Error::Undetermined { ratings: ratings.len() });
        }
        let entries = factors[part].iter_mut();
        let constant = std::iter::once(&1.0);
        entries.zip(right.iter().chain(constant)).for_each(|(to, &entry)| *to = (entry / scale) as f32);
        biases[sample] = right[unknowns - 1];
    }
    // As in training, the customer's bias is the mean over all samples, and each sample has its difference from that mean.
    let bias = biases.iter().sum::<f64>() / layout.count() as f64;
    for (part, own) in layout.sample_ranges().zip(&biases) {
        factors[part.start + layout.factors()] = ((own - bias) / scale) as f32;
    }
    Ok((bias as f32, factors, systems))
}

/// Writes a movie's factors in a sample, and a 1 behind them, to `z`. Returns the rating less the mean and the movie's bias.
fn gather(mean: f32, (rating, bias, part): (f32, f32, &[f32]), scale: f64, z: &mut [f64]) -> f64 {
    // In `part`, the factors are followed by a 1, which `z` needs too, and by this sample's difference from the movie's mean
    // bias.
    z.iter_mut().zip(part).for_each(|(to, &entry)| *to = scale * f64::from(entry));
    let difference = part.last().map_or(0.0, |&entry| scale * f64::from(entry));
    f64::from(rating) - f64::from(mean) - f64::from(bias) - difference
}

impl Systems {
    /// The contributions of all ratings, and one more entry for what the prior expects of every customer.
    pub fn contributions(&self, ratings: &CustomerRatings, movie: &[f32]) -> Result<Vec<f64>, Error> {
        let Systems { layout, ref factorised, ref prior, .. } = *self;
        let unknowns = layout.factors() + 1;
        let priors = CustomerPrior::of(layout.factors());
        let scale = f64::from(layout.count() as u32).sqrt();
        let mut contributions: Vec<f64> = try_vec(ratings.len() + 1)?;
        let (mut shares, mut of_prior): (Vec<f64>, Vec<f64>) = (try_vec(unknowns)?, try_vec(unknowns)?);
        let mut z: Vec<f64> = try_vec(unknowns)?;
        let per_rating = 1.0 / (ratings.len().max(1) as f64).sqrt();
        for (sample, part) in layout.sample_ranges().enumerate() {
            // The product in this sample is qᵀ A⁻¹ right, and A is symmetric. So we solve for A⁻¹q once, and each contribution is
            // a scalar product.
            shares.fill(0.0);
            let factors = shares.iter_mut().take(layout.factors()).zip(&movie[part.clone()]);
            factors.for_each(|(to, &entry)| *to = f64::from(entry) / scale);
            solve(&factorised[sample * unknowns * unknowns..][..unknowns * unknowns], &mut shares);
            let (mean, triangle) = priors.sample(prior, sample);
            of_prior.fill(0.0);
            priors.multiply(triangle, &shares, &mut of_prior);
            let product = |entries: &[f32]| {
                entries.iter().zip(&of_prior).map(|(&entry, by)| f64::from(entry) * by).sum::<f64>()
            };
            for (sum, (rating, bias, factors, links)) in contributions.iter_mut().zip(ratings.iter()) {
                let target = gather(self.mean, (rating, bias, &factors[part.clone()]), scale, &mut z);
                *sum += target * z.iter().zip(&shares).map(|(z, share)| z * share).sum::<f64>();
                if !links.is_empty() {
                    *sum += per_rating * product(&links[part.start..][..unknowns]);
                }
            }
            contributions[ratings.len()] += product(mean);
        }
        Ok(contributions)
    }
}
