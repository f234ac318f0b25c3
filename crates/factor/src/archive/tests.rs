use super::*;
use crate::archive::contents::LONGEST_CURVE;
use proptest::prelude::*;

static GO: AtomicBool = AtomicBool::new(false);

fn decode(bytes: &[u8]) -> Result<Archive, ArchiveError> {
    Archive::decode(bytes, &GO)
}

fn archive() -> Archive {
    let rows = |ids: Vec<i32>, links: bool| ArchivedSide {
        biases: ids.iter().map(|&id| id as f32 / 8.0).collect(),
        factors: ids.iter().flat_map(|&id| [id as f32, -0.5]).collect(),
        links: links.then(|| ids.iter().flat_map(|&id| [0.25, id as f32]).collect()),
        ids,
    };
    let metadata = ModelMetadata {
        name: "Größe".into(),
        algorithm: "als".into(),
        params: "{\"factors\": 2}".into(),
        train_on: "train".into(),
        factors: 2,
        samples: 1,
        mean: 3.6,
        ratings: 7,
        iterations: 2,
        train_rmse: 0.8,
        probe_rmse: Some(0.9),
        summary: Some("{\"singular_values\": [1, 2]}".into()),
        seconds: 0.25,
        curve: vec![(1, 0.9, None, 0.1), (2, 0.8, Some(0.9), 0.2)],
        hold_out: 0.0,
    };
    let (customers, movies) = (rows(vec![6, 42, 2_649_429], false), rows(vec![1, 17_770], true));
    Archive { metadata, customers, movies, prior: None }
}

/// An archive with these contents and a header that fits them.
fn sealed(contents: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(crc32fast::hash(contents).to_le_bytes());
    bytes.extend((contents.len() as u64).to_le_bytes());
    bytes.extend(contents);
    bytes
}

#[test]
fn what_is_written_is_read() {
    let archive = archive();
    let bytes = archive.encode(&GO).unwrap();
    assert_eq!(decode(&bytes).unwrap(), archive);
    assert_eq!(Archive::size(&archive.metadata, 3, 2, true, None), bytes.len());
    assert_eq!(sealed(&bytes[HEADER..]), bytes);
    let stop = AtomicBool::new(true);
    assert_eq!(archive.encode(&stop), Err(ArchiveError::Cancelled));
    assert_eq!(Archive::decode(&bytes, &stop), Err(ArchiveError::Cancelled));
}

/// [`archive`] in format 1, as serde_cbor wrote it.
const FIRST: &str = "
    6e6574666c69785f7265630a010000001362e9e9c401000000000000a36561626f7574af646e616d65674772c3b6c39f6569
    616c676f726974686d63616c7366706172616d736e7b22666163746f7273223a20327d68747261696e5f6f6e65747261696e
    68686f6c645f6f7574f9000067666163746f7273026773616d706c657301646d65616efa4066666667726174696e6773076a
    697465726174696f6e73026a747261696e5f726d7365fb3fe999999999999a6a70726f62655f726d7365fb3feccccccccccc
    cd6773756d6d617279781b7b2273696e67756c61725f76616c756573223a205b312c20325d7d677365636f6e6473f9340065
    6375727665828401fb3feccccccccccccdf6fb3fb999999999999a8402fb3fe999999999999afb3feccccccccccccdfb3fc9
    99999999999a69637573746f6d657273a4636964734c060000002a000000556d2800666269617365734c0000403f0000a840
    54b5a14867666163746f727358180000c040000000bf00002842000000bf54b5214a000000bf656c696e6b73f6666d6f7669
    6573a46369647348010000006a45000066626961736573480000003e00d40a4567666163746f7273500000803f000000bf00
    d48a46000000bf656c696e6b73500000803e0000803f0000803e00d48a46";

#[test]
fn format_1_is_read() {
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    let bytes = FIRST.replace([' ', '\n'], "").as_bytes().chunks(2).map(byte).collect::<Vec<_>>();
    assert_eq!(decode(&bytes).unwrap(), archive());
}

#[test]
fn the_size_is_known_before_it_is_written() {
    for (rows, factors, links) in [(0, 0, false), (1, 6, true), (6000, 3, true), (17_000, 1, false)] {
        let rows = |links: bool| ArchivedSide {
            ids: (1..=rows as i32).collect(),
            biases: vec![0.5; rows],
            factors: vec![0.5; rows * factors],
            links: links.then(|| vec![0.5; rows * factors]),
        };
        let metadata = ModelMetadata { factors: factors as u32, ..archive().metadata };
        let prior = links.then(|| vec![0.5; rows(false).ids.len() / 7]);
        let prior_length = prior.as_ref().map(Vec::len);
        let archive = Archive { metadata, customers: rows(false), movies: rows(links), prior };
        let Archive { metadata, customers, movies, .. } = &archive;
        let size = Archive::size(metadata, customers.ids.len(), movies.ids.len(), links, prior_length);
        assert_eq!(size, archive.encode(&GO).unwrap().len());
    }
    assert_eq!(Archive::size(&archive().metadata, usize::MAX, 2, true, None), usize::MAX);
}

