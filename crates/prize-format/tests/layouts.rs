//! Folders as people have them. The content of a file counts, not its name, and nothing is left out without a message.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use prize_format::{
    Content, Error, Folder, Limits, LoadedRatings, Notice, Obstacle, Rating, RatingReader, Survey, TextKind,
    Unit, Watch, read_probe,
};
use tempfile::TempDir;

const RATINGS: &[u8] = b"1:\n7,5,2004-02-29\n42,3,2005-09-06\n";
const OTHERS: &[u8] = b"2:\n7,1,2004-03-01\n";
const TITLES: &[u8] = b"1,2003,The Silent Harbour\n";

fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    add(folder.path(), files);
    folder
}

fn add(folder: &Path, files: &[(&str, &[u8])]) {
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn take(folder: &Folder) -> Result<Survey, Error> {
    let limits = Limits { rejects: Some(0), memory: usize::MAX };
    let watch = Watch { stop: &AtomicBool::new(false), on_progress: &|_| () };
    let mut survey = Survey::take(folder, limits, &watch)?;
    survey.leave_out_duplicates(&mut LoadedRatings::default(), 0..=u32::MAX, limits, &watch)?;
    Ok(survey)
}

/// What was loaded, and the notices.
struct Loaded {
    survey: Survey,
    /// Movie, customer and rating of each.
    ratings: Vec<(u32, u32, u8)>,
    /// The texts of the notices without the folder's path. `!` comes before the text if data may be missing.
    messages: Vec<String>,
}

fn read(survey: &Survey) -> Result<Vec<(u32, u32, u8)>, Error> {
    let (mut all, mut ratings) = (Vec::new(), Vec::<Rating>::new());
    let mut reader = RatingReader::new(&survey.files, &|| Ok(()));
    for unit in survey.units(1) {
        let unit = Unit::from_bytes(&unit.to_bytes()?)?;
        for movie in &unit.movies {
            reader.read(movie, &mut ratings)?;
            all.extend(ratings.iter().map(|rating| (movie.movie_id, rating.customer_id, rating.rating)));
        }
    }
    Ok(all)
}

fn load(path: &Path) -> Loaded {
    let folder = Folder::open(path).unwrap();
    let survey = take(&folder).unwrap();
    let ratings = read(&survey).unwrap();
    let message = |notice: &Notice| {
        let text = notice.to_string().replace(&format!("{}/", path.display()), "");
        let text = text.replace(&path.display().to_string(), ".");
        if notice.is_loss() { format!("!{text}") } else { text }
    };
    // Notices about optional files that are not there have a test of their own.
    let notices = folder.notices.iter().chain(&survey.notices);
    let messages = notices.filter(|notice| !matches!(notice, Notice::Absent { .. })).map(message).collect();
    Loaded { survey, ratings, messages }
}

/// Movie and customer of each rating, sorted.
fn pairs(loaded: &Loaded) -> Vec<(u32, u32)> {
    let mut all = loaded.ratings.iter().map(|&(movie, customer, _)| (movie, customer)).collect::<Vec<_>>();
    all.sort_unstable();
    all
}

/// The pairs of `RATINGS` and `OTHERS`.
const BOTH: [(u32, u32); 3] = [(1, 7), (1, 42), (2, 7)];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Written directly, because `set_path` changes the separators of a Windows path.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        archive.append(&header, *bytes).unwrap();
    }
    archive.into_inner().unwrap()
}

fn utf16(bytes: &[u8]) -> Vec<u8> {
    let text = format!("\u{feff}{}", std::str::from_utf8(bytes).unwrap());
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// What programs and web sites save under the name of a text.
fn disguised(text: &[u8]) -> Vec<(Vec<u8>, Content)> {
    let file = |magic: &[u8]| [magic, &[0; 100]].concat();
    vec![
        (file(b"PK\x03\x04"), Content::Zip),
        (file(b"BZh91AY&SY"), Content::Bzip2),
        (file(b"\xfd7zXZ\0"), Content::Xz),
        (file(b"\x28\xb5\x2f\xfd"), Content::Zstd),
        (file(b"7z\xbc\xaf\x27\x1c"), Content::SevenZip),
        (file(b"Rar!\x1a\x07"), Content::Rar),
        (archive(&[("mv_1.txt", text)]), Content::Tar),
        (utf16(text), Content::Utf16),
        (b"<!DOCTYPE html><html><body>Log in</body></html>\n".to_vec(), Content::Html),
        (b"{\"code\":403,\"message\":\"Forbidden\"}\n".to_vec(), Content::Json),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec(), Content::LfsPointer),
    ]
}

