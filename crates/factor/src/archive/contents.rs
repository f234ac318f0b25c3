//! The contents of an archive in CBOR (RFC 8949). They are written into memory of exactly the right size. The reader believes no
//! length that they state.

use std::sync::atomic::AtomicBool;

use minicbor::encode::Write;
use minicbor::encode::write::EndOfSlice;
use minicbor::{Decoder, Encoder};

use crate::archive::fields::{
    Archive, ArchiveError, ArchivedSide, CurvePoint, ModelMetadata, VALUES_PER_CHECK, check_cancelled,
};
use crate::memory::try_with_capacity;

type EncodeError<W> = minicbor::encode::Error<<W as Write>::Error>;

/// The longest name, parameters and summary in bytes, and the longest curve in iterations. Every training stays below them.
const LONGEST_NAME: usize = 255;
const LONGEST_PARAMS: usize = 1 << 16;
const LONGEST_SUMMARY: usize = 1 << 16;
pub(super) const LONGEST_CURVE: usize = 4096;

/// Counts the bytes that are written.
struct ByteCounter(usize);

impl Write for ByteCounter {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0 += bytes.len();
        Ok(())
    }
}

/// The length of each column of a side in bytes: ids, biases, factors, and links, which may be missing.
#[derive(Clone, Copy)]
pub(super) struct ColumnLengths([Option<usize>; 4]);

/// The names of the columns.
const COLUMNS: [&str; 4] = ["ids", "biases", "factors", "links"];

impl ColumnLengths {
    /// Columns with these numbers of values, of four bytes each.
    pub fn of_counts(ids: usize, biases: usize, factors: usize, links: Option<usize>) -> ColumnLengths {
        let counts = [Some(ids), Some(biases), Some(factors), links];
        ColumnLengths(counts.map(|count| Some(count?.saturating_mul(size_of::<f32>()))))
    }
}

impl ArchivedSide {
    pub(super) fn column_lengths(&self) -> ColumnLengths {
        let links = self.links.as_ref().map(Vec::len);
        ColumnLengths::of_counts(self.ids.len(), self.biases.len(), self.factors.len(), links)
    }
}

/// The size of the contents in bytes. `prior` is the number of values in the prior.
pub(super) fn size(metadata: &ModelMetadata, sides: [ColumnLengths; 2], prior: Option<usize>) -> usize {
    let mut columns = 0usize;
    let mut encoder = Encoder::new(ByteCounter(0));
    let prior = prior.map(|values| values.saturating_mul(size_of::<f32>()));
    let written = write(&mut encoder, metadata, sides, prior, |_, _, _, bytes| {
        columns = columns.saturating_add(bytes);
        Ok(())
    });
    match written {
        Ok(()) => encoder.into_writer().0.saturating_add(columns),
        // Counting cannot fail.
        Err(_) => usize::MAX,
    }
}

/// Writes the contents. `to` must have the length that [`size`] returns.
pub(super) fn encode(archive: &Archive, to: &mut [u8], cancelled: &AtomicBool) -> Result<(), ArchiveError> {
    let Archive { metadata, customers, movies, prior } = archive;
    let sides = [customers, movies];
    let mut stopped = false;
    let prior_bytes = prior.as_ref().map(|prior| prior.len() * size_of::<f32>());
    let lengths = sides.map(ArchivedSide::column_lengths);
    let written = write(&mut Encoder::new(to), metadata, lengths, prior_bytes, |to, side, column, _| {
        let mut go_on = || {
            stopped |= check_cancelled(cancelled).is_err();
            !stopped
        };
        let Some(rows) = sides.get(side) else {
            return write_values(to, prior.as_deref().unwrap_or_default(), f32::to_le_bytes, &mut go_on);
        };
        match column {
            0 => write_values(to, &rows.ids, i32::to_le_bytes, &mut go_on),
            1 => write_values(to, &rows.biases, f32::to_le_bytes, &mut go_on),
            2 => write_values(to, &rows.factors, f32::to_le_bytes, &mut go_on),
            _ => write_values(to, rows.links.as_deref().unwrap_or_default(), f32::to_le_bytes, &mut go_on),
        }
    });
    match written {
        _ if stopped => Err(ArchiveError::Cancelled),
        Ok(()) => Ok(()),
        Err(error) => Err(ArchiveError::Contents(error.to_string())),
    }
}

/// Writes the values of a column. Ends early if `go_on` returns false.
fn write_values<T: Copy>(
    to: &mut &mut [u8],
    values: &[T],
    bytes: fn(T) -> [u8; 4],
    go_on: &mut dyn FnMut() -> bool,
) -> Result<(), EndOfSlice> {
    for values in values.chunks(VALUES_PER_CHECK) {
        if !go_on() {
            return Ok(());
        }
        values.iter().try_for_each(|&value| to.write_all(&bytes(value)))?;
    }
    Ok(())
}

