//! Who rates what, and when: power laws in customers and movies, and of a lifelike form customers' tastes and sessions.

use rand::Rng;
use rand::seq::SliceRandom;

use super::truth::Truth;
use super::{Form, Sample, round_shares, scatter};
use crate::Date;

/// Day 0 of the Prize's ratings.
pub const FIRST_DAY: (u32, u32, u32) = (1999, 11, 11);
/// Days from the first rating to the last, 2005-12-31.
pub const DAYS: u32 = 2243;

/// Of a lifelike form, one customer in so many has rated 1 to 5 movies.
const COLD: u32 = 100;
/// Movies that a customer rates in one session.
const SESSION: f64 = 6.0;
/// Sessions tried to find one late enough.
const TRIES: usize = 12;
/// How much rarer than its ratings a customer's probe and qualifying pairs are at most: of very few, some are left to train on.
const RAREST: f64 = 8.0;

/// Customers of about the same activity are drawn from as one class.
const CLASSES: usize = 128;

pub struct Customer {
    pub id: u32,
    /// Day of the first rating, from 0.
    joined: u32,
    /// How much rarer than one's ratings one's probe and qualifying pairs are.
    rarity: f32,
    /// How many sessions it rates in; 0 where each rating has a day of its own.
    sessions: u32,
}

pub struct Movie {
    pub id: u32,
    /// Counted from 0, in id order.
    pub index: usize,
    /// The year of its release, where known.
    pub release_year: Option<u32>,
    /// No rating is older, counted as days are.
    released: u32,
    ratings: u64,
    probe: u64,
    qualifying: u64,
    /// How well it is known: the logarithm of its ratings, less the mean and over the standard deviation of all movies'.
    pub fame: f32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Training,
    Probe,
    Qualifying,
}

/// A customer who rates the movie at hand.
pub struct Pair {
    pub customer: u32,
    pub part: Part,
}

pub struct Population {
    /// By activity, the most active first.
    pub customers: Vec<Customer>,
    /// By id.
    pub movies: Vec<Movie>,
    classes: Vec<Class>,
    seed: u64,
}

struct Class {
    from: u32,
    to: u32,
    activity: f64,
}

/// Zipf's law as Mandelbrot widened it, over the ranks of `n`, with mean 1.
fn zipf_mandelbrot(n: u32, exponent: f64, shift: f64) -> Vec<f64> {
    let weight = |rank| ((f64::from(rank) + 0.5) / f64::from(n) + shift).powf(-exponent);
    let mean = (0..n).map(weight).sum::<f64>() / f64::from(n);
    (0..n).map(|rank| weight(rank) / mean).collect()
}

impl Population {
    pub fn new(sample: &Sample, qualifying: u64, probe: u64, rng: &mut impl Rng) -> Population {
        // Weights, not counts: nobody rates a movie twice, so that the most active fall short of theirs. What comes out
        // stands in docs/sample.md.
        let mut activity = zipf_mandelbrot(sample.customers, 0.9, 0.002);
        let mean = sample.ratings as f64 / f64::from(sample.customers);
        if sample.form == Form::Lifelike {
            cool(&mut activity, (sample.customers / COLD) as usize, mean);
        }
        let ids = sparse_ids(sample.customers, rng);
        let customers = ids.into_iter().zip(&activity).map(|(id, activity)| Customer {
            id,
            // More customers join late: the number of ratings a month grows.
            joined: ((1.0 - rng.random::<f64>().powi(2)) * f64::from(DAYS) * 0.95) as u32,
            rarity: match sample.form {
                Form::Plain => (1.0 / activity) as f32,
                Form::Lifelike => (1.0 / activity).min(RAREST) as f32,
            },
            sessions: match sample.form {
                Form::Plain => 0,
                Form::Lifelike => (activity * mean / SESSION).ceil() as u32,
            },
        });
        let customers = customers.collect::<Vec<_>>();
        let classes = classes(&activity);
        let movies = movies(sample, qualifying, probe, rng);
        Population { customers, movies, classes, seed: sample.seed }
    }

