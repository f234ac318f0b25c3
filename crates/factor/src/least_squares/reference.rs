//! What the solution of a row's system is, in the plainest code: double precision, one product at a time.
//!
//! Read this first to know what the kernels compute. It is compiled for tests only, which compare every kernel with it.

use crate::least_squares::packed::PackedSide;
use crate::least_squares::row::RowSystem;
use crate::model::Side;

/// The unknowns `[factors, bias]` of one row that minimise its ratings' squared errors plus its prior, and the sum of these
/// squared errors. `others` is the side that was packed into `system.others`.
///
/// 1. Each rating gives `z = [the other row's factors, 1]` and the target `t = rating - mean - the other row's bias`.
/// 2. The normal equations are `(Σ z zᵀ + Λ) x = Σ t z + h`.
/// 3. Gauss-Jordan elimination solves them.
/// 4. The squared error is `Σ (t - zᵀx)²`.
pub(super) fn solve(others: &Side, system: &RowSystem<'_>) -> (Vec<f64>, f64) {
    let equations = equations(others, system);
    let unknowns = others.factors.ncols() + 1;
    let (mut matrix, mut right) = prior(system, unknowns);
    for (z, target) in &equations {
        for i in 0..unknowns {
            for j in 0..unknowns {
                matrix[i][j] += z[i] * z[j];
            }
            right[i] += z[i] * target;
        }
    }
    let x = eliminate(matrix, right);
    let squared_error = |(z, target): &(Vec<f64>, f64)| {
        let predicted = z.iter().zip(&x).map(|(z, x)| z * x).sum::<f64>();
        (target - predicted).powi(2)
    };
    let error = equations.iter().map(squared_error).sum();
    (x, error)
}

/// `z` and the target of each rating.
fn equations(others: &Side, system: &RowSystem<'_>) -> Vec<(Vec<f64>, f64)> {
    let rated = system.columns.iter().zip(system.ratings);
    let equation = |(&column, &rating): (&u32, &u8)| {
        let (bias, factors) = others.row(column as usize).unwrap();
        let z = factors.iter().chain(&[1.0]).map(|&entry| f64::from(entry)).collect();
        (z, f64::from(rating) - f64::from(system.mean) - f64::from(bias))
    };
    rated.map(equation).collect()
}

/// `Λ` and `h`.
fn prior(system: &RowSystem<'_>, unknowns: usize) -> (Vec<Vec<f64>>, Vec<f64>) {
    let prior = system.prior;
    let mut lambda = vec![vec![0.0; unknowns]; unknowns];
    let stride = PackedSide::stride(unknowns - 1);
    for (i, row) in lambda.iter_mut().enumerate() {
        row[i] = f64::from(if i < unknowns - 1 { prior.ridge } else { prior.bias_ridge });
        if let Some(precision) = system.precision {
            // Symmetric: the upper triangle is all there is.
            (0..unknowns).for_each(|j| row[j] += f64::from(precision[i.min(j) * stride + i.max(j)]));
        }
    }
    (lambda, prior.linear.iter().map(|&entry| f64::from(entry)).collect())
}

/// The solution of `matrix · x = right`, by Gauss-Jordan elimination.
fn eliminate(mut matrix: Vec<Vec<f64>>, mut right: Vec<f64>) -> Vec<f64> {
    for pivot in 0..right.len() {
        let diagonal = matrix[pivot][pivot];
        let scaled = matrix[pivot].iter().map(|entry| entry / diagonal).collect::<Vec<_>>();
        let scaled_right = right[pivot] / diagonal;
        for row in (0..right.len()).filter(|&row| row != pivot) {
            let factor = matrix[row][pivot];
            matrix[row].iter_mut().zip(&scaled).for_each(|(entry, scaled)| *entry -= factor * scaled);
            right[row] -= factor * scaled_right;
        }
        (matrix[pivot], right[pivot]) = (scaled, scaled_right);
    }
    right
}
