//! Folds customers in: finds their factors from their ratings and the movies' factors, without training.

use std::ops::ControlFlow;

use factor::{CustomerRatings, Dated, FoldedIn, HoldOut, Origin, Part, SplitKind};
use pgrx::JsonB;
use pgrx::datum::{Array, DatumWithOid};

use super::cache;
use super::error::ServeError;
use crate::models::{self, ModelError, ModelRow};
use crate::pg::prepared::Prepared;
use crate::pg::{Error, interrupt, memory};
use crate::warehouse;
use crate::warehouse::dimension::Key;
use crate::warehouse::split::Split;

/// A customer that was folded in, and the ratings that were used: those of movies that the model knows.
pub struct FoldedCustomer {
    pub folded: FoldedIn,
    /// Movies and ratings.
    pub rated: Vec<(Key, f32)>,
    /// The same ratings, with what the model knows of their movies.
    pub rows: CustomerRatings,
}

/// How a model was trained.
pub struct Training {
    origin: Origin,
    has_prior: bool,
    /// The split whose training ratings it learned from; `None` if it learned from all ratings.
    split: Option<Split>,
    hold_out: Option<HoldOut>,
}

/// Looks up how a model was trained.
pub fn training(model: &ModelRow) -> Result<Training, ServeError> {
    static TRAINING: Prepared = Prepared(
        "SELECT train_on, hold_out, prior IS NOT NULL, split, split_rule FROM @extschema@.model WHERE model_id = $1",
    );
    let origin = models::find::origin(model)?;
    let found = TRAINING.all(&[model.model_id.into()], |row| {
        let hold_out: f64 = row.need(2, "model")?;
        let hold_out = (hold_out > 0.0).then(|| HoldOut::of_training(hold_out));
        let split = match row.get::<String>(4).zip(row.get::<JsonB>(5)) {
            Some((label, JsonB(rule))) => Some(Split::from_json(&label, rule).ok_or(Error::Null("model"))?),
            None => (row.need::<String>(1, "model")? == "train").then(Split::probe),
        };
        // The parts of a blend have seen nothing of the test set, and folding in does not change the weights.
        let split = match &origin {
            Origin::Blend(_) => split.map(|split| split.with_whole_test_set()),
            Origin::Algorithm(_) => split,
        };
        Ok((row.need(3, "model")?, split, hold_out))
    })?;
    let (has_prior, split, hold_out) = found.into_iter().next().ok_or(Error::Null("model"))?;
    Ok(Training { origin, has_prior, split, hold_out })
}

/// Folds in a customer with these ratings: movies and stars.
pub fn fold_in(
    model: &ModelRow,
    training: &Training,
    rated: &[(Key, f32)],
) -> Result<FoldedCustomer, ServeError> {
    static LINKS: Prepared = Prepared(
        "SELECT links FROM unnest($2::int[]) WITH ORDINALITY AS wanted (movie_key, place)
         LEFT JOIN @extschema@.movie_factors f ON f.model_id = $1 AND f.movie_key = wanted.movie_key ORDER BY place",
    );
    // Before anything takes memory.
    let Training { origin, has_prior, .. } = training;
    origin.check_fold_in(*has_prior)?;
    let movies = cache::movies(model)?;
    let context = movies.fold_in_context(model, origin)?;
    let known = rated.iter().filter_map(|&(key, rating)| Some((key, rating, movies.index(key)?)));
    let known = memory::collect(known)?;
    let ratings = CustomerRatings::memory(known.len(), model.factors, origin.folds_in_links());
    memory::declare("folding in", ratings + origin.fold_in_memory(model.layout(), known.len()))?;
    let keys = memory::collect(known.iter().map(|&(key, ..)| key.0))?;
    let args = [DatumWithOid::from(model.model_id), keys.into()];
    let mut rows = CustomerRatings::with_capacity(known.len(), model.factors, origin.folds_in_links())?;
    let mut of = known.iter();
    LINKS.each(&args, |row| {
        let links = row.floats(1, "movie_factors")?;
        let &(_, rating, movie) = of.next().ok_or(Error::Null("movie_factors"))?;
        let catalogue = &movies.catalogue;
        rows.push(rating, catalogue.bias(movie), catalogue.entries(movie), &links)?;
        Ok::<_, ServeError>(())
    })?;
    let mut proceed = || {
        interrupt::check();
        ControlFlow::Continue(())
    };
    let folded = origin.fold_in(model.global_mean, &rows, context, &mut proceed)?;
    let rated = memory::collect(known.into_iter().map(|(key, rating, _)| (key, rating)))?;
    Ok(FoldedCustomer { folded, rated, rows })
}

