//! Who rates what, and when: power laws in customers and movies, and of a lifelike form customers' tastes and sessions.

use rand::Rng;
use rand::seq::SliceRandom;

use super::calendar::DAYS;
use super::movies::{Movie, movies};
use super::random::{choose, choose_by, round_shares, scatter, solve, zipf_mandelbrot};
use super::settings::{Form, Sample};
use super::truth::Truth;

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

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

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
