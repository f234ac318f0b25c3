//! Writes a data set in any of the layouts that people have it in.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::calendar::calendar;
use super::output::{Lines, Output};
use super::settings::{Layout, Style};
use crate::parse::date::Date;
use crate::parse::title::Title;

/// One movie's ratings, as text with plain line ends.
#[derive(Default)]
pub struct Block {
    movie_id: u32,
    ratings: Vec<(u32, u8, u32)>,
}

impl Block {
    pub fn start(&mut self, movie_id: u32) {
        self.movie_id = movie_id;
        self.ratings.clear();
    }

    /// Adds a customer's rating on a day, counted from the Prize's first.
    pub fn push(&mut self, customer_id: u32, rating: u8, day: u32) {
        self.ratings.push((customer_id, rating, day));
    }

    pub fn len(&self) -> u64 {
        self.ratings.len() as u64
    }
}

/// The files of a data set under way.
pub struct Writer {
    folder: PathBuf,
    style: Style,
    movies: u32,
    training: Training,
    probe: Output,
    probe_movie: u32,
    qualifying: Output,
    judging: Output,
    dates: Vec<String>,
    text: Vec<u8>,
}

enum Training {
    Files,
    Tar(Box<tar::Builder<Output>>),
    /// The file of this number, from 1.
    Combined(usize, Output),
}

impl Writer {
    pub fn create(folder: &Path, layout: Layout, style: Style, movies: u32) -> io::Result<Writer> {
        fs::create_dir_all(folder)?;
        // Two samples in one folder would be read as one.
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
            // The archive's own bytes are no lines.
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
            movies,
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

    pub fn titles(&mut self, titles: &[Title]) -> io::Result<()> {
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

    /// Writes a movie's training ratings. Movies come by id.
    pub fn movie(&mut self, block: &Block) -> io::Result<()> {
        if block.ratings.is_empty() {
            return Ok(());
        }
        self.text.clear();
        write_block(&mut self.text, block, |text, (customer_id, rating, day)| {
            push_number(text, customer_id);
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
                let mut lines = Lines { style: self.style, is_held: false };
                lines.write(&mut member, &self.text)?;
                lines.finish(&mut member)?;
                let mut header = tar::Header::new_gnu();
                header.set_size(member.len() as u64);
                header.set_mode(0o644);
                archive.append_data(&mut header, format!("training_set/{name}"), &member[..])
            }
            Training::Combined(number, file) => {
                // Four files of about as many movies.
                let wanted = (u64::from(block.movie_id - 1) * 4 / u64::from(self.movies)) as usize + 1;
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

    /// Writes a movie's withheld ratings: who and when to `qualifying.txt`, and line by line beside it, in
    /// `grand_prize/judging.txt`, the rating and which half of the set the pair is in.
    pub fn judged(&mut self, block: &Block) -> io::Result<()> {
        if block.ratings.is_empty() {
            return Ok(());
        }
        self.text.clear();
        write_block(&mut self.text, block, |text, (customer_id, _, day)| {
            push_number(text, customer_id);
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

    /// Writes a pair of the probe. Movies come by id.
    pub fn probe(&mut self, movie_id: u32, customer_id: u32) -> io::Result<()> {
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

fn write_block(text: &mut Vec<u8>, block: &Block, mut record: impl FnMut(&mut Vec<u8>, (u32, u8, u32))) {
    push_number(text, block.movie_id);
    text.extend(b":\n");
    for &rating in &block.ratings {
        record(text, rating);
        text.push(b'\n');
    }
}

/// 0 (quiz) or 1 (test): about half of any movie's or customer's pairs each (the mixing is that of Steele et al. 2014,
/// SplitMix).
fn subset(movie_id: u32, customer_id: u32) -> u8 {
    let mut mixed = (u64::from(movie_id) << 32 | u64::from(customer_id)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed >> 63) as u8
}

/// Writes a number in decimal: a hundred million times over, so not by way of `fmt`.
fn push_number(text: &mut Vec<u8>, mut number: u32) {
    let mut digits = [0; 10];
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    text.extend(&digits[from..]);
}