/// Checks movies and ratings that a caller gives, and looks up the movies' keys.
pub fn given_ratings(
    movie_ids: &Array<'_, i64>,
    ratings: &Array<'_, f64>,
) -> Result<Vec<(Key, f32)>, ServeError> {
    static KEYS: Prepared = Prepared(
        "SELECT m.movie_key FROM unnest($1::bigint[]) WITH ORDINALITY AS rated (movie_id, place)
         LEFT JOIN @extschema@.dim_movie m USING (movie_id) ORDER BY place",
    );
    if movie_ids.len() != ratings.len() {
        return Err(ServeError::Lengths { movies: movie_ids.len(), ratings: ratings.len() });
    }
    let ids = movie_ids.iter().map(|id| id.ok_or(ServeError::NullElement("movie_ids")));
    let ids = memory::try_collect(ids)?;
    let ratings = ratings.iter().map(|rating| rating.ok_or(ServeError::NullElement("ratings")));
    let ratings = memory::try_collect(ratings)?;
    let (lowest, highest) = (f64::from(factor::SCALE.0), f64::from(factor::SCALE.1));
    if let Some(&rating) = ratings.iter().find(|rating| !(lowest..=highest).contains(*rating)) {
        return Err(ServeError::Rating(rating));
    }
    let mut sorted = memory::collect(ids.iter().copied())?;
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(ServeError::RatedTwice(pair[0]));
    }
    let asked = memory::collect(ids.iter().copied())?;
    let keys = KEYS.all(&[asked.into()], |row| Ok(row.get::<i32>(1).map(Key)))?;
    let rated = ids.into_iter().zip(keys).zip(ratings);
    memory::try_collect(
        rated.map(|((id, key), rating)| Ok((key.ok_or(ServeError::NoMovie(id))?, rating as f32))),
    )
}

/// Bias and factors of a customer whom the model does not know, from the ratings there are now. `None` if the customer has no usable
/// rating, or the model cannot fold in.
pub fn new_customer(model: &ModelRow, customer: Key) -> Result<Option<(f32, Vec<f32>)>, ServeError> {
    let training = training(model)?;
    if training.origin.check_fold_in(training.has_prior).is_err() {
        return Ok(None);
    }
    let rated = training_ratings(customer, &training)?;
    if rated.is_empty() {
        return Ok(None);
    }
    match fold_in(model, &training, &rated) {
        Ok(FoldedCustomer { rated, .. }) if rated.is_empty() => Ok(None),
        Ok(FoldedCustomer { folded, .. }) => Ok(Some((folded.bias, folded.factors))),
        // There are too few ratings to determine the factors.
        Err(ServeError::Model(ModelError::Warehouse(warehouse::Error::Factor(
            factor::Error::Undetermined { .. },
        )))) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The ratings of a customer that may be learned from: movies and stars, sorted by key. The test set of the model's split, the probe (if
/// the split leaves it out) and held-out ratings are left out, as they were in the training.
pub fn training_ratings(customer: Key, training: &Training) -> Result<Vec<(Key, f32)>, ServeError> {
    static RATINGS: Prepared = Prepared(
        "SELECT movie_key, rating, is_probe FROM @extschema@.fact_ratings WHERE customer_key = $1 ORDER BY movie_key",
    );
    static WITH_IDS: Prepared = Prepared(
        "SELECT f.movie_key, f.rating, f.is_probe, f.date_key, c.customer_id, m.movie_id FROM @extschema@.fact_ratings f
         JOIN @extschema@.dim_customer c USING (customer_key) JOIN @extschema@.dim_movie m USING (movie_key)
         WHERE f.customer_key = $1 ORDER BY f.movie_key",
    );
    let Training { split, hold_out, .. } = training;
    let mut rated = Vec::new();
    // Most models leave out the probe and nothing else. Their queries need no ids.
    let splitter = split.as_ref().filter(|split| split.rule.kind != SplitKind::Probe || split.second_half);
    if splitter.is_none() && hold_out.is_none() {
        RATINGS.each(&[customer.0.into()], |row| {
            let (key, rating) = (Key(row.need(1, "fact_ratings")?), row.need::<i16>(2, "fact_ratings")?);
            if split.is_none() || !row.need::<bool>(3, "fact_ratings")? {
                memory::push(&mut rated, (key, f32::from(rating)))?;
            }
            Ok::<_, Error>(())
        })?;
        return Ok(rated);
    }
    let mut all = Vec::new();
    WITH_IDS.each(&[customer.0.into()], |row| {
        let id = |column| Ok::<_, Error>(row.need::<i32>(column, "fact_ratings")? as u32);
        let dated = Dated {
            customer_id: id(5)?,
            movie_id: id(6)?,
            day: row.need(4, "fact_ratings")?,
            is_probe: row.need(3, "fact_ratings")?,
        };
        let (key, rating) = (Key(row.need(1, "fact_ratings")?), row.need::<i16>(2, "fact_ratings")?);
        memory::push(&mut all, (key, f32::from(rating), dated))
    })?;
    let mut splitter = splitter.map(Split::splitter);
    // What a customer's part is depends on no other customer.
    const ROW: usize = 0;
    if let Some(splitter) = splitter.as_mut().filter(|splitter| splitter.observes()) {
        all.iter().try_for_each(|&(.., dated)| splitter.observe(ROW, dated))?;
    }
    for (key, rating, dated) in all {
        let may_be_seen = match &splitter {
            Some(splitter) => match splitter.part(ROW, dated) {
                Part::Train => true,
                Part::Test => false,
                // A customer who is not in the sample can be folded in like any other.
                Part::Outside => !dated.is_probe,
            },
            None => split.is_none() || !dated.is_probe,
        };
        let is_held_out =
            hold_out.as_ref().is_some_and(|hold_out| hold_out.contains(dated.customer_id, dated.movie_id));
        if may_be_seen && !is_held_out {
            memory::push(&mut rated, (key, rating))?;
        }
    }
    Ok(rated)
}
