//! What the fuzz targets share: folders made from an input's bytes, and a whole load of a folder that checks everything
//! it can.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use prize_format::{
    BlockReader, ContentCheck, Date, Error, Event, Folder, Judged, Limits, LoadedRatings, LocatedEvent,
    Probe, Qualifying, QualifyingPair, Rating, RatingReader, Record, Reject, Survey, TextKind, Title, Unit,
    Watch, read_probe, read_qualifying,
};

/// Any number of lines may be refused. Otherwise most random inputs would not be read to their end.
pub const ANY_REJECTS: Limits = Limits { rejects: None, memory: 64 << 20 };

/// Makes an empty folder for this process only.
pub fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("prize-fuzz-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("training_set")).unwrap();
    folder
}

/// Writes a file. Without `bytes`, removes the file of an earlier input.
pub fn write(path: &Path, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => fs::write(path, bytes).unwrap(),
        None => drop(fs::remove_file(path)),
    }
}

/// Compresses bytes with gzip.
pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
    packed
}

/// Divides an input into named texts. Each begins with the byte fe, which is not in any UTF-8 text, and a letter that
/// is its name.
pub fn sections(input: &[u8]) -> BTreeMap<u8, Vec<u8>> {
    let mut texts = BTreeMap::<u8, Vec<u8>>::new();
    let mut name = b'c';
    let mut bytes = input.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match bytes.next_if(|next| byte == 0xfe && b"tmcdpqjk".contains(next)) {
            Some(next) => {
                name = next;
                texts.entry(name).or_default();
            }
            None => texts.entry(name).or_default().push(byte),
        }
    }
    texts
}

/// The records of a text with their movies, and the number of lines that are refused.
pub fn records<T: Record>(text: impl Read) -> (Vec<(u32, T)>, u64) {
    let (mut records, mut refused) = (Vec::new(), 0);
    let mut reader = BlockReader::<_, T>::new(text);
    while let Some(LocatedEvent { event, .. }) = reader.next().unwrap() {
        match event {
            Event::Record(record) => records.push((reader.movie_id().unwrap(), record)),
            Event::Refused(_) => refused += 1,
            Event::Movie(_) | Event::Blank => {}
        }
    }
    (records, refused)
}

/// The events of a text's lines with their movies, up to the last line that is not blank.
fn events<T: Record>(text: &[u8]) -> Vec<(Option<u32>, Event<T>)> {
    let mut events = Vec::new();
    let mut reader = BlockReader::<_, T>::new(text);
    while let Some(LocatedEvent { event, .. }) = reader.next().unwrap() {
        events.push((reader.movie_id(), event));
    }
    while let Some((_, Event::Blank)) = events.last() {
        events.pop();
    }
    events
}

/// Everything that a load finds.
#[derive(Debug, PartialEq)]
pub struct Loaded {
    /// Movie, rating, and whether it is in the probe. Sorted by position in the load.
    pub ratings: Vec<(u32, Rating, bool)>,
    pub read: u64,
    pub duplicates: u64,
    pub titles: Vec<Title>,
    pub customers: Vec<u32>,
    pub movies: Vec<u32>,
    pub probe: Vec<(u32, u32)>,
    pub qualifying: Vec<QualifyingPair>,
    pub days: Option<(Date, Date)>,
    pub rejects: Vec<Reject>,
    pub rejected: u64,
    /// The lines of ratings among them.
    pub ratings_rejected: u64,
}

/// How a load is done. The result must not depend on it.
#[derive(Clone, Copy)]
pub struct Way {
    pub two_threads: bool,
    pub ratings_each: u64,
    /// Duplicates are searched first in the movies up to this one, and then in those after it.
    pub pivot: u32,
}

/// Loads a folder as the extension does, and checks what must be true of every load.
pub fn load(folder: &Path, limits: Limits, known: &[(u32, Rating)], way: Way) -> Result<Loaded, Error> {
    static POOLS: OnceLock<[rayon::ThreadPool; 2]> = OnceLock::new();
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let pools = POOLS.get_or_init(|| [pool(1), pool(2)]);
    let loaded =
        pools[usize::from(way.two_threads)].install(|| load_on_this_pool(folder, limits, known, way));
    if let Err(Error::Changed { path }) = &loaded {
        panic!("{} has not changed", path.display());
    }
    loaded
}