    /// Draws who rates a movie, and which of these ratings go to the probe and to the qualifying set.
    pub fn draw(&self, movie: &Movie, truth: &Truth, rng: &mut impl Rng, drawn: &mut Vec<Pair>) {
        drawn.clear();
        let wanted = movie.ratings + movie.qualifying;
        let rate = |b: f64, class: &Class| f64::from(class.to - class.from) * -(-class.activity * b).exp_m1();
        let popularity = solve(wanted as f64, |b| self.classes.iter().map(|class| rate(b, class)).sum());
        let shares = self.classes.iter().map(|class| rate(popularity, class));
        let counts = round_shares(shares, rng).collect::<Vec<_>>();
        let interest = truth.interest(movie.index);
        for (&Class { from, to, .. }, count) in self.classes.iter().zip(counts) {
            let count = count.min(u64::from(to - from)) as u32;
            let hand_on = |customer| drawn.push(Pair { customer, part: Part::Training });
            match &interest {
                None => choose(from, to, count, rng, hand_on),
                Some(interest) => choose_by(interest, from, to, count, rng, hand_on),
            }
        }
        self.set_aside(drawn, movie.qualifying, Part::Qualifying, rng);
        self.set_aside(drawn, movie.probe, Part::Probe, rng);
        // Nor do the Prize's files list the most active customers first.
        drawn.shuffle(rng);
    }

    /// Moves `count` training ratings to another part, about as many of each customer.
    fn set_aside(&self, drawn: &mut [Pair], count: u64, part: Part, rng: &mut impl Rng) {
        let rarity = |pair: &Pair| match pair.part {
            Part::Training => f64::from(self.customers[pair.customer as usize].rarity),
            _ => 0.0,
        };
        let total = drawn.iter().map(rarity).sum::<f64>();
        if count == 0 || total == 0.0 {
            return;
        }
        let shares = drawn.iter().map(|pair| rarity(pair) * count as f64 / total).collect::<Vec<_>>();
        let mut missing = count;
        for (pair, hits) in drawn.iter_mut().zip(round_shares(shares.into_iter(), rng)) {
            if hits > 0 && missing > 0 {
                pair.part = part;
                missing -= 1;
            }
        }
        // A pair that was hit twice leaves one to be found elsewhere.
        for pair in drawn.iter_mut().filter(|pair| pair.part == Part::Training).take(missing as usize) {
            pair.part = part;
        }
    }

    /// The day of a rating, counted from the first: when its customer was there, not before the movie was, and
    /// late for what is set aside.
    pub fn day(&self, movie: &Movie, pair: &Pair, rng: &mut impl Rng) -> u32 {
        let from = self.customers[pair.customer as usize].joined.max(movie.released).min(DAYS - 1);
        let late = if pair.part == Part::Training { 0.0 } else { 0.85 };
        let sessions = self.customers[pair.customer as usize].sessions;
        if sessions > 0 {
            let earliest = from + (late * f64::from(DAYS - from)) as u32;
            let mut tried = (0..TRIES).map(|_| self.session(pair.customer, rng.random_range(0..sessions)));
            if let Some(day) = tried.find(|&day| day >= earliest) {
                return day;
            }
        }
        let when: f64 = rng.random();
        let when = if pair.part == Part::Training { when } else { 0.85 + 0.15 * when };
        (from + (when * f64::from(DAYS - from)) as u32).min(DAYS - 1)
    }

    /// The day of one of a customer's sessions.
    fn session(&self, customer: u32, session: u32) -> u32 {
        let joined = self.customers[customer as usize].joined;
        let bits = scatter(scatter(self.seed ^ u64::from(customer)) ^ u64::from(session));
        joined + (bits % u64::from(DAYS - joined)) as u32
    }
}

/// Has the last customers rate 5 movies to 1, or fewer where they would have anyway.
fn cool(activity: &mut [f64], customers: usize, mean: f64) {
    let from = activity.len() - customers;
    for (at, activity) in activity[from..].iter_mut().enumerate() {
        let ratings = 5.0 - 4.0 * at as f64 / customers as f64;
        *activity = activity.min(ratings / mean);
    }
}

