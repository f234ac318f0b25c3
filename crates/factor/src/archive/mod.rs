//! A model as bytes, to be taken from one database to another. It names customers and movies by the ids of the data set, and it is
//! checked when it is read.
//!
//! An archive begins with [`MAGIC`], the version of the format (u32), the CRC-32 of the contents (u32) and their length in bytes
//! (u64), all little-endian. The contents follow in CBOR (RFC 8949): a map of the fields of [`Archive`], in which each column is a
//! byte string of little-endian values. [`Archive::decode`] takes little more memory than the archive's size, even if it states
//! larger lengths.

mod contents;
pub(crate) mod fields;

use std::sync::atomic::AtomicBool;

use crate::algorithm::stored::Origin;
use crate::archive::contents::{ColumnLengths, Columns, Contents};
use crate::archive::fields::{
    Archive, ArchiveError, ArchivedSide, FORMAT, ModelMetadata, VALUES_PER_CHECK, check_cancelled,
};
use crate::memory::{try_vec, try_with_capacity};

/// The first bytes of every archive.
pub const MAGIC: &[u8; 12] = b"netflix_rec\n";
const HEADER: usize = MAGIC.len() + 4 + 4 + 8;

impl Archive {
    /// The exact size in bytes of an archive, from the numbers of customers, movies, and values of the prior. So the size is known
    /// before the vectors are read from the database.
    pub fn size(
        metadata: &ModelMetadata,
        customers: usize,
        movies: usize,
        has_links: bool,
        prior: Option<usize>,
    ) -> usize {
        let of = |rows: usize, has_links: bool| {
            let vectors = rows.saturating_mul(metadata.factors as usize);
            ColumnLengths::of_counts(rows, rows, vectors, has_links.then_some(vectors))
        };
        let sides = [of(customers, false), of(movies, has_links)];
        HEADER.saturating_add(contents::size(metadata, sides, prior))
    }

    /// Writes the archive. [`ArchiveError::OutOfMemory`] if the system refuses the memory, which is requested at once.
    pub fn encode(&self, cancelled: &AtomicBool) -> Result<Vec<u8>, ArchiveError> {
        let sides = [self.customers.column_lengths(), self.movies.column_lengths()];
        let size = contents::size(&self.metadata, sides, self.prior.as_ref().map(Vec::len));
        let mut bytes = try_vec::<u8>(HEADER.saturating_add(size))?;
        let (header, to) = bytes.split_at_mut(HEADER);
        contents::encode(self, to, cancelled)?;
        check_cancelled(cancelled)?;
        let (magic, header) = header.split_at_mut(MAGIC.len());
        magic.copy_from_slice(MAGIC);
        header[..4].copy_from_slice(&FORMAT.to_le_bytes());
        header[4..8].copy_from_slice(&crc32fast::hash(to).to_le_bytes());
        header[8..].copy_from_slice(&(size as u64).to_le_bytes());
        Ok(bytes)
    }

