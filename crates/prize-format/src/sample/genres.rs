//! The genres of movies.

use super::random::hash;
use super::settings::Sample;

impl Sample {
    /// The most genres: two for each factor that is planted.
    pub const MOST_GENRES: u32 = 20;

    /// The genre of a movie, counted from 0. `None` if there are no genres.
    pub fn genre(&self, movie_id: u32) -> Option<u32> {
        /// Makes these numbers independent of others that come from the seed.
        const GENRES: u64 = 3 << 40;
        let genres = u64::from(self.genres);
        (genres > 0).then(|| (hash(hash(self.seed ^ GENRES) ^ u64::from(movie_id)) % genres) as u32)
    }
}