/// Writes everything but the values of the columns. For these it calls `column` with the index of the side (0 customers, 1
/// movies, 2 the prior), the index of the column, and the length of the column in bytes.
fn write<W: Write>(
    encoder: &mut Encoder<W>,
    metadata: &ModelMetadata,
    sides: [ColumnLengths; 2],
    prior: Option<usize>,
    mut column: impl FnMut(&mut W, usize, usize, usize) -> Result<(), W::Error>,
) -> Result<(), EncodeError<W>> {
    let mut write_column =
        |encoder: &mut Encoder<W>, side: usize, index: usize, bytes: Option<usize>| match bytes {
            None => encoder.null()?.ok(),
            Some(bytes) => {
                encoder.bytes_len(bytes as u64)?;
                column(encoder.writer_mut(), side, index, bytes).map_err(minicbor::encode::Error::write)
            }
        };
    encoder.map(4)?.str("about")?;
    write_metadata(encoder, metadata)?;
    for (side, (name, lengths)) in ["customers", "movies"].into_iter().zip(sides).enumerate() {
        encoder.str(name)?.map(4)?;
        for (index, (name, bytes)) in COLUMNS.into_iter().zip(lengths.0).enumerate() {
            encoder.str(name)?;
            write_column(encoder, side, index, bytes)?;
        }
    }
    encoder.str("prior")?;
    write_column(encoder, sides.len(), 0, prior)
}

fn write_metadata<W: Write>(
    encoder: &mut Encoder<W>,
    metadata: &ModelMetadata,
) -> Result<(), EncodeError<W>> {
    encoder.map(15)?;
    encoder.str("name")?.str(&metadata.name)?;
    encoder.str("algorithm")?.str(&metadata.algorithm)?;
    encoder.str("params")?.str(&metadata.params)?;
    encoder.str("train_on")?.str(&metadata.train_on)?;
    encoder.str("hold_out")?.f64(metadata.hold_out)?;
    encoder.str("factors")?.u32(metadata.factors)?;
    encoder.str("samples")?.u32(metadata.samples)?;
    encoder.str("mean")?.f32(metadata.mean)?;
    encoder.str("ratings")?.u64(metadata.ratings)?;
    encoder.str("iterations")?.u32(metadata.iterations)?;
    encoder.str("train_rmse")?.f64(metadata.train_rmse)?;
    encoder.str("probe_rmse")?.encode(metadata.probe_rmse)?;
    encoder.str("summary")?.encode(metadata.summary.as_deref())?;
    encoder.str("seconds")?.f64(metadata.seconds)?;
    encoder.str("curve")?.array(metadata.curve.len() as u64)?;
    for &(number, train, held_out, at) in &metadata.curve {
        encoder.array(4)?.u32(number)?.f64(train)?.encode(held_out)?.f64(at)?;
    }
    Ok(())
}

/// The contents as they are read, before the columns are checked.
pub(super) struct Contents<'a> {
    pub metadata: ModelMetadata,
    pub customers: Columns<'a>,
    pub movies: Columns<'a>,
    /// Archives of format 1 have none.
    pub prior: Option<&'a [u8]>,
}

/// The columns of one side, as bytes.
pub(super) struct Columns<'a> {
    pub ids: &'a [u8],
    pub biases: &'a [u8],
    pub factors: &'a [u8],
    pub links: Option<&'a [u8]>,
}

type DecodeError = minicbor::decode::Error;

/// Reads the contents. The fields of a map may come in any order. A field that is unknown or comes twice is an error.
pub(super) fn decode(bytes: &[u8]) -> Result<Contents<'_>, ArchiveError> {
    let mut decoder = Decoder::new(bytes);
    let (mut metadata, mut customers, mut movies, mut prior) = (None, None, None, None);
    fields(&mut decoder, |decoder, field| {
        match field {
            "about" => once(&mut metadata, read_metadata(decoder)?)?,
            "customers" => once(&mut customers, read_columns(decoder)?)?,
            "movies" => once(&mut movies, read_columns(decoder)?)?,
            "prior" => once(&mut prior, nullable(decoder, |decoder| decoder.bytes())?)?,
            _ => return Err(unknown()),
        }
        Ok(())
    })?;
    if decoder.position() < bytes.len() {
        return Err(invalid("there are bytes after them"));
    }
    let (metadata, customers, movies) = (needed(metadata)?, needed(customers)?, needed(movies)?);
    Ok(Contents { metadata, customers, movies, prior: prior.flatten() })
}

fn invalid(what: &'static str) -> ArchiveError {
    ArchiveError::Contents(what.into())
}

fn unknown() -> ArchiveError {
    invalid("a field is unknown")
}

/// Sets a field that has not been set yet.
fn once<T>(field: &mut Option<T>, value: T) -> Result<(), ArchiveError> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(invalid("a field occurs twice")),
    }
}

fn needed<T>(field: Option<T>) -> Result<T, ArchiveError> {
    field.ok_or(invalid("a field is missing"))
}

/// Calls `each` for every field of a map, with the decoder at the field's value, and with the field's name.
fn fields<'a>(
    decoder: &mut Decoder<'a>,
    mut each: impl FnMut(&mut Decoder<'a>, &'a str) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let count = decoder.map()?.ok_or(invalid("a map does not state its length"))?;
    for _ in 0..count {
        let field = decoder.str()?;
        each(decoder, field)?;
    }
    Ok(())
}