    /// Reads and checks an archive.
    ///
    /// Any [`ArchiveError`]: `Foreign`, `Format`, `Length`, `Checksum`, `Contents`, `Invalid`, `OutOfMemory` or `Cancelled`.
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
                check_cancelled(cancelled)?;
                let Contents { metadata, customers, movies, prior } = contents::decode(contents)?;
                let factors = metadata.factors as usize;
                let archive = Archive {
                    customers: customers.unpack("customers", factors, cancelled)?,
                    movies: movies.unpack("movies", factors, cancelled)?,
                    prior: prior.map(|bytes| finite(bytes, "priors", cancelled)).transpose()?,
                    metadata,
                };
                archive.check()?;
                Ok(archive)
            }
        }
    }

    /// What the model was made by, with its parameters. [`ArchiveError::Invalid`] if there is no such algorithm, or a parameter is
    /// wrong.
    pub fn origin(&self) -> Result<Origin, ArchiveError> {
        let invalid = |error: &dyn std::fmt::Display| ArchiveError::Invalid(error.to_string());
        let params = serde_json::from_str(&self.metadata.params).map_err(|error| invalid(&error))?;
        Origin::parse(&self.metadata.algorithm, &params).map_err(|error| invalid(&error))
    }

    /// [`ArchiveError::Invalid`] if a value is impossible or contradicts another one.
    fn check(&self) -> Result<(), ArchiveError> {
        let ModelMetadata { name, train_on, hold_out, factors, samples, mean, .. } = &self.metadata;
        let ModelMetadata { train_rmse, probe_rmse, seconds, ratings, iterations, .. } = &self.metadata;
        if !self.metadata.curve.windows(2).all(|two| two[0].0 < two[1].0) {
            return Err(ArchiveError::Invalid("the iterations of its curve do not ascend".into()));
        }
        let origin = self.origin()?;
        let prior_length = origin.prior_length(*samples as usize);
        let measures = [*hold_out, *train_rmse, *seconds, f64::from(*mean), probe_rmse.unwrap_or(0.0)];
        let not_negative = [*train_rmse, *seconds, probe_rmse.unwrap_or(0.0)];
        let summary =
            self.metadata.summary.as_ref().map(|text| serde_json::from_str::<serde::de::IgnoredAny>(text));
        let wrong = match () {
            () if name.is_empty() || name.contains('\0') => "its name is empty or has a NUL",
            () if !["train", "all"].contains(&train_on.as_str()) => "it was trained on neither train nor all",
            () if !(0.0..1.0).contains(hold_out) => "its held-out share is not from 0 to below 1",
            () if *samples == 0 || (*samples > 1) != origin.is_bayesian() => {
                "its algorithm does not have this number of samples"
            }
            () if origin.row_length(*samples as usize) != *factors as usize => {
                "its parameters have another number of factors"
            }
            () if *factors > i32::MAX as u32
                || *iterations > i32::MAX as u32
                || *ratings > i64::MAX as u64 =>
            {
                "a number of factors, iterations or ratings is too large"
            }
            () if measures.iter().any(|measure| !measure.is_finite())
                || not_negative.iter().any(|measure| *measure < 0.0) =>
            {
                "an error or a time is negative or not finite"
            }
            () if matches!(summary, Some(Err(_))) => "its summary is not JSON",
            () if self.customers.links.is_some() => "its customers have links",
            () if self
                .prior
                .as_ref()
                .is_some_and(|prior| prior_length == 0 || prior.len() != prior_length) =>
            {
                "its prior does not have the right length"
            }
            () if self.metadata.curve.iter().any(|point| point.0 > i32::MAX as u32) => {
                "an iteration of its curve is too large"
            }
            () => return Ok(()),
        };
        Err(ArchiveError::Invalid(wrong.into()))
    }
}

/// The values of a column. `None` if its length is not a multiple of four bytes.
fn words(bytes: &[u8]) -> Option<&[[u8; 4]]> {
    let (words, rest) = bytes.as_chunks();
    rest.is_empty().then_some(words)
}

/// Converts the values of a column.
fn convert<T>(
    words: &[[u8; 4]],
    value: fn([u8; 4]) -> T,
    cancelled: &AtomicBool,
) -> Result<Vec<T>, ArchiveError> {
    let mut values = try_with_capacity(words.len())?;
    for words in words.chunks(VALUES_PER_CHECK) {
        check_cancelled(cancelled)?;
        values.extend(words.iter().copied().map(value));
    }
    Ok(values)
}

/// A column whose length is not a multiple of four bytes.
const ODD: &str = "columns whose length is not a multiple of four bytes";

fn invalid_column(of: &str, what: &str) -> ArchiveError {
    ArchiveError::Invalid(format!("its {of} have {what}"))
}

/// The values of a column of floats. [`ArchiveError::Invalid`] if one of them is not finite.
fn finite(bytes: &[u8], of: &str, cancelled: &AtomicBool) -> Result<Vec<f32>, ArchiveError> {
    let words = words(bytes).ok_or_else(|| invalid_column(of, ODD))?;
    let floats = convert(words, f32::from_le_bytes, cancelled)?;
    match floats.iter().all(|float| float.is_finite()) {
        true => Ok(floats),
        false => Err(invalid_column(of, "numbers that are not finite")),
    }
}

impl Columns<'_> {
    /// Converts and checks the columns of a side. `side` is its name for errors.
    fn unpack(
        &self,
        side: &str,
        factors: usize,
        cancelled: &AtomicBool,
    ) -> Result<ArchivedSide, ArchiveError> {
        let wrong = |what: &str| invalid_column(side, what);
        let floats = |bytes: &[u8]| finite(bytes, side, cancelled);
        let ids = words(self.ids).ok_or_else(|| wrong(ODD))?;
        let ids = convert(ids, i32::from_le_bytes, cancelled)?;
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
        Ok(ArchivedSide { ids, biases, factors: vectors, links })
    }
}

#[cfg(test)]
mod tests;
