//! Units: the second pass is divided into them. Each unit says where the ratings of some movies are, and can be loaded
//! by itself, in any order.

use minicbor::{Decode, Encode};

use crate::error::Error;

/// Movies whose ratings are loaded together.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cbor(map)]
pub struct Unit {
    /// The movies, in the order of their ratings in the files.
    #[n(0)]
    pub movies: Vec<MovieUnit>,
}

/// Where one movie's ratings are.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cbor(map)]
pub struct MovieUnit {
    /// The movie's id.
    #[n(0)]
    pub movie_id: u32,
    /// The number of ratings of movies with smaller ids that are loaded from the same survey. A rating's position in
    /// the whole load is this number plus its index in the movie, so it depends neither on the unit nor on the order of
    /// loading.
    #[n(1)]
    pub ratings_before: u64,
    /// The number of its ratings that are to be loaded.
    #[n(2)]
    pub ratings: u64,
    /// The ids of the customers whose ratings of it are in the probe, sorted.
    #[n(3)]
    pub probe: Vec<u32>,
    /// Where its ratings are.
    #[n(4)]
    pub(crate) segments: Vec<UnitSegment>,
}

/// Ratings of one movie that follow each other in a text.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cbor(map)]
pub(crate) struct UnitSegment {
    /// The index of the text in [`crate::Survey::files`].
    #[n(0)]
    pub file: u32,
    /// The offset of its first line in the text.
    #[n(1)]
    pub offset: u64,
    #[n(2)]
    pub bytes: u64,
    #[n(3)]
    pub records: u32,
    /// The sum of the ratings' digests. It shows whether a file has changed, even if its modification time has not.
    #[n(4)]
    pub digest: u64,
    /// A bitmap of the records that are not to be loaded. Empty if all are.
    #[n(5)]
    pub left_out: Vec<u8>,
}

impl UnitSegment {
    /// Whether the record with this index is not to be loaded.
    pub fn is_left_out(&self, record: u32) -> bool {
        self.left_out.get(record as usize / 8).is_some_and(|bits| bits & (1 << (record % 8)) != 0)
    }
}

impl MovieUnit {
    /// The number of ratings that are to be loaded. `None` if the segments have another number of them, or if a sum
    /// overflows.
    fn checked_ratings(&self) -> Option<u64> {
        let (mut ratings, mut bytes) = (0u64, 0u64);
        for segment in &self.segments {
            let left_out = segment.left_out.iter().map(|bits| u64::from(bits.count_ones())).sum::<u64>();
            ratings = ratings.checked_add(u64::from(segment.records).checked_sub(left_out)?)?;
            bytes = bytes.checked_add(segment.bytes)?;
            segment.offset.checked_add(segment.bytes)?;
        }
        self.ratings_before.checked_add(ratings)?;
        (ratings == self.ratings).then_some(ratings)
    }

    /// The number of bytes that are read for it.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }
}

impl Unit {
    /// The number of ratings that are to be loaded.
    pub fn ratings(&self) -> u64 {
        self.movies.iter().map(|movie| movie.ratings).sum()
    }

    /// The indexes in [`crate::Survey::files`] of the texts that it needs, sorted, each once.
    pub fn files(&self) -> Vec<usize> {
        let segments = self.movies.iter().flat_map(|movie| &movie.segments);
        let mut files = segments.map(|segment| segment.file as usize).collect::<Vec<_>>();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Encodes the unit, so that it can be stored: as CBOR (RFC 8949), with the fields' numbers as the keys of maps.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        minicbor::to_vec(self).map_err(|_| Error::DamagedUnit)
    }

    /// Decodes a stored unit. [`Error::DamagedUnit`] if the bytes are no unit, or if its numbers contradict each other.
    pub fn from_bytes(bytes: &[u8]) -> Result<Unit, Error> {
        let mut decoder = minicbor::Decoder::new(bytes);
        let unit = decoder.decode::<Unit>().map_err(|_| Error::DamagedUnit)?;
        if decoder.position() < bytes.len() {
            return Err(Error::DamagedUnit);
        }
        let ratings =
            unit.movies.iter().try_fold(0u64, |sum, movie| sum.checked_add(movie.checked_ratings()?));
        if ratings.is_some() { Ok(unit) } else { Err(Error::DamagedUnit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit() -> Unit {
        let segment = UnitSegment {
            file: 0,
            offset: 3,
            bytes: 40,
            records: 10,
            digest: 0,
            left_out: vec![0b101, 0b10],
        };
        let movie =
            MovieUnit { movie_id: 1, ratings_before: 0, ratings: 7, probe: vec![5], segments: vec![segment] };
        Unit { movies: vec![movie.clone(), movie] }
    }

    #[test]
    fn a_unit_stored_by_an_earlier_version_is_read() {
        // As serde_cbor encoded it.
        let movie = "a50001010002070381050481a600000103021828030a040005820502";
        let hex = format!("a10082{movie}{movie}");
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        let mut bytes = hex.as_bytes().chunks(2).map(byte).collect::<Vec<_>>();
        assert_eq!(Unit::from_bytes(&bytes).unwrap(), unit());
        assert_eq!(unit().to_bytes().unwrap(), bytes);
        bytes.push(0);
        assert!(matches!(Unit::from_bytes(&bytes), Err(Error::DamagedUnit)));
    }

    #[test]
    fn a_unit_whose_numbers_contradict_each_other_is_damaged() {
        let stored = |unit: &Unit| Unit::from_bytes(&unit.to_bytes().unwrap());
        assert_eq!(stored(&unit()).unwrap(), unit());
        let damages: [fn(&mut MovieUnit); 6] = [
            |movie| movie.ratings = 8,
            |movie| movie.ratings = u64::MAX,
            |movie| movie.ratings_before = u64::MAX - 6,
            |movie| movie.segments[0].offset = u64::MAX - 39,
            |movie| movie.segments[0].left_out = vec![0xff; 2],
            |movie| {
                movie.segments.push(UnitSegment {
                    bytes: u64::MAX,
                    offset: 0,
                    records: 0,
                    ..movie.segments[0].clone()
                })
            },
        ];
        for (case, damage) in damages.iter().enumerate() {
            let mut unit = unit();
            damage(&mut unit.movies[1]);
            assert!(matches!(stored(&unit), Err(Error::DamagedUnit)), "{case}");
        }
        assert!(matches!(Unit::from_bytes(b"no unit"), Err(Error::DamagedUnit)));
    }
}
