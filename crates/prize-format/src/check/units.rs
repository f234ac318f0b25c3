//! Divides the second pass into units.

use super::segment::Segment;
use super::survey::Survey;
use crate::read::unit::{MovieUnit, Unit, UnitSegment};

impl Survey {
    /// Divides the ratings that are to be loaded into units of about `ratings_each` ratings. The movies are in the
    /// order in which the files hold them, so that gzipped files are read forward.
    pub fn units(&self, ratings_each: u64) -> Vec<Unit> {
        let mut ratings_before = 0;
        let mut movies = Vec::new();
        for (first_id, segments) in self.by_movie() {
            let Some(Segment { movie_id, file, offset, .. }) = segments.first().copied() else { continue };
            let unit_segment = |(index, segment): (usize, &Segment)| UnitSegment {
                file: segment.file,
                offset: segment.offset,
                bytes: segment.bytes,
                records: segment.records,
                digest: segment.digest,
                left_out: self.left_out.bitmap_of(first_id + index).to_vec(),
            };
            let records = segments.iter().map(|segment| u64::from(segment.records)).sum::<u64>();
            let ids = first_id..first_id + segments.len();
            let ratings = records - ids.map(|id| self.left_out.count_of(id)).sum::<u64>();
            if ratings > 0 {
                let probe = probe_of(&self.probe, movie_id).iter().map(|&(_, customer_id)| customer_id);
                let probe = probe.collect();
                let segments = segments.iter().enumerate().map(unit_segment).collect();
                let movie = MovieUnit { movie_id, ratings_before, ratings, probe, segments };
                movies.push(((file, offset), movie));
            }
            ratings_before += ratings;
        }
        movies.sort_by_key(|&(position, _)| position);
        let (mut units, mut ratings_in_last) = (Vec::new(), 0);
        for (_, movie) in movies {
            if ratings_in_last == 0 {
                units.push(Unit { movies: Vec::new() });
            }
            ratings_in_last += movie.ratings;
            if let Some(unit) = units.last_mut() {
                unit.movies.push(movie);
            }
            if ratings_in_last >= ratings_each {
                ratings_in_last = 0;
            }
        }
        units
    }
}

/// The pairs of a movie in the sorted probe.
fn probe_of(probe: &[(u32, u32)], movie_id: u32) -> &[(u32, u32)] {
    let from = probe.partition_point(|&(movie, _)| movie < movie_id);
    let to = probe.partition_point(|&(movie, _)| movie <= movie_id);
    &probe[from..to]
}
