//! Why a path leads nowhere: which of its folders bars the way, or lacks the next one.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What stands in the way of reading a file or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// A folder that this process may not enter.
    Closed(PathBuf),
    /// A folder that it may enter, but not list.
    Hidden(PathBuf),
    /// A file that it may not read.
    Unreadable(PathBuf),
    /// A folder that holds nothing of this name.
    Missing {
        /// The folder.
        folder: PathBuf,
        /// What is not there.
        name: String,
    },
    /// A link to something that is not there.
    Dangling {
        /// The link.
        link: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// A file where a folder should be.
    NoFolder(PathBuf),
}

impl Obstacle {
    /// The command by which the owner of what bars the way lets everybody pass.
    pub fn remedy(&self) -> Option<String> {
        let (rights, path) = match self {
            Obstacle::Closed(path) => ("x", path),
            Obstacle::Hidden(path) => ("rx", path),
            Obstacle::Unreadable(path) => ("r", path),
            _ => return None,
        };
        Some(format!("chmod o+{rights} {}", crate::parse::content::quoted(path)))
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Closed(path) => write!(f, "The folder \"{}\" may not be entered.", path.display()),
            Obstacle::Hidden(path) => write!(f, "The folder \"{}\" may not be listed.", path.display()),
            Obstacle::Unreadable(path) => write!(f, "The file \"{}\" may not be read.", path.display()),
            Obstacle::Missing { folder, name } => {
                write!(f, "The folder \"{}\" is there, but holds no \"{name}\".", folder.display())
            }
            Obstacle::Dangling { link, to } => {
                write!(f, "\"{}\" is a link to \"{}\", which is not there.", link.display(), to.display())
            }
            Obstacle::NoFolder(path) => write!(f, "\"{}\" is a file.", path.display()),
        }
    }
}

/// What stands in the way of opening a path, where it can be told.
pub(crate) fn obstacle(path: &Path, error: &io::Error, below: Option<&Path>) -> Option<Obstacle> {
    if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory) {
        return None;
    }
    let may_look = |part: &Path| below.is_none_or(|below| part != below && part.starts_with(below));
    let found = obstacle_on(path, may_look, &Disk);
    // A file that can be read is in the way where a folder is wanted.
    let is_file = || error.kind() == ErrorKind::NotADirectory && may_look(path) && path.is_file();
    found.or_else(|| is_file().then(|| Obstacle::NoFolder(path.into())))
}

/// What is asked of the system.
trait System {
    /// Whether it is a folder, wherever links lead.
    fn is_folder(&self, path: &Path) -> io::Result<bool>;
    /// Where a link leads; an error where it is none.
    fn link(&self, path: &Path) -> io::Result<PathBuf>;
    /// Opens it.
    fn open(&self, path: &Path) -> io::Result<()>;
}

struct Disk;

impl System for Disk {
    fn is_folder(&self, path: &Path) -> io::Result<bool> {
        Ok(fs::metadata(path)?.is_dir())
    }

    fn link(&self, path: &Path) -> io::Result<PathBuf> {
        fs::read_link(path)
    }

    fn open(&self, path: &Path) -> io::Result<()> {
        match self.is_folder(path)? {
            true => fs::read_dir(path).map(drop),
            // A pipe would wait for somebody to write into it.
            false if fs::metadata(path)?.is_file() => File::open(path).map(drop),
            false => Ok(()),
        }
    }
}

/// Goes the way from the root on, as far as it leads. Of what may not be looked at, nothing is told.
fn obstacle_on(path: &Path, may_look: impl Fn(&Path) -> bool, system: &dyn System) -> Option<Obstacle> {
    const LINKS: usize = 8;
    let mut path = path.to_owned();
    'links: for _ in 0..LINKS {
        let mut parts = path.ancestors().collect::<Vec<_>>();
        parts.reverse();
        for &part in parts.iter().filter(|part| may_look(part)) {
            let folder = part.parent().unwrap_or(part);
            let link = system.link(part).ok();
            match system.is_folder(part).map_err(|error| error.kind()) {
                Ok(false) if part != path => return Some(Obstacle::NoFolder(part.into())),
                Ok(_) => {}
                // The way goes on where the link leads.
                Err(ErrorKind::PermissionDenied) if link.is_some() => {
                    path = folder.join(link.unwrap_or_default());
                    continue 'links;
                }
                Err(ErrorKind::PermissionDenied) => return Some(Obstacle::Closed(folder.into())),
                Err(ErrorKind::NotFound) => {
                    return Some(match link {
                        Some(to) => Obstacle::Dangling { link: part.into(), to },
                        None => {
                            let name = part.file_name().unwrap_or_default().to_string_lossy().into_owned();
                            Obstacle::Missing { folder: folder.into(), name }
                        }
                    });
                }
                Err(_) => return None,
            }
        }
        if !may_look(&path) || system.open(&path).is_ok() {
            return None;
        }
        return Some(match system.is_folder(&path) {
            Ok(true) => Obstacle::Hidden(path),
            _ => Obstacle::Unreadable(path),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A system with `/data/set/probe.txt`, in which some things may not be done.
    struct Barred {
        closed: &'static str,
        unreadable: &'static str,
    }

    impl System for Barred {
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
    fn the_first_obstacle_on_the_way_is_named() {
        let found = |path: &str, closed, unreadable| {
            obstacle_on(Path::new(path), |_| true, &Barred { closed, unreadable })
        };
        let file = "/data/set/probe.txt";
        assert_eq!(found(file, "", ""), None);
        assert_eq!(found(file, "/data", ""), Some(Obstacle::Closed("/data".into())));
        assert_eq!(found(file, "/data/set", ""), Some(Obstacle::Closed("/data/set".into())));
        assert_eq!(found(file, "", file), Some(Obstacle::Unreadable(file.into())));
        assert_eq!(found("/data/set", "", "/data/set"), Some(Obstacle::Hidden("/data/set".into())));
        assert_eq!(found("/link", "/home", ""), Some(Obstacle::Closed("/home".into())));
        let missing =
            |folder: &str, name: &str| Obstacle::Missing { folder: folder.into(), name: name.into() };
        assert_eq!(found("/data/sets/probe.txt", "", ""), Some(missing("/data", "sets")));
        let dangling = Obstacle::Dangling { link: "/broken".into(), to: "/nowhere".into() };
        assert_eq!(found("/broken", "", ""), Some(dangling));
        assert_eq!(found("/data/set/probe.txt/x", "", ""), Some(Obstacle::NoFolder(file.into())));
    }

    #[test]
    fn nothing_is_told_of_what_may_not_be_looked_at() {
        let found = |path: &str, closed| {
            let system = Barred { closed, unreadable: "" };
            obstacle_on(Path::new(path), |part| part.starts_with("/data/set"), &system)
        };
        assert_eq!(found("/nowhere/else", ""), None);
        assert_eq!(found("/home/me", "/home"), None);
        assert!(matches!(found("/data/set/nothing", ""), Some(Obstacle::Missing { .. })));
    }
}