#[test]
fn a_gzipped_copy_beside_its_file_is_not_read() {
    for name in ["mv_1.txt.gz", "mv_1.txt.GZ"] {
        let loaded =
            load(folder(&[("mv_1.txt", RATINGS), (name, &gzip(RATINGS)), ("mv_2.txt", OTHERS)]).path());
        assert_eq!(pairs(&loaded), BOTH, "{name}");
        assert_eq!(
            loaded.messages,
            [format!("\"{name}\" is not read: the files without .gz are read instead")]
        );
    }
}

#[test]
fn an_archive_beside_some_of_its_files_is_not_read() {
    let whole = archive(&[("training_set/mv_1.txt", RATINGS), ("training_set/mv_2.txt", OTHERS)]);
    for (name, bytes) in [("training_set.tar", whole.clone()), ("training_set.tar.gz", gzip(&whole))] {
        let folder = folder(&[("training_set/mv_1.txt", RATINGS), (name, &bytes)]);
        let loaded = load(folder.path());
        assert_eq!(loaded.ratings.len(), 2);
        let message = format!(
            "\"{name}\" is not read: the files unpacked from it are read instead (number of files: 1). If some are missing, \
             unpack it again: tar -xf '{name}' -C '.'"
        );
        assert_eq!(loaded.messages, [message]);
    }
}

#[test]
fn a_file_in_a_folder_of_its_own_name_is_read() {
    let mut files = vec![
        ("combined_data_1.txt", RATINGS),
        ("combined_data_2.txt/combined_data_2.txt", OTHERS),
        ("movie_titles.csv/movie_titles.csv", TITLES),
    ];
    let loaded = load(folder(&files).path());
    assert_eq!(pairs(&loaded), BOTH);
    assert_eq!((loaded.survey.titles.len(), loaded.messages.len()), (1, 0));
    // There is a notice about a folder that does not hold the file.
    files.push(("combined_data_3.txt/data.txt", OTHERS));
    files.push(("probe.txt/x", b""));
    let messages = load(folder(&files).path()).messages;
    let names = "\"combined_data_3.txt\" and \"probe.txt\"";
    assert_eq!(
        messages,
        [format!("!{names} are not read: not a plain file, and not a folder with a plain file of that name")]
    );
}

#[test]
fn there_is_a_notice_about_a_file_with_another_name() {
    let folder = folder(&[
        ("combined_data_1.txt", RATINGS),
        ("combined_data_2 (1).txt", OTHERS),
        ("Combined_Data_3.TXT", OTHERS),
        ("combined_data_4.txt.zip", b"PK\x03\x04"),
        ("archive.zip", b"PK\x03\x04"),
        ("README", b"The Netflix Prize\n"),
    ]);
    let loaded = load(folder.path());
    // Upper and lower case are the same.
    assert_eq!(pairs(&loaded), BOTH);
    assert_eq!(
        loaded.messages,
        [
            "\"archive.zip\" is not read: it is a zip archive. Unpack it: unzip 'archive.zip' -d '.'",
            "!\"combined_data_4.txt.zip\" is not read: it is a zip archive. Unpack it: unzip \
             'combined_data_4.txt.zip' -d '.'",
            "!\"combined_data_2 (1).txt\" is not read: no file of the data set has such a name",
        ]
    );
}

#[test]
fn every_file_in_an_archive_is_read_or_has_a_notice() {
    let windows = archive(&[("training_set\\mv_1.txt", RATINGS), ("training_set\\mv_2.txt", OTHERS)]);
    let more = archive(&[("mv_1.txt", RATINGS), ("mv_2.txt.gz", &gzip(OTHERS)), ("probe.txt", b"1:\n7\n")]);
    for packed in [false, true] {
        let pack = |bytes: &[u8]| if packed { gzip(bytes) } else { bytes.to_vec() };
        // The bytes show whether it is gzipped, and the name does not matter.
        for name in ["training_set.tar", "training_set.tar.gz", "training_set.tgz"] {
            let loaded = load(folder(&[(name, &pack(&windows))]).path());
            assert_eq!((pairs(&loaded), loaded.messages.len()), (BOTH.to_vec(), 0), "{name}");
        }
        let loaded = load(folder(&[("training_set.tar", &pack(&more))]).path());
        assert_eq!(
            loaded.messages,
            [
                "!\"mv_2.txt.gz\" and \"probe.txt\" are not read: only the files mv_*.txt of \"training_set.tar\" are read. \
              Unpack it: tar -xf 'training_set.tar' -C '.'"
            ]
        );
        // The error about an archive without rating files names what it holds.
        let none = folder(&[("training_set.tar", &pack(&archive(&[("probe.txt", b"")])))]);
        let Err(Error::NoRatings { found, .. }) = take(&Folder::open(none.path()).unwrap()) else { panic!() };
        assert_eq!(found.to_string(), "\"probe.txt\"");
    }
}

