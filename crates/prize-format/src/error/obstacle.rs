//! Why a path cannot be opened: which of its folders cannot be entered, or does not hold the next one.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why a file or folder cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The process has no permission to enter this folder.
    CannotEnter(PathBuf),
    /// The process has no permission to list this folder.
    CannotList(PathBuf),
    /// The process has no permission to read this file.
    CannotRead(PathBuf),
    /// A folder does not hold what the path names next.
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The name that it does not hold.
        name: String,
    },
    /// A symbolic link leads to something that does not exist.
    BrokenLink {
        /// The link.
        link: PathBuf,
        /// The path that the link holds.
        to: PathBuf,
    },
    /// There is a file where a folder should be.
    NotAFolder(PathBuf),
}

impl Obstacle {
    /// The shell command that gives every user the missing permission. The owner of the file or folder can run it.
    pub fn remedy(&self) -> Option<String> {
        let (rights, path) = match self {
            Obstacle::CannotEnter(path) => ("x", path),
            Obstacle::CannotList(path) => ("rx", path),
            Obstacle::CannotRead(path) => ("r", path),
            _ => return None,
        };
        Some(format!("chmod o+{rights} {}", crate::parse::content::quoted(path)))
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::CannotEnter(path) => {
                write!(f, "Permission to enter the folder \"{}\" is missing.", path.display())
            }
            Obstacle::CannotList(path) => {
                write!(f, "Permission to list the folder \"{}\" is missing.", path.display())
            }
            Obstacle::CannotRead(path) => {
                write!(f, "Permission to read the file \"{}\" is missing.", path.display())
            }
            Obstacle::Missing { folder, name } => {
                write!(f, "The folder \"{}\" exists, but holds no \"{name}\".", folder.display())
            }
            Obstacle::BrokenLink { link, to } => {
                write!(f, "\"{}\" is a link to \"{}\", which does not exist.", link.display(), to.display())
            }
            Obstacle::NotAFolder(path) => write!(f, "\"{}\" is a file, not a folder.", path.display()),
        }
    }
}

/// Finds out why opening a path failed with `error`. `None` where that cannot be found. If `below` is given, nothing
/// outside that folder is looked at, because the caller may not learn what is there.
pub(crate) fn find_obstacle(path: &Path, error: &io::Error, below: Option<&Path>) -> Option<Obstacle> {
    if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory) {
        return None;
    }
    let may_look_at = |part: &Path| below.is_none_or(|below| part != below && part.starts_with(below));
    let found = first_obstacle(path, may_look_at, &Disk);
    // If a folder is wanted and the path is a readable file, nothing above finds an obstacle. The file itself is the obstacle.
    let is_file = || error.kind() == ErrorKind::NotADirectory && may_look_at(path) && path.is_file();
    found.or_else(|| is_file().then(|| Obstacle::NotAFolder(path.into())))
}

/// The operating system's answers about paths. The tests have a file system of their own.
trait FileSystem {
    /// Whether a path is a folder. Links are followed.
    fn is_folder(&self, path: &Path) -> io::Result<bool>;
    /// The path that a link holds. An error where the path is not a link.
    fn link(&self, path: &Path) -> io::Result<PathBuf>;
    /// Opens a file or lists a folder.
    fn open(&self, path: &Path) -> io::Result<()>;
}

struct Disk;

impl FileSystem for Disk {
    fn is_folder(&self, path: &Path) -> io::Result<bool> {
        Ok(fs::metadata(path)?.is_dir())
    }

    fn link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn open(&self, path: &Path) -> io::Result<()> {
        match self.is_folder(path)? {
            true => fs::read_dir(path).map(drop),
            // Only plain files are opened: opening a pipe waits until another process writes into it.
            false if fs::metadata(path)?.is_file() => File::open(path).map(drop),
            false => Ok(()),
        }
    }
}

