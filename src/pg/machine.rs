//! The machine's memory, and the operating system's user that runs the server.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The memory that the server may use, in bytes: the machine's memory, or the limit of the server's control group (version 1 or
/// 2) if that is less. `None` if the system does not say.
pub fn memory() -> Option<u64> {
    memory_below(Path::new("/"))
}

/// The same as [`memory`], with the folders `proc` and `sys` below `root`.
fn memory_below(root: &Path) -> Option<u64> {
    let read = |path: &Path| fs::read_to_string(root.join(path)).ok();
    let information = read(Path::new("proc/meminfo"));
    let total = information.iter().flat_map(|text| text.lines()).find_map(|line| {
        let kilobytes = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?;
        kilobytes.trim().parse::<u64>().ok()?.checked_mul(1024)
    });
    // The limit of a group also applies to the groups below it. A value that is not a number ("max") means no limit.
    let groups = read(Path::new("proc/self/cgroup")).unwrap_or_default();
    let granted = groups.lines().filter_map(limits).flatten();
    let granted = granted.filter_map(|file| read(&file)?.trim().parse::<u64>().ok());
    total.into_iter().chain(granted).min()
}

/// The files that may hold a memory limit, for a line of `/proc/self/cgroup`: `hierarchy:controllers:path`. In version 2, the
/// controllers are empty.
fn limits(line: &str) -> Option<Vec<PathBuf>> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, group) = (fields.next()?, fields.next()?);
    let (mounts, file) = match controllers {
        "" => (&["sys/fs/cgroup", "sys/fs/cgroup/unified"][..], "memory.max"),
        _ if controllers.split(',').any(|name| name == "memory") => {
            (&["sys/fs/cgroup/memory"][..], "memory.limit_in_bytes")
        }
        _ => return None,
    };
    let group = Path::new(group.trim_start_matches('/'));
    let file = |mount: &&str| {
        let mount = PathBuf::from(mount);
        group.ancestors().map(|group| mount.join(group).join(file)).collect::<Vec<_>>()
    };
    Some(mounts.iter().flat_map(file).collect())
}

/// The operating system's user that the server runs as: its name, or its user id if `/etc/passwd` does not list it.
pub fn user() -> String {
    let uid = fs::metadata("/proc/self").map(|meta| meta.uid().to_string()).unwrap_or_default();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, user_id) = (fields.next()?, fields.nth(1)?);
        (user_id == uid).then(|| name.to_owned())
    });
    name.unwrap_or(uid)
}

#[cfg(any(test, feature = "pg_test"))]
#[pgrx::pg_schema]
mod tests {
    use super::*;
    use pgrx::prelude::*;

    /// The memory that is found if these are the only files.
    fn memory_with(name: &str, files: &[(&str, &str)]) -> Option<u64> {
        let root = std::env::temp_dir().join(format!("netflix_rec_machine_{}_{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let memory = memory_below(&root);
        drop(fs::remove_dir_all(&root));
        memory
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal:       16384000 kB\nMemFree: 1 kB\n");
    const WHOLE_MEMORY: Option<u64> = Some(16_384_000 * 1024);

    #[pg_test]
    fn the_machine_has_its_memory() {
        assert!(memory().unwrap() > 64 << 20);
        assert_eq!(memory_with("nothing", &[]), None);
        assert_eq!(memory_with("machine", &[MACHINE]), WHOLE_MEMORY);
    }

    #[pg_test]
    fn a_group_of_version_2_grants_less() {
        let group = ("proc/self/cgroup", "0::/system.slice/postgresql.service\n");
        let no_limit = ("sys/fs/cgroup/system.slice/postgresql.service/memory.max", "max\n");
        assert_eq!(memory_with("v2", &[MACHINE, group, no_limit]), WHOLE_MEMORY);
        let slice = ("sys/fs/cgroup/system.slice/memory.max", "4294967296\n");
        assert_eq!(memory_with("v2", &[MACHINE, group, no_limit, slice]), Some(4 << 30));
        let service = ("sys/fs/cgroup/system.slice/postgresql.service/memory.max", "2147483648\n");
        assert_eq!(memory_with("v2", &[MACHINE, group, service, slice]), Some(2 << 30));
        // A container sees its group as the root.
        let container =
            [MACHINE, ("proc/self/cgroup", "0::/\n"), ("sys/fs/cgroup/memory.max", "1073741824\n")];
        assert_eq!(memory_with("v2", &container), Some(1 << 30));
    }

    #[pg_test]
    fn a_group_of_version_1_grants_less() {
        let groups = ("proc/self/cgroup", "12:cpu,cpuacct:/a\n11:memory:/docker/1f\n0::/\n");
        // In version 1, a large number means no limit.
        let no_limit = ("sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(memory_with("v1", &[MACHINE, groups, no_limit]), WHOLE_MEMORY);
        let docker = ("sys/fs/cgroup/memory/docker/1f/memory.limit_in_bytes", "536870912\n");
        assert_eq!(memory_with("v1", &[MACHINE, groups, docker]), Some(512 << 20));
        // A container that does not see its group's folder finds its limit at the root.
        let root = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
        assert_eq!(memory_with("v1", &[MACHINE, groups, root]), Some(256 << 20));
    }
}