#[test]
fn links_and_sparse_files_in_an_archive_are_refused() {
    for (make, kind) in [
        ("ln -s mv_1.txt mv_2.txt", "a link to another file"),
        ("ln mv_1.txt mv_2.txt", "a link to another file"),
        ("cp mv_1.txt mv_2.txt && truncate -s 1000000 mv_2.txt", "a sparse file"),
    ] {
        for format in ["gnu", "posix"] {
            let folder = folder(&[("made/mv_1.txt", RATINGS)]);
            let made = folder.path().join("made");
            let archive = folder.path().join("training_set.tar");
            let script = format!(
                "{make} && tar --sparse --format={format} --sort=name -cf {} mv_1.txt mv_2.txt",
                archive.display()
            );
            let status = std::process::Command::new("sh").args(["-c", &script]).current_dir(&made).status();
            assert!(status.unwrap().success());
            fs::remove_dir_all(&made).unwrap();
            for packed in [false, true] {
                if packed {
                    fs::write(&archive, gzip(&fs::read(&archive).unwrap())).unwrap();
                }
                let error = take(&Folder::open(folder.path()).unwrap()).map(drop).unwrap_err();
                let Error::NotAFile { member, kind: found, .. } = &error else { panic!("{error:?}") };
                assert!(member.ends_with("mv_2.txt") && *found == kind, "{error}");
                assert!(error.remedy().unwrap().contains("tar -xf"));
            }
        }
    }
}

#[test]
fn gzip_is_read_under_any_name_and_text_under_a_gzip_name() {
    let packed = folder(&[
        ("combined_data_1.txt", &gzip(RATINGS)),
        ("training_set/mv_2.txt", &gzip(OTHERS)),
        ("movie_titles.csv", &gzip(TITLES)),
        ("probe.txt", &gzip(b"1:\n7\n")),
    ]);
    let loaded = load(packed.path());
    assert_eq!((pairs(&loaded), loaded.messages.len()), (BOTH.to_vec(), 0));
    assert_eq!((loaded.survey.titles.len(), loaded.survey.probe.len()), (1, 1));
    assert_eq!(read_probe(&loaded.survey.files, &|| Ok(())).unwrap(), [(1, 7)]);

    let plain = folder(&[("combined_data_1.txt.gz", RATINGS), ("combined_data_2.txt.gz", OTHERS)]);
    let loaded = load(plain.path());
    assert_eq!(pairs(&loaded), BOTH);
    let names = "\"combined_data_1.txt.gz\" and \"combined_data_2.txt.gz\"";
    assert_eq!(
        loaded.messages,
        [format!("{names} are not gzipped despite the ending .gz, and are read as plain text")]
    );
}

#[test]
fn the_error_says_that_a_gzip_file_is_incomplete_or_damaged() {
    let whole = gzip(&RATINGS.repeat(1000));
    let mut damaged = whole.clone();
    damaged[whole.len() - 8] ^= 1;
    for (bytes, why) in [
        (
            &whole[..whole.len() / 2],
            "the gzip file ends too early: it was not copied or downloaded completely",
        ),
        (
            &whole[..whole.len() - 3],
            "the gzip file ends too early: it was not copied or downloaded completely",
        ),
        (&whole[..5], "the gzip file ends too early: it was not copied or downloaded completely"),
        (&damaged, "the gzip file is damaged"),
    ] {
        let folder = folder(&[("combined_data_1.txt", bytes)]);
        let error = take(&Folder::open(folder.path()).unwrap()).map(drop).unwrap_err().to_string();
        assert!(error.ends_with(&format!("combined_data_1.txt\": {why}")), "{error}");
    }
}

