//! Makes a sample: draws who rates which movie on which day, draws the rating, and writes the files.

use std::io;
use std::path::Path;

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::population::{Population, Set};
use super::settings::{FULL, FULL_PROBE, FULL_QUALIFYING, Sample};
#[cfg(test)]
use super::settings::{Layout, Style};
use super::titles::titles;
use super::truth::Truth;
use super::writer::{MovieBlock, Writer};

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The number of ratings in the training set, including the probe's.
    pub ratings: u64,
    /// The number of pairs in `probe.txt`.
    pub probe: u64,
    /// The number of pairs in `qualifying.txt`, and of answers in `grand_prize/judging.txt`.
    pub qualifying: u64,
    /// The root mean squared error on the probe of the best prediction that the planted truth allows. With
    /// [`super::Realism::Plain`] that is the planted score, limited to 1 to 5. With [`super::Realism::Lifelike`] it is
    /// the expected rating for the planted score. `None` if there is no probe.
    pub truth_rmse: Option<f64>,
}

impl Sample {
    /// Writes the files into a folder. The folder is created if it does not exist. `progress` is called with the number
    /// of ratings that have been written.
    ///
    /// An error if the folder cannot be written or is not empty, or if there are too few customers and movies for so
    /// many ratings: at most half of all pairs can be rated.
    pub fn write(&self, folder: &Path, progress: &mut dyn FnMut(u64)) -> io::Result<Summary> {
        let share = self.ratings as f64 / FULL.ratings as f64;
        let probe = (share * FULL_PROBE as f64).round() as u64;
        let qualifying = (share * FULL_QUALIFYING as f64).round() as u64;
        let pairs = u64::from(self.customers) * u64::from(self.movies);
        if self.ratings == 0 || self.ratings.saturating_add(qualifying) > pairs / 2 {
            let message = format!(
                "cannot spread {} ratings over {} customers and {} movies: at most half of the {pairs} pairs can be rated",
                self.ratings, self.customers, self.movies
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        if self.genres > Sample::MOST_GENRES {
            let message = format!("there can be at most {} genres", Sample::MOST_GENRES);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(self.seed);
        let population = Population::new(self, qualifying, probe, &mut rng);
        let truth = Truth::new(self, &population.movies, &mut rng);
        let mut writer = Writer::create(folder, self.layout, self.style, self.movies)?;
        writer.write_titles(&titles(self, &population.movies, &mut rng))?;
        if self.genres > 0 {
            let ids = population.movies.iter().map(|movie| movie.id);
            writer.write_genres(ids.map(|id| (id, self.genre(id).unwrap_or_default())))?;
        }

        let mut drawn = Vec::new();
        let mut training = MovieBlock::default();
        let mut withheld = MovieBlock::default();
        let (mut probe_pairs, mut squared_error, mut written, mut qualifying_pairs) = (0, 0.0, 0, 0);
        for movie in &population.movies {
            population.draw(movie, &truth, &mut rng, &mut drawn);
            training.start(movie.id);
            withheld.start(movie.id);
            for pair in &drawn {
                let customer = &population.customers[pair.customer as usize];
                let day = population.day(movie, pair, &mut rng);
                let score = truth.score(pair.customer, movie.index, day);
                let rating = truth.rating(score, &mut rng);
                if pair.set == Set::Qualifying {
                    withheld.push(customer.id, rating, day);
                    continue;
                }
                if pair.set == Set::Probe {
                    let error = truth.best_prediction(score) - f32::from(rating);
                    squared_error += f64::from(error * error);
                    probe_pairs += 1;
                    writer.write_probe_pair(movie.id, customer.id)?;
                }
                training.push(customer.id, rating, day);
            }
            written += training.len();
            qualifying_pairs += withheld.len();
            writer.write_training(&training)?;
            writer.write_withheld(&withheld)?;
            progress(written);
        }
        writer.finish()?;
        Ok(Summary {
            ratings: written,
            probe: probe_pairs,
            qualifying: qualifying_pairs,
            truth_rmse: (probe_pairs > 0).then(|| (squared_error / probe_pairs as f64).sqrt()),
        })
    }
}

/// Writes only the given training ratings. Each movie has its id and its ratings: customer id, rating and day, counted
/// from the Prize's first day. Returns what should be read back: movie id, customer id, rating and date, sorted.
#[cfg(test)]
pub(crate) fn write_ratings(
    folder: &Path,
    layout: Layout,
    style: Style,
    movies: &[(u32, Vec<(u32, u8, u32)>)],
) -> io::Result<Vec<(u32, u32, u8, crate::Date)>> {
    let last = movies.last().map_or(1, |&(movie_id, _)| movie_id);
    let mut writer = Writer::create(folder, layout, style, last)?;
    let calendar = super::calendar::calendar();
    let mut written = Vec::new();
    for (movie_id, ratings) in movies {
        let mut block = MovieBlock::default();
        block.start(*movie_id);
        for &(customer_id, rating, day) in ratings {
            block.push(customer_id, rating, day);
            written.push((*movie_id, customer_id, rating, calendar[day as usize]));
        }
        writer.write_training(&block)?;
    }
    writer.finish()?;
    written.sort_unstable();
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Realism;
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::Read;

    fn made(layout: Layout, gzip: bool) -> (tempfile::TempDir, Summary) {
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample { layout, style: Style { gzip, ..FULL.style }, ..Sample::of(5_000) };
        let summary = sample.write(folder.path(), &mut |_| {}).unwrap();
        (folder, summary)
    }

    /// The checksums are those of the files that earlier versions wrote for the same seed.
    #[test]
    fn plain_samples_never_change() {
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample { layout: Layout::Combined, realism: Realism::Plain, ..Sample::of(5_000) };
        sample.write(folder.path(), &mut |_| {}).unwrap();
        let checksums = files(folder.path()).into_iter().map(|(name, text)| (name, crc32fast::hash(&text)));
        let checksums = checksums.collect::<Vec<_>>();
        let expected = [
            ("combined_data_1.txt", 39651046),
            ("combined_data_2.txt", 1525763693),
            ("combined_data_3.txt", 2561236406),
            ("combined_data_4.txt", 3847829213),
            ("movie_titles.csv", 3889382862),
            ("probe.txt", 3164107722),
            ("qualifying.txt", 3471148),
        ];
        let expected = expected.map(|(name, checksum): (&str, u32)| (name.to_owned(), checksum));
        assert_eq!(checksums, expected);
    }

    fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let plain = entries.filter(|path| path.is_file());
        plain
            .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
            .collect()
    }

    #[test]
    fn an_archive_and_gzipped_files_hold_the_same() {
        let (plain, summary) = made(Layout::Files, false);
        let (packed, again) = made(Layout::Tar, true);
        assert_eq!(again, summary);
        let unpack = |bytes: &[u8]| {
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(bytes).read_to_end(&mut text).unwrap();
            text
        };
        let mut packed = files(packed.path());
        let archive = unpack(&packed.remove("training_set.tar.gz").unwrap());
        let mut archive = tar::Archive::new(&archive[..]);
        let members = archive.entries().unwrap().map(|member| {
            let mut member = member.unwrap();
            let mut text = Vec::new();
            member.read_to_end(&mut text).unwrap();
            (member.path().unwrap().file_name().unwrap().to_str().unwrap().to_owned(), text)
        });
        assert_eq!(members.collect::<BTreeMap<_, _>>(), files(&plain.path().join("training_set")));
        let unpacked = packed.iter().map(|(name, bytes)| (name.strip_suffix(".gz").unwrap(), unpack(bytes)));
        assert!(unpacked.eq(files(plain.path()).iter().map(|(name, text)| (&name[..], text.clone()))));
    }

    #[test]
    fn judging_answers_qualifying_line_by_line() {
        let (folder, summary) = made(Layout::Combined, false);
        let read = |name| String::from_utf8(fs::read(folder.path().join(name)).unwrap()).unwrap();
        let (judging, qualifying) = (read("grand_prize/judging.txt"), read("qualifying.txt"));
        assert_eq!(judging.lines().count(), qualifying.lines().count());
        let (mut answers, mut tests) = (0, 0);
        for (answer, question) in judging.lines().zip(qualifying.lines()) {
            match answer.split_once(',') {
                Some((rating, subset)) => {
                    assert!(["1", "2", "3", "4", "5"].contains(&rating) && ["0", "1"].contains(&subset));
                    assert!(question.contains(','));
                    answers += 1;
                    tests += u64::from(subset == "1");
                }
                None => assert!(answer == question && answer.ends_with(':')),
            }
        }
        assert_eq!(answers, summary.qualifying);
        assert!(tests.abs_diff(answers / 2) < answers / 8, "{tests} of {answers}");
    }

    #[test]
    fn impossible_samples_are_refused() {
        let (folder, _) = made(Layout::Files, false);
        let error = |sample: Sample, folder: &Path| sample.write(folder, &mut |_| {}).unwrap_err().kind();
        assert_eq!(error(Sample::of(5_000), folder.path()), io::ErrorKind::AlreadyExists);
        let free = tempfile::tempdir().unwrap();
        for ratings in [0, 101, u64::MAX] {
            let crowded = Sample { customers: 20, movies: 10, ratings, ..FULL };
            assert_eq!(error(crowded, free.path()), io::ErrorKind::InvalidInput, "{ratings}");
        }
    }
}
