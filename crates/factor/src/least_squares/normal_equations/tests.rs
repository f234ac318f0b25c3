use super::*;
use crate::least_squares::row::Prior;
use crate::model::Side;
use ndarray::ArrayView1;
use proptest::prelude::*;

/// The same solution in double precision: Gauss-Jordan on equations summed up one product at a time.
fn naive(others: &Side, row: &Observed<'_>) -> (Vec<f64>, f64) {
    let Observed { numbers, ratings, mean, prior, precision, .. } = *row;
    let n = others.factors.ncols() + 1;
    let stride = PackedSide::stride(n - 1);
    let mut a = vec![vec![0.0f64; n + 1]; n];
    let mut targets = Vec::new();
    for (&number, &rating) in numbers.iter().zip(ratings) {
        let (bias, factors) = others.row(number as usize).unwrap();
        let z = factors.iter().chain(&[1.0]).map(|&v| f64::from(v)).collect::<Vec<_>>();
        let target = f64::from(rating) - f64::from(mean) - f64::from(bias);
        for i in 0..n {
            for j in 0..n {
                a[i][j] += z[i] * z[j];
            }
            a[i][n] += z[i] * target;
        }
        targets.push((z, target));
    }
    for (i, row) in a.iter_mut().enumerate() {
        row[i] += f64::from(if i < n - 1 { prior.ridge } else { prior.bias_ridge });
        row[n] += f64::from(prior.pull[i]);
        if let Some(precision) = precision {
            (0..n).for_each(|j| row[j] += f64::from(precision[i.min(j) * stride + i.max(j)]));
        }
    }
    for pivot in 0..n {
        let scaled = a[pivot].iter().map(|v| v / a[pivot][pivot]).collect::<Vec<_>>();
        for (i, row) in a.iter_mut().enumerate() {
            let factor = if i == pivot { 0.0 } else { row[pivot] };
            row.iter_mut().zip(&scaled).for_each(|(v, s)| *v -= factor * s);
        }
        a[pivot] = scaled;
    }
    let x = a.iter().map(|row| row[n]).collect::<Vec<_>>();
    let error = targets.iter().map(|(z, t)| {
        let predicted = z.iter().zip(&x).map(|(z, x)| z * x).sum::<f64>();
        (t - predicted).powi(2)
    });
    (x.clone(), error.sum())
}

/// What a solver found.
#[derive(Debug, PartialEq)]
struct Answer {
    unknowns: Vec<f32>,
    squared_error: f64,
}

impl Answer {
    fn of(solved: Solved<'_>) -> Answer {
        let unknowns = solved.factors.iter().copied().chain([solved.bias]).collect();
        Answer { unknowns, squared_error: solved.squared_error }
    }
}

type Solver<'a> = dyn Fn(&Observed<'_>, &mut Scratch, &AtomicBool) -> Result<Answer, Unsolved> + 'a;

