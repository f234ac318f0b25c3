//! Lines and records: they are the same whether each read returns the whole file or a few bytes.
#![no_main]

use std::fmt::Debug;
use std::io::{self, Read};

use libfuzzer_sys::fuzz_target;
use prize_format::{BlockReader, Event, Judged, LocatedEvent, Probe, Qualifying, Rating, Record, TitleForm};

/// Returns at most so many bytes from each read.
struct SlowSource<'a>(&'a [u8], usize);

impl Read for SlowSource<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.1.min(out.len());
        self.0.read(&mut out[..n])
    }
}

/// Movie, event, line number, offset and bytes of each line.
fn events<T: Record>(text: impl Read) -> Vec<(Option<u32>, Event<T>, u64, u64, Vec<u8>)> {
    let mut reader = BlockReader::<_, T>::new(text);
    let mut events = Vec::new();
    while let Some(LocatedEvent { event, line }) = reader.next().unwrap() {
        let (number, offset, bytes) = (line.number, line.offset, line.bytes.to_vec());
        events.push((reader.movie_id(), event, number, offset, bytes));
    }
    events
}

fn check<T: Record + Debug + PartialEq>(text: &[u8], step: usize) {
    let whole = events::<T>(text);
    assert_eq!(whole, events::<T>(SlowSource(text, step)));
    assert_eq!(whole.len(), text.split_inclusive(|&b| b == b'\n').count());
    for (movie_id, event, ..) in whole {
        match event {
            Event::Movie(id) => assert_eq!(movie_id, Some(id)),
            Event::Record(_) => assert!(movie_id.is_some()),
            Event::Blank | Event::Refused(_) => {}
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let [step, text @ ..] = input else { return };
    let step = 1 + usize::from(*step) * 17;
    check::<Rating>(text, step);
    check::<Probe>(text, step);
    check::<Qualifying>(text, step);
    check::<Judged>(text, step);
    let form = TitleForm::detect(text.split(|&b| b == b'\n').filter(|line| !line.is_empty()));
    for line in text.split(|&b| b == b'\n') {
        if let Ok(title) = form.parse(line) {
            assert!((1..=i32::MAX as u32).contains(&title.movie_id));
            let title = title.title.as_deref().unwrap_or("none");
            assert!(!title.is_empty() && title.trim() == title && !title.chars().any(char::is_control));
        }
    }
});
