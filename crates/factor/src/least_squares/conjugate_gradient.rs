//! One row's normal equations followed down by a conjugate gradient, without their matrix: a step costs two products a rating
//! and factor where Cholesky's method costs as many as there are factors (Hu, Koren and Volinsky's system solved as Takács,
//! Pilászy and Tikk 2011, "Applications of the conjugate gradient method for implicit feedback collaborative filtering").

#![allow(unsafe_code)] // vector registers

use crate::least_squares::row::Observed;
use crate::simd::vector::Vector;

/// The square of a residual's length, as a share of the first one's, at which a row is solved.
const SOLVED: f64 = 1e-12;
/// The length of a residual that counts as zero. What is shorter has entries of which single precision keeps few digits or
/// none, and their products none: a row whose ratings are all explained would seem to have no single solution.
const ZERO: f64 = 1e-18;

/// What one row's steps go through, each `stride` numbers long.
pub(crate) struct Walk<'a> {
    /// The unknowns, from where they start to where they end.
    pub x: &'a mut [f32],
    pub residual: &'a mut [f32],
    pub direction: &'a mut [f32],
    pub product: &'a mut [f32],
    pub gradient: &'a mut [f32],
}

/// The vectors `z` of a row's ratings, all or some at a time.
pub(crate) trait Gathered<V: Vector> {
    /// Writes the sum of `z zᵀ d` over all of them into `out`, and gives the sum of the `(zᵀ d)²`; none if asked to stop.
    ///
    /// # Safety
    ///
    /// The machine has the instruction set of `V`; `d` and `out` are as long as a `z`.
    unsafe fn project(&mut self, d: &[f32], out: &mut [f32]) -> Option<f64>;
}

/// Follows the gradient for [`Observed::steps`] steps, and gives the sum of squared errors there; none where the system has
/// no single solution, or it was asked to stop. The target stands in `z` behind the unknowns: a `d` of the unknowns and -1
/// gives errors.
///
/// # Safety
///
/// The machine has the instruction set of `V`; all of `walk` is as long as a `z`.
#[inline(always)]
pub(crate) unsafe fn follow<V: Vector>(
    row: &Observed<'_>,
    walk: Walk<'_>,
    rows: &mut impl Gathered<V>,
) -> Option<f64> {
    let Walk { x, residual, direction, product, gradient } = walk;
    let Observed { prior, precision, .. } = *row;
    let unknowns = prior.pull.len();
    let stride = x.len();
    let regularise = |d: &[f32], unknown: usize| {
        let own = prior.ridge_of(unknown) * d[unknown];
        own + precision.map_or(0.0, |precision| symmetric(precision, stride, unknown, &d[..unknowns]))
    };
    direction.fill(0.0);
    direction[..unknowns].copy_from_slice(&x[..unknowns]);
    direction[unknowns] = -1.0;
    // SAFETY: as the caller promises; and so below.
    let mut error = unsafe { rows.project(direction, product) }?;
    for n in 0..unknowns {
        gradient[n] = -product[n];
        residual[n] = prior.pull[n] + gradient[n] - regularise(x, n);
    }
    direction[..unknowns].copy_from_slice(&residual[..unknowns]);
    direction[unknowns] = 0.0;
    let mut length = dot(&residual[..unknowns], &residual[..unknowns]);
    let solved = (SOLVED * length).max(ZERO * ZERO);
    for _ in 0..row.steps {
        if length <= solved {
            break;
        }
        // SAFETY: as above.
        let squares = unsafe { rows.project(direction, product) }?;
        let products = (0..unknowns).map(|n| f64::from(direction[n]) * f64::from(regularise(direction, n)));
        let curvature = squares + products.sum::<f64>();
        let step = length / curvature;
        // Also false for NaN.
        if !(curvature > 0.0 && step.is_finite()) {
            return None;
        }
        let along = dot(&direction[..unknowns], &gradient[..unknowns]);
        error += step * (step * squares - 2.0 * along);
        for n in 0..unknowns {
            let whole = product[n] + regularise(direction, n);
            x[n] += step as f32 * direction[n];
            gradient[n] -= step as f32 * product[n];
            residual[n] -= step as f32 * whole;
        }
        let shorter = dot(&residual[..unknowns], &residual[..unknowns]);
        let turn = (shorter / length) as f32;
        length = shorter;
        for n in 0..unknowns {
            direction[n] = residual[n] + turn * direction[n];
        }
    }
    Some(error)
}

/// One entry of the product of a symmetric matrix, of which the upper triangle stands in rows of `stride` numbers, with `d`.
fn symmetric(upper: &[f32], stride: usize, row: usize, d: &[f32]) -> f32 {
    let above = (0..row).map(|other| upper[other * stride + row] * d[other]).sum::<f32>();
    above + (row..d.len()).map(|other| upper[row * stride + other] * d[other]).sum::<f32>()
}

fn dot(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(&one, &other)| f64::from(one) * f64::from(other)).sum()
}

/// For `count` vectors `z`, `stride` numbers apart: adds `z (zᵀ d)` to `out`; gives the sum of the `(zᵀ d)²`.
///
/// # Safety
///
/// The machine has the instruction set of `V`; `z` is of `count` vectors; `d` and `out` are `stride` numbers long, which is a
/// multiple of twice the register's lanes.
#[inline(always)]
pub(crate) unsafe fn add_projections<V: Vector>(
    z: *const f32,
    count: usize,
    stride: usize,
    d: &[f32],
    out: &mut [f32],
) -> f64 {
    debug_assert!(d.len() >= stride && out.len() >= stride && stride.is_multiple_of(2 * V::LANES));
    let mut squares = 0.0;
    for number in 0..count {
        // SAFETY: whole registers of vectors that the caller promises.
        unsafe {
            let z = z.add(number * stride);
            let mut sums = [V::splat(0.0); 2];
            for column in (0..stride).step_by(2 * V::LANES) {
                for (half, sum) in sums.iter_mut().enumerate() {
                    let at = column + half * V::LANES;
                    *sum = sum.add_product(V::load(z.add(at)), V::load(d.as_ptr().add(at)));
                }
            }
            let product = sums[0].add(sums[1]).sum();
            squares += f64::from(product) * f64::from(product);
            let factor = V::splat(product);
            for column in (0..stride).step_by(V::LANES) {
                let at = out.as_mut_ptr().add(column);
                V::load(at).add_product(factor, V::load(z.add(column))).store(at);
            }
        }
    }
    squares
}
