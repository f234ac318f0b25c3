//! Checks, before an interrupted load goes on, that its files have not changed.

use std::io::ErrorKind;
use std::path::Path;

use pgrx::notice;
use prize_format::{ContentCheck, TextFile};

use super::error::LoadError;
use super::ledger::{self, Run};
use crate::pg::interrupt;

/// Checks that the files which are still needed are the ones that were planned. A file with a new modification time may have the same
/// content.
pub fn check_files(run: &Run) -> Result<(), LoadError> {
    let files = ledger::files(run.run_id)?;
    let left = ledger::files_left(run.run_id)?;
    let mut content = ContentCheck::default();
    let mut last_file = None::<(&TextFile, Option<i64>)>;
    let gone = |error: prize_format::Error| match error {
        prize_format::Error::Io { path, source } if source.kind() == ErrorKind::NotFound => {
            LoadError::FileGone { file: path.to_string_lossy().into_owned() }
        }
        error => error.into(),
    };
    for index in left {
        interrupt::check();
        let file = &files[index];
        // The members of one archive follow each other, so its time is looked up once.
        let modified = match last_file {
            Some((last, modified)) if last.path == file.path => modified,
            _ => prize_format::modification_time(file).map_err(gone)?,
        };
        last_file = Some((file, modified));
        if modified != file.modified {
            content.run(file, &go_on)?;
            ledger::update_modified(run.run_id, index, modified)?;
        }
    }
    Ok(())
}

/// Resumes with files that were moved or copied to another folder, if all of them are there with the same content.
pub fn move_files(run: &Run, to: &str) -> Result<(), LoadError> {
    let from = run.path.clone().unwrap_or_default();
    let refused = || LoadError::Unfinished { path: from.clone() };
    let mut files = ledger::files(run.run_id)?;
    if files.is_empty() {
        return Err(refused());
    }
    let mut content = ContentCheck::default();
    for file in &mut files {
        interrupt::check();
        let name = file.path.strip_prefix(&from).map_err(|_| refused())?;
        file.path = Path::new(to).join(name);
        match content.run(file, &go_on).and_then(|()| prize_format::modification_time(file)) {
            Ok(modified) => file.modified = modified,
            Err(prize_format::Error::Io { .. } | prize_format::Error::Changed { .. }) => {
                return Err(refused());
            }
            Err(error) => return Err(error.into()),
        }
    }
    ledger::move_files(run.run_id, to, &files)?;
    notice!("resuming the interrupted load of \"{from}\": \"{to}\" has the same files");
    Ok(())
}

fn go_on() -> Result<(), prize_format::Error> {
    interrupt::check();
    Ok(())
}
