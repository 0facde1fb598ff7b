use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::metadata::samples::InfoBuilder;
use crate::metadata::torrent::{self, MAX_TORRENT_BYTES, TorrentError};

fn parse(builder: InfoBuilder) -> Result<TorrentInfo, InfoError> {
    TorrentInfo::parse(&builder.build())
}

#[test]
fn an_album_is_read() {
    let info = parse(
        InfoBuilder::new("Album").file("CD1/01.mp3", 20000).padding(12768).file("CD2/01.mp3", 5).extra(b"7:privatei1e"),
    )
    .unwrap();
    assert_eq!((info.name.as_str(), info.piece_length, info.pieces, info.total), ("Album", 16384, 3, 32773));
    assert!(info.private && !info.single_file);
    assert_eq!(
        info.files[2],
        FileEntry { path: vec!["CD2".into(), "01.mp3".into()], length: 5, offset: 32768, padding: false }
    );
    assert!(info.files[1].padding && !info.files[0].padding);
    assert_eq!(info.path_of(2).as_deref(), Some("Album/CD2/01.mp3"));
    assert_eq!(info.path_of(3), None);
}

#[test]
fn a_single_file_is_read() {
    let info = parse(InfoBuilder::new("song.mp3").file("", 16384)).unwrap();
    assert!(info.single_file && !info.private);
    assert_eq!((info.files.len(), info.pieces), (1, 1));
    assert_eq!(info.path_of(0).as_deref(), Some("song.mp3"));
}

#[test]
fn the_infohash_is_the_sha1_of_the_bytes() {
    // The dictionary of BEP 3's simplest kind; its SHA-1 was computed with coreutils.
    let bytes = b"d6:lengthi3e4:name5:a.mp312:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae";
    let info = TorrentInfo::parse(bytes).unwrap();
    assert_eq!(info.infohash.to_string(), "14f802bb9ceccdd1f5064ba5592cf5dcaabf0ac7");
}

#[test]
fn utf8_names_win_over_legacy_ones() {
    let info =
        parse(InfoBuilder::new(b"\xca\xe8\xed\xee").file("", 1).extra("10:name.utf-88:Кино".as_bytes())).unwrap();
    assert_eq!(info.name, "Кино");
}

#[test]
fn hostile_paths_stay_below_the_folder() {
    let path = vec![b"..".to_vec(), b"..\\..\\x".to_vec(), b"/etc/passwd".to_vec(), b"\0".to_vec(), b"a.mp3".to_vec()];
    let info = parse(InfoBuilder::new("../..").raw_file(path, 1).file("b", 1)).unwrap();
    assert_eq!(info.path_of(0).as_deref(), Some(".._../_/.._.._x/_etc_passwd/_/a.mp3"));
}

#[test]
fn nonsense_is_refused() {
    let one = || InfoBuilder::new("a").file("a", 1).file("b", 1);
    for (builder, error) in [
        (InfoBuilder::new("a"), InfoError::Field("files")),
        (one().pieces(0), InfoError::Field("pieces")),
        (one().pieces(2), InfoError::Field("pieces")),
        (one().piece_length(0), InfoError::Field("piece length")),
        (one().piece_length(-16384), InfoError::Field("piece length")),
        (one().piece_length(i64::MAX), InfoError::Field("piece length")),
        (one().file("c", -1), InfoError::Field("length")),
        (one().pieces(1).file("c", i64::MAX), InfoError::Field("length")),
        (one().pieces(1).file("c", 1 << 50), InfoError::Field("length")),
        (one().raw_file(vec![], 1), InfoError::Field("path")),
        (one().raw_file(vec![b"x".to_vec(); MAX_PATH_DEPTH + 1], 1), InfoError::Field("path")),
    ] {
        assert_eq!(parse(builder.clone()), Err(error), "{}", String::from_utf8_lossy(&builder.build()));
    }
    let many = (0..=MAX_FILES).fold(InfoBuilder::new("a"), |builder, _| builder.file("f", 0));
    assert_eq!(parse(many), Err(InfoError::TooManyFiles));
    assert_eq!(TorrentInfo::parse(&vec![b'd'; MAX_INFO_BYTES + 1]), Err(InfoError::TooLarge(MAX_INFO_BYTES + 1)));
    assert_eq!(TorrentInfo::parse(b"li1ee"), Err(InfoError::NotADictionary));
    assert_eq!(TorrentInfo::parse(b"dee"), Err(InfoError::Bencode(BencodeError::Trailing)));
    assert_eq!(TorrentInfo::parse(b"d4:name"), Err(InfoError::Bencode(BencodeError::Truncated)));
}

#[test]
fn hybrids_are_read_and_v2_alone_is_named() {
    let v2 = b"12:meta versioni2e9:file treed5:a.mp3d0:d6:lengthi1eeee";
    assert!(parse(InfoBuilder::new("a.mp3").file("", 1).extra(v2)).is_ok());
    let alone = [b"d4:name5:a.mp312:piece lengthi16384e".as_slice(), v2, b"e"].concat();
    assert_eq!(TorrentInfo::parse(&alone), Err(InfoError::OnlyV2));
}

#[test]
fn torrent_files_are_read_and_written() {
    let info_bytes = InfoBuilder::new("song.mp3").file("", 1).build();
    let file = [b"d8:announce3:url4:info".as_slice(), &info_bytes, b"4:spami1ee\r\n"].concat();
    let read = torrent::parse(&file.into()).unwrap();
    assert_eq!((read.info.name.as_str(), &read.info_bytes[..]), ("song.mp3", &info_bytes[..]));
    let again = torrent::parse(&torrent::build(&read.info_bytes).into()).unwrap();
    assert_eq!(again, read);
}

#[test]
fn other_files_are_no_torrents() {
    let parse = |bytes: &[u8]| torrent::parse(&Bytes::copy_from_slice(bytes)).unwrap_err();
    assert_eq!(parse(b"d4:spami1ee"), TorrentError::NoInfo);
    assert_eq!(parse(b"d4:infoi1ee"), TorrentError::NoInfo);
    assert!(matches!(parse(b"<html>"), TorrentError::Bencode(_)));
    assert!(matches!(parse(b"d4:infod4:name"), TorrentError::Bencode(BencodeError::Truncated)));
    assert_eq!(parse(b"d4:infodee"), TorrentError::Info(InfoError::Field("pieces")));
    assert_eq!(parse(&vec![b'i'; MAX_TORRENT_BYTES + 1]), TorrentError::TooLarge(MAX_TORRENT_BYTES + 1));
}

proptest! {
    #[test]
    fn a_damaged_dictionary_is_read_or_refused(position in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>()) {
        let mut bytes = InfoBuilder::new("Album").file("CD1/01.mp3", 20000).padding(12768).file("b", 5).build();
        let index = position.index(bytes.len());
        bytes[index] = byte;
        if let Ok(info) = TorrentInfo::parse(&bytes) {
            let sum: u64 = info.files.iter().map(|file| file.length).sum();
            prop_assert_eq!(sum, info.total);
        }
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(TorrentInfo::parse(&bytes).is_err());
    }
}
