//! The contents of an archive: CBOR (RFC 8949), written into room that is reserved before, and read without believing any length
//! that they state.

use std::sync::atomic::AtomicBool;

use minicbor::encode::Write;
use minicbor::encode::write::EndOfSlice;
use minicbor::{Decoder, Encoder};

use crate::archive::fields::{About, Archive, ArchiveError, Point, Rows, VALUES_PER_CHECK, go_on};
use crate::memory::try_with_capacity;

type EncodeError<W> = minicbor::encode::Error<<W as Write>::Error>;

/// Bytes of a name, of parameters and of a summary, and iterations of a curve: more than any training makes.
const LONGEST_NAME: usize = 255;
const LONGEST_PARAMS: usize = 1 << 12;
const LONGEST_SUMMARY: usize = 1 << 16;
pub(super) const LONGEST_CURVE: usize = 4096;

/// Counts what is written.
struct Counted(usize);

impl Write for Counted {
    type Error = std::convert::Infallible;

    fn write_all(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0 += bytes.len();
        Ok(())
    }
}

/// How many bytes each of a side's columns has: ids, biases, factors, and links where they are there.
#[derive(Clone, Copy)]
pub(super) struct Shape([Option<usize>; 4]);

/// Their names.
const COLUMNS: [&str; 4] = ["ids", "biases", "factors", "links"];

impl Shape {
    /// Of so many numbers each.
    pub fn of_counts(ids: usize, biases: usize, factors: usize, links: Option<usize>) -> Shape {
        let counts = [Some(ids), Some(biases), Some(factors), links];
        Shape(counts.map(|count| Some(count?.saturating_mul(size_of::<f32>()))))
    }
}

impl Rows {
    pub(super) fn shape(&self) -> Shape {
        let links = self.links.as_ref().map(Vec::len);
        Shape::of_counts(self.ids.len(), self.biases.len(), self.factors.len(), links)
    }
}

/// Bytes of the contents.
pub(super) fn size(about: &About, sides: [Shape; 2], prior: Option<usize>) -> usize {
    let mut numbers = 0usize;
    let mut encoder = Encoder::new(Counted(0));
    let prior = prior.map(|numbers| numbers.saturating_mul(size_of::<f32>()));
    let written = write(&mut encoder, about, sides, prior, |_, _, _, bytes| {
        numbers = numbers.saturating_add(bytes);
        Ok(())
    });
    match written {
        Ok(()) => encoder.into_writer().0.saturating_add(numbers),
        // Counting cannot fail.
        Err(_) => usize::MAX,
    }
}

/// Writes the contents into as many bytes as [`size`] tells.
pub(super) fn encode(archive: &Archive, to: &mut [u8], cancelled: &AtomicBool) -> Result<(), ArchiveError> {
    let Archive { about, customers, movies, prior } = archive;
    let sides = [customers, movies];
    let mut stopped = false;
    let prior_bytes = prior.as_ref().map(|prior| prior.len() * size_of::<f32>());
    let shapes = sides.map(Rows::shape);
    let written = write(&mut Encoder::new(to), about, shapes, prior_bytes, |to, side, column, _| {
        let mut go_on = || {
            stopped |= go_on(cancelled).is_err();
            !stopped
        };
        let Some(rows) = sides.get(side) else {
            return numbers(to, prior.as_deref().unwrap_or_default(), f32::to_le_bytes, &mut go_on);
        };
        match column {
            0 => numbers(to, &rows.ids, i32::to_le_bytes, &mut go_on),
            1 => numbers(to, &rows.biases, f32::to_le_bytes, &mut go_on),
            2 => numbers(to, &rows.factors, f32::to_le_bytes, &mut go_on),
            _ => numbers(to, rows.links.as_deref().unwrap_or_default(), f32::to_le_bytes, &mut go_on),
        }
    });
    match written {
        _ if stopped => Err(ArchiveError::Cancelled),
        Ok(()) => Ok(()),
        Err(error) => Err(ArchiveError::Contents(error.to_string())),
    }
}

fn numbers<T: Copy>(
    to: &mut &mut [u8],
    numbers: &[T],
    bytes: fn(T) -> [u8; 4],
    go_on: &mut dyn FnMut() -> bool,
) -> Result<(), EndOfSlice> {
    for numbers in numbers.chunks(VALUES_PER_CHECK) {
        if !go_on() {
            return Ok(());
        }
        numbers.iter().try_for_each(|&number| to.write_all(&bytes(number)))?;
    }
    Ok(())
}