#[test]
fn byte_order_marks_are_not_part_of_the_text() {
    let marked = |text: &[u8]| [b"\xef\xbb\xbf", text].concat();
    // Where two files were joined, the second one has a mark of its own.
    let joined = [marked(RATINGS), marked(OTHERS)].concat();
    let folder = folder(&[("combined_data_1.txt", &joined), ("movie_titles.csv", &marked(TITLES))]);
    let loaded = load(folder.path());
    assert_eq!((pairs(&loaded), loaded.survey.titles.len()), (BOTH.to_vec(), 1));
}

#[test]
fn the_error_says_what_a_rating_file_holds_instead_of_text() {
    for (bytes, content) in disguised(OTHERS) {
        for (bytes, is_gzipped) in [(bytes.clone(), false), (gzip(&bytes), true)] {
            let folder = folder(&[("combined_data_1.txt", RATINGS), ("combined_data_2.txt", &bytes)]);
            let error = take(&Folder::open(folder.path()).unwrap()).map(drop).unwrap_err();
            let path = folder.path().join("combined_data_2.txt");
            assert_eq!(
                error.to_string(),
                format!("\"{}\" holds {}, not text", path.display(), content.name())
            );
            let packed = is_gzipped && content != Content::Tar;
            let remedy = if packed { Content::Gzip.remedy(&path) } else { content.remedy(&path) };
            assert_eq!(error.remedy(), Some(remedy));
        }
        // The same for a member of an archive.
        for pack in [|bytes: Vec<u8>| bytes, |bytes: Vec<u8>| gzip(&bytes)] {
            let archive = pack(archive(&[("mv_1.txt", RATINGS), ("mv_2.txt", &bytes)]));
            let folder = folder(&[("training_set.tar", &archive)]);
            let error = take(&Folder::open(folder.path()).unwrap()).map(drop).unwrap_err();
            let message = error.to_string();
            assert!(
                message.starts_with("\"mv_2.txt\" in \"") && message.contains(content.name()),
                "{message}"
            );
        }
    }
    // The same for a file with the name of an archive.
    for (bytes, content) in [(RATINGS.to_vec(), Content::Text), (b"PK\x03\x04".to_vec(), Content::Zip)] {
        for (bytes, name) in [(bytes.clone(), "training_set.tar"), (gzip(&bytes), "training_set.tar.gz")] {
            let folder = folder(&[(name, &bytes)]);
            let error = take(&Folder::open(folder.path()).unwrap()).map(drop).unwrap_err();
            let message = format!("holds {}, not a tar archive", content.name());
            assert!(error.to_string().ends_with(&message), "{error}");
        }
    }
}

#[test]
fn an_optional_file_that_cannot_be_read_does_not_stop_the_ratings() {
    for name in ["movie_titles.csv", "probe.txt", "qualifying.txt", "judging.txt"] {
        for (bytes, content) in disguised(TITLES) {
            let folder = folder(&[("combined_data_1.txt", RATINGS), (name, &bytes)]);
            let loaded = load(folder.path());
            assert_eq!((loaded.ratings.len(), loaded.survey.files.len()), (2, 1));
            let path = folder.path().join(name);
            let remedy = content.remedy(&path).replace(&format!("{}/", folder.path().display()), "");
            let remedy = remedy.replace(&folder.path().display().to_string(), ".");
            let message = format!(
                "!\"{name}\" was skipped, everything else is loaded: it holds {}. Put a good copy there and load the \
                 folder again. {remedy}",
                content.name()
            );
            assert!(loaded.messages.contains(&message), "{:?}", loaded.messages);
        }
    }
    // Nothing of a file that ends too early is used, and none of its lines is listed as refused.
    let text = (1..200_000).map(|id| format!("{id}:\n{id},2005-12-01\n")).collect::<String>();
    let whole = gzip(format!("1:\nx\n{text}").as_bytes());
    let damaged = folder(&[("combined_data_1.txt", RATINGS), ("qualifying.txt", &whole[..whole.len() / 2])]);
    let survey = take(&Folder::open(damaged.path()).unwrap()).unwrap();
    assert_eq!((survey.ratings(), survey.qualifying, survey.rejects.count), (2, 0, 0));
    assert!(survey.rejects.kept.is_empty() && survey.files.iter().all(|file| file.kind == TextKind::Ratings));
    assert_eq!(survey.movies.iter().collect::<Vec<_>>(), [1]);
    assert_eq!(survey.customers.iter().collect::<Vec<_>>(), [7, 42]);
    assert!(survey.notices[0].is_loss(), "{:?}", survey.notices);
}

