//! The end of an Ogg stream: its last granule position tells the playing time (RFC 3533).

use super::source::SharedInput;

/// Bytes at the end of a file within which the last page begins: a page is at most 65,307 bytes.
pub(super) const TAIL_BYTES: u64 = 64 * 1024;

/// Length of a page header up to its segment table.
const PAGE_HEADER: usize = 27;

/// Granule position of the last page of stream `serial` at the end of the file, which must have arrived.
pub(super) fn last_granule(input: &SharedInput, serial: u32) -> Option<u64> {
    let start = input.len().saturating_sub(TAIL_BYTES);
    let mut tail = vec![0; (input.len() - start) as usize];
    let count = input.read_full(start, &mut tail).ok()?;
    last_granule_in(&tail[..count], serial)
}

fn last_granule_in(tail: &[u8], serial: u32) -> Option<u64> {
    (0..tail.len().saturating_sub(PAGE_HEADER)).rev().find_map(|at| {
        let header = tail.get(at..at + PAGE_HEADER)?;
        if !header.starts_with(b"OggS\0") || header[14..18] != serial.to_le_bytes() {
            return None;
        }
        let granule = u64::from_le_bytes(header[6..14].try_into().ok()?);
        // All ones: no packet ends on this page.
        (granule != u64::MAX).then_some(granule)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(serial: u32, granule: u64) -> Vec<u8> {
        let mut page = b"OggS\0\0".to_vec();
        page.extend_from_slice(&granule.to_le_bytes());
        page.extend_from_slice(&serial.to_le_bytes());
        page.extend_from_slice(&[0; 9]);
        page.extend_from_slice(&[7; 40]);
        page
    }

    #[test]
    fn the_last_page_of_the_stream_counts() {
        let tail = [page(5, 100), page(5, 200), page(6, 300), page(5, u64::MAX)].concat();
        assert_eq!(last_granule_in(&tail, 5), Some(200));
        assert_eq!(last_granule_in(&tail, 6), Some(300));
        assert_eq!(last_granule_in(&tail, 7), None);
        assert_eq!(last_granule_in(&tail[..20], 5), None);
    }
}
