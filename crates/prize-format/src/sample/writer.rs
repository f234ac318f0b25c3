//! Writes the files of a data set, in one of the layouts in which people have it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::calendar::calendar;
use super::output::{LineEnds, Output};
use super::random::hash;
use super::settings::{Layout, Style};
use crate::parse::date::Date;
use crate::parse::title::Title;

/// Ratings of one movie: customer id, rating and day.
#[derive(Default)]
pub struct MovieBlock {
    movie_id: u32,
    ratings: Vec<(u32, u8, u32)>,
}

impl MovieBlock {
    /// Empties the block for another movie.
    pub fn start(&mut self, movie_id: u32) {
        self.movie_id = movie_id;
        self.ratings.clear();
    }

    /// Adds a customer's rating. The day counts from the Prize's first day.
    pub fn push(&mut self, customer_id: u32, rating: u8, day: u32) {
        self.ratings.push((customer_id, rating, day));
    }

    pub fn len(&self) -> u64 {
        self.ratings.len() as u64
    }
}

/// The files of a data set that is being written.
pub struct Writer {
    folder: PathBuf,
    style: Style,
    /// The highest movie id.
    highest_movie: u32,
    training: Training,
    probe: Output,
    /// The movie of the last pair in the probe.
    probe_movie: u32,
    qualifying: Output,
    judging: Output,
    /// The date of every day, as text.
    dates: Vec<String>,
    /// Memory for the text of one movie.
    text: Vec<u8>,
}

enum Training {
    Files,
    Tar(Box<tar::Builder<Output>>),
    /// The file being written, and its number from 1 to 4.
    Combined(usize, Output),
}

