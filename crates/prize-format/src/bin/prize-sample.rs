//! Writes a sample data set in the Netflix Prize's raw format.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::prelude::*;
use prize_format::sample::{Form, Layout, Sample};

const USAGE: &str = "\
Writes a sample data set in the Netflix Prize's raw format, and prints the RMSE that the planted truth
reaches on its probe.

usage: prize-sample FOLDER [options]

  --ratings N      ratings in the training set (default 1000000; the Prize's: 100480507)
  --customers N    customers (default: one to 209 ratings from a million ratings on, more below)
  --movies N       movies (default: one to 270 ratings, likewise, and 17770 at most)
  --seed N         the same seed makes the same files (default 42)
  --plain          who rates what, and when, tells nothing of what they give
  --layout L       files: training_set/mv_*.txt (default); tar: training_set.tar; combined: combined_data_*.txt
  --gzip           compress each file
  --crlf           end lines as Windows does
  --no-final-newline   leave the last line of each file without its end
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
                let Sample { seed, form, layout, style, .. } = sample;
                sample = Sample { seed, form, layout, style, ..Sample::of(args.value()?.parse()?) };
            }
            Long("customers") => customers = Some(args.value()?.parse()?),
            Long("movies") => movies = Some(args.value()?.parse()?),
            Long("seed") => sample.seed = args.value()?.parse()?,
            Long("layout") => {
                sample.layout = match args.value()?.to_str() {
                    Some("files") => Layout::Files,
                    Some("tar") => Layout::Tar,
                    Some("combined") => Layout::Combined,
                    _ => return Err("--layout is files, tar or combined".into()),
                }
            }
            Long("plain") => sample.form = Form::Plain,
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

    let shown = std::io::stderr().is_terminal();
    let mut percent = 0;
    let made = sample.write(&folder, &mut |written| {
        let now = written * 100 / sample.ratings;
        if shown && now > percent {
            percent = now;
            eprint!("\r{percent} %");
        }
    });
    let made = made.map_err(|error| format!("{}: {error}", folder.display()))?;
    if shown {
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
        writeln!(out, "the planted truth reaches an RMSE of {rmse:.4} on the probe")?;
    }
    Ok(())
}
