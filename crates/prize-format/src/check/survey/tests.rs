use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use proptest::prelude::*;

use crate::sample::{Layout, Sample, Style};
use crate::{
    Content, Date, Error, Folder, Limits, LoadedRatings, Progress, Rating, RatingReader, Reason, Reject,
    Survey, TextFile, Unit, Watch, read_probe, read_qualifying,
};

const PLAIN: Style = Style { crlf: false, final_newline: true, gzip: false };
/// Everything that differs from `PLAIN`.
const ODD: Style = Style { crlf: true, final_newline: false, gzip: true };
const NO_REJECTS: Limits = Limits { rejects: Some(0), memory: usize::MAX };
const ANY_REJECTS: Limits = Limits { rejects: None, memory: usize::MAX };

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

fn take_with(
    path: &Path,
    limits: Limits,
    threads: usize,
    known: &mut LoadedRatings,
) -> Result<Survey, Error> {
    let folder = Folder::open(path)?;
    let watch = Watch { stop: &AtomicBool::new(false), on_progress: &|_| () };
    pool(threads).install(|| {
        let mut survey = Survey::take(&folder, limits, &watch)?;
        survey.leave_out_duplicates(known, 0..=u32::MAX, limits, &watch)?;
        Ok(survey)
    })
}

fn take(path: &Path, limits: Limits) -> Result<Survey, Error> {
    take_with(path, limits, 2, &mut LoadedRatings::default())
}

fn survey(path: &Path) -> Survey {
    take(path, NO_REJECTS).unwrap()
}

/// Position in the load, movie, customer, rating and date of each rating, and whether it is in the probe.
type Loaded = Vec<(u64, u32, u32, u8, Date, bool)>;

/// All ratings as the second pass reads them in units of about `ratings_each` ratings, sorted by position in the load.
fn load(survey: &Survey, ratings_each: u64) -> Result<Loaded, Error> {
    let (mut all, mut ratings) = (Vec::new(), Vec::new());
    for unit in survey.units(ratings_each) {
        let unit = Unit::from_bytes(&unit.to_bytes().unwrap()).unwrap();
        let mut reader = RatingReader::new(&survey.files, &|| Ok(()));
        for movie in &unit.movies {
            reader.read(movie, &mut ratings)?;
            all.extend(ratings.iter().zip(movie.ratings_before..).map(|(r, position)| {
                let is_probe = movie.probe.binary_search(&r.customer_id).is_ok();
                (position, movie.movie_id, r.customer_id, r.rating, r.date, is_probe)
            }));
        }
    }
    all.sort_unstable();
    Ok(all)
}

fn date(year: u32, month: u32, day: u32) -> Date {
    Date::new(year, month, day).unwrap()
}

#[test]
fn every_layout_holds_the_same_data() {
    let write = |layout, style| {
        let folder = tempfile::tempdir().unwrap();
        let sample = Sample { layout, style, ..Sample::of(20_000) };
        let made = sample.write(folder.path(), &mut |_| {}).unwrap();
        (folder, made)
    };
    let (files, made) = write(Layout::Files, PLAIN);
    let first = survey(files.path());
    assert_eq!((first.ratings(), first.probe.len() as u64), (made.ratings, made.probe));
    assert_eq!(first.titles.len(), Sample::of(20_000).movies as usize);
    assert!(first.titles.iter().any(|title| title.release_year.is_none()));
    assert!(first.titles.iter().any(|title| title.title.as_ref().unwrap().contains(',')));
    assert!(first.titles.iter().any(|title| !title.title.as_ref().unwrap().is_ascii()));
    let all = load(&first, 1000).unwrap();
    assert_eq!((all.len(), first.duplicates()), (20_000, 0));
    assert!(all.windows(2).all(|w| (w[0].1, w[0].2) < (w[1].1, w[1].2)));
    assert!(all.iter().zip(0..).all(|(rating, position)| rating.0 == position));
    assert_eq!(all.iter().filter(|rating| rating.5).count() as u64, made.probe);
    let qualifying = read_qualifying(&first.files, &|| Ok(())).unwrap();
    assert_eq!((qualifying.len() as u64, first.qualifying), (made.qualifying, made.qualifying));
    assert!(qualifying.iter().all(|pair| pair.rating.is_some() && pair.subset.is_some()));
    assert_eq!(read_probe(&first.files, &|| Ok(())).unwrap(), first.probe);

    for layout in [Layout::Files, Layout::Tar, Layout::Combined] {
        for style in [PLAIN, ODD, Style { gzip: false, ..ODD }, Style { gzip: true, ..PLAIN }] {
            let (folder, again) = write(layout, style);
            assert_eq!(again, made);
            for threads in [1, 3] {
                let second =
                    take_with(folder.path(), NO_REJECTS, threads, &mut LoadedRatings::default()).unwrap();
                assert_eq!(load(&second, 3000).unwrap(), all, "{layout:?} {style:?}");
                assert_eq!((&second.titles, &second.probe), (&first.titles, &first.probe));
                assert_eq!(second.days, first.days);
                assert_eq!(read_qualifying(&second.files, &|| Ok(())).unwrap(), qualifying);
            }
        }
    }
}

