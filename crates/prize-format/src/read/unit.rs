//! The second pass in pieces: each unit holds the ratings of some movies, and can be loaded by itself, in any order.

use minicbor::{Decode, Encode};

use crate::error::Error;

/// Ratings that are loaded in one go.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cbor(map)]
pub struct Unit {
    /// Whose ratings they are, in the order in which they stand in the files.
    #[n(0)]
    pub movies: Vec<MovieUnit>,
}

/// One movie's ratings.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cbor(map)]
pub struct MovieUnit {
    /// The movie.
    #[n(0)]
    pub movie_id: u32,
    /// How many ratings of movies with smaller ids are loaded from the same survey: with these, a rating's number
    /// depends neither on the unit it is in nor on when it is loaded.
    #[n(1)]
    pub first: u64,
    /// How many ratings of it are to be loaded.
    #[n(2)]
    pub ratings: u64,
    /// The customers whose ratings of it are in the probe, sorted.
    #[n(3)]
    pub probe: Vec<u32>,
    /// Where they stand.
    #[n(4)]
    pub(crate) parts: Vec<Part>,
}

/// Some of a movie's ratings that follow each other in a text.
#[derive(Clone, Debug, Decode, Encode, PartialEq)]
#[cbor(map)]
pub(crate) struct Part {
    #[n(0)]
    pub file: u32,
    #[n(1)]
    pub offset: u64,
    #[n(2)]
    pub bytes: u64,
    #[n(3)]
    pub records: u32,
    /// The sum of their digests: a file that was changed is noticed, whatever its date says.
    #[n(4)]
    pub digest: u64,
    /// A bit for each record that is left out, or nothing where none is.
    #[n(5)]
    pub left_out: Vec<u8>,
}

impl Part {
    pub fn is_left_out(&self, record: u32) -> bool {
        self.left_out.get(record as usize / 8).is_some_and(|bits| bits & (1 << (record % 8)) != 0)
    }
}

impl MovieUnit {
    /// How many ratings of it are to be loaded, if the parts say so too, and no sum is beyond its type.
    fn checked_ratings(&self) -> Option<u64> {
        let (mut ratings, mut bytes) = (0u64, 0u64);
        for part in &self.parts {
            let left_out = part.left_out.iter().map(|bits| u64::from(bits.count_ones())).sum::<u64>();
            ratings = ratings.checked_add(u64::from(part.records).checked_sub(left_out)?)?;
            bytes = bytes.checked_add(part.bytes)?;
            part.offset.checked_add(part.bytes)?;
        }
        self.first.checked_add(ratings)?;
        (ratings == self.ratings).then_some(ratings)
    }

    /// How many bytes of texts are read for it.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }
}

impl Unit {
    /// How many ratings are to be loaded.
    pub fn ratings(&self) -> u64 {
        self.movies.iter().map(|movie| movie.ratings).sum()
    }

    /// The texts it reads, by their index in [`Survey::files`], each once, sorted.
    pub fn files(&self) -> Vec<usize> {
        let parts = self.movies.iter().flat_map(|movie| &movie.parts);
        let mut files = parts.map(|part| part.file as usize).collect::<Vec<_>>();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Packs it for keeping: CBOR (RFC 8949), whose maps have the fields' numbers for keys.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        minicbor::to_vec(self).map_err(|_| Error::DamagedUnit)
    }

    /// Unpacks one that was kept. One whose numbers do not agree is damaged.
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
        let part =
            Part { file: 0, offset: 3, bytes: 40, records: 10, digest: 0, left_out: vec![0b101, 0b10] };
        let movie = MovieUnit { movie_id: 1, first: 0, ratings: 7, probe: vec![5], parts: vec![part] };
        Unit { movies: vec![movie.clone(), movie] }
    }

    #[test]
    fn what_was_kept_by_an_earlier_version_is_read() {
        // As serde_cbor packed it.
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
    fn a_unit_whose_numbers_do_not_agree_is_damaged() {
        let kept = |unit: &Unit| Unit::from_bytes(&unit.to_bytes().unwrap());
        assert_eq!(kept(&unit()).unwrap(), unit());
        let damages: [fn(&mut MovieUnit); 6] = [
            |movie| movie.ratings = 8,
            |movie| movie.ratings = u64::MAX,
            |movie| movie.first = u64::MAX - 6,
            |movie| movie.parts[0].offset = u64::MAX - 39,
            |movie| movie.parts[0].left_out = vec![0xff; 2],
            |movie| {
                movie.parts.push(Part { bytes: u64::MAX, offset: 0, records: 0, ..movie.parts[0].clone() })
            },
        ];
        for (number, damage) in damages.iter().enumerate() {
            let mut unit = unit();
            damage(&mut unit.movies[1]);
            assert!(matches!(kept(&unit), Err(Error::DamagedUnit)), "{number}");
        }
        assert!(matches!(Unit::from_bytes(b"no unit"), Err(Error::DamagedUnit)));
    }
}
