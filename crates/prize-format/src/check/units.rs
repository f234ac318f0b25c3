//! Divides what the second pass is to read into units.

use super::segment::Segment;
use super::survey::Survey;
use crate::read::unit::{MovieUnit, Part, Unit};

impl Survey {
    /// Divides what is to be loaded into units of about so many ratings. Movies follow each other as they do in the
    /// files, so that packed files are read forward.
    pub fn units(&self, ratings_each: u64) -> Vec<Unit> {
        let mut first = 0;
        let mut movies = Vec::new();
        for (from, segments) in self.by_movie() {
            let Some(Segment { movie_id, file, offset, .. }) = segments.first().copied() else { continue };
            let part = |(at, segment): (usize, &Segment)| Part {
                file: segment.file,
                offset: segment.offset,
                bytes: segment.bytes,
                records: segment.records,
                digest: segment.digest,
                left_out: self.duplicates.of(from + at).to_vec(),
            };
            let read = segments.iter().map(|segment| u64::from(segment.records)).sum::<u64>();
            let left_out = (from..from + segments.len()).map(|id| self.duplicates.count_of(id)).sum::<u64>();
            let ratings = read - left_out;
            if ratings > 0 {
                let probe = probe_of(&self.probe, movie_id).iter().map(|&(_, customer_id)| customer_id);
                let parts = segments.iter().enumerate().map(part).collect();
                let movie = MovieUnit { movie_id, first, ratings, probe: probe.collect(), parts };
                movies.push(((file, offset), movie));
            }
            first += ratings;
        }
        movies.sort_by_key(|&(place, _)| place);
        let (mut units, mut held) = (Vec::new(), 0);
        for (_, movie) in movies {
            if held == 0 {
                units.push(Unit { movies: Vec::new() });
            }
            held += movie.ratings;
            if let Some(unit) = units.last_mut() {
                unit.movies.push(movie);
            }
            if held >= ratings_each {
                held = 0;
            }
        }
        units
    }
}

/// A movie's pairs of the probe.
fn probe_of(probe: &[(u32, u32)], movie_id: u32) -> &[(u32, u32)] {
    let from = probe.partition_point(|&(movie, _)| movie < movie_id);
    let to = probe.partition_point(|&(movie, _)| movie <= movie_id);
    &probe[from..to]
}
