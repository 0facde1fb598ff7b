//! Making a torrent of files that a person has.

use std::io::Read;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

use super::error::SwarmError;
use super::metainfo::Metainfo;

/// Most files in a share.
const MAX_FILES: usize = 4096;
/// Folders within folders that are followed.
const MAX_DEPTH: usize = 16;
/// Smallest piece: a song starts after its first one.
const MIN_PIECE: u32 = 256 << 10;
/// Largest piece.
const MAX_PIECE: u32 = 4 << 20;
/// Pieces grow rather than exceed this number; the info dictionary then stays below 100 KiB.
const MAX_PIECES: u64 = 4096;
/// Bytes read at a time.
const READ_SIZE: usize = 64 << 10;

/// A torrent of existing files.
pub(super) struct Made {
    pub meta: Metainfo,
    /// The folder below which the paths of the torrent lie.
    pub root: PathBuf,
}

/// Makes a torrent of the file or folder at `path`. Hidden files and links are left out; files come in order of their
/// names, so that the same folder makes the same torrent anywhere.
pub(super) fn make(path: &Path, cancelled: &dyn Fn() -> bool) -> Result<Made, SwarmError> {
    let path = path.canonicalize().map_err(|error| refuse(path, error))?;
    let name =
        path.file_name().and_then(|name| name.to_str()).ok_or_else(|| refuse(&path, "it has no readable name"))?;
    let kind = std::fs::metadata(&path).map_err(|error| refuse(&path, error))?;
    let (root, files) = if kind.is_dir() {
        let mut files = Vec::new();
        walk(&path, &mut Vec::new(), &mut files)?;
        (path.clone(), files)
    } else {
        (path.parent().unwrap_or(Path::new("/")).to_owned(), vec![(vec![name.to_owned()], kind.len())])
    };
    let total: u64 = files.iter().map(|(_, len)| len).sum();
    if total == 0 {
        return Err(refuse(&path, "there is nothing in it"));
    }
    let piece_length = piece_length(total);
    let hashes = hash(&root, &files, piece_length, cancelled)?;
    let info = encode(name, kind.is_dir(), &files, piece_length, &hashes);
    Ok(Made { meta: Metainfo::parse(&info)?, root })
}

fn refuse(path: &Path, reason: impl std::fmt::Display) -> SwarmError {
    SwarmError::Share { path: path.to_owned(), reason: reason.to_string() }
}

fn piece_length(total: u64) -> u32 {
    let mut piece = MIN_PIECE;
    while piece < MAX_PIECE && total.div_ceil(u64::from(piece)) > MAX_PIECES {
        piece *= 2;
    }
    piece
}

type Listed = (Vec<String>, u64);

fn walk(folder: &Path, below: &mut Vec<String>, files: &mut Vec<Listed>) -> Result<(), SwarmError> {
    if below.len() > MAX_DEPTH {
        return Err(refuse(folder, "its folders are nested too deeply"));
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(|error| refuse(folder, error))? {
        let entry = entry.map_err(|error| refuse(folder, error))?;
        let name = entry
            .file_name()
            .into_string()
            .map_err(|_| refuse(&entry.path(), "its name is not UTF-8; rename it first"))?;
        if !name.starts_with('.') {
            entries.push((name, entry));
        }
        if entries.len() + files.len() > MAX_FILES {
            return Err(refuse(folder, "it has more than 4,096 files; share its folders one by one"));
        }
    }
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, entry) in entries {
        // Does not follow links: what they point to may lie outside what was meant to be shared.
        let kind = entry.metadata().map_err(|error| refuse(&entry.path(), error))?;
        below.push(name);
        if kind.is_dir() {
            walk(&entry.path(), below, files)?;
        } else if kind.is_file() {
            files.push((below.clone(), kind.len()));
        }
        below.pop();
    }
    Ok(())
}

