//! A model as it goes from one database to another: with the data set's own ids, whole, and checked.
//!
//! An archive is [`MAGIC`], the format's version (u32), the CRC-32 of the rest (u32), its length (u64), all little-endian,
//! and then CBOR (RFC 8949): a map of [`Archive`]'s fields, in which columns are byte strings of little-endian numbers. What is
//! read of one takes no more memory than its own size, and a little, whatever it claims.

mod contents;
pub(crate) mod fields;

use std::sync::atomic::AtomicBool;

use crate::algorithm::Algorithm;
use crate::archive::contents::{Columns, Contents, Shape};
use crate::archive::fields::{About, Archive, ArchiveError, FORMAT, Rows, VALUES_PER_CHECK, go_on};
use crate::memory::{try_vec, try_with_capacity};
use crate::model::customer_prior::CustomerPrior;
use crate::model::samples::Samples;

/// What an archive begins with.
pub const MAGIC: &[u8; 12] = b"netflix_rec\n";
const HEADER: usize = MAGIC.len() + 4 + 4 + 8;

impl Archive {
    /// Bytes that an archive of so many rows takes, and of so many numbers in the prior, exactly: known before any of them is
    /// read.
    pub fn size(
        about: &About,
        customers: usize,
        movies: usize,
        has_links: bool,
        prior: Option<usize>,
    ) -> usize {
        let of = |rows: usize, has_links: bool| {
            let vectors = rows.saturating_mul(about.factors as usize);
            Shape::of_counts(rows, rows, vectors, has_links.then_some(vectors))
        };
        let sides = [of(customers, false), of(movies, has_links)];
        HEADER.saturating_add(contents::size(about, sides, prior))
    }

    /// Writes it, into room that is reserved before.
    pub fn encode(&self, cancelled: &AtomicBool) -> Result<Vec<u8>, ArchiveError> {
        let sides = [self.customers.shape(), self.movies.shape()];
        let size = contents::size(&self.about, sides, self.prior.as_ref().map(Vec::len));
        let mut bytes = try_vec::<u8>(HEADER.saturating_add(size))?;
        let (header, to) = bytes.split_at_mut(HEADER);
        contents::encode(self, to, cancelled)?;
        go_on(cancelled)?;
        let (magic, header) = header.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        header[..4].copy_from_slice(&FORMAT.to_le_bytes());
        header[4..8].copy_from_slice(&crc32fast::hash(to).to_le_bytes());
        header[8..].copy_from_slice(&(size as u64).to_le_bytes());
        Ok(bytes)
    }