/// Writes all but the columns' numbers, for which `column` is called, with the side, the column's number and its bytes; and in
/// the end for the prior's, as of a third side.
fn write<W: Write>(
    encoder: &mut Encoder<W>,
    about: &About,
    sides: [Shape; 2],
    prior: Option<usize>,
    mut column: impl FnMut(&mut W, usize, usize, usize) -> Result<(), W::Error>,
) -> Result<(), EncodeError<W>> {
    let mut write_column =
        |encoder: &mut Encoder<W>, side: usize, number: usize, bytes: Option<usize>| match bytes {
            None => encoder.null()?.ok(),
            Some(bytes) => {
                encoder.bytes_len(bytes as u64)?;
                column(encoder.writer_mut(), side, number, bytes).map_err(minicbor::encode::Error::write)
            }
        };
    encoder.map(4)?.str("about")?;
    write_about(encoder, about)?;
    for (side, (name, shape)) in ["customers", "movies"].into_iter().zip(sides).enumerate() {
        encoder.str(name)?.map(4)?;
        for (number, (name, bytes)) in COLUMNS.into_iter().zip(shape.0).enumerate() {
            encoder.str(name)?;
            write_column(encoder, side, number, bytes)?;
        }
    }
    encoder.str("prior")?;
    write_column(encoder, sides.len(), 0, prior)
}

fn write_about<W: Write>(encoder: &mut Encoder<W>, about: &About) -> Result<(), EncodeError<W>> {
    encoder.map(15)?;
    encoder.str("name")?.str(&about.name)?;
    encoder.str("algorithm")?.str(&about.algorithm)?;
    encoder.str("params")?.str(&about.params)?;
    encoder.str("train_on")?.str(&about.train_on)?;
    encoder.str("hold_out")?.f64(about.hold_out)?;
    encoder.str("factors")?.u32(about.factors)?;
    encoder.str("samples")?.u32(about.samples)?;
    encoder.str("mean")?.f32(about.mean)?;
    encoder.str("ratings")?.u64(about.ratings)?;
    encoder.str("iterations")?.u32(about.iterations)?;
    encoder.str("train_rmse")?.f64(about.train_rmse)?;
    encoder.str("probe_rmse")?.encode(about.probe_rmse)?;
    encoder.str("summary")?.encode(about.summary.as_deref())?;
    encoder.str("seconds")?.f64(about.seconds)?;
    encoder.str("curve")?.array(about.curve.len() as u64)?;
    for &(number, train, held_out, at) in &about.curve {
        encoder.array(4)?.u32(number)?.f64(train)?.encode(held_out)?.f64(at)?;
    }
    Ok(())
}

/// What is read, before its rows are checked: columns as they stand there.
pub(super) struct Contents<'a> {
    pub about: About,
    pub customers: Columns<'a>,
    pub movies: Columns<'a>,
    /// The first format has none.
    pub prior: Option<&'a [u8]>,
}

pub(super) struct Columns<'a> {
    pub ids: &'a [u8],
    pub biases: &'a [u8],
    pub factors: &'a [u8],
    pub links: Option<&'a [u8]>,
}

type DecodeError = minicbor::decode::Error;

/// Reads the contents. A map's fields may come in any order, each once and none that is not known.
pub(super) fn decode(bytes: &[u8]) -> Result<Contents<'_>, ArchiveError> {
    let mut decoder = Decoder::new(bytes);
    let (mut about, mut customers, mut movies, mut prior) = (None, None, None, None);
    fields(&mut decoder, |decoder, field| {
        match field {
            "about" => once(&mut about, read_about(decoder)?)?,
            "customers" => once(&mut customers, read_columns(decoder)?)?,
            "movies" => once(&mut movies, read_columns(decoder)?)?,
            "prior" => once(&mut prior, nullable(decoder, |decoder| decoder.bytes())?)?,
            _ => return Err(unknown()),
        }
        Ok(())
    })?;
    if decoder.position() < bytes.len() {
        return Err(invalid("something follows them"));
    }
    let (about, customers, movies) = (needed(about)?, needed(customers)?, needed(movies)?);
    Ok(Contents { about, customers, movies, prior: prior.flatten() })
}

fn invalid(what: &'static str) -> ArchiveError {
    ArchiveError::Contents(what.into())
}

fn unknown() -> ArchiveError {
    invalid("a field is not known")
}

fn once<T>(field: &mut Option<T>, value: T) -> Result<(), ArchiveError> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(invalid("a field stands twice")),
    }
}

fn needed<T>(field: Option<T>) -> Result<T, ArchiveError> {
    field.ok_or(invalid("a field is missing"))
}

/// Hands on each field of a map: its name, where its value is to be read.
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

/// A value, or null in its place.
fn nullable<'a, T>(
    decoder: &mut Decoder<'a>,
    read: impl FnOnce(&mut Decoder<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    match decoder.datatype()? {
        minicbor::data::Type::Null => decoder.null().map(|()| None),
        _ => read(decoder).map(Some),
    }
}

fn text(text: &str, longest: usize) -> Result<String, ArchiveError> {
    if text.len() > longest {
        return Err(invalid("a text is longer than any can be"));
    }
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).map_err(|_| ArchiveError::OutOfMemory { bytes: text.len() })?;
    copy.push_str(text);
    Ok(copy)
}

fn read_about(decoder: &mut Decoder<'_>) -> Result<About, ArchiveError> {
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
    Ok(About {
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

fn read_curve(decoder: &mut Decoder<'_>) -> Result<Vec<Point>, ArchiveError> {
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
            return Err(invalid("an iteration is not four numbers"));
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