proptest! {
    #[test]
    fn every_kernel_agrees_with_the_naive_solution(
        factors in prop_oneof![1usize..20, Just(30), Just(31)],
        entries in prop::collection::vec(-1.0f32..1.0, 40 * 32),
        picks in prop::collection::vec((0u32..40, 1u8..=5), 1..150),
        pull in prop::collection::vec(-2.0f32..2.0, 32),
        is_precise: bool,
    ) {
        let mut others = Side::zeros(40, factors).unwrap();
        for (row, values) in entries.chunks_exact(32).enumerate() {
            // Numbers that bfloat16 has, so that none is rounded.
            let number = |&value: &f32| (value * 64.0).round() / 64.0;
            others.factors.row_mut(row).iter_mut().zip(values).for_each(|(f, v)| *f = number(v));
            others.biases[row] = values[31];
        }
        let go = AtomicBool::new(false);
        let mut packed = PackedSide::zeros(40, factors).unwrap();
        packed.take(&mut others, &go).unwrap();
        let (numbers, ratings): (Vec<u32>, Vec<u8>) = picks.into_iter().unzip();
        let stride = packed.stride;
        let mut prior = Prior::none(factors).unwrap();
        (prior.ridge, prior.bias_ridge) = (2.0, 0.5);
        prior.pull.copy_from_slice(&pull[..factors + 1]);
        // Some products: positive semidefinite. Nothing below the diagonal may be looked at.
        let entry = |i: usize, j: usize| (0..3).map(|p| entries[p * 32 + i] * entries[p * 32 + j]).sum::<f32>();
        let precision = (0..stride * stride)
            .map(|at| (at / stride, at % stride))
            .map(|(i, j)| if i <= j && j <= factors { entry(i, j) } else { f32::NAN })
            .collect::<Vec<_>>();
        let precision = is_precise.then_some(&precision[..]);
        let zero = vec![0.0; factors];
        let start = (ArrayView1::from(&zero), 0.0);
        let row = Observed {
            others: &packed, numbers: &numbers, ratings: &ratings, ahead: &[], mean: 3.5, prior: &prior, precision, steps: 0, start,
        };
        let (expected, expected_error) = naive(&others, &row);
        let close = |solved: &Answer, tolerance: f64| {
            let difference = (solved.squared_error - expected_error).abs();
            let unknowns = solved.unknowns.iter().zip(&expected);
            let worst = unknowns.map(|(&got, &want)| (f64::from(got) - want).abs()).fold(0.0, f64::max);
            difference < 10.0 * tolerance * (1.0 + expected_error) && worst < tolerance
        };
        let check = |name: &str, solver: &Solver<'_>| {
            let (mut scratch, stop) = (Scratch::new(factors).unwrap(), AtomicBool::new(true));
            prop_assert_eq!(solver(&row, &mut scratch, &stop), Err(Unsolved::Cancelled));
            let solved = solver(&row, &mut scratch, &go).unwrap();
            prop_assert!(close(&solved, 3e-4), "{}: {:?} for {:?}", name, solved, expected);
            // As many steps as unknowns, and some for rounding.
            let row = Observed { steps: factors + 10, ..row };
            prop_assert_eq!(solver(&row, &mut scratch, &stop), Err(Unsolved::Cancelled));
            let followed = solver(&row, &mut scratch, &go).unwrap();
            prop_assert!(close(&followed, 3e-4), "{}: {:?} for {:?}", name, followed, expected);
            Ok(())
        };
        for instructions in InstructionSet::available() {
            let solver = |row: &Observed<'_>, scratch: &mut Scratch, cancelled: &AtomicBool| solve_row(instructions, row, scratch, cancelled).map(Answer::of);
            check(&format!("{instructions:?}"), &solver)?;
        }
        // The way of the kernel that this machine may not have.
        // SAFETY: every machine has this instruction set.
        let solver = |row: &Observed<'_>, scratch: &mut Scratch, cancelled: &AtomicBool| unsafe { solve_with::<Portable, Pairs>(row, scratch, cancelled) }.map(Answer::of);
        check("pairs", &solver)?;
    }
}

#[test]
fn samples_scatter_as_the_posterior_does() {
    let (factors, go) = (2, AtomicBool::new(false));
    let mut others = Side::zeros(3, factors).unwrap();
    others.factors.assign(&ndarray::array![[1.0, 0.5], [-0.5, 1.0], [0.25, -2.0]]);
    let mut packed = PackedSide::zeros(3, factors).unwrap();
    packed.take(&mut others, &go).unwrap();
    let mut prior = Prior::none(factors).unwrap();
    (prior.ridge, prior.bias_ridge) = (1.5, 0.75);
    // The matrix by hand: z = [factors, 1].
    let mut matrix = ndarray::Array2::from_diag(&ndarray::array![1.5f64, 1.5, 0.75]);
    for row in others.factors.rows() {
        let z = ndarray::array![f64::from(row[0]), f64::from(row[1]), 1.0];
        (0..3).for_each(|i| (0..3).for_each(|j| matrix[(i, j)] += z[i] * z[j]));
    }
    let mut rng = crate::random::generator(1);
    let zero = [0.0; 2];
    let solve = |prior: &Prior| {
        let start = (ArrayView1::from(&zero), 0.0);
        let row = Observed {
            others: &packed,
            numbers: &[0, 1, 2],
            ratings: &[5, 2, 3],
            ahead: &[],
            mean: 3.0,
            prior,
            precision: None,
            steps: 0,
            start,
        };
        let mut scratch = Scratch::new(factors).unwrap();
        let solved = solve_row(InstructionSet::available()[0], &row, &mut scratch, &go).unwrap();
        ndarray::array![f64::from(solved.factors[0]), f64::from(solved.factors[1]), f64::from(solved.bias)]
    };
    let mean = solve(&prior);
    let mut covariance = ndarray::Array2::<f64>::zeros((3, 3));
    const SAMPLES: usize = 20_000;
    for _ in 0..SAMPLES {
        prior.noise.iter_mut().for_each(|noise| {
            *noise = rand_distr::Distribution::sample(&rand_distr::StandardNormal, &mut rng)
        });
        let off = solve(&prior) - &mean;
        (0..3).for_each(|i| (0..3).for_each(|j| covariance[(i, j)] += off[i] * off[j] / SAMPLES as f64));
    }
    // The covariance is the matrix's inverse.
    let identity = covariance.dot(&matrix);
    for ((i, j), value) in identity.indexed_iter() {
        assert!((value - f64::from(u8::from(i == j))).abs() < 0.05, "{identity}");
    }
}