impl Writer {
    pub fn create(folder: &Path, layout: Layout, style: Style, highest_movie: u32) -> io::Result<Writer> {
        fs::create_dir_all(folder)?;
        // Otherwise two samples in one folder would be loaded as one data set.
        if fs::read_dir(folder)?.next().is_some() {
            let message = "the folder is not empty: name a new one";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        let open = |name: &str| Output::create(folder, name, style);
        let judges = folder.join("grand_prize");
        fs::create_dir_all(&judges)?;
        let training = match layout {
            Layout::Files => {
                fs::create_dir_all(folder.join("training_set"))?;
                Training::Files
            }
            // The archive's own bytes are not lines: no line ends are replaced.
            Layout::Tar => {
                let binary = Style { crlf: false, final_newline: true, ..style };
                Training::Tar(Box::new(tar::Builder::new(Output::create(
                    folder,
                    "training_set.tar",
                    binary,
                )?)))
            }
            Layout::Combined => Training::Combined(1, open("combined_data_1.txt")?),
        };
        Ok(Writer {
            style,
            highest_movie,
            training,
            probe: open("probe.txt")?,
            probe_movie: 0,
            qualifying: open("qualifying.txt")?,
            judging: Output::create(&judges, "judging.txt", style)?,
            folder: folder.into(),
            dates: calendar().iter().map(Date::to_string).collect(),
            text: Vec::new(),
        })
    }

    pub fn write_titles(&mut self, titles: &[Title]) -> io::Result<()> {
        let mut file = Output::create(&self.folder, "movie_titles.csv", self.style)?;
        for Title { movie_id, release_year, title } in titles {
            match release_year {
                Some(year) => write!(file, "{movie_id},{year},")?,
                None => write!(file, "{movie_id},NULL,")?,
            }
            file.write_all(&encoding_rs::WINDOWS_1252.encode(title.as_deref().unwrap_or_default()).0)?;
            file.write_all(b"\n")?;
        }
        file.finish()
    }

    /// Writes the genre of each movie: `genres.csv`, which is no file of the Prize.
    pub fn write_genres(&mut self, genres: impl Iterator<Item = (u32, u32)>) -> io::Result<()> {
        let mut file = Output::create(&self.folder, "genres.csv", self.style)?;
        writeln!(file, "movie_id,genre")?;
        for (movie_id, genre) in genres {
            writeln!(file, "{movie_id},{}", genre + 1)?;
        }
        file.finish()
    }

    /// Writes a movie's training ratings. Call it in the order of movie ids.
    pub fn write_training(&mut self, block: &MovieBlock) -> io::Result<()> {
        if block.ratings.is_empty() {
            return Ok(());
        }
        self.text.clear();
        write_block(&mut self.text, block, |text, (customer_id, rating, day)| {
            push_decimal(text, customer_id);
            text.extend([b',', b'0' + rating, b',']);
            text.extend(self.dates[day as usize].as_bytes());
        });
        let name = format!("mv_{:07}.txt", block.movie_id);
        match &mut self.training {
            Training::Files => {
                let mut file = Output::create(&self.folder.join("training_set"), &name, self.style)?;
                file.write_all(&self.text)?;
                file.finish()
            }
            Training::Tar(archive) => {
                let mut member = Vec::with_capacity(self.text.len());
                let mut line_ends = LineEnds::new(self.style);
                line_ends.write(&mut member, &self.text)?;
                line_ends.finish(&mut member)?;
                let mut header = tar::Header::new_gnu();
                header.set_size(member.len() as u64);
                header.set_mode(0o644);
                archive.append_data(&mut header, format!("training_set/{name}"), &member[..])
            }
            Training::Combined(number, file) => {
                // Four files with about the same number of movies.
                let wanted = (u64::from(block.movie_id - 1) * 4 / u64::from(self.highest_movie)) as usize + 1;
                while *number < wanted {
                    *number += 1;
                    let next =
                        Output::create(&self.folder, &format!("combined_data_{number}.txt"), self.style)?;
                    std::mem::replace(file, next).finish()?;
                }
                file.write_all(&self.text)
            }
        }
    }

    /// Writes a movie's withheld ratings: customer and date to `qualifying.txt`, and on the same line of
    /// `grand_prize/judging.txt` the rating and the half of the qualifying set that the pair is in.
    pub fn write_withheld(&mut self, block: &MovieBlock) -> io::Result<()> {
        if block.ratings.is_empty() {
            return Ok(());
        }
        self.text.clear();
        write_block(&mut self.text, block, |text, (customer_id, _, day)| {
            push_decimal(text, customer_id);
            text.push(b',');
            text.extend(self.dates[day as usize].as_bytes());
        });
        self.qualifying.write_all(&self.text)?;
        self.text.clear();
        write_block(&mut self.text, block, |text, (customer_id, rating, _)| {
            text.extend([b'0' + rating, b',', b'0' + subset(block.movie_id, customer_id)]);
        });
        self.judging.write_all(&self.text)
    }

    /// Writes a pair of the probe. Call it in the order of movie ids.
    pub fn write_probe_pair(&mut self, movie_id: u32, customer_id: u32) -> io::Result<()> {
        if self.probe_movie != movie_id {
            self.probe_movie = movie_id;
            writeln!(self.probe, "{movie_id}:")?;
        }
        writeln!(self.probe, "{customer_id}")
    }

    pub fn finish(self) -> io::Result<()> {
        match self.training {
            Training::Files => {}
            Training::Tar(archive) => archive.into_inner()?.finish()?,
            Training::Combined(_, file) => file.finish()?,
        }
        self.probe.finish()?;
        self.qualifying.finish()?;
        self.judging.finish()
    }
}

/// Adds a movie line, and a line for each rating, whose text `record` adds.
fn write_block(text: &mut Vec<u8>, block: &MovieBlock, mut record: impl FnMut(&mut Vec<u8>, (u32, u8, u32))) {
    push_decimal(text, block.movie_id);
    text.extend(b":\n");
    for &rating in &block.ratings {
        record(text, rating);
        text.push(b'\n');
    }
}

/// The half of the qualifying set that a pair is in: 0 (quiz) or 1 (test). Each half has about half of the pairs of
/// every movie and of every customer.
fn subset(movie_id: u32, customer_id: u32) -> u8 {
    (hash(u64::from(movie_id) << 32 | u64::from(customer_id)) >> 63) as u8
}

/// Adds an integer in decimal. It does not use `fmt`, because that is slow for a hundred million integers.
fn push_decimal(text: &mut Vec<u8>, mut integer: u32) {
    let mut digits = [0; 10];
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (integer % 10) as u8;
        integer /= 10;
        if integer == 0 {
            break;
        }
    }
    text.extend(&digits[from..]);
}