/// A Bayesian model of two samples, with its prior.
fn bayesian() -> Archive {
    let Archive { metadata, customers, movies, .. } = archive();
    let rows = |rows: ArchivedSide, links: bool| ArchivedSide {
        factors: rows.ids.iter().flat_map(|&id| [id as f32, 1.0, -0.5, 2.0, 1.0, 0.5]).collect(),
        links: links.then(|| rows.ids.iter().flat_map(|_| [0.25, 0.5, 0.0, 0.75, 1.0, 0.0]).collect()),
        ..rows
    };
    Archive {
        metadata: ModelMetadata {
            algorithm: "bpmf".into(),
            params: "{\"factors\": 1, \"samples\": 2}".into(),
            factors: 6,
            samples: 2,
            ..metadata
        },
        customers: rows(customers, false),
        movies: rows(movies, true),
        prior: Some(vec![0.5, -0.5, 4.0, 0.25, 3.0, 0.75, -0.75, 5.0, 0.125, 2.0]),
    }
}

#[test]
fn the_prior_is_written_and_checked() {
    let archive = bayesian();
    let bytes = archive.encode(&GO).unwrap();
    assert_eq!(decode(&bytes).unwrap(), archive);
    assert_eq!(Archive::size(&archive.metadata, 3, 2, true, Some(10)), bytes.len());
    let refused = |change: fn(&mut Archive)| {
        let mut archive = bayesian();
        change(&mut archive);
        decode(&archive.encode(&GO).unwrap()).unwrap_err().to_string()
    };
    assert_eq!(
        refused(|archive| archive.prior.as_mut().unwrap().truncate(9)),
        "its prior does not have the right length"
    );
    let infinite = |archive: &mut Archive| archive.prior.as_mut().unwrap()[3] = f32::INFINITY;
    assert_eq!(refused(infinite), "its priors have numbers that are not finite");
    // An old Bayesian model has no prior, and another model must not have one.
    let without = Archive { prior: None, ..bayesian() };
    assert_eq!(decode(&without.encode(&GO).unwrap()).unwrap(), without);
    let other = Archive { prior: Some(vec![1.0]), ..self::archive() };
    assert_eq!(
        decode(&other.encode(&GO).unwrap()).unwrap_err().to_string(),
        "its prior does not have the right length"
    );
}

#[test]
fn truncated_or_changed_archives_are_refused() {
    let bytes = archive().encode(&GO).unwrap();
    for length in 0..bytes.len() {
        let error = decode(&bytes[..length]).unwrap_err();
        assert!(matches!(error, ArchiveError::Length { .. } | ArchiveError::Foreign), "{length}: {error}");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        decode(&changed).unwrap_err();
    }
    assert_eq!(decode(b"\x89PNG and much more than a header is long"), Err(ArchiveError::Foreign));
    let mut later = bytes.clone();
    later[MAGIC.len()] = 3;
    assert_eq!(decode(&later), Err(ArchiveError::Format(3)));
}

#[test]
fn impossible_values_are_refused() {
    let refused = |change: fn(&mut Archive)| {
        let mut archive = archive();
        change(&mut archive);
        decode(&archive.encode(&GO).unwrap()).unwrap_err().to_string()
    };
    assert_eq!(refused(|archive| archive.metadata.name.clear()), "its name is empty or has a NUL");
    assert_eq!(
        refused(|archive| archive.metadata.samples = 3),
        "its algorithm does not have this number of samples"
    );
    assert_eq!(
        refused(|archive| archive.metadata.train_rmse = f64::NAN),
        "an error or a time is negative or not finite"
    );
    assert_eq!(
        refused(|archive| archive.metadata.probe_rmse = Some(-0.1)),
        "an error or a time is negative or not finite"
    );
    assert_eq!(refused(|archive| archive.metadata.summary = Some("{".into())), "its summary is not JSON");
    let long = |archive: &mut Archive| archive.metadata.curve = vec![(1, 0.9, None, 0.1); LONGEST_CURVE + 1];
    assert!(refused(long).contains("more iterations than any training makes"));
    assert!(refused(|archive| archive.metadata.params = " ".repeat(1 << 17)).contains("a text is too long"));
    assert!(refused(|archive| archive.metadata.algorithm = "magic".into()).contains("magic"));
    assert!(refused(|archive| archive.metadata.params = "{\"factors\": 0}".into()).contains("factors"));
    assert_eq!(
        refused(|archive| archive.movies.biases[0] = f32::INFINITY),
        "its movies have numbers that are not finite"
    );
    assert_eq!(refused(|archive| archive.customers.ids[1] = 6), "its customers have ids that do not ascend");
    assert_eq!(
        refused(|archive| archive.customers.factors.truncate(5)),
        "its customers have columns of different lengths"
    );
    assert_eq!(
        refused(|archive| archive.metadata.factors = 4),
        "its customers have columns of different lengths"
    );
}

#[test]
fn stated_lengths_take_no_memory() {
    // Maps, lists and strings of 2^62 elements, and deeply nested lists.
    for claim in [0xbb, 0x9b, 0x5b, 0x7b] {
        let mut contents = vec![claim];
        contents.extend((1u64 << 62).to_be_bytes());
        assert!(matches!(decode(&sealed(&contents)), Err(ArchiveError::Contents(_))));
    }
    assert!(matches!(decode(&sealed(&[0x81; 100_000])), Err(ArchiveError::Contents(_))));
}

proptest! {
    #[test]
    fn any_contents_are_read_or_refused(contents in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(decode(&sealed(&contents)));
    }
}