    /// Reads and checks one.
    pub fn decode(bytes: &[u8], cancelled: &AtomicBool) -> Result<Archive, ArchiveError> {
        let Some((header, contents)) = bytes.split_at_checked(HEADER) else {
            return Err(if MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]) && !bytes.is_empty() {
                ArchiveError::Length { expected: HEADER as u64, found: bytes.len() as u64 }
            } else {
                ArchiveError::Foreign
            });
        };
        let Some(header) = header.strip_prefix(MAGIC) else { return Err(ArchiveError::Foreign) };
        let word =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let expected = u64::from(word(8)) | u64::from(word(12)) << 32;
        match (word(0), contents.len() as u64) {
            (format, _) if !(1..=FORMAT).contains(&format) => Err(ArchiveError::Format(format)),
            (_, found) if found != expected => {
                let whole = |length: u64| length.saturating_add(HEADER as u64);
                Err(ArchiveError::Length { expected: whole(expected), found: whole(found) })
            }
            _ if crc32fast::hash(contents) != word(4) => Err(ArchiveError::Checksum),
            _ => {
                go_on(cancelled)?;
                let Contents { about, customers, movies, prior } = contents::decode(contents)?;
                let factors = about.factors as usize;
                let archive = Archive {
                    customers: customers.unpack("customers", factors, cancelled)?,
                    movies: movies.unpack("movies", factors, cancelled)?,
                    prior: prior.map(|bytes| finite(bytes, "priors", cancelled)).transpose()?,
                    about,
                };
                archive.check()?;
                Ok(archive)
            }
        }
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Result<Algorithm, ArchiveError> {
        let invalid = |error: &dyn std::fmt::Display| ArchiveError::Invalid(error.to_string());
        let params = serde_json::from_str(&self.about.params).map_err(|error| invalid(&error))?;
        Algorithm::parse(&self.about.algorithm, &params).map_err(|error| invalid(&error))
    }

    fn check(&self) -> Result<(), ArchiveError> {
        let About { name, train_on, hold_out, factors, samples, mean, .. } = &self.about;
        let About { train_rmse, probe_rmse, seconds, ratings, iterations, .. } = &self.about;
        if !self.about.curve.windows(2).all(|two| two[0].0 < two[1].0) {
            return Err(ArchiveError::Invalid("its curve cannot be".into()));
        }
        let algorithm = self.algorithm()?;
        let is_sampled = matches!(algorithm, Algorithm::Bpmf(_));
        let (length, prior_length) = match &algorithm {
            Algorithm::Bpmf(params) => {
                let (samples, prior) = (*samples as usize, CustomerPrior::of(params.factors));
                (Samples::new(samples, params.factors).length(), Some(prior.length(samples)))
            }
            algorithm => (algorithm.factors(), None),
        };
        let is_finite = [*hold_out, *train_rmse, *seconds, f64::from(*mean), probe_rmse.unwrap_or(0.0)];
        let not_negative = [*train_rmse, *seconds, probe_rmse.unwrap_or(0.0)];
        let summary =
            self.about.summary.as_ref().map(|text| serde_json::from_str::<serde::de::IgnoredAny>(text));
        let what = match () {
            () if name.is_empty() || name.contains('\0') => "its name",
            () if !["train", "all"].contains(&train_on.as_str()) => "what it was trained on",
            () if !(0.0..1.0).contains(hold_out) => "its held-out share",
            () if *samples == 0 || (*samples > 1) != is_sampled => "its samples",
            () if length != *factors as usize => "its factors",
            () if *factors > i32::MAX as u32
                || *iterations > i32::MAX as u32
                || *ratings > i64::MAX as u64 =>
            {
                "its size"
            }
            () if is_finite.iter().any(|number| !number.is_finite())
                || not_negative.iter().any(|number| *number < 0.0) =>
            {
                "its measures"
            }
            () if matches!(summary, Some(Err(_))) => "its summary",
            () if self.customers.links.is_some() => "its customers",
            () if self.prior.as_ref().is_some_and(|prior| Some(prior.len()) != prior_length) => "its prior",
            () if self.about.curve.iter().any(|point| point.0 > i32::MAX as u32) => "its curve",
            () => return Ok(()),
        };
        Err(ArchiveError::Invalid(format!("{what} cannot be")))
    }
}

/// A column's numbers, if they are whole.
fn words(bytes: &[u8]) -> Option<&[[u8; 4]]> {
    let (words, rest) = bytes.as_chunks();
    rest.is_empty().then_some(words)
}

/// A column's numbers, for which room is reserved.
fn numbers<T>(
    words: &[[u8; 4]],
    number: fn([u8; 4]) -> T,
    cancelled: &AtomicBool,
) -> Result<Vec<T>, ArchiveError> {
    let mut numbers = try_with_capacity(words.len())?;
    for words in words.chunks(VALUES_PER_CHECK) {
        go_on(cancelled)?;
        numbers.extend(words.iter().copied().map(number));
    }
    Ok(numbers)
}

const ODD: &str = "columns of no whole numbers";

fn wrong(of: &str, what: &str) -> ArchiveError {
    ArchiveError::Invalid(format!("its {of} have {what}"))
}

