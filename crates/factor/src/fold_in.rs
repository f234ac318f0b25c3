//! A customer's factors out of ratings, with all that the model knows of movies held fixed: the half of a training step that
//! is solved for one customer, in double precision.
//!
//! Each of the algorithms finds a customer's bias and factors as a linear map of what the ratings leave to be explained, so
//! that each rating's share in them, and in any prediction, can be told apart (Hu, Koren and Volinsky 2008, "Collaborative
//! filtering for implicit feedback datasets", section 5).

mod bayesian;

use std::ops::ControlFlow;

use crate::customer_prior::CustomerPrior;
use crate::dense::RIDGE;
use crate::memory::{try_room, try_vec};
use crate::samples::Samples;
use crate::symmetric::{PANEL, add_products, factorise, solve};
use crate::training::{PRIOR_COUNT, ridge};
use crate::{Algorithm, Error, baseline, truncated_svd};

/// Ratings, and what the model knows of their movies. Room for all of them is reserved before the first.
#[derive(Clone, Debug, Default)]
pub struct Rated {
    factors: usize,
    links: usize,
    ratings: Vec<f32>,
    biases: Vec<f32>,
    /// Vectors one behind the other: of each movie its factors and, where the model has them, its links.
    vectors: Vec<f32>,
}

impl Rated {
    /// Room for so many ratings of movies with so many factors, and with as many [`crate::Model::links`] or none, or
    /// [`Error::OutOfMemory`].
    pub fn with_room(ratings: usize, factors: usize, has_links: bool) -> Result<Rated, Error> {
        let links = if has_links { factors } else { 0 };
        Ok(Rated {
            factors,
            links,
            ratings: try_room(ratings)?,
            biases: try_room(ratings)?,
            vectors: try_room(ratings.saturating_mul(factors + links))?,
        })
    }

    /// Bytes that so many take.
    pub fn memory(ratings: usize, factors: usize, has_links: bool) -> usize {
        ratings * (2 + factors * (1 + usize::from(has_links))) * size_of::<f32>()
    }

    /// Adds a rating in stars, which may be any number, of a movie of this bias, these factors and these links. What is missing
    /// of a vector is zero. [`Error::OutOfMemory`] where there is no room for more than was reserved.
    pub fn push(
        &mut self,
        rating: f32,
        bias: f32,
        factors: impl IntoIterator<Item = f32>,
        links: &[f32],
    ) -> Result<(), Error> {
        let more = self.factors + self.links;
        let failed = |_| Error::OutOfMemory { bytes: (more + 2) * size_of::<f32>() };
        self.ratings.try_reserve(1).map_err(failed)?;
        self.biases.try_reserve(1).map_err(failed)?;
        self.vectors.try_reserve(more).map_err(failed)?;
        self.ratings.push(rating);
        self.biases.push(bias);
        let zeros = || std::iter::repeat(0.0);
        self.vectors.extend(factors.into_iter().chain(zeros()).take(self.factors));
        self.vectors.extend(links.iter().copied().chain(zeros()).take(self.links));
        Ok(())
    }

    /// How many ratings there are.
    pub fn len(&self) -> usize {
        self.ratings.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ratings.is_empty()
    }

    /// Each rating, its movie's bias, factors and links.
    fn iter(&self) -> impl ExactSizeIterator<Item = (f32, f32, &[f32], &[f32])> {
        let length = self.factors + self.links;
        let rows = self.ratings.iter().zip(&self.biases).enumerate();
        rows.map(move |(row, (&rating, &bias))| {
            let (factors, links) = self.vectors[row * length..][..length].split_at(self.factors);
            (rating, bias, factors, links)
        })
    }
}

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

/// A rating's part in the right-hand side: `(rating - mean - bias of the movie - offset) · [factors, 1] + weight · links`.
#[derive(Clone, Copy, Debug)]
struct Targets {
    mean: f32,
    offset: f64,
    weight: f64,
}

impl Targets {
    fn of_mean(mean: f32) -> Targets {
        Targets { mean, offset: 0.0, weight: 0.0 }
    }