/// A value that may be null.
fn nullable<'a, T>(
    decoder: &mut Decoder<'a>,
    read: impl FnOnce(&mut Decoder<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    match decoder.datatype()? {
        minicbor::data::Type::Null => decoder.null().map(|()| None),
        _ => read(decoder).map(Some),
    }
}

/// A copy of a text that may not be longer than this.
fn text(text: &str, longest: usize) -> Result<String, ArchiveError> {
    if text.len() > longest {
        return Err(invalid("a text is too long"));
    }
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).map_err(|_| ArchiveError::OutOfMemory { bytes: text.len() })?;
    copy.push_str(text);
    Ok(copy)
}

fn read_metadata(decoder: &mut Decoder<'_>) -> Result<ModelMetadata, ArchiveError> {
    let (mut name, mut algorithm, mut params, mut train_on) = (None, None, None, None);
    let (mut hold_out, mut factors, mut samples, mut mean) = (None, None, None, None);
    let (mut ratings, mut iterations, mut train_rmse, mut seconds) = (None, None, None, None);
    let (mut probe_rmse, mut summary, mut curve) = (None, None, None);
    fields(decoder, |decoder, field| match field {
        "name" => once(&mut name, text(decoder.str()?, LONGEST_NAME)?),
        "algorithm" => once(&mut algorithm, text(decoder.str()?, LONGEST_NAME)?),
        "params" => once(&mut params, text(decoder.str()?, LONGEST_PARAMS)?),
        "train_on" => once(&mut train_on, text(decoder.str()?, LONGEST_NAME)?),
        "hold_out" => once(&mut hold_out, decoder.f64()?),
        "factors" => once(&mut factors, decoder.u32()?),
        "samples" => once(&mut samples, decoder.u32()?),
        "mean" => once(&mut mean, decoder.f32()?),
        "ratings" => once(&mut ratings, decoder.u64()?),
        "iterations" => once(&mut iterations, decoder.u32()?),
        "train_rmse" => once(&mut train_rmse, decoder.f64()?),
        "probe_rmse" => once(&mut probe_rmse, nullable(decoder, |decoder| decoder.f64())?),
        "summary" => {
            let summary_text = nullable(decoder, |decoder| decoder.str())?;
            once(&mut summary, summary_text.map(|summary| text(summary, LONGEST_SUMMARY)).transpose()?)
        }
        "seconds" => once(&mut seconds, decoder.f64()?),
        "curve" => once(&mut curve, read_curve(decoder)?),
        _ => Err(unknown()),
    })?;
    Ok(ModelMetadata {
        name: needed(name)?,
        algorithm: needed(algorithm)?,
        params: needed(params)?,
        train_on: needed(train_on)?,
        hold_out: needed(hold_out)?,
        factors: needed(factors)?,
        samples: needed(samples)?,
        mean: needed(mean)?,
        ratings: needed(ratings)?,
        iterations: needed(iterations)?,
        train_rmse: needed(train_rmse)?,
        probe_rmse: needed(probe_rmse)?,
        summary: needed(summary)?,
        seconds: needed(seconds)?,
        curve: needed(curve)?,
    })
}

fn read_curve(decoder: &mut Decoder<'_>) -> Result<Vec<CurvePoint>, ArchiveError> {
    let points = decoder.array()?.ok_or(invalid("a list does not state its length"))?;
    if points > LONGEST_CURVE as u64 {
        return Err(invalid("the curve has more iterations than any training makes"));
    }
    if points > (decoder.input().len() - decoder.position()) as u64 {
        return Err(invalid("the curve has fewer iterations than it states"));
    }
    let mut curve = try_with_capacity(points as usize)?;
    for _ in 0..points {
        if decoder.array()? != Some(4) {
            return Err(invalid("an iteration does not have four values"));
        }
        let (number, train) = (decoder.u32()?, decoder.f64()?);
        curve.push((number, train, nullable(decoder, |decoder| decoder.f64())?, decoder.f64()?));
    }
    Ok(curve)
}

fn read_columns<'a>(decoder: &mut Decoder<'a>) -> Result<Columns<'a>, ArchiveError> {
    let (mut ids, mut biases, mut factors, mut links) = (None, None, None, None);
    fields(decoder, |decoder, field| match field {
        "ids" => once(&mut ids, decoder.bytes()?),
        "biases" => once(&mut biases, decoder.bytes()?),
        "factors" => once(&mut factors, decoder.bytes()?),
        "links" => once(&mut links, nullable(decoder, |decoder| decoder.bytes())?),
        _ => Err(unknown()),
    })?;
    Ok(Columns {
        ids: needed(ids)?,
        biases: needed(biases)?,
        factors: needed(factors)?,
        links: needed(links)?,
    })
}

impl From<DecodeError> for ArchiveError {
    fn from(error: DecodeError) -> ArchiveError {
        ArchiveError::Contents(error.to_string())
    }
}