/// Any ratings: for each movie, ratings of different customers in any order.
fn any_ratings() -> impl Strategy<Value = Vec<(u32, Vec<(u32, u8, u32)>)>> {
    let customer = prop_oneof![1u32..50, 65_500u32..65_600, 1u32..=i32::MAX as u32];
    let movie = prop_oneof![1u32..20, 1u32..=i32::MAX as u32];
    let raters = prop::collection::btree_map(customer, (1u8..=5, 0u32..2000), 1..40);
    let block = raters.prop_map(|raters| {
        let mut raters = raters.into_iter().map(|(c, (r, d))| (c, r, d)).collect::<Vec<_>>();
        raters.sort_by_key(|rater| rater.0.reverse_bits());
        raters
    });
    prop::collection::btree_map(movie, block, 1..12).prop_map(|movies| movies.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn written_ratings_are_read_back(
        movies in any_ratings(), layout in prop::sample::select(vec![Layout::Files, Layout::Tar, Layout::Combined]),
        crlf in any::<bool>(), final_newline in any::<bool>(), gzip in any::<bool>(), ratings_each in 1u64..60,
        threads in 1usize..4,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let style = Style { crlf, final_newline, gzip };
        let wanted = crate::sample::write_ratings(folder.path(), layout, style, &movies).unwrap();
        let survey = take_with(folder.path(), NO_REJECTS, threads, &mut LoadedRatings::default()).unwrap();
        let read = load(&survey, ratings_each).unwrap();
        let positions = read.iter().map(|rating| rating.0).collect::<Vec<_>>();
        prop_assert_eq!(positions, (0..wanted.len() as u64).collect::<Vec<_>>());
        let read = read.into_iter().map(|(_, m, c, r, d, _)| (m, c, r, d)).collect::<Vec<_>>();
        prop_assert_eq!(read, wanted);
    }
}

#[test]
fn the_first_of_several_ratings_is_kept() {
    let one = b"1:\n5,1,2001-01-01\n3,2,2001-01-01\n2:\n5,3,2001-01-01\n1:\n5,4,2001-01-01\n3,2,2001-01-01\n";
    let two = b"1:\n4,5,2001-01-01\n5,5,2001-01-01\n5,5,2001-01-01\n";
    let folder = folder(&[("combined_data_1.txt", one), ("training_set/mv_0000001.txt", two)]);
    for (threads, ratings_each) in [(1, 1), (2, 100)] {
        let survey = take_with(folder.path(), ANY_REJECTS, threads, &mut LoadedRatings::default()).unwrap();
        let day = date(2001, 1, 1);
        assert_eq!(
            load(&survey, ratings_each).unwrap(),
            [
                (0, 1, 3, 2, day, false),
                (1, 1, 4, 5, day, false),
                (2, 1, 5, 5, day, false),
                (3, 2, 5, 3, day, false)
            ]
        );
        assert_eq!((survey.ratings(), survey.duplicates()), (8, 4));
        let conflicts = survey.rejects.kept.iter().map(|r| (r.file, r.line, &r.text[..])).collect::<Vec<_>>();
        assert_eq!(conflicts, [(1, 2, "5,1,2001-01-01"), (1, 7, "5,4,2001-01-01")]);
        assert_eq!(
            survey.rejects.kept[1].reason.to_string(),
            "the customer has rated the movie before: 5 on 2001-01-01"
        );
        assert_eq!((survey.rejects.count, survey.files[1].rejected), (2, 2));
    }
    let error = take(folder.path(), Limits { rejects: Some(1), ..ANY_REJECTS });
    assert!(matches!(error, Err(Error::TooManyRejects { max: 1, .. })));
}

#[test]
fn the_first_conflicts_are_kept_and_all_are_counted() {
    let block = |rating| (1..=900).rev().map(|id| format!("{id},{rating},2001-01-01\n")).collect::<String>();
    let text = format!("1:\n{}2:\n{}1:\n{}2:\n{}", block(1), block(2), block(3), block(4));
    let folder = folder(&[("combined_data_1.txt", text.as_bytes())]);
    let survey = take(folder.path(), ANY_REJECTS).unwrap();
    assert_eq!((survey.ratings(), survey.duplicates()), (3600, 1800));
    assert_eq!((survey.rejects.count, survey.files[0].rejected), (1800, 1800));
    let lines = survey.rejects.kept.iter().map(|reject| reject.line);
    assert!(lines.eq((1804..=2703).chain(2705..=2804)));
}

#[test]
fn ratings_that_are_loaded_already_are_left_out() {
    let text =
        b"7:\n5,1,2001-01-01\n3,2,2001-01-02\n9,4,2001-01-03\n8:\n5,3,2001-01-01\n9:\n1,1,2001-01-01\n";
    let folder = folder(&[("combined_data_1.txt", text)]);
    let mut known = LoadedRatings::default();
    for (movie, customer_id, rating, day) in
        [(7, 9, 4, 3), (7, 3, 2, 1), (7, 4, 1, 1), (9, 1, 1, 1), (10, 1, 1, 1)]
    {
        known.reserve(movie, 1).unwrap();
        known.add(movie, Rating { customer_id, rating, date: date(2001, 1, day) }).unwrap();
    }
    let survey = take_with(folder.path(), ANY_REJECTS, 2, &mut known).unwrap();
    let day = date(2001, 1, 1);
    assert_eq!(load(&survey, 10).unwrap(), [(0, 7, 5, 1, day, false), (1, 8, 5, 3, day, false)]);
    assert_eq!((survey.duplicates(), survey.rejects.count), (3, 1));
    assert_eq!(survey.rejects.kept[0].line, 3);
    let reason = survey.rejects.kept[0].reason.to_string();
    assert_eq!(reason, "the customer has rated the movie before: 2 on 2001-01-01");
}

#[test]
fn a_gzipped_file_with_movies_in_any_order_is_read() {
    use std::io::Write;
    let folder = folder(&[]);
    let packed = fs::File::create(folder.path().join("combined_data_1.txt.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
    packed
        .write_all(b"9:\n1,1,2001-01-01\n2:\n1,2,2001-01-01\n5:\n1,3,2001-01-01\n2:\n2,4,2001-01-01\n")
        .unwrap();
    packed.finish().unwrap();
    let survey = survey(folder.path());
    let read = load(&survey, 1).unwrap().into_iter().map(|r| (r.0, r.1, r.2, r.3)).collect::<Vec<_>>();
    assert_eq!(read, [(0, 2, 1, 2), (1, 2, 2, 4), (2, 5, 1, 3), (3, 9, 1, 1)]);
}

#[test]
fn the_error_about_a_damaged_archive_names_it() {
    let sample = folder(&[]);
    let made = sample.path().join("made");
    Sample { layout: Layout::Tar, style: Style { gzip: true, ..PLAIN }, ..Sample::of(2_000) }
        .write(&made, &mut |_| {})
        .unwrap();
    let archive = made.join("training_set.tar.gz");
    let whole = fs::read(&archive).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x55;
    // The last eight bytes are the checksum and the length. This changes the checksum.
    let mut other_sum = whole.clone();
    other_sum[whole.len() - 8] ^= 1;
    for damaged in [&whole[..whole.len() / 2], &flipped, &other_sum, b"no archive at all", b""] {
        fs::write(&archive, damaged).unwrap();
        match take(&made, NO_REJECTS).map(drop) {
            Err(Error::Io { path, .. })
            | Err(Error::NoRatings { folder: path, .. })
            | Err(Error::WrongContent { path, .. }) => {
                assert_eq!(path, archive)
            }
            Err(Error::TooManyRejects { path, .. }) => assert_eq!(path, archive),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_plain_file_is_read_and_not_its_gzipped_copy() {
    let text: &[u8] = b"1:\n5,1,2001-01-01\n";
    let folder = folder(&[
        ("training_set/mv_0000001.txt", text),
        ("training_set/mv_0000001.txt.gz", b"no archive"),
        ("training_set.tar", b"nor this"),
        ("probe.txt", b"1:\n5\n"),
        ("probe.txt.gz", b"nor this"),
    ]);
    let survey = survey(folder.path());
    assert_eq!((survey.ratings(), survey.probe.len(), survey.files.len()), (1, 1, 2));
    let notices = Folder::open(folder.path()).unwrap().notices;
    let packed = folder.path().join("probe.txt.gz");
    let plain = folder.path().join("probe.txt");
    let message = format!("\"{}\" is not read: \"{}\" is read instead", packed.display(), plain.display());
    assert!(notices.iter().any(|notice| notice.to_string() == message && !notice.is_loss()), "{notices:?}");
}

#[test]
fn records_after_a_refused_movie_line_are_refused_in_both_passes() {
    let text = b"1:\n7,5,2004-02-29\n0:\n8,3,2004-02-29\n1:\n9,4,2004-02-29\n\n1:\nx\n10,4,2004-02-29\n";
    let folder = folder(&[("combined_data_1.txt", text)]);
    let survey = take(folder.path(), ANY_REJECTS).unwrap();
    assert_eq!((survey.ratings(), survey.rejects.count), (3, 3));
    let customers = load(&survey, 10).unwrap().iter().map(|r| r.2).collect::<Vec<_>>();
    assert_eq!(customers, [7, 9, 10]);
}

#[test]
fn a_file_that_changes_between_the_passes_is_an_error() {
    for changed in [
        &b"1:\n5,1,2001-01-01\n"[..],
        b"1:\n3,1,2001-01-01\n3,2,2001-01-01\n",
        b"",
        b"1:\n5,1,2001-01-01\n3,3,2001-01-01\n",
    ] {
        let folder = folder(&[("combined_data_1.txt", b"1:\n5,1,2001-01-01\n3,2,2001-01-01\n")]);
        let mut survey = survey(folder.path());
        let path = folder.path().join("combined_data_1.txt");
        fs::write(&path, changed).unwrap();
        // The modification time shows no change, so only the content does.
        let modified = crate::read::stream::Stream::open(&path, None).unwrap().1;
        survey.files[0].modified = modified;
        assert!(matches!(load(&survey, 10), Err(Error::Changed { .. })), "{changed:?}");
    }
}

#[test]
fn a_file_rewritten_with_valid_ratings_is_an_error() {
    let folder = folder(&[("combined_data_1.txt", b"1:\n5,1,2001-01-01\n3,2,2001-01-01\n")]);
    let survey = survey(folder.path());
    let path = folder.path().join("combined_data_1.txt");
    fs::write(&path, b"1:\n5,2,2001-01-01\n3,1,2001-01-01\n").unwrap();
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(1);
    fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    assert!(matches!(load(&survey, 10), Err(Error::Changed { .. })));
}

#[test]
fn a_line_that_is_too_long_is_refused_in_both_passes() {
    let long = "9".repeat(crate::parse::lines::MAX_LINE - 1) + ":" + &"9".repeat(10);
    let text = format!("1:\n5,1,2001-01-01\n{long}\n6,1,2001-01-01\n1:\n7,1,2001-01-01\n");
    let folder = folder(&[("combined_data_1.txt", text.as_bytes())]);
    let survey = take(folder.path(), ANY_REJECTS).unwrap();
    assert_eq!((survey.ratings(), survey.rejects.count), (2, 2));
    assert_eq!(load(&survey, 10).unwrap().len(), 2);
}

#[test]
fn the_survey_counts_its_memory_and_keeps_to_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    Sample::of(20_000).write(folder.path(), &mut |_| {}).unwrap();
    let survey = survey(folder.path());
    let list_bytes = size_of_val(&survey.segments[..]) + size_of_val(&survey.probe[..]);
    assert!(survey.memory >= list_bytes && survey.memory < 2 * list_bytes + (1 << 20), "{}", survey.memory);
    let error = take(folder.path(), Limits { memory: list_bytes, ..NO_REJECTS }).map(drop);
    assert!(matches!(error, Err(Error::MemoryLimit { needed }) if needed > list_bytes));
}

#[test]
fn the_memory_limit_holds_while_titles_and_members_are_read() {
    let title = "x".repeat(1000);
    let titles = (1..=40_000).map(|id| format!("{id},2000,{title}\n")).collect::<String>();
    let ratings: &[u8] = b"1:\n5,1,2001-01-01\n";
    let files = folder(&[("movie_titles.csv", titles.as_bytes()), ("combined_data_1.txt", ratings)]);
    let limits = Limits { memory: 10 << 20, ..ANY_REJECTS };
    // The error comes before all titles are in memory.
    let error = take(files.path(), limits).map(drop);
    assert!(matches!(error, Err(Error::MemoryLimit { needed }) if needed < 20 << 20), "{error:?}");

    let archive = folder(&[]);
    let mut packed = tar::Builder::new(fs::File::create(archive.path().join("training_set.tar")).unwrap());
    for index in 0..20_000 {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        packed.append_data(&mut header, format!("mv_{index:090}.txt"), &b""[..]).unwrap();
    }
    packed.finish().unwrap();
    let error = take(archive.path(), Limits { memory: 2 << 20, ..ANY_REJECTS }).map(drop);
    assert!(matches!(error, Err(Error::MemoryLimit { .. })), "{error:?}");
}

#[test]
fn the_first_rejects_of_many_files_are_kept() {
    // Every second file has more rejects than are kept in all.
    let files = (1..=6).map(|n| (format!("training_set/mv_{n}.txt"), "x\n".repeat(n % 2 * 1500 + 300)));
    let files = files.collect::<Vec<_>>();
    let files = files.iter().map(|(name, text)| (&name[..], text.as_bytes())).collect::<Vec<_>>();
    let folder = folder(&files);
    for (max, kept) in [(None, 1000), (Some(6300), 6300)] {
        for threads in [1, 3] {
            let limits = Limits { rejects: max, ..ANY_REJECTS };
            let survey = take_with(folder.path(), limits, threads, &mut LoadedRatings::default()).unwrap();
            assert_eq!((survey.rejects.count, survey.rejects.kept.len()), (6300, kept));
            let all = survey
                .files
                .iter()
                .zip(0..)
                .flat_map(|(text, file)| (1..=text.rejected).map(move |line| (file, line)));
            assert!(survey.rejects.kept.iter().map(|reject| (reject.file, reject.line)).eq(all.take(kept)));
        }
    }
}

#[test]
fn rejects_are_counted_kept_and_limited() {
    let folder = folder(&[("combined_data_1.txt", b"1:\n5,9,2001-01-01\n6,1,2001-01-01\nx\n")]);
    let survey = take(folder.path(), ANY_REJECTS).unwrap();
    assert_eq!((survey.rejects.count, survey.ratings(), survey.files[0].rejected), (2, 1, 2));
    let reject = &survey.rejects.kept[0];
    assert_eq!((reject.line, &reject.text[..], reject.reason), (2, "5,9,2001-01-01", Reason::Rating));
    let limited = |max| take(folder.path(), Limits { rejects: Some(max), ..ANY_REJECTS }).map(drop);
    assert!(matches!(limited(1), Err(Error::TooManyRejects { max: 1, reject: Reject { line: 2, .. }, .. })));
    assert!(matches!(limited(0), Err(Error::TooManyRejects { max: 0, reject: Reject { line: 2, .. }, .. })));
    assert!(limited(2).is_ok());
}

#[test]
fn a_pass_reports_progress_and_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    Sample::of(20_000).write(folder.path(), &mut |_| {}).unwrap();
    let found = Folder::open(folder.path()).unwrap();
    let (stop, calls) = (AtomicBool::new(false), AtomicUsize::new(0));
    let last = std::sync::Mutex::new(Progress::default());
    let on_progress = |progress: Progress| {
        calls.fetch_add(1, Ordering::Relaxed);
        let mut last = last.lock().unwrap();
        if progress.bytes >= last.bytes {
            *last = progress;
        }
    };
    let watch = Watch { stop: &stop, on_progress: &on_progress };
    let survey = pool(2).install(|| Survey::take(&found, NO_REJECTS, &watch)).unwrap();
    let end = *last.lock().unwrap();
    let bytes = survey.files.iter().map(|file| file.bytes).sum::<u64>();
    assert_eq!((end.files, end.bytes, end.total), (survey.files.len() as u64, bytes, bytes));
    stop.store(true, Ordering::Relaxed);
    assert!(matches!(pool(2).install(|| Survey::take(&found, NO_REJECTS, &watch)), Err(Error::Stopped)));
}

#[test]
fn the_error_about_a_folder_without_ratings_names_what_it_holds() {
    let folder =
        folder(&[("movie_titles.csv", b"1,2000,A\n"), ("mv_x.txt", b""), ("combined_data_.txt", b"")]);
    let Err(Error::NoRatings { found, packed: None, .. }) = Folder::open(folder.path()) else { panic!() };
    assert_eq!(found.to_string(), r#""combined_data_.txt", "movie_titles.csv" and "mv_x.txt""#);
    fs::create_dir(folder.path().join("download")).unwrap();
    let zip = folder.path().join("nf_prize_dataset");
    fs::write(&zip, "PK\x03\x04").unwrap();
    let Err(Error::NoRatings { found, packed, .. }) = Folder::open(folder.path()) else { panic!() };
    let names = r#""download/", "combined_data_.txt", "movie_titles.csv", "mv_x.txt" and "nf_prize_dataset""#;
    assert_eq!(found.to_string(), names);
    assert_eq!(packed, Some((zip, Content::Zip)));
    fs::write(folder.path().join("mv_1.txt"), "1:\n5,1,2001-01-01\n").unwrap();
    assert_eq!(survey(folder.path()).ratings(), 1);
    assert!(matches!(Folder::open(&folder.path().join("nowhere")), Err(Error::Unreachable { .. })));
}

#[test]
fn a_unit_that_belongs_to_other_files_is_damaged() {
    let folder = folder(&[("combined_data_1.txt", b"1:\n5,1,2001-01-01\n3,2,2001-01-01\n")]);
    let survey = survey(folder.path());
    let unit = &survey.units(10)[0];
    let shorter = TextFile { bytes: 20, ..survey.files[0].clone() };
    for files in [&[][..], &[shorter]] {
        let read = RatingReader::new(files, &|| Ok(())).read(&unit.movies[0], &mut Vec::new());
        assert!(matches!(read, Err(Error::DamagedUnit)));
    }
}

#[test]
fn gzipped_files_with_the_same_movies_are_read_in_parallel() {
    use std::io::Write;
    let folder = folder(&[]);
    for (name, rating) in [("combined_data_1.txt.gz", 1), ("combined_data_2.txt.gz", 2)] {
        let packed = fs::File::create(folder.path().join(name)).unwrap();
        let mut packed = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        for movie in 1..=50 {
            writeln!(packed, "{movie}:\n{},{rating},2001-01-01", movie + rating).unwrap();
        }
        packed.finish().unwrap();
    }
    let survey = survey(folder.path());
    let read = load(&survey, 7).unwrap();
    assert_eq!(read.len(), 100);
    assert!(
        read.iter()
            .zip(0..)
            .all(|(r, n)| (r.0, r.1, r.2) == (n, n as u32 / 2 + 1, n as u32 / 2 + 2 + n as u32 % 2))
    );
}

/// A gzipped file with these members.
fn packed(members: &[&[u8]]) -> Vec<u8> {
    use std::io::Write;
    let mut bytes = Vec::new();
    for member in members {
        let mut packed = flate2::write::GzEncoder::new(&mut bytes, flate2::Compression::fast());
        packed.write_all(member).unwrap();
        packed.finish().unwrap();
    }
    bytes
}

#[test]
fn zeros_after_a_gzipped_file_are_ignored() {
    let members: [&[u8]; 2] = [b"1:\n5,1,2001-01-01\n3,", b"2,2001-01-01\n"];
    for zeros in [0, 1, 511, 100_000] {
        let mut bytes = packed(&members);
        bytes.extend(vec![0; zeros]);
        let folder = folder(&[("combined_data_1.txt.gz", &bytes)]);
        let survey = survey(folder.path());
        assert_eq!((survey.ratings(), load(&survey, 7).unwrap().len()), (2, 2), "{zeros} zeros");
        // Data after the zeros is an error.
        bytes.extend(packed(&members));
        fs::write(folder.path().join("combined_data_1.txt.gz"), &bytes).unwrap();
        let watch = Watch { stop: &AtomicBool::new(false), on_progress: &|progress| _ = progress };
        let found = Folder::open(folder.path()).unwrap();
        let taken = pool(1).install(|| Survey::take(&found, NO_REJECTS, &watch));
        match zeros {
            0 => assert_eq!(taken.unwrap().ratings(), 4),
            _ => assert!(matches!(taken, Err(Error::Io { .. })), "{zeros} zeros"),
        }
    }
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_at_once() {
    let folder = folder(&[("combined_data_1.txt", b"1:\n5,1,2001-01-01\n")]);
    let found = Folder::open(folder.path()).unwrap();
    let path = folder.path().join("combined_data_1.txt");
    fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let watch = Watch { stop: &AtomicBool::new(false), on_progress: &|progress| _ = progress };
        let taken = pool(1).install(|| Survey::take(&found, NO_REJECTS, &watch));
        sender.send(matches!(taken, Err(Error::Io { .. }))).unwrap();
    });
    // Without the check, reading from the pipe would wait forever.
    assert_eq!(receiver.recv_timeout(std::time::Duration::from_secs(20)), Ok(true));
}