    fn of(&self, rating: f32, bias: f32) -> f64 {
        f64::from(rating) - f64::from(self.mean) - f64::from(bias) - self.offset
    }
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
        let mut contributions = try_room(rated.len())?;
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
                let mut copy = try_room(length)?;
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
                Shared::Prior(samples, prior) => bayesian::fold_in(rated, *samples, mean, prior, &mut check),
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
        let mut factors = try_room(rated.factors)?;
        factors.extend(solution[..rated.factors].iter().map(|&factor| factor as f32));
        Ok(FoldedIn { bias: solution[rated.factors] as f32, factors, system, targets })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Model, RatingMatrix, Ratings, Run};
    use serde_json::json;
    use std::sync::atomic::AtomicBool;

    static GO: AtomicBool = AtomicBool::new(false);

    fn matrix() -> RatingMatrix {
        let mut list = Ratings::default();
        for (customer, movie) in
            (0..60u32).flat_map(|customer| (0..25u32).map(move |movie| (customer, movie)))
        {
            let chance = (customer * 31 + movie * 17 + 5).wrapping_mul(0x9e37_79b9) >> 24;
            if chance % 3 != 0 {
                let liked = if customer % 2 == movie % 2 { 3 } else { 1 };
                list.push(customer, movie, (liked + chance % 3) as u8);
            }
        }
        RatingMatrix::new(60, 25, &list, &GO).unwrap()
    }

    fn train(name: &str, params: serde_json::Value) -> (Algorithm, Model) {
        let algorithm = Algorithm::parse(name, &params).unwrap();
        let held_out = Ratings::default();
        let run = &mut Run { held_out: &held_out, cancelled: &GO, on_iteration: &mut |_| {} };
        let model = algorithm.train(&matrix(), run).unwrap().0.model;
        (algorithm, model)
    }

    fn rated(matrix: &RatingMatrix, model: &Model, customer: usize, most: usize) -> Rated {
        let (movies, values) = matrix.by_customer.row(customer);
        let mut rated =
            Rated::with_room(movies.len(), model.movies.factors.ncols(), model.links.is_some()).unwrap();
        for (&movie, &value) in movies.iter().zip(values).take(most) {
            let (bias, factors) = model.movies.row(movie as usize).unwrap();
            let links = model.links.as_ref().map(|links| links.row(movie as usize).to_vec());
            rated.push(value.into(), bias, factors.to_vec(), &links.unwrap_or_default()).unwrap();
        }
        rated
    }

    fn shared(algorithm: &Algorithm, model: &Model) -> Shared {
        let samples = Samples::of_rows(model.samples, model.movies.factors.ncols());
        let mut shared = algorithm.shared(samples, model.prior.as_deref()).unwrap();
        let vectors = model.links.as_ref().unwrap_or(&model.movies.factors);
        vectors.rows().into_iter().for_each(|vector| shared.add(&vector.to_vec()));
        shared
    }

    fn go_on() -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    #[test]
    fn a_customer_trained_on_the_same_ratings_has_the_same_factors() {
        let matrix = matrix();
        for (name, params) in [
            ("als", json!({"factors": 4, "iterations": 3})),
            ("als", json!({"factors": 4, "iterations": 3, "implicit_weight": 0.7})),
            ("svdpp", json!({"factors": 3, "iterations": 3})),
            ("svdpp", json!({"factors": 3, "iterations": 2, "link_movies": false})),
            ("truncated_svd", json!({"factors": 4})),
            ("truncated_svd", json!({"factors": 4, "center": "mean"})),
            ("truncated_svd", json!({"factors": 4, "center": "none"})),
            ("baseline", json!({})),
            ("baseline", json!({"kind": "popularity"})),
        ] {
            let (algorithm, model) = train(name, params.clone());
            let shared = shared(&algorithm, &model);
            for customer in 0..60 {
                let rated = rated(&matrix, &model, customer, 25);
                let found = algorithm.fold_in(model.mean, &rated, &shared, &mut go_on).unwrap();
                let (bias, trained) = model.customers.row(customer).unwrap();
                let off = found.factors.iter().zip(trained).map(|(a, b)| (a - b).abs());
                let off = off.fold((found.bias - bias).abs(), f32::max);
                assert!(off < 1e-4, "{name} {params}: customer {customer} is off by {off}");
                // What each rating adds is all there is.
                for movie in 0..25 {
                    let vector = model.movies.factors.row(movie);
                    let sum = found.contributions(&rated, &vector.to_vec()).unwrap().iter().sum::<f64>();
                    assert!((sum - f64::from(trained.dot(&vector))).abs() < 1e-4, "{name} {params}");
                }
            }
        }
    }

    #[test]
    fn gradient_descent_goes_towards_what_is_found() {
        let matrix = matrix();
        let long = json!({"factors": 2, "iterations": 400, "decay": 0.99, "regularization": 0.1});
        let (algorithm, model) = train("svd", long);
        for customer in 0..60 {
            let rated = rated(&matrix, &model, customer, 25);
            let found = algorithm.fold_in(model.mean, &rated, &Shared::Nothing, &mut go_on).unwrap();
            let (bias, trained) = model.customers.row(customer).unwrap();
            assert!((found.bias - bias).abs() < 0.05, "{} {bias}", found.bias);
            found.factors.iter().zip(trained).for_each(|(a, b)| assert!((a - b).abs() < 0.05, "{a} {b}"));
        }
    }

    #[test]
    fn nobody_is_the_mean_and_what_cannot_be_found_is_said() {
        let (algorithm, model) = train("als", json!({"factors": 4, "iterations": 2}));
        let none = Rated::with_room(0, 4, false).unwrap();
        let nobody = algorithm.fold_in(model.mean, &none, &Shared::Nothing, &mut go_on).unwrap();
        assert_eq!((nobody.bias, &nobody.factors[..]), (0.0, &[0.0; 4][..]));
        assert!(nobody.contributions(&none, &[1.0; 4]).unwrap().is_empty());
        let free = json!({"factors": 4, "regularization": 0.0, "bias_regularization": 0.0});
        let free = Algorithm::parse("als", &free).unwrap();
        let few = &rated(&matrix(), &model, 0, 2);
        let fold_in = |algorithm: &Algorithm, proceed: &mut dyn FnMut() -> ControlFlow<()>| {
            algorithm.fold_in(model.mean, few, &Shared::Nothing, proceed).unwrap_err()
        };
        assert_eq!(fold_in(&free, &mut go_on), Error::Undetermined { ratings: 2 });
        let nobody = free.fold_in(model.mean, &none, &Shared::Nothing, &mut go_on).unwrap();
        assert_eq!((nobody.bias, &nobody.factors[..]), (0.0, &[0.0; 4][..]));
        assert_eq!(fold_in(&algorithm, &mut || ControlFlow::Break(())), Error::Cancelled);
    }

    #[test]
    fn a_customer_of_a_bayesian_model_is_where_the_samples_scatter_about() {
        let matrix = matrix();
        for links in [true, false] {
            let params = json!({"factors": 3, "burn_in": 50, "samples": 400, "links": links});
            let (algorithm, model) = train("bpmf", params);
            assert_eq!((model.links.is_some(), algorithm.folds_in_links()), (links, links));
            let shared = shared(&algorithm, &model);
            let (mut squares, mut count) = (0.0, 0.0);
            for customer in 0..60 {
                let rated = rated(&matrix, &model, customer, 25);
                let found = algorithm.fold_in(model.mean, &rated, &shared, &mut go_on).unwrap();
                let (bias, trained) = model.customers.row(customer).unwrap();
                let samples = Samples::of_rows(400, trained.len());
                let row = ndarray::ArrayView1::from(&found.factors);
                for movie in 0..25 {
                    let (movie_bias, vector) = model.movies.row(movie).unwrap();
                    let score = |bias: f32, row: ndarray::ArrayView1<'_, f32>| {
                        crate::score(model.mean, (bias, row), (movie_bias, vector))
                    };
                    squares += f64::from(score(found.bias, row) - score(bias, trained)).powi(2);
                    count += 1.0;
                    // What is expected and what each rating adds is all there is.
                    let vector = vector.to_vec();
                    let sum = found.contributions(&rated, &vector).unwrap().iter().sum::<f64>();
                    let sum = sum + found.expected(&rated, &vector).unwrap();
                    let product = row.dot(&model.movies.factors.row(movie));
                    assert!((sum - f64::from(product)).abs() < 1e-3, "{sum} {product}");
                }
                // The layout is that of those who were trained.
                for (part, of) in samples.parts().zip(samples.vectors()) {
                    assert!((row[part.end - 1] - 1.0 / 20.0).abs() < 1e-6, "{}", row[part.end - 1]);
                    assert_eq!(part.start, of.start);
                }
                let deviations = samples.parts().map(|part| row[part.end - 2]).sum::<f32>();
                assert!(deviations.abs() < 1e-3, "{deviations}");
            }
            let off = (squares / count).sqrt();
            assert!(off < 0.05, "links {links}: predictions are off by {off}");
            // Whoever rated nothing is not known.
            let none = Rated::with_room(0, model.movies.factors.ncols(), links).unwrap();
            let nobody = algorithm.fold_in(model.mean, &none, &shared, &mut go_on).unwrap();
            assert!(nobody.bias == 0.0 && nobody.factors.iter().all(|&entry| entry == 0.0));
            assert_eq!(nobody.expected(&none, &vec![1.0; nobody.factors.len()]), Ok(0.0));
            let few = rated(&matrix, &model, 0, 2);
            let stopped = algorithm.fold_in(model.mean, &few, &shared, &mut || ControlFlow::Break(()));
            assert_eq!(stopped.unwrap_err(), Error::Cancelled);
            // A model of before has no prior, and one of another size has not this one.
            let refused = Error::NoFoldIn { algorithm: "bpmf" };
            let samples = Samples::of_rows(400, model.movies.factors.ncols());
            assert_eq!(algorithm.shared(samples, None), Err(refused.clone()));
            assert_eq!(algorithm.shared(samples, Some(&[1.0; 7])), Err(refused.clone()));
            assert_eq!(algorithm.check_fold_in(false), Err(refused.clone()));
            assert_eq!(algorithm.check_fold_in(true), Ok(()));
            let unprepared = algorithm.fold_in(model.mean, &few, &Shared::Nothing, &mut go_on);
            assert_eq!(unprepared.unwrap_err(), refused);
        }
    }

    #[test]
    fn each_sample_is_solved_for_by_its_own_prior() {
        use faer::linalg::solvers::Solve;
        let algorithm = Algorithm::parse("bpmf", &json!({"factors": 2, "samples": 2})).unwrap();
        let samples = Samples::new(2, 2);
        let prior = [
            [0.1f32, -0.2, 0.3, 4.0, 0.5, 0.25, 3.0, 0.75, 6.0],
            [-0.4, 0.2, 0.1, 2.0, -0.5, 0.5, 5.0, 0.25, 8.0],
        ];
        let shared = algorithm.shared(samples, Some(&prior.concat())).unwrap();
        let root = 2f32.sqrt();
        // Two movies' factors and biases in both samples, less the biases' means; and their links.
        let movies: [(f32, f32, [[f32; 2]; 2], [f32; 2], [[f32; 3]; 2]); 2] = [
            (5.0, 0.2, [[0.5, 1.0], [0.25, -1.0]], [0.1, -0.1], [[0.3, 0.1, 0.2], [0.1, 0.2, 0.4]]),
            (2.0, -0.3, [[-0.5, 0.75], [1.5, 0.5]], [-0.2, 0.2], [[0.5, -0.3, 0.0], [-0.2, 0.6, 0.1]]),
        ];
        let mut rated = Rated::with_room(2, 8, true).unwrap();
        for (rating, bias, factors, differences, links) in movies {
            let row = (0..2).flat_map(|s| [factors[s][0], factors[s][1], 1.0, differences[s]]);
            let links = links.map(|[x, y, bias]| [x, y, bias, 0.0]).concat();
            rated.push(rating, bias, row.map(|entry| entry / root), &links).unwrap();
        }
        let found = algorithm.fold_in(3.5, &rated, &shared, &mut go_on).unwrap();
        let mut biases = [0.0; 2];
        for (sample, prior) in prior.iter().enumerate() {
            let [m0, m1, m2, a, b, c, d, e, f] = prior.map(f64::from);
            let precision = [[a, b, c], [b, d, e], [c, e, f]];
            let mut expected = [m0, m1, m2];
            let mut matrix = precision;
            let mut right = [0.0; 3];
            for (rating, bias, factors, differences, links) in movies {
                let z = [f64::from(factors[sample][0]), f64::from(factors[sample][1]), 1.0];
                let target = f64::from(rating - 3.5 - bias - differences[sample]);
                for row in 0..3 {
                    (0..3).for_each(|column| matrix[row][column] += z[row] * z[column]);
                    right[row] += target * z[row];
                    expected[row] += f64::from(links[sample][row]) / 2f64.sqrt();
                }
            }
            for row in 0..3 {
                right[row] += (0..3).map(|column| precision[row][column] * expected[column]).sum::<f64>();
            }
            let system = faer::Mat::from_fn(3, 3, |row, column| matrix[row][column]);
            let solution = system.partial_piv_lu().solve(faer::Mat::from_fn(3, 1, |row, _| right[row]));
            biases[sample] = solution[(2, 0)];
            for factor in 0..2 {
                let entry = f64::from(found.factors[sample * 4 + factor] * root);
                assert!((entry - solution[(factor, 0)]).abs() < 1e-4, "{entry} {}", solution[(factor, 0)]);
            }
        }
        let mean = (biases[0] + biases[1]) / 2.0;
        assert!((f64::from(found.bias) - mean).abs() < 1e-4, "{} {mean}", found.bias);
        let difference = f64::from(found.factors[2] * root);
        assert!((difference - (biases[0] - mean)).abs() < 1e-4, "{difference}");
    }
}
