//! Who rates which movie on which day. The activity of customers follows a power law. In a lifelike sample, customers
//! prefer movies that they like, and rate several movies on the same day.

use rand::Rng;
use rand::seq::SliceRandom;

use super::calendar::DAYS;
use super::movies::{Movie, movies};
use super::random::{choose, choose_weighted, hash, round_shares, solve, zipf_mandelbrot};
use super::settings::{Realism, Sample};
use super::truth::Truth;

/// In a lifelike sample, one of this many customers is cold: it has 1 to 5 ratings.
const CUSTOMERS_PER_COLD_ONE: u32 = 100;
/// The mean number of ratings in a customer's session.
const RATINGS_PER_SESSION: f64 = 6.0;
/// The number of sessions that are tried to find a late one.
const SESSION_TRIES: usize = 12;
/// The largest weight of a customer's ratings when the probe and the qualifying set are chosen. Without this
/// limit, customers with very few ratings would have none in the training set.
const MAX_WITHHOLDING: f64 = 8.0;
/// Ratings of the probe and of the qualifying set are in the last 15 % of the time that their customer could rate the
/// movie.
const LATE: f64 = 0.85;

/// The most classes of customers with about the same activity.
const MAX_CLASSES: usize = 128;

pub struct Customer {
    pub id: u32,
    /// The first day on which the customer can rate.
    joined: u32,
    /// The weight of the customer's ratings when the probe and the qualifying set are chosen. It falls with activity,
    /// so that every customer has about the same number of them.
    withholding: f32,
    /// The number of the customer's sessions. 0 if each rating has a day of its own.
    sessions: u32,
}

/// The set that a rating is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Set {
    Training,
    Probe,
    Qualifying,
}

/// A customer who rates the current movie.
pub struct Pair {
    /// The index of the customer.
    pub customer: u32,
    pub set: Set,
}

/// The customers and the movies.
pub struct Population {
    /// Sorted by activity, the most active first.
    pub customers: Vec<Customer>,
    /// Sorted by id.
    pub movies: Vec<Movie>,
    classes: Vec<Class>,
    seed: u64,
}

/// The customers with indexes from `from` to `to - 1`. They have about the same activity.
struct Class {
    from: u32,
    to: u32,
    /// The mean activity.
    activity: f64,
}

impl Population {
    /// `qualifying` and `probe` are the numbers of pairs in these sets.
    pub fn new(sample: &Sample, qualifying: u64, probe: u64, rng: &mut impl Rng) -> Population {
        // These are weights. The most active customers get fewer ratings than their weight says, because nobody rates a
        // movie twice. docs/sample.md shows the resulting numbers of ratings.
        let mut activity = zipf_mandelbrot(sample.customers, 0.9, 0.002);
        let mean = sample.ratings as f64 / f64::from(sample.customers);
        if sample.realism == Realism::Lifelike {
            limit_cold_customers(&mut activity, (sample.customers / CUSTOMERS_PER_COLD_ONE) as usize, mean);
        }
        let ids = customer_ids(sample.customers, rng);
        let customers = ids.into_iter().zip(&activity).map(|(id, activity)| Customer {
            id,
            // More customers join late than early, so the number of ratings per month grows.
            joined: ((1.0 - rng.random::<f64>().powi(2)) * f64::from(DAYS) * 0.95) as u32,
            withholding: match sample.realism {
                Realism::Plain => (1.0 / activity) as f32,
                Realism::Lifelike => (1.0 / activity).min(MAX_WITHHOLDING) as f32,
            },
            sessions: match sample.realism {
                Realism::Plain => 0,
                Realism::Lifelike => (activity * mean / RATINGS_PER_SESSION).ceil() as u32,
            },
        });
        let customers = customers.collect::<Vec<_>>();
        let classes = classes(&activity);
        let movies = movies(sample, qualifying, probe, rng);
        Population { customers, movies, classes, seed: sample.seed }
    }