/// Every day's date, by its number.
pub fn calendar() -> Vec<Date> {
    let (year, month, day) = FIRST_DAY;
    std::iter::successors(Date::new(year, month, day), |date| date.next()).take(DAYS as usize).collect()
}

/// Ids with gaps, as the Prize's are: 480,189 of the numbers up to 2,649,429. In no order.
fn sparse_ids(count: u32, rng: &mut impl Rng) -> Vec<u32> {
    let highest = (f64::from(count) * 2_649_429.0 / 480_189.0) as u32;
    let mut ids = Vec::with_capacity(count as usize);
    choose(1, highest + 1, count, rng, |id| ids.push(id));
    ids.shuffle(rng);
    ids
}

/// Cuts the ranks so that each class spans the same ratio of activity, with at least one customer.
fn classes(activity: &[f64]) -> Vec<Class> {
    let (highest, lowest) = (activity[0], activity[activity.len() - 1]);
    let step = (lowest / highest).powf(1.0 / CLASSES as f64);
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

fn movies(sample: &Sample, qualifying: u64, probe: u64, rng: &mut impl Rng) -> Vec<Movie> {
    let mut popularity = zipf_mandelbrot(sample.movies, 2.0, 0.027);
    popularity.shuffle(rng);
    // A movie is rated by half of all customers at most, and by one at least.
    let most = f64::from(sample.customers) * 0.5;
    let share = |scale: f64, popularity: f64| (most * -(-scale * popularity / most).exp_m1()).max(1.0);
    let total = (sample.ratings + qualifying) as f64;
    let scale = solve(total, |scale| popularity.iter().map(|&p| share(scale, p)).sum());
    let shares = popularity.iter().map(|&p| share(scale, p)).collect::<Vec<_>>();
    // Beyond the total where that gives each movie less than its one rating.
    let total = shares.iter().sum::<f64>();
    let mut split = |whole: u64| {
        let mut parts =
            round_shares(shares.iter().map(|share| share * whole as f64 / total), rng).collect::<Vec<_>>();
        // Sums of floating-point numbers may be one short.
        let missing = whole.saturating_sub(parts.iter().sum());
        parts.iter_mut().take(missing as usize).for_each(|part| *part += 1);
        parts
    };
    let (ratings, qualifying, probe) = (split(sample.ratings), split(qualifying), split(probe));
    let known = shares.iter().map(|share| share.ln()).collect::<Vec<_>>();
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    let variance = known.iter().map(|known| (known - mean).powi(2)).sum::<f64>() / known.len() as f64;
    let movie = |index: usize| {
        // Half of the movies are younger than eight years, and 7 in 17,770 have no year.
        let release_year = 2005 - (-(rng.random::<f64>()).ln() * 11.5).min(109.0) as u32;
        Movie {
            id: index as u32 + 1,
            index,
            release_year: (rng.random_range(0..2500) != 0 && index != 5).then_some(release_year),
            released: first_day(release_year),
            ratings: ratings[index],
            probe: probe[index].min(ratings[index]),
            qualifying: qualifying[index],
            fame: ((known[index] - mean) / variance.sqrt().max(f64::MIN_POSITIVE)) as f32,
        }
    };
    (0..sample.movies as usize).map(movie).collect()
}

/// The first day of a year, counted as days are; 0 for years that began before them.
fn first_day(year: u32) -> u32 {
    const OF_2000: u32 = 51;
    year.checked_sub(2000).map_or(0, |years| OF_2000 + years * 365 + years.div_ceil(4))
}

/// Finds where a rising function reaches a value.
fn solve(value: f64, function: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1e-6);
    while function(high) < value && high < 1e12 {
        (low, high) = (high, high * 4.0);
    }
    while high - low > 1e-12 * high {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if function(middle) < value { low = middle } else { high = middle }
    }
    high
}

