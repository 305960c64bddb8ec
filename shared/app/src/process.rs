//! What the operating system lets this process do, and others do to it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Keeps the memory of the process, with its keys and tokens, out of core files and away from debuggers of the same
/// user. A debug build is left to debuggers.
pub fn keep_memory_private() {
    if !cfg!(debug_assertions) {
        forbid_dumps();
    }
}

fn forbid_dumps() {
    // Neither can fail: a limit may always be lowered, and a process may always give up being dumped.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// How many files this process may open, after the limit was raised to what the system allows.
pub fn open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // Without a maximum, the limit stays as it is.
    let raised =
        limit.maximum.is_some() && setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).is_ok();
    let limit = if raised { limit.maximum } else { limit.current };
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, dumpable_behavior};

    use super::*;

    #[test]
    fn nobody_gets_a_copy_of_the_memory() {
        forbid_dumps();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let core = getrlimit(Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
    }

    #[test]
    fn the_limit_of_open_files_is_as_high_as_it_may_be() {
        let most = open_files();
        let limit = getrlimit(Resource::Nofile);
        assert!(most > 0 && limit.current.is_none_or(|current| current == most as u64), "{most} {limit:?}");
    }
}
