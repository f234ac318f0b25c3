//! Archives and gzipped files: they give errors or ratings. An archive gives the same whether it is gzipped or not.
#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use prize_format::Error;
use prize_format_fuzz::{ANY_REJECTS, Loaded, Way, folder, load, pack, write};

const TAR: &str = "training_set.tar";
const PACKED_TAR: &str = "training_set.tar.gz";
const PACKED_TEXT: &str = "combined_data_1.txt.gz";

fn read(name: &str, bytes: &[u8], two_threads: bool) -> Result<Loaded, Error> {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| folder("archive"));
    for file in [TAR, PACKED_TAR, PACKED_TEXT] {
        write(&folder.join(file), (file == name).then_some(bytes));
    }
    load(folder, ANY_REJECTS, &[], Way { two_threads, ratings_each: 3, pivot: u32::MAX })
}

/// Corrects the checksums of the headers, because random changes would never make them correct.
fn mend(archive: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = archive.get_mut(at..).and_then(|rest| rest.get_mut(..512)) {
        if header.iter().any(|&b| b != 0) {
            header[148..156].fill(b' ');
            let sum = header.iter().map(|&b| u32::from(b)).sum::<u32>();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let digits =
            header[124..136].iter().skip_while(|&&b| b == b' ').take_while(|b| (b'0'..=b'7').contains(b));
        let size = digits.fold(0usize, |n, b| (n * 8).saturating_add(usize::from(b - b'0')));
        at = at.saturating_add(512).saturating_add(size.div_ceil(512).saturating_mul(512));
    }
}

fuzz_target!(|input: &[u8]| {
    let [way, bytes @ ..] = input else { return };
    match way {
        b'r' => drop(read(TAR, bytes, true)),
        b'z' => drop(read(PACKED_TAR, bytes, false)),
        b'g' => drop(read(PACKED_TEXT, bytes, false)),
        _ => {
            let mut bytes = bytes.to_vec();
            mend(&mut bytes);
            let plain = read(TAR, &bytes, true);
            let packed = read(PACKED_TAR, &pack(&bytes), false);
            match (plain, packed) {
                (Ok(plain), Ok(packed)) => assert_eq!(plain, packed),
                (Err(_), Err(_)) => {}
                (plain, packed) => panic!("plain {plain:?}, packed {packed:?}"),
            }
        }
    }
});
