//! Solves one row's normal equations approximately, by conjugate gradients and without forming their matrix.
//!
//! A step costs two multiplications for each rating and factor. Forming the matrix, as the exact solution needs, costs about half
//! as many multiplications for each rating and factor as there are factors. The system is that of `normal_equations`; the method
//! is that of Takács, Pilászy and Tikk 2011,
//! "Applications of the conjugate gradient method for implicit feedback collaborative filtering".
//!
//! With `A = Σ z zᵀ`, `b = Σ t z` and the prior's `Λ` and `h`, the system is `(A + Λ) x = b + h`. Each step is
//!
//! ```text
//! alpha = |residual|² / (directionᵀ (A + Λ) direction)
//! x += alpha · direction,   residual -= alpha · (A + Λ) direction
//! beta = |new residual|² / |residual|²,   direction = new residual + beta · direction
//! ```

#![allow(unsafe_code)] // vector registers

use crate::least_squares::row::RowSystem;
use crate::simd::vector::Vector;

/// A row is solved when `|residual|²` is at most this share of what it was before the first step.
const SQUARED_TOLERANCE: f64 = 1e-12;
/// A residual whose length is at most this counts as zero. Single precision keeps few or no digits of such small entries, and
/// none of their products. Without this limit, a row whose ratings are already explained would seem to be singular.
const ZERO_RESIDUAL: f64 = 1e-18;

/// The vectors of the method, each of `stride` values.
pub(crate) struct Workspace<'a> {
    /// The unknowns: the start before, the solution after.
    pub x: &'a mut [f32],
    /// `b + h - (A + Λ) x`.
    pub residual: &'a mut [f32],
    pub direction: &'a mut [f32],
    /// `A · direction`.
    pub product: &'a mut [f32],
    /// `b - A x`: half of the negative gradient of the squared errors.
    pub gradient: &'a mut [f32],
}

/// The vectors `z` of a row's ratings. Behind the unknowns' places, `z` holds the target `t`.
pub(crate) trait RatingVectors<V: Vector> {
    /// Writes `Σ z (zᵀd)` to `out`, and returns `Σ (zᵀd)²`. Returns `None` if the training is cancelled.
    ///
    /// # Safety
    ///
    /// The machine has the instruction set of `V`; `d` and `out` are as long as a `z`.
    unsafe fn multiply(&mut self, d: &[f32], out: &mut [f32]) -> Option<f64>;
}

/// Makes at most [`RowSystem::cg_steps`] steps from `workspace.x`, and returns the sum of squared errors at the end. Returns
/// `None` if the system is singular or the training is cancelled.
///
/// # Safety
///
/// The machine has the instruction set of `V`; each vector of the workspace is as long as a `z`.
#[inline(always)]
pub(crate) unsafe fn solve<V: Vector>(
    system: &RowSystem<'_>,
    workspace: Workspace<'_>,
    vectors: &mut impl RatingVectors<V>,
) -> Option<f64> {
    let Workspace { x, residual, direction, product, gradient } = workspace;
    let RowSystem { prior, precision, .. } = *system;
    let unknowns = prior.linear.len();
    let stride = x.len();
    // An entry of Λd.
    let lambda_times = |d: &[f32], unknown: usize| {
        let diagonal = prior.ridge_of(unknown) * d[unknown];
        diagonal
            + precision.map_or(0.0, |precision| symmetric_times(precision, stride, unknown, &d[..unknowns]))
    };
    // With d = [x, -1], zᵀd is the error zᵀx - t of each rating, because z ends in t.
    direction.fill(0.0);
    direction[..unknowns].copy_from_slice(&x[..unknowns]);
    direction[unknowns] = -1.0;
    // SAFETY: as the caller promises.
    let mut error = unsafe { vectors.multiply(direction, product) }?;
    for n in 0..unknowns {
        gradient[n] = -product[n];
        residual[n] = prior.linear[n] + gradient[n] - lambda_times(x, n);
    }
    direction[..unknowns].copy_from_slice(&residual[..unknowns]);
    direction[unknowns] = 0.0;
    let mut squared_residual = dot(&residual[..unknowns], &residual[..unknowns]);
    let tolerance = (SQUARED_TOLERANCE * squared_residual).max(ZERO_RESIDUAL * ZERO_RESIDUAL);
    for _ in 0..system.cg_steps {
        if squared_residual <= tolerance {
            break;
        }
        // SAFETY: as above.
        let squares = unsafe { vectors.multiply(direction, product) }?;
        let penalties =
            (0..unknowns).map(|n| f64::from(direction[n]) * f64::from(lambda_times(direction, n)));
        let curvature = squares + penalties.sum::<f64>();
        let alpha = squared_residual / curvature;
        // This condition also catches NaN.
        if !(curvature > 0.0 && alpha.is_finite()) {
            return None;
        }
        // The squared errors along the direction d are a parabola in alpha: alpha² dᵀAd - 2 alpha dᵀ(b - Ax).
        let slope = dot(&direction[..unknowns], &gradient[..unknowns]);
        error += alpha * (alpha * squares - 2.0 * slope);
        for n in 0..unknowns {
            let system_product = product[n] + lambda_times(direction, n);
            x[n] += alpha as f32 * direction[n];
            gradient[n] -= alpha as f32 * product[n];
            residual[n] -= alpha as f32 * system_product;
        }
        let new_squared_residual = dot(&residual[..unknowns], &residual[..unknowns]);
        let beta = (new_squared_residual / squared_residual) as f32;
        squared_residual = new_squared_residual;
        for n in 0..unknowns {
            direction[n] = residual[n] + beta * direction[n];
        }
    }
    Some(error)
}

/// Entry `row` of the product of a symmetric matrix with `d`. `upper` is the upper triangle, in rows of `stride` values.
fn symmetric_times(upper: &[f32], stride: usize, row: usize, d: &[f32]) -> f32 {
    let below_diagonal = (0..row).map(|column| upper[column * stride + row] * d[column]).sum::<f32>();
    below_diagonal + (row..d.len()).map(|column| upper[row * stride + column] * d[column]).sum::<f32>()
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Adds `Σ z (zᵀd)` to `out`, and returns `Σ (zᵀd)²`, over `count` vectors `z` that begin `stride` values apart.
///
/// # Safety
///
/// The machine has the instruction set of `V`; `z` points to `count` vectors; `d` and `out` have at least `stride` values,
/// and `stride` is a multiple of twice the register's lanes.
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
    for index in 0..count {
        // SAFETY: whole registers of vectors that the caller promises.
        unsafe {
            let z = z.add(index * stride);
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
