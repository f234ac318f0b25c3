//! A customer's factors out of ratings, with all that the model knows of movies held fixed: the half of a training step that
//! is solved for one customer, in double precision.
//!
//! Each of the algorithms finds a customer's bias and factors as a linear map of what the ratings leave to be explained, so
//! that each rating's share in them, and in any prediction, can be told apart (Hu, Koren and Volinsky 2008, "Collaborative
//! filtering for implicit feedback datasets", section 5).

use std::ops::ControlFlow;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, Axis, s};

use crate::dense::inverse;
use crate::memory::{try_vec, zeros};
use crate::training::{PRIOR_COUNT, ridge};
use crate::{Algorithm, Error, baseline, svd, svdpp, truncated_svd};

/// A rating, and what the model knows of the movie.
#[derive(Clone, Debug)]
pub struct Rated {
    /// In stars; any number.
    pub rating: f32,
    /// The movie's bias.
    pub bias: f32,
    /// The movie's factors.
    pub factors: Vec<f32>,
    /// What the movie tells of those who rated it: as many numbers where the model has [`crate::Model::links`], none where not.
    pub link: Vec<f32>,
}

/// A sum over all movies that a model's customers have in common, in double precision.
#[derive(Clone, Debug, PartialEq)]
pub enum Shared {
    /// None is needed.
    Nothing,
    /// The squares of each factor, over the movies' factors.
    Squares(Vec<f64>),
    /// The products `y yᵀ`, over the movies' links.
    Products(Array2<f64>),
}

impl Shared {
    /// Bytes that one takes at most, of a model of as many factors.
    pub fn memory(factors: usize) -> usize {
        factors * factors * size_of::<f64>()
    }

