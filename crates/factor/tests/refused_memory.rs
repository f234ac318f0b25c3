//! If the system refuses memory, everything that answers a query returns an error. An allocation that aborts instead would end the
//! whole database server.
//!
//! The allocator of this test refuses the first large allocation of a call, then the second one of another call, and so on until a
//! call has no more of them. Each call must return an error, but the last one its result.

#![allow(unsafe_code, missing_docs)] // an allocator

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Debug;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};

use factor::{
    Algorithm, Archive, ArchiveError, ArchivedSide, Catalogue, CustomerQuery, CustomerRatings, Error,
    FactorRanges, ModelMetadata, SampleLayout, Side, TopN,
};
use ndarray::Array1;
use serde_json::json;

/// Smaller allocations are not refused, because a backend keeps a reserve for them.
const LARGE: usize = 4096;

/// Counts large allocations down, and refuses the one that brings the count to zero.
struct Refusing;

/// The count while no allocation is to be refused.
const OFF: usize = usize::MAX;
static LEFT: AtomicUsize = AtomicUsize::new(OFF);
static REFUSED: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread works for the call. The threads of the test harness allocate, too, and nothing may be refused to them.
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

fn is_refused(bytes: usize) -> bool {
    if bytes < LARGE || !IS_COUNTED.get() || LEFT.load(Ordering::Relaxed) == OFF {
        return false;
    }
    let is_last = LEFT.fetch_sub(1, Ordering::Relaxed) == 1;
    if is_last {
        LEFT.store(OFF, Ordering::Relaxed);
        REFUSED.store(true, Ordering::Relaxed);
    }
    is_last
}

// SAFETY: the system's allocator, which may refuse at any time.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        if is_refused(layout.size()) { std::ptr::null_mut() } else { unsafe { System.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        if is_refused(layout.size()) { std::ptr::null_mut() } else { unsafe { System.alloc_zeroed(layout) } }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller promises.
        if is_refused(size) { std::ptr::null_mut() } else { unsafe { System.realloc(start, layout, size) } }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Refusing = Refusing;

/// Tests run one after the other, because an allocation of another test could be refused.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Calls until nothing is refused any more. Returns how often something was refused, and the result.
fn refused<T, E: Debug>(call: impl Fn() -> Result<T, E>, is_memory: impl Fn(&E) -> bool) -> (usize, T) {
    for large in 1..10_000 {
        REFUSED.store(false, Ordering::Relaxed);
        LEFT.store(large, Ordering::Relaxed);
        IS_COUNTED.set(true);
        let result = call();
        IS_COUNTED.set(false);
        LEFT.store(OFF, Ordering::Relaxed);
        match (REFUSED.load(Ordering::Relaxed), result) {
            (true, Err(error)) if is_memory(&error) => {}
            (true, Err(error)) => panic!("allocation {large} was refused, and the error is {error:?}"),
            (true, Ok(_)) => panic!("allocation {large} was refused, and there is no error"),
            (false, result) => return (large - 1, result.unwrap()),
        }
    }
    panic!("there is no end of allocations");
}

fn is_memory(error: &Error) -> bool {
    matches!(error, Error::OutOfMemory { .. })
}

const MOVIES: usize = 2000;

fn entry(at: usize) -> f32 {
    ((at as u32).wrapping_mul(0x9e37_79b9) >> 16) as f32 / 65536.0 - 0.5
}

/// A catalogue in which the vector of movie m begins at entry m of `vectors`.
fn catalogue(layout: SampleLayout, vectors: &Array1<f32>) -> Result<Catalogue, Error> {
    let mut catalogue = Catalogue::empty(MOVIES, layout)?;
    for movie in 0..MOVIES {
        let vector = vectors.slice(ndarray::s![movie..movie + layout.length()]);
        catalogue.set(movie, entry(movie), vector);
    }
    Ok(catalogue)
}

#[test]
fn customers_are_folded_in_and_explained() {
    let _turn = turn();
    const FACTORS: usize = 600;
    const RATINGS: usize = 1500;
    let vector = (0..FACTORS).map(entry).collect::<Vec<_>>();
    let prior = (0..30 * 61 * 64 / 2).map(entry).map(f32::abs).collect::<Vec<_>>();
    for (name, params, factors, has_links) in [
        ("als", json!({"factors": FACTORS}), FACTORS, false),
        ("als", json!({"factors": FACTORS, "implicit_weight": 0.5}), FACTORS, true),
        ("svd", json!({"factors": FACTORS}), FACTORS, false),
        ("svdpp", json!({"factors": 200}), 200, true),
        ("truncated_svd", json!({"factors": FACTORS}), FACTORS, false),
        ("baseline", json!({}), 0, false),
        ("bpmf", json!({"factors": 60, "samples": 30}), 30 * 62, true),
    ] {
        let layout =
            SampleLayout::new(if name == "bpmf" { 30 } else { 1 }, if name == "bpmf" { 60 } else { factors });
        let vector = vector.iter().copied().cycle().take(factors.max(FACTORS)).collect::<Vec<_>>();
        let algorithm = Algorithm::parse(name, &params).unwrap();
        let call = || {
            let mut context = algorithm.fold_in_context(layout, Some(&prior))?;
            (0..MOVIES).for_each(|_| {
                context.add_factors(&vector[..factors]);
                context.add_links(&vector[..factors]);
            });
            let mut rated = CustomerRatings::with_capacity(RATINGS, factors, has_links)?;
            for rating in 0..RATINGS {
                let factors = (0..factors).map(|factor| entry(rating * factors + factor));
                rated.push(1.0 + (rating % 5) as f32, 0.1, factors, if has_links { &vector } else { &[] })?;
            }
            let found = algorithm.fold_in(3.6, &rated, &context, &mut || ControlFlow::Continue(()))?;
            Ok::<_, Error>(found.contributions(&rated, &vector[..factors])?.len())
        };
        let (times, contributions) = refused(call, is_memory);
        assert!(times >= 3 && contributions == RATINGS, "{name}: {times}");
    }
}