    /// Draws who rates a movie, and which of these ratings go to the probe and to the qualifying set. `drawn` is
    /// replaced.
    pub fn draw(&self, movie: &Movie, truth: &Truth, rng: &mut impl Rng, drawn: &mut Vec<Pair>) {
        drawn.clear();
        let wanted = movie.ratings + movie.qualifying;
        // The expected number of a class's customers who rate a movie of this popularity.
        let raters =
            |b: f64, class: &Class| f64::from(class.to - class.from) * -(-class.activity * b).exp_m1();
        let popularity = solve(wanted as f64, |b| self.classes.iter().map(|class| raters(b, class)).sum());
        let shares = self.classes.iter().map(|class| raters(popularity, class));
        let counts = round_shares(shares, rng).collect::<Vec<_>>();
        let interest = truth.interest(movie.index);
        for (&Class { from, to, .. }, count) in self.classes.iter().zip(counts) {
            let count = count.min(u64::from(to - from)) as u32;
            let take = |customer| drawn.push(Pair { customer, set: Set::Training });
            match &interest {
                None => choose(from, to, count, rng, take),
                Some(interest) => choose_weighted(interest, from, to, count, rng, take),
            }
        }
        self.move_to(Set::Qualifying, movie.qualifying, drawn, rng);
        self.move_to(Set::Probe, movie.probe, drawn, rng);
        // In the Prize's files, customers are in no order.
        drawn.shuffle(rng);
    }

    /// Moves `count` training ratings to another set, about the same number of each customer.
    fn move_to(&self, set: Set, count: u64, drawn: &mut [Pair], rng: &mut impl Rng) {
        let weight = |pair: &Pair| match pair.set {
            Set::Training => f64::from(self.customers[pair.customer as usize].withholding),
            _ => 0.0,
        };
        let total = drawn.iter().map(weight).sum::<f64>();
        if count == 0 || total == 0.0 {
            return;
        }
        let shares = drawn.iter().map(|pair| weight(pair) * count as f64 / total).collect::<Vec<_>>();
        let mut missing = count;
        for (pair, count) in drawn.iter_mut().zip(round_shares(shares.into_iter(), rng)) {
            if count > 0 && missing > 0 {
                pair.set = set;
                missing -= 1;
            }
        }
        // Some shares were rounded to 2 or more, but a pair can be moved only once. Other pairs are moved instead.
        for pair in drawn.iter_mut().filter(|pair| pair.set == Set::Training).take(missing as usize) {
            pair.set = set;
        }
    }

    /// Draws the day of a rating: after the customer has joined and the movie is released. A rating of the probe or of
    /// the qualifying set is late.
    pub fn day(&self, movie: &Movie, pair: &Pair, rng: &mut impl Rng) -> u32 {
        let from = self.customers[pair.customer as usize].joined.max(movie.first_day).min(DAYS - 1);
        let is_training = pair.set == Set::Training;
        let late = if is_training { 0.0 } else { LATE };
        let sessions = self.customers[pair.customer as usize].sessions;
        if sessions > 0 {
            let earliest = from + (late * f64::from(DAYS - from)) as u32;
            let mut tried =
                (0..SESSION_TRIES).map(|_| self.session_day(pair.customer, rng.random_range(0..sessions)));
            if let Some(day) = tried.find(|&day| day >= earliest) {
                return day;
            }
        }
        let share: f64 = rng.random();
        let share = if is_training { share } else { LATE + 0.15 * share };
        (from + (share * f64::from(DAYS - from)) as u32).min(DAYS - 1)
    }

    /// The day of one of a customer's sessions.
    fn session_day(&self, customer: u32, session: u32) -> u32 {
        let joined = self.customers[customer as usize].joined;
        let bits = hash(hash(self.seed ^ u64::from(customer)) ^ u64::from(session));
        joined + (bits % u64::from(DAYS - joined)) as u32
    }
}