#[test]
fn there_is_a_notice_about_a_file_without_usable_lines() {
    let folder = folder(&[("combined_data_1.txt", RATINGS), ("combined_data_2.txt", b"")]);
    assert_eq!(load(folder.path()).messages, ["!no line of \"combined_data_2.txt\" could be used"]);
}

#[test]
fn files_in_a_subfolder_are_found() {
    for down in ["download", "archive", "training_set", "training_set.tar", "netflix/download"] {
        let name = |name: &str| format!("{down}/{name}");
        let folder = folder(&[
            (&name("training_set/mv_1.txt"), RATINGS),
            (&name("training_set/mv_2.txt"), OTHERS),
            (&name("probe.txt"), b"1:\n7\n"),
            // In the folder above: the archive, and the titles.
            ("nf_prize_dataset.tar.gz", &gzip(&archive(&[("download/README", b"")]))),
            ("movie_titles.csv", TITLES),
        ]);
        // A link to the same folder does not count as another folder.
        let link = folder.path().join(format!("{down}_too"));
        std::os::unix::fs::symlink(folder.path().join(down), link).unwrap();
        let loaded = load(folder.path());
        assert_eq!(pairs(&loaded), BOTH, "{down}");
        assert_eq!((loaded.survey.titles.len(), loaded.survey.probe.len()), (1, 1), "{down}");
        assert_eq!(Folder::open(folder.path()).unwrap().path, folder.path().join(down));
    }
}

#[test]
fn the_error_names_several_folders_with_ratings() {
    let folder = folder(&[
        ("a/combined_data_1.txt", RATINGS),
        ("b/training_set/mv_1.txt", OTHERS),
        ("c/movie_titles.csv", TITLES),
    ]);
    let Err(Error::SeveralFolders { found, .. }) = Folder::open(folder.path()) else { panic!() };
    assert_eq!(found, [folder.path().join("a"), folder.path().join("b")]);
    // If the folder itself has ratings, there is a notice about the others, but not about a link back to the folder.
    std::os::unix::fs::symlink(folder.path(), folder.path().join("back")).unwrap();
    add(folder.path(), &[("combined_data_1.txt", RATINGS)]);
    assert_eq!(
        load(folder.path()).messages,
        ["!\"a\" and \"b\" are not read: rating files are there, too. Load such a folder by itself"]
    );
}

#[test]
fn the_error_says_that_the_path_is_a_file() {
    let folder = folder(&[("training_set.tar", RATINGS)]);
    let file = folder.path().join("training_set.tar");
    let error = Folder::open(&file).map(drop).unwrap_err();
    assert!(
        matches!(&error, Error::Unreachable { obstacle: Obstacle::NotAFolder(path), .. } if *path == file)
    );
    // A caller who may read only files in another folder learns nothing about this one.
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    assert!(matches!(Folder::open_below(&file, Some(&below)), Err(Error::Io { .. })));
}

#[test]
fn a_new_modification_time_alone_is_no_change() {
    let packed = gzip(RATINGS);
    let both = archive(&[("mv_1.txt", RATINGS), ("mv_2.txt", OTHERS)]);
    for files in [
        &[("combined_data_1.txt", RATINGS), ("combined_data_2.txt", OTHERS)][..],
        &[("combined_data_1.txt.gz", &packed), ("combined_data_2.txt", OTHERS)],
        &[("training_set.tar", &both)],
    ] {
        let folder = folder(files);
        let survey = take(&Folder::open(folder.path()).unwrap()).unwrap();
        for (days, (name, bytes)) in files.iter().enumerate() {
            let path = folder.path().join(name);
            let later =
                std::time::SystemTime::now() + std::time::Duration::from_secs(86_400 * (days as u64 + 1));
            let touch = || fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
            touch();
            assert_eq!(read(&survey).unwrap().len(), 3);
            // Another byte or an added line is a change. An archive is not read beyond its end.
            let is_archive = name.ends_with(".tar");
            let mut other = bytes.to_vec();
            let at = if is_archive { 512 + RATINGS.len() } else { other.len() } - 5;
            other[at] ^= 1;
            let longer = [bytes, &b"9,1,2004-03-01\n"[..]].concat();
            for changed in [other, longer].into_iter().take(2 - usize::from(is_archive)) {
                fs::write(&path, changed).unwrap();
                touch();
                assert!(matches!(read(&survey), Err(Error::Changed { .. } | Error::Io { .. })), "{name}");
            }
            fs::write(&path, bytes).unwrap();
        }
    }
}
