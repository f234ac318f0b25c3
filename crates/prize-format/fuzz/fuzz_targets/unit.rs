//! Stored units: any bytes, and the bytes of a valid unit with some changes.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use libfuzzer_sys::fuzz_target;
use prize_format::{Folder, LoadedRatings, RatingReader, Survey, Unit, Watch};
use prize_format_fuzz::{ANY_REJECTS, folder, pack, write};

/// A survey with duplicates, a probe and a gzipped file, and the bytes of its only unit.
fn survey() -> (Survey, Vec<u8>) {
    let folder: PathBuf = folder("unit");
    let one = b"1:\n5,1,2001-01-01\n3,2,2001-01-01\n2:\n5,3,2001-01-01\n1:\n5,4,2001-01-01\n";
    let two = b"9:\n4,5,2001-01-01\n7,5,2001-01-01\n1:\n8,5,2001-01-01\n5,5,2001-01-01\n";
    write(&folder.join("combined_data_1.txt"), Some(one));
    write(&folder.join("combined_data_2.txt.gz"), Some(&pack(two)));
    write(&folder.join("probe.txt"), Some(b"1:\n5\n3\n9:\n7\n"));
    let watch = Watch { stop: &AtomicBool::new(false), on_progress: &|progress| _ = progress };
    let mut survey = Survey::take(&Folder::open(&folder).unwrap(), ANY_REJECTS, &watch).unwrap();
    survey.leave_out_duplicates(&mut LoadedRatings::default(), 0..=u32::MAX, ANY_REJECTS, &watch).unwrap();
    let bytes = survey.units(100)[0].to_bytes().unwrap();
    (survey, bytes)
}

fuzz_target!(|input: &[u8]| {
    static SURVEY: OnceLock<(Survey, Vec<u8>)> = OnceLock::new();
    let (survey, good) = SURVEY.get_or_init(survey);
    let bytes = match input {
        [b'g', changes @ ..] => {
            let mut bytes = good.clone();
            for change in changes.as_chunks::<3>().0 {
                // Each change inserts a byte, removes one or replaces one.
                let (at, value) = (usize::from(change[0]) % (bytes.len() + 1), change[1]);
                match change[2] % 3 {
                    0 => bytes.insert(at, value),
                    1 if at < bytes.len() => drop(bytes.remove(at)),
                    _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = value),
                }
            }
            bytes
        }
        _ => input.to_vec(),
    };
    let Ok(unit) = Unit::from_bytes(&bytes) else { return };
    assert_eq!(Unit::from_bytes(&unit.to_bytes().unwrap()).unwrap(), unit);
    assert!(unit.files().len() <= bytes.len());
    let (mut reader, mut ratings, mut sum) = (RatingReader::new(&survey.files, &|| Ok(())), Vec::new(), 0u64);
    for movie in &unit.movies {
        sum += movie.ratings;
        assert!(movie.ratings_before.checked_add(movie.ratings).is_some() && movie.bytes() < u64::MAX);
        if reader.read(movie, &mut ratings).is_ok() {
            assert_eq!(ratings.len() as u64, movie.ratings);
            assert!(ratings.windows(2).all(|pair| pair[0].customer_id < pair[1].customer_id));
        }
    }
    assert_eq!(unit.ratings(), sum);
});
