//! A customer of a Bayesian model: in each sample, the mean of what the customer's factors may be, given the ratings and what
//! that sample has of movies and of customers as a whole. It is the solution of the system whose solution and noise are a
//! sample in training; without the noise, it is the same at each call.

use crate::algorithm::fold_in::rated::Rated;
use crate::error::Error;
use crate::linear::dense::RIDGE;
use crate::linear::symmetric::{PANEL, add_products, factorise, solve};
use crate::memory::{try_vec, try_with_capacity};
use crate::model::customer_prior::CustomerPrior;
use crate::model::samples::Samples;

/// The systems of a customer's samples.
#[derive(Clone, Debug)]
pub(super) struct Systems {
    samples: Samples,
    mean: f32,
    /// `U` of each sample, where its system's matrix is `UᵀU`, one behind the other.
    factorised: Vec<f64>,
    prior: Vec<f32>,
}

/// Bytes that they take.
pub(super) fn memory(samples: Samples) -> usize {
    let unknowns = samples.factors() + 1;
    let systems = samples.count().saturating_mul(unknowns * unknowns * size_of::<f64>());
    let prior = CustomerPrior::of(samples.factors()).length(samples.count()).saturating_mul(size_of::<f32>());
    systems.saturating_add(prior).saturating_add((PANEL + 4) * unknowns * size_of::<f64>())
}

/// Finds the bias and factors of a customer with at least one rating. `prior` is the model's.
pub(super) fn fold_in(
    rated: &Rated,
    samples: Samples,
    mean: f32,
    prior: &[f32],
    check: &mut dyn FnMut() -> Result<(), Error>,
) -> Result<(f32, Vec<f32>, Systems), Error> {
    let mut factors = try_vec(samples.length())?;
    let unknowns = samples.factors() + 1;
    let mut own_prior: Vec<f32> = try_with_capacity(prior.len())?;
    own_prior.extend_from_slice(prior);
    let mut systems = Systems {
        samples,
        mean,
        factorised: try_vec(samples.count().saturating_mul(unknowns * unknowns))?,
        prior: own_prior,
    };
    let mut panel: Vec<f64> = try_vec(PANEL * unknowns)?;
    let mut right: Vec<f64> = try_vec(unknowns)?;
    let mut expected: Vec<f64> = try_vec(unknowns)?;
    let mut biases: Vec<f64> = try_vec(samples.count())?;
    let scale = f64::from(samples.count() as u32).sqrt();
    for (sample, part) in samples.parts().enumerate() {
        let layout = CustomerPrior::of(samples.factors());
        let (prior_mean, triangle) = layout.sample(&systems.prior, sample);
        let matrix = &mut systems.factorised[sample * unknowns * unknowns..][..unknowns * unknowns];
        layout.fill(triangle, matrix);
        // As training does.
        matrix.iter_mut().step_by(unknowns + 1).for_each(|diagonal| *diagonal *= 1.0 + RIDGE);
        right.fill(0.0);
        expected.fill(0.0);
        let share = 1.0 / (rated.len() as f64).sqrt();
        let mut rows = rated.iter();
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
        layout.multiply(triangle, &expected, &mut right);
        if !factorise(matrix, unknowns, check)? {
            return Err(Error::Undetermined { ratings: rated.len() });
        }
        solve(matrix, &mut right);
        if right.iter().any(|entry| !entry.is_finite()) {
            return Err(Error::Undetermined { ratings: rated.len() });
        }
        let entries = factors[part].iter_mut();
        let constant = std::iter::once(&1.0);
        entries.zip(right.iter().chain(constant)).for_each(|(to, &entry)| *to = (entry / scale) as f32);
        biases[sample] = right[unknowns - 1];
    }
    // As in training, the mean of the biases is the model's, and samples have what they differ from it.
    let bias = biases.iter().sum::<f64>() / samples.count() as f64;
    for (part, own) in samples.parts().zip(&biases) {
        factors[part.start + samples.factors()] = ((own - bias) / scale) as f32;
    }
    Ok((bias as f32, factors, systems))
}

/// Writes a movie's part of a sample as the system has it, factors and 1; gives what the rating leaves to be explained.
fn gather(mean: f32, (rating, bias, part): (f32, f32, &[f32]), scale: f64, z: &mut [f64]) -> f64 {
    // Both entries behind a movie's factors are for biases: 1, as the system has it, and the movie's in this sample.
    z.iter_mut().zip(part).for_each(|(to, &entry)| *to = scale * f64::from(entry));
    let difference = part.last().map_or(0.0, |&entry| scale * f64::from(entry));
    f64::from(rating) - f64::from(mean) - f64::from(bias) - difference
}

impl Systems {
    /// As [`super::FoldedIn::contributions`], and behind them as [`super::FoldedIn::expected`].
    pub fn contributions(&self, rated: &Rated, movie: &[f32]) -> Result<Vec<f64>, Error> {
        let Systems { samples, ref factorised, ref prior, .. } = *self;
        let unknowns = samples.factors() + 1;
        let layout = CustomerPrior::of(samples.factors());
        let scale = f64::from(samples.count() as u32).sqrt();
        let mut contributions: Vec<f64> = try_vec(rated.len() + 1)?;
        let (mut shares, mut of_prior): (Vec<f64>, Vec<f64>) = (try_vec(unknowns)?, try_vec(unknowns)?);
        let mut z: Vec<f64> = try_vec(unknowns)?;
        let per_rating = 1.0 / (rated.len().max(1) as f64).sqrt();
        for (sample, part) in samples.parts().enumerate() {
            // A sample's product is qᵀ A⁻¹ right, and A is symmetric: solved for once, each part is a scalar product.
            shares.fill(0.0);
            let factors = shares.iter_mut().take(samples.factors()).zip(&movie[part.clone()]);
            factors.for_each(|(to, &entry)| *to = f64::from(entry) / scale);
            solve(&factorised[sample * unknowns * unknowns..][..unknowns * unknowns], &mut shares);
            let (mean, triangle) = layout.sample(prior, sample);
            of_prior.fill(0.0);
            layout.multiply(triangle, &shares, &mut of_prior);
            let product = |numbers: &[f32]| {
                numbers.iter().zip(&of_prior).map(|(&entry, by)| f64::from(entry) * by).sum::<f64>()
            };
            for (sum, (rating, bias, factors, links)) in contributions.iter_mut().zip(rated.iter()) {
                let target = gather(self.mean, (rating, bias, &factors[part.clone()]), scale, &mut z);
                *sum += target * z.iter().zip(&shares).map(|(z, share)| z * share).sum::<f64>();
                if !links.is_empty() {
                    *sum += per_rating * product(&links[part.start..][..unknowns]);
                }
            }
            contributions[rated.len()] += product(mean);
        }
        Ok(contributions)
    }
}
