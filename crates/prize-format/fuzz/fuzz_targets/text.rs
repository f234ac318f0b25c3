//! A folder of text files, loaded as the extension does. The result must be the same on one thread and on two, and the
//! same as that of a simple implementation with maps.
#![no_main]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use prize_format::{Content, Error, Limits, Rating};
use prize_format_fuzz::{ANY_REJECTS, Way, expect, folder, load, pack, records, sections, write};

/// The file to which each section is written.
const FILES: [(u8, &str); 7] = [
    (b't', "movie_titles.csv"),
    (b'm', "training_set/mv_0000001.txt"),
    (b'c', "combined_data_1.txt"),
    (b'd', "combined_data_2.txt.gz"),
    (b'p', "probe.txt"),
    (b'q', "qualifying.txt"),
    (b'j', "judging.txt"),
];

fuzz_target!(|input: &[u8]| {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| folder("text"));
    let texts = sections(input);
    // A file whose first bytes are not those of a text is refused or skipped; other targets test that.
    let is_text =
        |text: &Vec<u8>| Content::detect(&text[..text.len().min(Content::HEAD_BYTES)]) == Content::Text;
    if !texts.values().all(is_text) {
        return;
    }
    for (section, name) in FILES {
        let text = texts.get(&section);
        match name.ends_with(".gz") {
            true => write(&folder.join(name), text.map(|text| pack(text)).as_deref()),
            false => write(&folder.join(name), text.map(Vec::as_slice)),
        }
    }
    // The ratings that are loaded already, one for each movie and customer.
    let known = texts.get(&b'k').map_or(Vec::new(), |text| records::<Rating>(&text[..]).0);
    let known = known.into_iter().map(|(movie, rating)| ((movie, rating.customer_id), (movie, rating)));
    let known = known.collect::<BTreeMap<_, _>>().into_values().collect::<Vec<_>>();
    let pivot = known.first().map_or(1, |(movie, _)| *movie);

    let one = Way { two_threads: false, ratings_each: u64::MAX, pivot: u32::MAX };
    let two = Way { two_threads: true, ratings_each: input.len() as u64 % 7 + 1, pivot };
    let loaded = match load(folder, ANY_REJECTS, &known, one) {
        Ok(loaded) => loaded,
        Err(Error::NoRatings { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    assert_eq!(loaded, load(folder, ANY_REJECTS, &known, two).unwrap());

    let expected = expect(&texts, &known);
    assert_eq!(loaded.ratings, expected.ratings);
    assert_eq!((loaded.read, loaded.duplicates), (expected.read, expected.duplicates));
    assert_eq!((&loaded.probe, &loaded.qualifying), (&expected.probe, &expected.qualifying));
    assert_eq!((&loaded.customers, loaded.days), (&expected.customers, expected.days));
    let mut movies = loaded.titles.iter().map(|title| title.movie_id).collect::<Vec<_>>();
    movies.extend(expected.movies);
    movies.sort_unstable();
    movies.dedup();
    assert_eq!(loaded.movies, movies);
    if !texts.contains_key(&b't') {
        assert_eq!(loaded.rejected, expected.rejected);
    }
    assert_eq!(loaded.ratings_rejected, expected.ratings_rejected);

    // The load succeeds if as many lines of ratings may be refused as there are, and fails with a lower limit.
    let (way, fewer) = if input.len().is_multiple_of(2) { (one, 0) } else { (two, 1) };
    if let Some(max) = loaded.ratings_rejected.checked_sub(fewer) {
        match load(folder, Limits { rejects: Some(max), ..ANY_REJECTS }, &known, way) {
            Ok(again) => assert_eq!((again.ratings, fewer), (loaded.ratings, 0)),
            Err(Error::TooManyRejects { max: reported, .. }) => assert_eq!((reported, fewer), (max, 1)),
            Err(error) => panic!("{error}"),
        }
    }
});
