//! What the process may use of the machine it runs on.

use std::num::NonZero;
use std::path::Path;
use std::thread::available_parallelism;

/// Where control groups are mounted, by convention.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Cores, of which a CPU quota of the control group may leave fewer than there are.
pub(crate) fn cores() -> usize {
    available_parallelism().map_or(2, NonZero::get)
}

/// The memory limit of the control group in bytes, of version 2 or 1. Version 1 writes a huge number for none.
pub(crate) fn memory_limit() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    limit(Path::new(CGROUPS), &groups)
}

/// The least limit of the groups that `/proc/self/cgroup` names, and of those that they are in.
fn limit(mount: &Path, groups: &str) -> Option<u64> {
    groups.lines().filter_map(|line| limit_of(mount, line)).min()
}

fn limit_of(mount: &Path, line: &str) -> Option<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (root, file) = match fields.next()? {
        "" => (mount.to_owned(), "memory.max"),
        controllers if controllers.split(',').any(|name| name == "memory") => {
            (mount.join("memory"), "memory.limit_in_bytes")
        }
        _ => return None,
    };
    // Inside a container the path may be the host's, of which only the root is to be seen.
    let group = Path::new(fields.next()?.trim_start_matches('/'));
    let read =
        |folder: &Path| std::fs::read_to_string(root.join(folder).join(file)).ok()?.trim().parse().ok();
    group.ancestors().filter_map(read).min()
}

/// Files that the process should be able to open: connections and slides are one each, and the usual limit is 1,024.
#[cfg(unix)]
const FILES: u64 = 16_384;

/// Raises the limit of open files as far as the system lets it, which most do far.
pub(crate) fn allow_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let wanted = maximum.map_or(FILES, |maximum| maximum.min(FILES));
        if current.is_some_and(|current| current < wanted) {
            // Where it is refused the limit is what it was.
            let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn as_many_files_are_allowed_as_the_system_lets_us() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // Few for a moment, and yet enough for the tests beside this one.
        setrlimit(Resource::Nofile, Rlimit { current: Some(1024), maximum }).expect("less is always allowed");
        allow_files();
        let allowed = getrlimit(Resource::Nofile).current.unwrap_or(FILES);
        assert_eq!(allowed, maximum.map_or(FILES, |maximum| maximum.min(FILES)));
    }

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            std::fs::write(path, text).expect("a file");
        }
        folder
    }

    #[test]
    fn the_least_limit_of_a_group_and_those_above_it() {
        let mount =
            folder(&[("a/memory.max", "1000\n"), ("a/b/memory.max", "max\n"), ("a/c/memory.max", "9\n")]);
        assert_eq!(limit(mount.path(), "0::/a/b\n"), Some(1000));
        assert_eq!(limit(mount.path(), "0::/a/c\n"), Some(9));
        assert_eq!(limit(mount.path(), "0::/\n"), None);
    }

    #[test]
    fn version_1_and_a_path_that_is_the_hosts() {
        let mount = folder(&[("memory/memory.limit_in_bytes", "4096\n")]);
        let groups = "5:devices:/x\n4:hugetlb,memory:/docker/123\n1:cpu:/\n0::/\n";
        assert_eq!(limit(mount.path(), groups), Some(4096));
        assert_eq!(limit(mount.path(), "garbage\n7:pids:/\n"), None);
    }
}