/// A column's floats.
fn finite(bytes: &[u8], of: &str, cancelled: &AtomicBool) -> Result<Vec<f32>, ArchiveError> {
    let words = words(bytes).ok_or_else(|| wrong(of, ODD))?;
    let floats = numbers(words, f32::from_le_bytes, cancelled)?;
    match floats.iter().all(|float| float.is_finite()) {
        true => Ok(floats),
        false => Err(wrong(of, "numbers that are not finite")),
    }
}

impl Columns<'_> {
    fn unpack(&self, side: &str, factors: usize, cancelled: &AtomicBool) -> Result<Rows, ArchiveError> {
        let wrong = |what: &str| wrong(side, what);
        let floats = |bytes: &[u8]| finite(bytes, side, cancelled);
        let ids = words(self.ids).ok_or_else(|| wrong(ODD))?;
        let ids = numbers(ids, i32::from_le_bytes, cancelled)?;
        let (biases, vectors) = (floats(self.biases)?, floats(self.factors)?);
        let links = self.links.map(floats).transpose()?;
        let entries = ids.len().checked_mul(factors);
        let fits = |vectors: &Vec<f32>| Some(vectors.len()) == entries;
        if biases.len() != ids.len() || !fits(&vectors) || !links.iter().all(fits) {
            return Err(wrong("columns of different lengths"));
        }
        if ids.first().is_some_and(|&first| first < 1) || ids.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(wrong("ids that do not ascend"));
        }
        Ok(Rows { ids, biases, factors: vectors, links })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::contents::LONGEST_CURVE;
    use proptest::prelude::*;

    static GO: AtomicBool = AtomicBool::new(false);

    fn decode(bytes: &[u8]) -> Result<Archive, ArchiveError> {
        Archive::decode(bytes, &GO)
    }

    fn archive() -> Archive {
        let rows = |ids: Vec<i32>, links: bool| Rows {
            biases: ids.iter().map(|&id| id as f32 / 8.0).collect(),
            factors: ids.iter().flat_map(|&id| [id as f32, -0.5]).collect(),
            links: links.then(|| ids.iter().flat_map(|&id| [0.25, id as f32]).collect()),
            ids,
        };
        let about = About {
            name: "Größe".into(),
            algorithm: "als".into(),
            params: "{\"factors\": 2}".into(),
            train_on: "train".into(),
            factors: 2,
            samples: 1,
            mean: 3.6,
            ratings: 7,
            iterations: 2,
            train_rmse: 0.8,
            probe_rmse: Some(0.9),
            summary: Some("{\"singular_values\": [1, 2]}".into()),
            seconds: 0.25,
            curve: vec![(1, 0.9, None, 0.1), (2, 0.8, Some(0.9), 0.2)],
            hold_out: 0.0,
        };
        let (customers, movies) = (rows(vec![6, 42, 2_649_429], false), rows(vec![1, 17_770], true));
        Archive { about, customers, movies, prior: None }
    }

    /// As whoever writes one by hand would.
    fn sealed(contents: &[u8]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(crc32fast::hash(contents).to_le_bytes());
        bytes.extend((contents.len() as u64).to_le_bytes());
        bytes.extend(contents);
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let archive = archive();
        let bytes = archive.encode(&GO).unwrap();
        assert_eq!(decode(&bytes).unwrap(), archive);
        assert_eq!(Archive::size(&archive.about, 3, 2, true, None), bytes.len());
        assert_eq!(sealed(&bytes[HEADER..]), bytes);
        let stop = AtomicBool::new(true);
        assert_eq!(archive.encode(&stop), Err(ArchiveError::Cancelled));
        assert_eq!(Archive::decode(&bytes, &stop), Err(ArchiveError::Cancelled));
    }

    /// What the first version of the format's writer, serde_cbor, made of [`archive`].
    const FIRST: &str = "
        6e6574666c69785f7265630a010000001362e9e9c401000000000000a36561626f7574af646e616d65674772c3b6c39f6569
        616c676f726974686d63616c7366706172616d736e7b22666163746f7273223a20327d68747261696e5f6f6e65747261696e
        68686f6c645f6f7574f9000067666163746f7273026773616d706c657301646d65616efa4066666667726174696e6773076a
        697465726174696f6e73026a747261696e5f726d7365fb3fe999999999999a6a70726f62655f726d7365fb3feccccccccccc
        cd6773756d6d617279781b7b2273696e67756c61725f76616c756573223a205b312c20325d7d677365636f6e6473f9340065
        6375727665828401fb3feccccccccccccdf6fb3fb999999999999a8402fb3fe999999999999afb3feccccccccccccdfb3fc9
        99999999999a69637573746f6d657273a4636964734c060000002a000000556d2800666269617365734c0000403f0000a840
        54b5a14867666163746f727358180000c040000000bf00002842000000bf54b5214a000000bf656c696e6b73f6666d6f7669
        6573a46369647348010000006a45000066626961736573480000003e00d40a4567666163746f7273500000803f000000bf00
        d48a46000000bf656c696e6b73500000803e0000803f0000803e00d48a46";

    #[test]
    fn what_the_first_version_wrote_is_read() {
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        let bytes = FIRST.replace([' ', '\n'], "").as_bytes().chunks(2).map(byte).collect::<Vec<_>>();
        assert_eq!(decode(&bytes).unwrap(), archive());
    }

    #[test]
    fn the_size_is_known_before() {
        for (rows, factors, links) in [(0, 0, false), (1, 6, true), (6000, 3, true), (17_000, 1, false)] {
            let rows = |links: bool| Rows {
                ids: (1..=rows as i32).collect(),
                biases: vec![0.5; rows],
                factors: vec![0.5; rows * factors],
                links: links.then(|| vec![0.5; rows * factors]),
            };
            let about = About { factors: factors as u32, ..archive().about };
            let prior = links.then(|| vec![0.5; rows(false).ids.len() / 7]);
            let prior_length = prior.as_ref().map(Vec::len);
            let archive = Archive { about, customers: rows(false), movies: rows(links), prior };
            let Archive { about, customers, movies, .. } = &archive;
            let size = Archive::size(about, customers.ids.len(), movies.ids.len(), links, prior_length);
            assert_eq!(size, archive.encode(&GO).unwrap().len());
        }
        assert_eq!(Archive::size(&archive().about, usize::MAX, 2, true, None), usize::MAX);
    }

    /// A Bayesian model of two samples, with its prior.
    fn bayesian() -> Archive {
        let Archive { about, customers, movies, .. } = archive();
        let rows = |rows: Rows, links: bool| Rows {
            factors: rows.ids.iter().flat_map(|&id| [id as f32, 1.0, -0.5, 2.0, 1.0, 0.5]).collect(),
            links: links.then(|| rows.ids.iter().flat_map(|_| [0.25, 0.5, 0.0, 0.75, 1.0, 0.0]).collect()),
            ..rows
        };
        Archive {
            about: About {
                algorithm: "bpmf".into(),
                params: "{\"factors\": 1, \"samples\": 2}".into(),
                factors: 6,
                samples: 2,
                ..about
            },
            customers: rows(customers, false),
            movies: rows(movies, true),
            prior: Some(vec![0.5, -0.5, 4.0, 0.25, 3.0, 0.75, -0.75, 5.0, 0.125, 2.0]),
        }
    }

    #[test]
    fn the_prior_of_samples_goes_along() {
        let archive = bayesian();
        let bytes = archive.encode(&GO).unwrap();
        assert_eq!(decode(&bytes).unwrap(), archive);
        assert_eq!(Archive::size(&archive.about, 3, 2, true, Some(10)), bytes.len());
        let refused = |change: fn(&mut Archive)| {
            let mut archive = bayesian();
            change(&mut archive);
            decode(&archive.encode(&GO).unwrap()).unwrap_err().to_string()
        };
        assert_eq!(refused(|archive| archive.prior.as_mut().unwrap().truncate(9)), "its prior cannot be");
        let infinite = |archive: &mut Archive| archive.prior.as_mut().unwrap()[3] = f32::INFINITY;
        assert_eq!(refused(infinite), "its priors have numbers that are not finite");
        // Of a model that was trained before there was one, and of one that has no samples.
        let without = Archive { prior: None, ..bayesian() };
        assert_eq!(decode(&without.encode(&GO).unwrap()).unwrap(), without);
        let other = Archive { prior: Some(vec![1.0]), ..self::archive() };
        assert_eq!(decode(&other.encode(&GO).unwrap()).unwrap_err().to_string(), "its prior cannot be");
    }

    #[test]
    fn what_is_cut_or_changed_is_refused() {
        let bytes = archive().encode(&GO).unwrap();
        for length in 0..bytes.len() {
            let error = decode(&bytes[..length]).unwrap_err();
            assert!(
                matches!(error, ArchiveError::Length { .. } | ArchiveError::Foreign),
                "{length}: {error}"
            );
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            decode(&changed).unwrap_err();
        }
        assert_eq!(decode(b"\x89PNG and much more than a header is long"), Err(ArchiveError::Foreign));
        let mut later = bytes.clone();
        later[MAGIC.len()] = 3;
        assert_eq!(decode(&later), Err(ArchiveError::Format(3)));
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let refused = |change: fn(&mut Archive)| {
            let mut archive = archive();
            change(&mut archive);
            decode(&archive.encode(&GO).unwrap()).unwrap_err().to_string()
        };
        assert_eq!(refused(|archive| archive.about.name.clear()), "its name cannot be");
        assert_eq!(refused(|archive| archive.about.samples = 3), "its samples cannot be");
        assert_eq!(refused(|archive| archive.about.train_rmse = f64::NAN), "its measures cannot be");
        assert_eq!(refused(|archive| archive.about.probe_rmse = Some(-0.1)), "its measures cannot be");
        assert_eq!(refused(|archive| archive.about.summary = Some("{".into())), "its summary cannot be");
        let long = |archive: &mut Archive| archive.about.curve = vec![(1, 0.9, None, 0.1); LONGEST_CURVE + 1];
        assert!(refused(long).contains("more iterations than any training makes"));
        assert!(refused(|archive| archive.about.params = " ".repeat(1 << 17)).contains("longer than any"));
        assert!(refused(|archive| archive.about.algorithm = "magic".into()).contains("magic"));
        assert!(refused(|archive| archive.about.params = "{\"factors\": 0}".into()).contains("factors"));
        assert_eq!(
            refused(|archive| archive.movies.biases[0] = f32::INFINITY),
            "its movies have numbers that are not finite"
        );
        assert_eq!(
            refused(|archive| archive.customers.ids[1] = 6),
            "its customers have ids that do not ascend"
        );
        assert_eq!(
            refused(|archive| archive.customers.factors.truncate(5)),
            "its customers have columns of different lengths"
        );
        assert_eq!(
            refused(|archive| archive.about.factors = 4),
            "its customers have columns of different lengths"
        );
    }

    #[test]
    fn claims_of_great_length_take_no_memory() {
        // Maps, lists and strings of 2^62 elements, and lists in lists in lists.
        for claim in [0xbb, 0x9b, 0x5b, 0x7b] {
            let mut contents = vec![claim];
            contents.extend((1u64 << 62).to_be_bytes());
            assert!(matches!(decode(&sealed(&contents)), Err(ArchiveError::Contents(_))));
        }
        assert!(matches!(decode(&sealed(&[0x81; 100_000])), Err(ArchiveError::Contents(_))));
    }

    proptest! {
        #[test]
        fn any_contents_are_read_or_refused(contents in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(decode(&sealed(&contents)));
        }
    }
}
