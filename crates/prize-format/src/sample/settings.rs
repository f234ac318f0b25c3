//! The settings of a sample: its size, what is planted, and which files are written.

/// The settings of a sample.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The number of ratings in the training set, including the probe's.
    pub ratings: u64,
    /// The number of customers.
    pub customers: u32,
    /// The number of movies.
    pub movies: u32,
    /// The seed of the random numbers. The same settings and the same seed make the same files.
    pub seed: u64,
    /// What is planted beside biases and factors.
    pub realism: Realism,
    /// The number of genres; 0: movies have none. Movies of a genre have similar factors and a noun of the same list in their titles.
    pub genres: u32,
    /// Which files hold the training set.
    pub layout: Layout,
    /// How lines and files are written.
    pub style: Style,
}

/// What is planted beside biases and factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Realism {
    /// Only a drift over the years. Apart from it, who rates which movie on which day is independent of the rating.
    Plain,
    /// More of what real ratings have. Customers rate movies that they like, in sessions of several ratings a day, and
    /// each day has a mood. How much a movie is liked changes over the years. Popular movies are liked a little better.
    /// Some customers have very few ratings.
    Lifelike,
}

/// Which files hold the training set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `training_set/mv_0000001.txt` and so on, a file for each movie.
    Files,
    /// The same files in `training_set.tar`.
    Tar,
    /// `combined_data_1.txt` to `combined_data_4.txt`, as Kaggle has them.
    Combined,
}

/// How lines and files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// End lines with `\r\n`.
    pub crlf: bool,
    /// End the last line of each file with a line end.
    pub final_newline: bool,
    /// Compress each file with gzip, and add `.gz` to its name.
    pub gzip: bool,
}

/// The size of the Prize's data set.
pub const FULL: Sample = Sample {
    ratings: 100_480_507,
    customers: 480_189,
    movies: 17_770,
    seed: 42,
    realism: Realism::Lifelike,
    genres: 0,
    layout: Layout::Files,
    style: Style { crlf: false, final_newline: true, gzip: false },
};
/// The number of pairs in the Prize's probe.
pub const FULL_PROBE: u64 = 1_408_395;
/// The number of pairs in the Prize's qualifying set.
pub const FULL_QUALIFYING: u64 = 2_817_131;

impl Sample {
    /// A sample with this many ratings. From a million ratings on, it has one customer for 209 ratings, as the Prize
    /// has, and one movie for 270 ratings, but at most 17,770 movies. Below a million ratings, both numbers shrink only
    /// with the square root of the number of ratings, so that the share of all pairs that are rated stays the same.
    pub fn of(ratings: u64) -> Sample {
        const SMALL: f64 = 1e6;
        let count = |ratings_each: f64| {
            let ratings = ratings as f64;
            let share = (ratings / SMALL).min(1.0).sqrt();
            ((ratings.max(SMALL) / ratings_each * share).round() as u32).max(2)
        };
        Sample {
            ratings,
            customers: count(FULL.ratings as f64 / f64::from(FULL.customers)),
            movies: count(270.0).min(FULL.movies),
            ..FULL
        }
    }
}
