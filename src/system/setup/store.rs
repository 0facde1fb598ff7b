//! Files that are replaced as a whole: after a loss of power there is the old one or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::redact::Without;

/// A folder of such files.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// In this folder, which is made if it is not there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The text of a file; none if there is no such file or it is not readable as text.
    pub fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }

    /// Puts the text into a file with this mode, or takes the file away. What is so already is not touched: cards wear.
    pub fn put(&self, name: &str, text: Option<&str>, mode: u32) -> io::Result<()> {
        let path = self.folder.join(name);
        let Some(text) = text else { return self.remove(&path) };
        let is_so = |meta: fs::Metadata| meta.is_file() && meta.permissions().mode() & 0o7777 == mode;
        if fs::symlink_metadata(&path).is_ok_and(is_so) && fs::read(&path).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(());
        }
        let new = aside(&path);
        forget(&new)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        // Whatever the umask is.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        self.sync()
    }

    /// Makes a symbolic link to `target`, or takes it away.
    pub fn link(&self, name: &str, target: Option<&Path>) -> io::Result<()> {
        let path = self.folder.join(name);
        let Some(target) = target else { return self.remove(&path) };
        if fs::read_link(&path).is_ok_and(|old| old == target) {
            return Ok(());
        }
        let new = aside(&path);
        forget(&new)?;
        std::os::unix::fs::symlink(target, &new)?;
        fs::rename(&new, &path)?;
        self.sync()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path).is_err() {
            return Ok(());
        }
        fs::remove_file(path)?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

/// Name of a file that is not finished.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// Takes away what a start that was cut short left.
fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Replaces the text of a file on a file system without modes.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = aside(path);
    forget(&new)?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Puts the text into a file on a file system without modes, or takes the file away. What is so already is not touched.
pub fn leave(path: &Path, text: Option<&str>) -> io::Result<()> {
    match (fs::read_to_string(path), text) {
        (Ok(old), Some(text)) if old == text => Ok(()),
        (_, Some(text)) => replace(path, text),
        (Err(error), None) if error.kind() == ErrorKind::NotFound => Ok(()),
        (_, None) => fs::remove_file(path),
    }
}

/// Takes a secret out of the text of a file. First it is blanked where it lies, for a new file would leave it behind in blocks
/// that are free; whenever this is cut short after that, it is gone. The note in its place comes with a new file.
pub fn replace_secretly(path: &Path, without: &Without) -> io::Result<()> {
    // Of the same length, so it goes to the same blocks.
    let mut file = OpenOptions::new().write(true).open(path)?;
    file.write_all(without.blank.as_bytes())?;
    file.sync_all()?;
    // It may be full.
    let _ = replace(path, &without.noted);
    Ok(())
}