fn hash(root: &Path, files: &[Listed], piece_length: u32, cancelled: &dyn Fn() -> bool) -> Result<Vec<u8>, SwarmError> {
    let (mut hashes, mut hasher, mut room) = (Vec::new(), Sha1::new(), piece_length as usize);
    let mut buffer = vec![0; READ_SIZE];
    for (parts, len) in files {
        let path = root.join(parts.iter().collect::<PathBuf>());
        let mut file = std::fs::File::open(&path).map_err(|error| refuse(&path, error))?;
        let mut left = *len;
        while left > 0 {
            let want = buffer.len().min(room).min(usize::try_from(left).unwrap_or(usize::MAX));
            file.read_exact(&mut buffer[..want]).map_err(|error| refuse(&path, error))?;
            hasher.update(&buffer[..want]);
            left -= want as u64;
            room -= want;
            if room == 0 {
                if cancelled() {
                    return Err(SwarmError::Cancelled);
                }
                hashes.extend(hasher.finalize_reset());
                room = piece_length as usize;
            }
        }
    }
    if room < piece_length as usize {
        hashes.extend(hasher.finalize());
    }
    Ok(hashes)
}

/// The info dictionary (BEP 3), keys in order.
fn encode(name: &str, folder: bool, files: &[Listed], piece_length: u32, hashes: &[u8]) -> Vec<u8> {
    let mut out = vec![b'd'];
    let text = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.extend(format!("{}:", bytes.len()).into_bytes());
        out.extend(bytes);
    };
    let number = |out: &mut Vec<u8>, key: &str, value: u64| {
        text(out, key.as_bytes());
        out.extend(format!("i{value}e").into_bytes());
    };
    if folder {
        text(&mut out, b"files");
        out.push(b'l');
        for (parts, len) in files {
            out.push(b'd');
            number(&mut out, "length", *len);
            text(&mut out, b"path");
            out.push(b'l');
            parts.iter().for_each(|part| text(&mut out, part.as_bytes()));
            out.extend(b"ee");
        }
        out.push(b'e');
    } else {
        number(&mut out, "length", files.iter().map(|(_, len)| len).sum());
    }
    text(&mut out, b"name");
    text(&mut out, name.as_bytes());
    number(&mut out, "piece length", u64::from(piece_length));
    text(&mut out, b"pieces");
    text(&mut out, hashes);
    out.push(b'e');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_makes_the_same_torrent_whatever_order_the_disk_lists_it_in() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (folder, order) in [(&a, [0, 1, 2]), (&b, [2, 0, 1])] {
            let album = folder.path().join("Album");
            std::fs::create_dir_all(album.join("CD2")).unwrap();
            for index in order {
                let (name, len) = [("02 b.ogg", 300_000), ("CD2/01 c.ogg", 700_001), ("01 a.ogg", 0)][index];
                std::fs::write(album.join(name), vec![index as u8; len]).unwrap();
            }
            std::fs::write(album.join(".hidden"), "x").unwrap();
            std::os::unix::fs::symlink("/etc/hostname", album.join("link")).unwrap();
        }
        let made = make(&a.path().join("Album"), &|| false).unwrap();
        let same = make(&b.path().join("Album"), &|| false).unwrap();
        assert_eq!(made.meta.infohash, same.meta.infohash);
        let paths: Vec<_> = made.meta.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["01 a.ogg", "02 b.ogg", "CD2/01 c.ogg"]);
        assert_eq!((made.meta.name.as_str(), made.meta.pieces(), made.meta.length), ("Album", 4, 1_000_001));
    }

    #[test]
    fn what_cannot_be_shared_is_refused_with_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |path: &Path| make(path, &|| false).map(|made| made.meta.name).unwrap_err().to_string();
        assert!(refusal(folder.path()).contains("nothing in it"));
        assert!(refusal(&folder.path().join("none")).contains("No such file"));
        std::fs::write(folder.path().join("song.mp3"), vec![1; 300_000]).unwrap();
        assert!(matches!(make(folder.path(), &|| true), Err(SwarmError::Cancelled)));
    }

    #[test]
    fn pieces_stay_small_enough_to_start_and_few_enough_to_list() {
        assert_eq!(piece_length(5 << 20), 256 << 10);
        assert_eq!(piece_length(3 << 30), 1 << 20);
        assert_eq!(piece_length(1 << 40), 4 << 20);
    }
}