fn load_on_this_pool(
    folder: &Path,
    limits: Limits,
    known: &[(u32, Rating)],
    way: Way,
) -> Result<Loaded, Error> {
    let watch = Watch { stop: &AtomicBool::new(false), on_progress: &|progress| _ = progress };
    let mut survey = Survey::take(&Folder::open(folder)?, limits, &watch)?;
    for movies in [0..=way.pivot, way.pivot.saturating_add(1)..=u32::MAX] {
        let mut loaded = LoadedRatings::default();
        for (movie_id, rating) in known {
            loaded.add(*movie_id, *rating)?;
        }
        survey.leave_out_duplicates(&mut loaded, movies, limits, &watch)?;
    }
    check_survey(&survey);

    let mut by_position = Vec::new();
    let mut ratings = Vec::new();
    let mut reader = RatingReader::new(&survey.files, &|| Ok(()));
    for unit in survey.units(way.ratings_each) {
        let stored = Unit::from_bytes(&unit.to_bytes()?)?;
        assert_eq!(stored, unit);
        assert!(unit.ratings() > 0 && unit.files().iter().all(|&file| file < survey.files.len()));
        for movie in &stored.movies {
            reader.read(movie, &mut ratings)?;
            assert_eq!(ratings.len() as u64, movie.ratings);
            by_position.extend(ratings.iter().zip(movie.ratings_before..).map(|(rating, position)| {
                let is_probe = movie.probe.binary_search(&rating.customer_id).is_ok();
                (position, (movie.movie_id, *rating, is_probe))
            }));
        }
    }
    by_position.sort_by_key(|&(position, _)| position);
    assert!(by_position.iter().zip(0..).all(|(rating, position)| rating.0 == position), "no gaps");
    let ratings = by_position.into_iter().map(|(_, rating)| rating).collect::<Vec<_>>();
    assert!(ratings.windows(2).all(|w| (w[0].0, w[0].1.customer_id) < (w[1].0, w[1].1.customer_id)));
    assert_eq!(survey.ratings(), ratings.len() as u64 + survey.duplicates());

    let probe = read_probe(&survey.files, &|| Ok(()))?;
    let qualifying = read_qualifying(&survey.files, &|| Ok(()))?;
    assert_eq!(probe, survey.probe);
    for (movie_id, rating, is_probe) in &ratings {
        assert!((1..=5).contains(&rating.rating));
        assert_eq!(*is_probe, probe.binary_search(&(*movie_id, rating.customer_id)).is_ok());
        check_keys(&survey, *movie_id, rating.customer_id, rating.date);
    }
    for pair in &qualifying {
        assert!(pair.rating.is_none_or(|rating| (1..=5).contains(&rating)));
        check_keys(&survey, pair.movie_id, pair.customer_id, pair.date);
    }
    Ok(Loaded {
        ratings,
        read: survey.ratings(),
        duplicates: survey.duplicates(),
        customers: survey.customers.iter().collect(),
        movies: survey.movies.iter().collect(),
        titles: survey.titles,
        probe,
        qualifying,
        days: survey.days,
        rejects: survey.rejects.kept,
        rejected: survey.rejects.count,
        ratings_rejected: survey
            .files
            .iter()
            .filter(|file| file.kind == TextKind::Ratings)
            .map(|file| file.rejected)
            .sum(),
    })
}

fn check_survey(survey: &Survey) {
    assert_eq!(survey.rejects.count, survey.files.iter().map(|file| file.rejected).sum::<u64>());
    assert!(survey.rejects.kept.len() as u64 <= survey.rejects.count);
    assert!(survey.rejects.kept.is_sorted_by_key(|reject| (reject.file, reject.line)));
    for reject in &survey.rejects.kept {
        assert!(!reject.text.chars().any(char::is_control) && reject.text.len() < 1000);
    }
    let read = survey.files.iter().filter(|file| file.kind == TextKind::Ratings);
    assert_eq!(survey.ratings(), read.map(|file| file.records).sum::<u64>());
    assert!(survey.titles.is_sorted_by(|a, b| a.movie_id < b.movie_id));
    let mut content = ContentCheck::default();
    for file in survey.files.iter().take(2) {
        content.run(file, &|| Ok(())).unwrap();
    }
    for title in &survey.titles {
        assert!(survey.movies.rank(title.movie_id).is_some());
    }
    for ids in [&survey.customers, &survey.movies] {
        assert!(ids.iter().zip(0..).all(|(id, rank)| ids.rank(id) == Some(rank)));
        assert!(ids.iter().all(|id| (1..=i32::MAX as u32).contains(&id)));
    }
}

