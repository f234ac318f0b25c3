//! Writes a sample data set in the Netflix Prize's raw format.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;
use prize_format::sample::{Layout, Realism, Sample};

const USAGE: &str = "\
Writes a made-up data set in the Netflix Prize's format into a new or empty folder. At the end, it prints the
RMSE on the probe of the best possible prediction. No model can be expected to reach a lower RMSE.

usage: prize-sample FOLDER [options]

  --ratings N          number of ratings in the training set (default 1000000; the Prize has 100480507)
  --customers N        number of customers (default: ratings / 209; relatively more below a million ratings)
  --movies N           number of movies (default: ratings / 270, at most 17770; relatively more below a million
                       ratings)
  --seed N             seed of the random numbers (default 42); the same seed makes the same files
  --plain              plant only biases, factors and a drift over the years: who rates which movie, and on
                       which day, then says nothing about the rating
  --genres N           divide the movies into N genres, at most 20: the same customers like movies of a genre,
                       and genres.csv tells the genre of each movie
  --layout files       write training_set/mv_*.txt, one file for each movie (default)
  --layout tar         write training_set.tar
  --layout combined    write combined_data_1.txt to combined_data_4.txt
  --gzip               compress each file with gzip
  --crlf               end lines with CR LF, as Windows does
  --no-final-newline   leave out the line end after the last line of each file
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("prize-sample: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let mut sample = Sample::of(1_000_000);
    let (mut folder, mut customers, mut movies) = (None::<PathBuf>, None, None);
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("ratings") => {
                let Sample { seed, realism, genres, layout, style, .. } = sample;
                sample =
                    Sample { seed, realism, genres, layout, style, ..Sample::of(args.value()?.parse()?) };
            }
            Long("customers") => customers = Some(args.value()?.parse()?),
            Long("movies") => movies = Some(args.value()?.parse()?),
            Long("seed") => sample.seed = args.value()?.parse()?,
            Long("layout") => {
                sample.layout = match args.value()?.to_str() {
                    Some("files") => Layout::Files,
                    Some("tar") => Layout::Tar,
                    Some("combined") => Layout::Combined,
                    _ => return Err("--layout must be files, tar or combined".into()),
                }
            }
            Long("genres") => sample.genres = args.value()?.parse()?,
            Long("plain") => sample.realism = Realism::Plain,
            Long("gzip") => sample.style.gzip = true,
            Long("crlf") => sample.style.crlf = true,
            Long("no-final-newline") => sample.style.final_newline = false,
            Long("help") | Short('h') => {
                print!("{USAGE}");
                return Ok(());
            }
            Value(path) if folder.is_none() => folder = Some(path.into()),
            other => return Err(format!("{}\n\n{USAGE}", other.unexpected()).into()),
        }
    }
    let folder = folder.ok_or(USAGE)?;
    sample.customers = customers.unwrap_or(sample.customers);
    sample.movies = movies.unwrap_or(sample.movies);

    let shows_progress = std::io::stderr().is_terminal();
    let mut percent = 0;
    let made = sample.write(&folder, &mut |written| {
        let now = written * 100 / sample.ratings;
        if shows_progress && now > percent {
            percent = now;
            eprint!("\r{percent} %");
        }
    });
    let made = made.map_err(|error| format!("{}: {error}", folder.display()))?;
    if shows_progress {
        eprint!("\r");
    }
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{}: {} ratings of {} movies by {} customers, {} probe pairs, {} qualifying pairs",
        folder.display(),
        made.ratings,
        sample.movies,
        sample.customers,
        made.probe,
        made.qualifying,
    )?;
    if let Some(rmse) = made.truth_rmse {
        writeln!(out, "the best possible prediction has an RMSE of {rmse:.4} on the probe")?;
    }
    Ok(())
}
