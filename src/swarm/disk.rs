//! What downloads take on the disk, and how a part of it is given back.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::FallocateFlags;

use super::metainfo::Metainfo;
use super::pieces::Pieces;
use super::store::index_of;

/// Unit of `st_blocks`, whatever the block size of the filesystem (POSIX stat).
const STAT_BLOCK: u64 = 512;

/// Allocated bytes of each file in the folder of a download. No folder is no bytes.
pub(super) fn usage(folder: &Path) -> io::Result<BTreeMap<u32, u64>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        entries => entries?,
    };
    let mut usage = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        if let Some(index) = index_of(&entry.path()) {
            match entry.metadata() {
                Ok(meta) => *usage.entry(index).or_default() += meta.blocks() * STAT_BLOCK,
                // Deleted while we look.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(usage)
}

/// Bytes that the folder and everything in it take.
pub(super) fn total(folder: &Path) -> io::Result<u64> {
    let mut bytes = std::fs::symlink_metadata(folder)?.blocks() * STAT_BLOCK;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let taken = match entry.file_type()?.is_dir() {
            true => total(&entry.path()),
            false => entry.metadata().map(|meta| meta.blocks() * STAT_BLOCK),
        };
        match taken {
            // Deleted or renamed while we look.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            taken => bytes += taken?,
        }
    }
    Ok(bytes)
}

/// Deletes one file of a download and returns the bytes it took; and the folder if that was the last one.
pub(super) fn delete(folder: &Path, file: u32) -> io::Result<u64> {
    let bytes = usage(folder)?.get(&file).copied().unwrap_or(0);
    if let Ok(entries) = std::fs::read_dir(folder) {
        for entry in entries {
            let path = entry?.path();
            if index_of(&path) == Some(file) {
                std::fs::remove_file(path)?;
            }
        }
        // Fails if something is left, which is what decides.
        let _ = std::fs::remove_dir(folder);
    }
    Ok(bytes)
}

/// Deletes everything in the folder of a download that no piece of `needed` lies in, and returns the pieces of
/// `needed` that could be kept. Pieces at the borders of a file that goes are shared with its neighbours, so their part
/// of it stays in what is a sparse file then; where that fails (no holes) the part is given up and with it the piece.
pub(super) fn trim(folder: &Path, meta: &Metainfo, needed: &Pieces) -> io::Result<Pieces> {
    let mut kept = needed.clone();
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Pieces::none(meta.pieces())),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let Some(file) = index_of(&path) else { continue };
        let pieces = meta.pieces_of(file);
        if !pieces.is_empty() && needed.contains_all(pieces.clone()) {
            continue;
        }
        let ranges = ranges(meta, file, needed);
        if ranges.is_empty() {
            std::fs::remove_file(&path)?;
        } else if let Err(error) = keep_ranges(&path, &ranges) {
            tracing::warn!(%error, path = %path.display(), "cannot keep the borders of an evicted file");
            std::fs::remove_file(&path)?;
            let mut left = Pieces::none(meta.pieces());
            (0..meta.pieces()).filter(|piece| !pieces.contains(piece)).for_each(|piece| left.insert(piece));
            kept.intersect(&left);
        }
    }
    // Fails if something is left, which is what decides.
    let _ = std::fs::remove_dir(folder);
    Ok(kept)
}

/// Byte ranges of the file that belong to these pieces.
fn ranges(meta: &Metainfo, file: u32, needed: &Pieces) -> Vec<Range<u64>> {
    meta.pieces_of(file)
        .filter(|piece| needed.contains(*piece))
        .filter_map(|piece| meta.files_of(piece).find(|(index, _)| *index == file).map(|(_, range)| range))
        .collect()
}

/// Gives back all of the file but these ranges, in place: a copy, however short-lived, would take room on top of the
/// budget. Fails on filesystems without holes if something before a range has to go.
fn keep_ranges(path: &Path, ranges: &[Range<u64>]) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let end = ranges.last().map_or(0, |range| range.end);
    file.set_len(end.min(file.metadata()?.len()))?;
    let mut at = 0;
    for range in ranges {
        if range.start > at {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(&file, hole, at, range.start - at)?;
        }
        at = range.end;
    }
    Ok(())
}