#[test]
fn movies_are_scored_and_compared() {
    let _turn = turn();
    let plain = SampleLayout::new(1, 40);
    let sampled = SampleLayout::new(20, 60);
    for layout in [plain, sampled] {
        let query = (0..layout.length()).map(|at| entry(at + 7)).collect::<Vec<_>>();
        let vectors = (0..MOVIES + layout.length()).map(entry).collect();
        let call = || {
            let catalogue = catalogue(layout, &vectors)?;
            let scores = catalogue.score(CustomerQuery { base: 3.5, factors: &query })?;
            let factors = FactorRanges::of(layout);
            let (products, norms) = (catalogue.products(&query, &factors)?, catalogue.norms(&factors)?);
            let deviations = catalogue.deviations(&query)?;
            let vector = catalogue.vector(3)?;
            let mut best = TopN::new(usize::MAX, MOVIES)?;
            scores.iter().zip(0..).for_each(|(&score, movie)| best.push(movie, score));
            let listed = best.into_sorted().len();
            Ok::<_, Error>([listed, products.len(), norms.len(), deviations.len(), vector.len()])
        };
        let (times, lengths) = refused(call, is_memory);
        assert!(times >= 6 && lengths == [MOVIES, MOVIES, MOVIES, MOVIES, layout.length()], "{times}");
    }
}

#[test]
fn everybody_gets_a_list() {
    let _turn = turn();
    const CUSTOMERS: usize = 200;
    let catalogue = catalogue(SampleLayout::new(1, 40), &(0..MOVIES + 40).map(entry).collect()).unwrap();
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(2)
        .start_handler(|_| IS_COUNTED.set(true))
        .build()
        .unwrap();
    let call = || {
        let mut customers = Side::zeros(CUSTOMERS, 40)?;
        customers.factors.iter_mut().enumerate().for_each(|(at, factor)| *factor = entry(at));
        let go = AtomicBool::new(false);
        let left_out = |customer: usize, movie: usize| (customer + movie).is_multiple_of(7);
        pool.install(|| catalogue.top_n(600, 3.5, &customers, 0..CUSTOMERS, left_out, &go))
    };
    let (times, lists) = refused(call, is_memory);
    assert!(times >= CUSTOMERS && lists.iter().all(|list| list.len() == 600), "{times}");
}

#[test]
fn models_are_written_and_read() {
    let _turn = turn();
    const FACTORS: usize = 20;
    let rows = |count: usize, has_links: bool| ArchivedSide {
        ids: (1..=count as i32).collect(),
        biases: (0..count).map(entry).collect(),
        factors: (0..count * FACTORS).map(entry).collect(),
        links: has_links.then(|| (0..count * FACTORS).map(entry).collect()),
    };
    let values = (0..3000).map(|value| value.to_string()).collect::<Vec<_>>().join(",");
    let metadata = ModelMetadata {
        name: "als".into(),
        algorithm: "als".into(),
        params: format!("{{\"factors\": {FACTORS}}}"),
        train_on: "train".into(),
        factors: FACTORS as u32,
        samples: 1,
        mean: 3.6,
        summary: Some(format!("{{\"values\": [{values}]}}")),
        curve: (1..=1000).map(|number| (number, 0.9, Some(0.91), f64::from(number))).collect(),
        ..ModelMetadata::default()
    };
    let archive = Archive { metadata, customers: rows(3000, false), movies: rows(1500, true), prior: None };
    let go = AtomicBool::new(false);
    let is_memory = |error: &ArchiveError| matches!(error, ArchiveError::OutOfMemory { .. });
    let (times, bytes) = refused(|| archive.encode(&go), is_memory);
    assert_eq!(times, 1);
    assert_eq!(Archive::size(&archive.metadata, 3000, 1500, true, None), bytes.len());
    let (times, read) = refused(|| Archive::decode(&bytes, &go), is_memory);
    assert!(times >= 9 && read == archive, "{times}");
}
