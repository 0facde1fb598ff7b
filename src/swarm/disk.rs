//! What downloads take on the disk, and how a part of it is given back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::metainfo::Metainfo;
use super::pieces::Pieces;
use super::store::index_of;

/// Unit of `st_blocks`, whatever the block size of the filesystem (POSIX stat).
const STAT_BLOCK: u64 = 512;
/// Bytes copied at a time.
const COPY_SIZE: usize = 64 << 10;

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
            *usage.entry(index).or_default() += entry.metadata()?.blocks() * STAT_BLOCK;
        }
    }
    Ok(usage)
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
/// `needed` that could be kept. Pieces at the borders of a file that goes are shared with its neighbours, so their
/// part of it is copied to a new sparse file; where that fails (no room) the part is given up and with it the piece.
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

/// Replaces the file by a sparse one that has only these ranges.
fn keep_ranges(path: &Path, ranges: &[Range<u64>]) -> io::Result<()> {
    let new = path.with_extension("trimmed");
    let copied = copy_ranges(path, &new, ranges).and_then(|()| std::fs::rename(&new, path));
    if copied.is_err() {
        // It may not exist; the error that counts is the one before.
        let _ = std::fs::remove_file(&new);
    }
    copied
}

fn copy_ranges(from: &Path, to: &Path, ranges: &[Range<u64>]) -> io::Result<()> {
    let (source, target) = (File::open(from)?, File::create(to)?);
    let mut buffer = vec![0; COPY_SIZE];
    for range in ranges {
        let mut at = range.start;
        while at < range.end {
            let len = buffer.len().min(usize::try_from(range.end - at).unwrap_or(usize::MAX));
            source.read_exact_at(&mut buffer[..len], at)?;
            target.write_all_at(&buffer[..len], at)?;
            at += len as u64;
        }
    }
    target.sync_data()
}