/// Checks that the survey has the movie, the customer and the day of a rating or pair.
fn check_keys(survey: &Survey, movie_id: u32, customer_id: u32, date: Date) {
    let (first, last) = survey.days.unwrap();
    assert!(survey.movies.rank(movie_id).is_some() && survey.customers.rank(customer_id).is_some());
    assert!(Date::MIN <= first && first <= date && date <= last && last <= Date::MAX);
    let (year, month, day) = date.ymd();
    assert_eq!(Date::new(year, month, day), Some(date));
}

/// What a load of these texts should find, computed in a simple way with maps.
pub fn expect(texts: &BTreeMap<u8, Vec<u8>>, known: &[(u32, Rating)]) -> Loaded {
    let text = |name| texts.get(&name).map_or(&[][..], Vec::as_slice);
    let (probe, probe_refused) = records::<Probe>(text(b'p'));
    let (questions, mut answers) = (events::<Qualifying>(text(b'q')), events::<Judged>(text(b'j')));
    let movie_line = |id: Option<u32>, is_movie: bool| if is_movie { id } else { None };
    let lines_match = questions
        .iter()
        .map(|(id, event)| movie_line(*id, matches!(event, Event::Movie(_))))
        .eq(answers.iter().map(|(id, event)| movie_line(*id, matches!(event, Event::Movie(_)))));
    if !lines_match || !texts.contains_key(&b'q') {
        answers.clear();
    }
    let refused = |is_refused: bool| u64::from(is_refused);
    let qualifying_refused =
        questions.iter().map(|(_, event)| refused(matches!(event, Event::Refused(_)))).sum::<u64>();
    let judging_refused =
        answers.iter().map(|(_, event)| refused(matches!(event, Event::Refused(_)))).sum::<u64>();
    let (mut rejected, mut ratings_rejected) = (probe_refused + qualifying_refused + judging_refused, 0);
    let probe = probe.into_iter().map(|(movie_id, pair)| (movie_id, pair.customer_id));
    let probe = probe.collect::<BTreeSet<_>>();

    let mut firsts = known.iter().map(|(movie, r)| ((*movie, r.customer_id), *r)).collect::<BTreeMap<_, _>>();
    let (mut movies, mut customers, mut days) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let (mut ratings, mut read) = (BTreeMap::new(), 0);
    for name in *b"mcd" {
        let (all, refused) = records::<Rating>(text(name));
        ratings_rejected += refused;
        read += all.len() as u64;
        for (movie_id, rating) in all {
            let key = (movie_id, rating.customer_id);
            movies.insert(movie_id);
            customers.insert(rating.customer_id);
            days.insert(rating.date);
            match firsts.get(&key) {
                Some(first) => ratings_rejected += u64::from(*first != rating),
                None => {
                    firsts.insert(key, rating);
                    ratings.insert(key, (movie_id, rating, probe.contains(&key)));
                }
            }
        }
    }
    let mut pairs = BTreeMap::<_, QualifyingPair>::new();
    for (at, (movie_id, event)) in questions.into_iter().enumerate() {
        let (Some(movie_id), Event::Record(Qualifying { customer_id, date })) = (movie_id, event) else {
            continue;
        };
        let answer = match answers.get(at) {
            Some((_, Event::Record(answer))) => Some(*answer),
            _ => None,
        };
        movies.insert(movie_id);
        customers.insert(customer_id);
        days.insert(date);
        let (rating, subset) = (answer.map(|answer| answer.rating), answer.map(|answer| answer.subset));
        let pair = QualifyingPair { movie_id, customer_id, date, rating, subset };
        let first = pairs.entry((movie_id, customer_id)).or_insert(pair);
        if first.rating.is_none() {
            (first.rating, first.subset) = (rating, subset);
        }
    }
    rejected += ratings_rejected;
    Loaded {
        duplicates: read - ratings.len() as u64,
        ratings: ratings.into_values().collect(),
        read,
        titles: Vec::new(),
        customers: customers.into_iter().collect(),
        movies: movies.into_iter().collect(),
        probe: probe.into_iter().collect(),
        qualifying: pairs.into_values().collect(),
        days: days.first().copied().zip(days.last().copied()),
        rejects: Vec::new(),
        rejected,
        ratings_rejected,
    }
}
