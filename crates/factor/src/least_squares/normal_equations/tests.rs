use super::*;
use crate::least_squares::reference;
use crate::least_squares::row::Prior;
use crate::model::Side;
use crate::simd::vector::Portable;
use ndarray::ArrayView1;
use proptest::prelude::*;
use std::sync::atomic::AtomicBool;

/// What a solver found.
#[derive(Debug, PartialEq)]
struct Answer {
    unknowns: Vec<f32>,
    squared_error: f64,
}

impl Answer {
    fn of(solved: RowSolution<'_>) -> Answer {
        let unknowns = solved.factors.iter().copied().chain([solved.bias]).collect();
        Answer { unknowns, squared_error: solved.squared_error }
    }
}

type Solver<'a> = dyn Fn(&RowSystem<'_>, &mut Scratch) -> Result<Answer, RowError> + 'a;

proptest! {
    #[test]
    fn every_kernel_agrees_with_the_reference(
        factors in prop_oneof![1usize..20, Just(30), Just(31)],
        entries in prop::collection::vec(-1.0f32..1.0, 40 * 32),
        picks in prop::collection::vec((0u32..40, 1u8..=5), 1..150),
        linear in prop::collection::vec(-2.0f32..2.0, 32),
        has_precision: bool,
    ) {
        let mut others = Side::zeros(40, factors).unwrap();
        for (row, values) in entries.chunks_exact(32).enumerate() {
            // Values that bfloat16 has, so that none is rounded.
            let rounded = |&value: &f32| (value * 64.0).round() / 64.0;
            others.factors.row_mut(row).iter_mut().zip(values).for_each(|(f, v)| *f = rounded(v));
            others.biases[row] = values[31];
        }
        let go = AtomicBool::new(false);
        let mut packed = PackedSide::zeros(40, factors).unwrap();
        packed.pack(&mut others, &go).unwrap();
        let (columns, ratings): (Vec<u32>, Vec<u8>) = picks.into_iter().unzip();
        let stride = packed.stride;
        let mut prior = Prior::none(factors).unwrap();
        (prior.ridge, prior.bias_ridge) = (2.0, 0.5);
        prior.linear.copy_from_slice(&linear[..factors + 1]);
        // A sum of outer products is positive semidefinite. Nothing below the diagonal may be read.
        let entry = |i: usize, j: usize| (0..3).map(|p| entries[p * 32 + i] * entries[p * 32 + j]).sum::<f32>();
        let precision = (0..stride * stride)
            .map(|at| (at / stride, at % stride))
            .map(|(i, j)| if i <= j && j <= factors { entry(i, j) } else { f32::NAN })
            .collect::<Vec<_>>();
        let precision = has_precision.then_some(&precision[..]);
        let zero = vec![0.0; factors];
        let start = (ArrayView1::from(&zero), 0.0);
        let system = RowSystem {
            others: &packed, columns: &columns, ratings: &ratings, prefetch: &[], mean: 3.5, prior: &prior, precision, cg_steps: 0, start, cancelled: &go,
        };
        let (expected, expected_error) = reference::solve(&others, &system);
        let close = |solved: &Answer, tolerance: f64| {
            let difference = (solved.squared_error - expected_error).abs();
            let unknowns = solved.unknowns.iter().zip(&expected);
            let worst = unknowns.map(|(&got, &want)| (f64::from(got) - want).abs()).fold(0.0, f64::max);
            difference < 10.0 * tolerance * (1.0 + expected_error) && worst < tolerance
        };
        let check = |name: &str, solver: &Solver<'_>| {
            let (mut scratch, stop) = (Scratch::new(factors).unwrap(), AtomicBool::new(true));
            let cancelled = RowSystem { cancelled: &stop, ..system };
            prop_assert_eq!(solver(&cancelled, &mut scratch), Err(RowError::Cancelled));
            let solved = solver(&system, &mut scratch).unwrap();
            prop_assert!(close(&solved, 3e-4), "{}: {:?} for {:?}", name, solved, expected);
            // As many steps as unknowns, and some for rounding.
            let system = RowSystem { cg_steps: factors + 10, ..system };
            let cancelled = RowSystem { cancelled: &stop, ..system };
            prop_assert_eq!(solver(&cancelled, &mut scratch), Err(RowError::Cancelled));
            let followed = solver(&system, &mut scratch).unwrap();
            prop_assert!(close(&followed, 3e-4), "{}: {:?} for {:?}", name, followed, expected);
            Ok(())
        };
        for instructions in InstructionSet::available() {
            let solver = |system: &RowSystem<'_>, scratch: &mut Scratch| solve_row(instructions, system, scratch).map(Answer::of);
            check(&format!("{instructions:?}"), &solver)?;
        }
        // The format of pairs, emulated, because this machine may not have the instruction.
        // SAFETY: every machine has this instruction set.
        let solver = |system: &RowSystem<'_>, scratch: &mut Scratch| unsafe { solve_with::<Portable, Pairs>(system, scratch) }.map(Answer::of);
        check("pairs", &solver)?;
    }
}

#[test]
fn samples_have_the_covariance_of_the_posterior() {
    let (factors, go) = (2, AtomicBool::new(false));
    let mut others = Side::zeros(3, factors).unwrap();
    others.factors.assign(&ndarray::array![[1.0, 0.5], [-0.5, 1.0], [0.25, -2.0]]);
    let mut packed = PackedSide::zeros(3, factors).unwrap();
    packed.pack(&mut others, &go).unwrap();
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
        let system = RowSystem {
            others: &packed,
            columns: &[0, 1, 2],
            ratings: &[5, 2, 3],
            prefetch: &[],
            mean: 3.0,
            prior,
            precision: None,
            cg_steps: 0,
            start,
            cancelled: &go,
        };
        let mut scratch = Scratch::new(factors).unwrap();
        let solved = solve_row(InstructionSet::fastest(), &system, &mut scratch).unwrap();
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