    /// Adds a movie's vector. What is beyond the length is not looked at.
    pub fn add(&mut self, vector: &[f32]) {
        match self {
            Shared::Nothing => {}
            Shared::Squares(squares) => {
                let entries = squares.iter_mut().zip(vector);
                entries.for_each(|(sum, &entry)| *sum += f64::from(entry) * f64::from(entry));
            }
            Shared::Products(products) => {
                for (&one, mut row) in vector.iter().zip(products.rows_mut()) {
                    let others = row.iter_mut().zip(vector);
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
    /// What the unknowns, factors and then the bias, are of the sum of the right-hand sides.
    inverse: Array2<f64>,
    /// One a rating: ratings × unknowns.
    right: Array2<f64>,
}

impl FoldedIn {
    /// How much each rating adds to the product of the customer's factors and a movie's. They sum up to that product.
    pub fn contributions(&self, factors: &[f32]) -> Vec<f64> {
        let unknowns = self.inverse.nrows();
        let mut movie = Array1::zeros(unknowns);
        movie.iter_mut().take(unknowns - 1).zip(factors).for_each(|(to, &from)| *to = f64::from(from));
        // The inverse is symmetric.
        self.right.dot(&self.inverse.dot(&movie)).to_vec()
    }
}

impl Algorithm {
    /// Whether customers can be folded in: [`Error::NoFoldIn`] of `bpmf`.
    pub fn check_fold_in(&self) -> Result<(), Error> {
        match self {
            Algorithm::Bpmf(_) => Err(Error::NoFoldIn { algorithm: self.name() }),
            _ => Ok(()),
        }
    }

    /// The sum over all movies that [`Algorithm::fold_in`] has to be given, over none yet.
    pub fn shared(&self, factors: usize) -> Result<Shared, Error> {
        Ok(match self {
            Algorithm::Als(params) if params.implicit_weight > 0.0 => {
                Shared::Products(zeros((factors, factors))?)
            }
            Algorithm::TruncatedSvd(_) => Shared::Squares(try_vec(factors)?),
            _ => Shared::Nothing,
        })
    }

    /// Finds the customer of these ratings. `mean` is the model's, `shared` the sum that [`Algorithm::shared`] begins, over all
    /// movies. `proceed` is asked again and again whether to go on; [`Error::Cancelled`] where not.
    ///
    /// Of `als` without `cg_steps`, `svdpp`, `truncated_svd` and `baseline`, a customer trained on the same ratings has the same
    /// factors, but for rounding; of `svd`, and of `als` with `cg_steps`, this is the minimum that their steps approach.
    /// [`Error::NoFoldIn`] of `bpmf`, and [`Error::Undetermined`] where there is no regularisation and too few ratings.
    pub fn fold_in(
        &self,
        mean: f32,
        factors: usize,
        rated: &[Rated],
        shared: &Shared,
        proceed: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<FoldedIn, Error> {
        let ratings = rated.len();
        let mut system = System { mean, factors, rated, proceed };
        let usual = |regularization: f64| f64::from(ridge(regularization, ratings, PRIOR_COUNT));
        match self {
            Algorithm::Als(params) => {
                // As the kernel has it, in single precision.
                let weight = f64::from(params.implicit_weight as f32);
                let precision = match shared {
                    Shared::Products(products) => Some(products * weight),
                    _ => None,
                };
                system.solve(params.ridges(ratings), weight, precision)
            }
            Algorithm::Svd(svd::Params { regularization, bias_regularization, .. }) => {
                system.solve((usual(*regularization), usual(*bias_regularization)), 0.0, None)
            }
            Algorithm::Svdpp(svdpp::Params { regularization, bias_regularization, .. }) => {
                let ridge = usual(*regularization);
                let share = ridge / (ratings.max(1) as f64).sqrt();
                system.solve((ridge, usual(*bias_regularization)), share, None)
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
                system.project(damping, squares)
            }
            Algorithm::Baseline(params) => {
                let damping = match params.kind {
                    baseline::Kind::Biases => Some(params.customer_damping),
                    baseline::Kind::Mean | baseline::Kind::Popularity => None,
                };
                system.project(damping, &[])
            }
            Algorithm::Bpmf(_) => Err(Error::NoFoldIn { algorithm: self.name() }),
        }
    }
}

/// What is to be solved.
struct System<'a> {
    mean: f32,
    factors: usize,
    rated: &'a [Rated],
    proceed: &'a mut dyn FnMut() -> ControlFlow<()>,
}

/// Ratings multiplied between two looks at whether to go on.
const RATINGS_A_TURN: usize = 256;

impl System<'_> {
    /// What a rating leaves to be explained.
    fn target(&self, rated: &Rated) -> f64 {
        f64::from(rated.rating) - f64::from(self.mean) - f64::from(rated.bias)
    }

    /// Least squares with ridges for factors and bias, and a precision of the factors besides. A rating's link adds to its
    /// right-hand side, `weight` times.
    fn solve(
        &mut self,
        (ridge, bias_ridge): (f64, f64),
        weight: f64,
        precision: Option<Array2<f64>>,
    ) -> Result<FoldedIn, Error> {
        let (factors, unknowns) = (self.factors, self.factors + 1);
        let mut matrix: Array2<f64> = zeros((unknowns, unknowns))?;
        let mut right: Array2<f64> = zeros((self.rated.len(), unknowns))?;
        let mut rows: Array2<f64> = zeros((self.rated.len(), unknowns))?;
        for ((rated, mut right), mut row) in self.rated.iter().zip(right.rows_mut()).zip(rows.rows_mut()) {
            row.iter_mut().zip(&rated.factors).for_each(|(to, &from)| *to = f64::from(from));
            row[factors] = 1.0;
            right.scaled_add(self.target(rated), &row);
            right.iter_mut().zip(&rated.link).for_each(|(to, &link)| *to += weight * f64::from(link));
        }
        for rows in rows.axis_chunks_iter(Axis(0), RATINGS_A_TURN) {
            if (self.proceed)().is_break() {
                return Err(Error::Cancelled);
            }
            general_mat_mul(1.0, &rows.t(), &rows, 1.0, &mut matrix);
        }
        matrix.diag_mut().iter_mut().for_each(|diagonal| *diagonal += ridge);
        matrix[(factors, factors)] += bias_ridge - ridge;
        if let Some(precision) = precision {
            let mut block = matrix.slice_mut(s![..factors, ..factors]);
            block += &precision;
        }
        // Of nobody's ratings, nothing follows, whatever the regularisation.
        if self.rated.is_empty() {
            return Ok(FoldedIn::new(zeros((unknowns, unknowns))?, right));
        }
        let undetermined = Error::Undetermined { ratings: self.rated.len() };
        let Some(inverse) = inverse(&matrix) else { return Err(undetermined) };
        let found = FoldedIn::new(inverse, right);
        let is_finite = found.factors.iter().chain([&found.bias]).all(|number| number.is_finite());
        if is_finite { Ok(found) } else { Err(undetermined) }
    }

    /// A damped bias, where there is any, and what is left of the ratings projected on the movies' factors, whose squares
    /// over all movies are given.
    fn project(&mut self, damping: Option<f64>, squares: &[f64]) -> Result<FoldedIn, Error> {
        let (factors, unknowns) = (self.factors, self.factors + 1);
        let share = |by: f64| if by > 0.0 { 1.0 / by } else { 0.0 };
        let mut inverse: Array2<f64> = zeros((unknowns, unknowns))?;
        inverse.diag_mut().iter_mut().zip(squares).for_each(|(to, &square)| *to = share(square));
        inverse[(factors, factors)] = damping.map_or(0.0, |damping| share(self.rated.len() as f64 + damping));
        let targets = self.rated.iter().map(|rated| self.target(rated));
        let bias = inverse[(factors, factors)] * targets.clone().sum::<f64>();
        let mut right: Array2<f64> = zeros((self.rated.len(), unknowns))?;
        for ((rated, mut right), target) in self.rated.iter().zip(right.rows_mut()).zip(targets) {
            let entries = right.iter_mut().zip(&rated.factors);
            entries.for_each(|(to, &entry)| *to = f64::from(entry) * (target - bias));
            right[factors] = target;
        }
        Ok(FoldedIn::new(inverse, right))
    }
}

impl FoldedIn {
    fn new(inverse: Array2<f64>, right: Array2<f64>) -> FoldedIn {
        let solution = inverse.dot(&right.sum_axis(Axis(0)));
        let factors = inverse.nrows() - 1;
        let single = |numbers: ArrayView1<'_, f64>| numbers.iter().map(|&number| number as f32).collect();
        FoldedIn {
            bias: solution[factors] as f32,
            factors: single(solution.slice(s![..factors])),
            inverse,
            right,
        }
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

    fn rated(matrix: &RatingMatrix, model: &Model, customer: usize) -> Vec<Rated> {
        let (movies, values) = matrix.by_customer.row(customer);
        let rated = movies.iter().zip(values).map(|(&movie, &value)| {
            let (bias, factors) = model.movies.row(movie as usize).unwrap();
            let link = model.links.as_ref().map(|links| links.row(movie as usize).to_vec());
            Rated { rating: value.into(), bias, factors: factors.to_vec(), link: link.unwrap_or_default() }
        });
        rated.collect()
    }

    fn shared(algorithm: &Algorithm, model: &Model) -> Shared {
        let mut shared = algorithm.shared(model.movies.factors.ncols()).unwrap();
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
            let factors = model.movies.factors.ncols();
            for customer in 0..60 {
                let rated = rated(&matrix, &model, customer);
                let found = algorithm.fold_in(model.mean, factors, &rated, &shared, &mut go_on).unwrap();
                let (bias, trained) = model.customers.row(customer).unwrap();
                let off = found.factors.iter().zip(trained).map(|(a, b)| (a - b).abs());
                let off = off.fold((found.bias - bias).abs(), f32::max);
                assert!(off < 1e-4, "{name} {params}: customer {customer} is off by {off}");
                // What each rating adds is all there is.
                for movie in 0..25 {
                    let vector = model.movies.factors.row(movie);
                    let sum = found.contributions(&vector.to_vec()).iter().sum::<f64>();
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
            let rated = rated(&matrix, &model, customer);
            let found = algorithm.fold_in(model.mean, 2, &rated, &Shared::Nothing, &mut go_on).unwrap();
            let (bias, trained) = model.customers.row(customer).unwrap();
            assert!((found.bias - bias).abs() < 0.05, "{} {bias}", found.bias);
            found.factors.iter().zip(trained).for_each(|(a, b)| assert!((a - b).abs() < 0.05, "{a} {b}"));
        }
    }

    #[test]
    fn nobody_is_the_mean_and_what_cannot_be_found_is_said() {
        let (algorithm, model) = train("als", json!({"factors": 4, "iterations": 2}));
        let nobody = algorithm.fold_in(model.mean, 4, &[], &Shared::Nothing, &mut go_on).unwrap();
        assert_eq!((nobody.bias, &nobody.factors[..]), (0.0, &[0.0; 4][..]));
        assert!(nobody.contributions(&[1.0; 4]).is_empty());
        let free = json!({"factors": 4, "regularization": 0.0, "bias_regularization": 0.0});
        let free = Algorithm::parse("als", &free).unwrap();
        let few = &rated(&matrix(), &model, 0)[..2];
        let fold_in = |algorithm: &Algorithm, proceed: &mut dyn FnMut() -> ControlFlow<()>| {
            algorithm.fold_in(model.mean, 4, few, &Shared::Nothing, proceed).unwrap_err()
        };
        assert_eq!(fold_in(&free, &mut go_on), Error::Undetermined { ratings: 2 });
        let nobody = free.fold_in(model.mean, 4, &[], &Shared::Nothing, &mut go_on).unwrap();
        assert_eq!((nobody.bias, &nobody.factors[..]), (0.0, &[0.0; 4][..]));
        assert_eq!(fold_in(&algorithm, &mut || ControlFlow::Break(())), Error::Cancelled);
        let bayesian = Algorithm::parse("bpmf", &json!({})).unwrap();
        assert_eq!(fold_in(&bayesian, &mut go_on), Error::NoFoldIn { algorithm: "bpmf" });
    }
}
