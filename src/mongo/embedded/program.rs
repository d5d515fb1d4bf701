//! Finding the mongod program: configuration, `PATH`, then the cache that scripts/fetch-mongod fills.

use std::{
    env,
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::EmbeddedError;

/// Where scripts/fetch-mongod puts the program, in the cache folder.
const CACHED: &str = "mongod-6.0.5/mongod";

/// Finds the program: `configured` when it is not empty, else in `PATH`, else in the cache folder
/// (`BODEGA_CACHE`, by default `~/.cache/bodega`).
///
/// # Errors
/// When there is none.
pub(super) fn find(configured: &str) -> Result<PathBuf, EmbeddedError> {
    find_in(configured, env::var_os("PATH").as_deref(), &cached())
}

fn cached() -> PathBuf {
    let cache = env::var_os("BODEGA_CACHE").map_or_else(
        || {
            let home = env::var_os("HOME").unwrap_or_default();
            Path::new(&home).join(".cache").join("bodega")
        },
        PathBuf::from,
    );
    cache.join(CACHED)
}

fn find_in(
    configured: &str,
    path: Option<&OsStr>,
    cached: &Path,
) -> Result<PathBuf, EmbeddedError> {
    if !configured.is_empty() {
        let path = PathBuf::from(configured);
        return if is_executable(&path) {
            Ok(path)
        } else {
            Err(EmbeddedError::NotExecutable { path })
        };
    }
    let folders = path.map(env::split_paths).into_iter().flatten();
    folders
        .map(|folder| folder.join("mongod"))
        .chain([cached.to_owned()])
        .find(|candidate| is_executable(candidate))
        .ok_or_else(|| EmbeddedError::NoProgram {
            cached: cached.to_owned(),
        })
}

fn is_executable(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOWHERE: &str = "/no/such/cache/mongod-6.0.5/mongod";

    #[test]
    fn the_configured_program_wins_and_must_be_executable() {
        let found = find_in("/bin/sh", Some(OsStr::new("/bin")), Path::new(NOWHERE)).unwrap();
        assert_eq!(found, Path::new("/bin/sh"));
        let line = find_in("/etc/passwd", None, Path::new(NOWHERE)).unwrap_err();
        assert!(line.to_string().starts_with("mongodb.mongod: /etc/passwd"));
    }

    #[test]
    fn without_any_the_line_names_both_ways_out() {
        let line = find_in("", Some(OsStr::new("/no/such/bin")), Path::new(NOWHERE))
            .unwrap_err()
            .to_string();
        assert!(line.contains("scripts/fetch-mongod") && line.contains("BODEGA__MONGODB__URI"));
        assert!(line.contains(NOWHERE) && !line.contains('\n'));
    }

    #[test]
    fn the_cache_comes_after_the_path() {
        let found = find_in("", Some(OsStr::new("/no/such/bin")), Path::new("/bin/sh")).unwrap();
        assert_eq!(found, Path::new("/bin/sh"));
    }
}
