//! What sample to make: how many ratings, what there is to learn, in which files.

/// What to make.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Ratings in the training set, the probe's among them.
    pub ratings: u64,
    /// Customers.
    pub customers: u32,
    /// Movies.
    pub movies: u32,
    /// The same seed makes the same files.
    pub seed: u64,
    /// What there is to learn.
    pub form: Form,
    /// Which files hold the training set.
    pub layout: Layout,
    /// How lines and files are written.
    pub style: Style,
}

/// What there is to learn beside biases and factors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Nothing: who rates what, and when, is independent of what they give.
    Plain,
    /// As people are: they rate what they like, in sessions that have a mood each; movies rise and fall; known movies are liked
    /// a little better; some customers have hardly rated anything.
    Lifelike,
}

/// Which files hold the training set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `training_set/mv_0000001.txt` and so on, one a movie.
    Files,
    /// The same in `training_set.tar`.
    Tar,
    /// `combined_data_1.txt` to `combined_data_4.txt`, as Kaggle has them.
    Combined,
}

/// How lines and files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// End lines with `\r\n`.
    pub crlf: bool,
    /// End the last line of each file, too.
    pub final_newline: bool,
    /// Compress each file, its name then ending in `.gz`.
    pub gzip: bool,
}

/// The Prize's own size.
pub const FULL: Sample = Sample {
    ratings: 100_480_507,
    customers: 480_189,
    movies: 17_770,
    seed: 42,
    form: Form::Lifelike,
    layout: Layout::Files,
    style: Style { crlf: false, final_newline: true, gzip: false },
};
pub const FULL_PROBE: u64 = 1_408_395;
pub const FULL_QUALIFYING: u64 = 2_817_131;

impl Sample {
    /// A set of this many ratings, with the Prize's 209 ratings a customer, and 270 a movie until there are the
    /// Prize's 17,770. Below a million ratings both sides shrink alike, so that no more of all pairs are rated.
    pub fn of(ratings: u64) -> Sample {
        const SMALL: f64 = 1e6;
        let side = |ratings_each: f64| {
            let ratings = ratings as f64;
            let share = (ratings / SMALL).min(1.0).sqrt();
            ((ratings.max(SMALL) / ratings_each * share).round() as u32).max(2)
        };
        Sample {
            ratings,
            customers: side(FULL.ratings as f64 / f64::from(FULL.customers)),
            movies: side(270.0).min(FULL.movies),
            ..FULL
        }
    }
}
