//! Files that appear whole or not at all.

use std::fs::File;
use std::io;
use std::path::Path;

/// Whether a file may appear at `path`: its folder is there, and nothing but a file is in its place.
///
/// # Errors
/// [`io::ErrorKind::IsADirectory`], [`io::ErrorKind::NotFound`] where the folder is missing, and
/// [`io::ErrorKind::InvalidInput`] for a device and the like, in whose place a file would come.
///
/// ```
/// use std::path::Path;
/// use plantain_weights::check_destination;
///
/// let missing = check_destination(Path::new("no/such/fox.png")).unwrap_err();
/// assert_eq!(missing.to_string(), "there is no folder no/such");
/// ```
pub fn check_destination(path: &Path) -> io::Result<()> {
    let problem = |kind, text: &str| Err(io::Error::new(kind, text));
    if path.is_dir() {
        return problem(io::ErrorKind::IsADirectory, "it is a folder");
    }
    if path.exists() && !path.is_file() {
        return problem(io::ErrorKind::InvalidInput, "it is no ordinary file");
    }
    let ends_as_folder = path.to_string_lossy().ends_with(std::path::is_separator);
    let folder = if ends_as_folder {
        path
    } else {
        folder_of(path)
    };
    if folder.is_dir() {
        return Ok(());
    }
    let text = format!("there is no folder {}", folder.display());
    problem(io::ErrorKind::NotFound, &text)
}

/// The folder that a file at `path` is in.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Lets `write` fill a temporary file beside `path`, then renames it to `path`, replacing a file that is
/// there, but nothing else. Whatever fails, no temporary file stays behind and what was at `path` is untouched.
///
/// # Errors
/// Those of [`check_destination`], of `write` and of the file system.
///
/// ```
/// use std::io::Write;
/// use plantain_weights::write_atomically;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("notes.txt");
/// write_atomically(&path, |mut file| file.write_all(b"all of it"))?;
/// assert_eq!(std::fs::read(&path)?, b"all of it");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&File) -> io::Result<()>,
) -> io::Result<()> {
    check_destination(path)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".plantain-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As for any new file: the process's umask applies. The default is readable by the owner only.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let file = builder
        .tempfile_in(folder_of(path))
        .map_err(|error| without_path(&error))?;
    write(file.as_file())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// The error without the temporary name that it may carry, which means nothing to a user.
fn without_path(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}