/// Lowers the activity of the last customers, so that they have 5 ratings down to 1, unless they have fewer already.
fn limit_cold_customers(activity: &mut [f64], customers: usize, mean: f64) {
    let from = activity.len() - customers;
    for (index, activity) in activity[from..].iter_mut().enumerate() {
        let ratings = 5.0 - 4.0 * index as f64 / customers as f64;
        *activity = activity.min(ratings / mean);
    }
}

/// Customer ids in random order. They have gaps as in the Prize, whose 480,189 customers have ids up to 2,649,429.
fn customer_ids(count: u32, rng: &mut impl Rng) -> Vec<u32> {
    let highest = (f64::from(count) * 2_649_429.0 / 480_189.0) as u32;
    let mut ids = Vec::with_capacity(count as usize);
    choose(1, highest + 1, count, rng, |id| ids.push(id));
    ids.shuffle(rng);
    ids
}

/// Divides the customers, sorted by activity, into classes. The ratio of the highest to the lowest activity is the same
/// in each class, and no class is empty.
fn classes(activity: &[f64]) -> Vec<Class> {
    let (highest, lowest) = (activity[0], activity[activity.len() - 1]);
    let step = (lowest / highest).powf(1.0 / MAX_CLASSES as f64);
    let mut classes = Vec::new();
    let (mut from, mut bound) = (0, highest * step);
    for rank in 1..=activity.len() {
        if rank == activity.len() || activity[rank] < bound {
            let mean = activity[from..rank].iter().sum::<f64>() / (rank - from) as f64;
            classes.push(Class { from: from as u32, to: rank as u32, activity: mean });
            from = rank;
            bound *= step;
        }
    }
    classes
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn lifelike_customers_rate_in_sessions_and_some_are_cold() {
        let days = |realism| {
            let sample = Sample { realism, ..Sample::of(200_000) };
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
            let population = Population::new(&sample, 5600, 2800, &mut rng);
            let truth = Truth::new(&sample, &population.movies, &mut rng);
            let mut days = vec![Vec::new(); sample.customers as usize];
            let mut drawn = Vec::new();
            for movie in &population.movies {
                population.draw(movie, &truth, &mut rng, &mut drawn);
                for pair in &drawn {
                    let day = population.day(movie, pair, &mut rng);
                    assert!(day >= movie.first_day.min(DAYS - 1) && day < DAYS);
                    days[pair.customer as usize].push(day);
                }
            }
            let cold = days.iter().filter(|days| (1..=5).contains(&days.len())).count();
            let ratings = days.iter().map(Vec::len).sum::<usize>();
            days.iter_mut().for_each(|days| {
                days.sort_unstable();
                days.dedup();
            });
            (cold, ratings as f64 / days.iter().map(Vec::len).sum::<usize>() as f64)
        };
        let (cold, ratings_per_day) = days(Realism::Plain);
        assert!(cold == 0 && ratings_per_day < 1.5, "{cold} {ratings_per_day}");
        let (cold, ratings_per_day) = days(Realism::Lifelike);
        assert!(cold >= 5 && ratings_per_day > 3.0, "{cold} {ratings_per_day}");
    }

    /// The mean of what the factors add to the scores of all ratings.
    fn mean_factor_product(realism: Realism) -> f32 {
        let sample = Sample { realism, ..Sample::of(100_000) };
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let population = Population::new(&sample, 2800, 1400, &mut rng);
        let truth = Truth::new(&sample, &population.movies, &mut rng);
        let (mut sum, mut count, mut drawn) = (0.0, 0, Vec::new());
        for movie in &population.movies {
            population.draw(movie, &truth, &mut rng, &mut drawn);
            sum += drawn.iter().map(|pair| truth.factor_product(pair.customer, movie.index)).sum::<f32>();
            count += drawn.len();
        }
        sum / count as f32
    }

    #[test]
    fn lifelike_customers_rate_what_they_like() {
        assert!(mean_factor_product(Realism::Plain).abs() < 0.02);
        assert!(mean_factor_product(Realism::Lifelike) > 0.15);
    }
}