/// Hands on `count` different numbers from `from` to below `to`, each as likely as the next.
fn choose(from: u32, to: u32, count: u32, rng: &mut impl Rng, mut hand_on: impl FnMut(u32)) {
    // Selection sampling (Knuth, The Art of Computer Programming, volume 2, algorithm 3.4.2 S) where many are
    // taken, drawing again what was drawn before where few are.
    let size = to - from;
    if u64::from(count) * 8 >= u64::from(size) {
        let mut missing = count;
        for number in from..to {
            if rng.random_range(0..to - number) < missing {
                hand_on(number);
                missing -= 1;
            }
        }
        return;
    }
    let mut seen = std::collections::HashSet::with_capacity(count as usize);
    while seen.len() < count as usize {
        let number = rng.random_range(from..to);
        if seen.insert(number) {
            hand_on(number);
        }
    }
}

/// Hands on `count` different numbers from `from` to below `to`, each the likelier the nearer `weight` is to 1; above 0 of all.
fn choose_by(
    weight: impl Fn(u32) -> f32,
    from: u32,
    to: u32,
    count: u32,
    rng: &mut impl Rng,
    mut hand_on: impl FnMut(u32),
) {
    let size = to - from;
    if count == 0 {
        return;
    }
    if u64::from(count) * 8 >= u64::from(size) {
        // Those whose exponential waiting times are shortest (Efraimidis and Spirakis 2006, "Weighted random sampling with a
        // reservoir").
        let waiting = |number| (-(1.0 - rng.random::<f32>()).ln() / weight(number), number);
        let mut waiting = (from..to).map(waiting).collect::<Vec<_>>();
        let by_time =
            |one: &(f32, u32), other: &(f32, u32)| one.0.total_cmp(&other.0).then(one.1.cmp(&other.1));
        if count < size {
            waiting.select_nth_unstable_by(count as usize - 1, by_time);
        }
        waiting.truncate(count as usize);
        waiting.sort_unstable_by_key(|&(_, number)| number);
        return waiting.into_iter().for_each(|(_, number)| hand_on(number));
    }
    let mut seen = std::collections::HashSet::with_capacity(count as usize);
    while seen.len() < count as usize {
        let number = rng.random_range(from..to);
        if rng.random::<f32>() < weight(number) && seen.insert(number) {
            hand_on(number);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn years_begin_where_the_calendar_says() {
        let calendar = calendar();
        assert_eq!(calendar.len(), DAYS as usize);
        for year in 2000..=2005 {
            assert_eq!(calendar[first_day(year) as usize].ymd(), (year, 1, 1));
        }
        assert_eq!(first_day(1999), 0);
    }

    #[test]
    fn lifelike_customers_rate_in_sessions_and_some_hardly_at_all() {
        let days = |form| {
            let sample = Sample { form, ..Sample::of(200_000) };
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
            let population = Population::new(&sample, 5600, 2800, &mut rng);
            let truth = Truth::new(&sample, &population.movies, &mut rng);
            let mut days = vec![Vec::new(); sample.customers as usize];
            let mut drawn = Vec::new();
            for movie in &population.movies {
                population.draw(movie, &truth, &mut rng, &mut drawn);
                for pair in &drawn {
                    let day = population.day(movie, pair, &mut rng);
                    assert!(day >= movie.released.min(DAYS - 1) && day < DAYS);
                    days[pair.customer as usize].push(day);
                }
            }
            let few = days.iter().filter(|days| (1..=5).contains(&days.len())).count();
            let ratings = days.iter().map(Vec::len).sum::<usize>();
            days.iter_mut().for_each(|days| {
                days.sort_unstable();
                days.dedup();
            });
            (few, ratings as f64 / days.iter().map(Vec::len).sum::<usize>() as f64)
        };
        let ((none, alone), (few, together)) = (days(Form::Plain), days(Form::Lifelike));
        assert!(none == 0 && alone < 1.5, "{none} {alone}");
        assert!(few >= 5 && together > 3.0, "{few} {together}");
    }
}