/// Follows the path from the root on, and returns the first obstacle. Parts of the path for which `may_look_at` is
/// false are skipped.
fn first_obstacle(
    path: &Path,
    may_look_at: impl Fn(&Path) -> bool,
    system: &dyn FileSystem,
) -> Option<Obstacle> {
    const MAX_LINKS: usize = 8;
    let mut path = path.to_owned();
    'links: for _ in 0..MAX_LINKS {
        let mut parts = path.ancestors().collect::<Vec<_>>();
        parts.reverse();
        for &part in parts.iter().filter(|part| may_look_at(part)) {
            let folder = part.parent().unwrap_or(part);
            let link = system.link(part).ok();
            match system.is_folder(part).map_err(|error| error.kind()) {
                Ok(false) if part != path => return Some(Obstacle::NotAFolder(part.into())),
                Ok(_) => {}
                // Something beyond the link cannot be entered: follow the path that the link holds.
                Err(ErrorKind::PermissionDenied) if link.is_some() => {
                    path = folder.join(link.unwrap_or_default());
                    continue 'links;
                }
                Err(ErrorKind::PermissionDenied) => return Some(Obstacle::CannotEnter(folder.into())),
                Err(ErrorKind::NotFound) => {
                    return Some(match link {
                        Some(to) => Obstacle::BrokenLink { link: part.into(), to },
                        None => {
                            let name = part.file_name().unwrap_or_default().to_string_lossy().into_owned();
                            Obstacle::Missing { folder: folder.into(), name }
                        }
                    });
                }
                Err(_) => return None,
            }
        }
        if !may_look_at(&path) || system.open(&path).is_ok() {
            return None;
        }
        return Some(match system.is_folder(&path) {
            Ok(true) => Obstacle::CannotList(path),
            _ => Obstacle::CannotRead(path),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file system with `/data/set/probe.txt`, of which one folder cannot be entered and one file or folder cannot be
    /// read.
    struct Restricted {
        closed: &'static str,
        unreadable: &'static str,
    }

    impl FileSystem for Restricted {
        fn is_folder(&self, path: &Path) -> io::Result<bool> {
            if !self.closed.is_empty() && path != Path::new(self.closed) && path.starts_with(self.closed) {
                return Err(ErrorKind::PermissionDenied.into());
            }
            match path.to_str() {
                Some("/" | "/data" | "/data/set" | "/home" | "/home/me") => Ok(true),
                Some("/data/set/probe.txt") => Ok(false),
                Some("/link") => self.is_folder(Path::new("/home/me")),
                _ => Err(ErrorKind::NotFound.into()),
            }
        }

        fn link(&self, path: &Path) -> io::Result<PathBuf> {
            match path.to_str() {
                Some("/link") => Ok("home/me".into()),
                Some("/broken") => Ok("/nowhere".into()),
                _ => Err(ErrorKind::InvalidInput.into()),
            }
        }

        fn open(&self, path: &Path) -> io::Result<()> {
            match path == Path::new(self.unreadable) {
                true => Err(ErrorKind::PermissionDenied.into()),
                false => Ok(()),
            }
        }
    }

    #[test]
    fn the_first_obstacle_on_the_path_is_found() {
        let found = |path: &str, closed, unreadable| {
            first_obstacle(Path::new(path), |_| true, &Restricted { closed, unreadable })
        };
        let file = "/data/set/probe.txt";
        assert_eq!(found(file, "", ""), None);
        assert_eq!(found(file, "/data", ""), Some(Obstacle::CannotEnter("/data".into())));
        assert_eq!(found(file, "/data/set", ""), Some(Obstacle::CannotEnter("/data/set".into())));
        assert_eq!(found(file, "", file), Some(Obstacle::CannotRead(file.into())));
        assert_eq!(found("/data/set", "", "/data/set"), Some(Obstacle::CannotList("/data/set".into())));
        assert_eq!(found("/link", "/home", ""), Some(Obstacle::CannotEnter("/home".into())));
        let missing =
            |folder: &str, name: &str| Obstacle::Missing { folder: folder.into(), name: name.into() };
        assert_eq!(found("/data/sets/probe.txt", "", ""), Some(missing("/data", "sets")));
        let broken = Obstacle::BrokenLink { link: "/broken".into(), to: "/nowhere".into() };
        assert_eq!(found("/broken", "", ""), Some(broken));
        assert_eq!(found("/data/set/probe.txt/x", "", ""), Some(Obstacle::NotAFolder(file.into())));
    }

    #[test]
    fn nothing_is_said_about_folders_that_may_not_be_looked_at() {
        let found = |path: &str, closed| {
            let system = Restricted { closed, unreadable: "" };
            first_obstacle(Path::new(path), |part| part.starts_with("/data/set"), &system)
        };
        assert_eq!(found("/nowhere/else", ""), None);
        assert_eq!(found("/home/me", "/home"), None);
        assert!(matches!(found("/data/set/nothing", ""), Some(Obstacle::Missing { .. })));
    }
}
