use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { depth: 10, items: 512 };

fn read(input: &[u8]) -> Result<Value<'_>, BencodeError> {
    parse(input, LIMITS)
}

#[test]
fn values_are_read() {
    let (value, rest) = parse_prefix(b"d1:ai-42e1:bl3:xyzi0ee1:cdeetail", LIMITS).unwrap();
    assert_eq!((value.raw(), rest), (&b"d1:ai-42e1:bl3:xyzi0ee1:cdee"[..], &b"tail"[..]));
    assert_eq!(value.get(b"a").and_then(Value::int), Some(-42));
    let list: Vec<_> = value.get(b"b").and_then(Value::list).unwrap().map(Value::raw).collect();
    assert_eq!(list, [&b"3:xyz"[..], b"i0e"]);
    assert_eq!(value.get(b"c").and_then(Value::dict).unwrap().count(), 0);
    assert_eq!(value.get(b"d"), None);
    assert_eq!(value.get(b"b").unwrap().get(b"xyz"), None);
}

#[test]
fn hostile_input_is_refused() {
    use BencodeError::{Malformed, Trailing, Truncated};
    for (input, error) in [
        ("", Truncated),
        ("i", Truncated),
        ("ie", Malformed),
        ("i-0e", Malformed),
        ("i01e", Malformed),
        ("i-e", Malformed),
        ("i1", Truncated),
        ("i12", Truncated),
        ("i9223372036854775808e", Malformed),
        ("i-9223372036854775809e", Malformed),
        ("i99999999999999999999e", Malformed),
        ("01:a", Malformed),
        ("2:a", Truncated),
        ("1", Truncated),
        ("-1:a", Malformed),
        ("l", Truncated),
        ("le!", Trailing),
        ("d1:ae", Malformed),
        ("d1:a", Truncated),
        ("di1ei2ee", Malformed),
        ("e", Malformed),
        ("x", Malformed),
        ("99999999999999999999:x", Malformed),
        ("9223372036854775807:x", Truncated),
        ("18446744073709551615:x", Truncated),
        ("d1:a1:be1:c", Trailing),
        ("dlei1ee", Malformed),
        ("d1:ai1ei2ei3ee", Malformed),
    ] {
        assert_eq!(read(input.as_bytes()), Err(error), "{input}");
    }
}

#[test]
fn nested_dictionaries_need_string_keys() {
    assert_eq!(read(b"ld1:ai1eei2ee").unwrap().list().unwrap().count(), 2);
    assert_eq!(read(b"d1:adi1ei2eee"), Err(BencodeError::Malformed));
    assert_eq!(read(b"d1:alei1ei2ee"), Err(BencodeError::Malformed));
}

#[test]
fn a_value_is_of_one_kind() {
    let kinds = |input: &'static [u8]| {
        let value = read(input).unwrap();
        [value.int().is_some(), value.bytes().is_some(), value.list().is_some(), value.dict().is_some()]
    };
    assert_eq!(kinds(b"i1e"), [true, false, false, false]);
    assert_eq!(kinds(b"1:l"), [false, true, false, false]);
    assert_eq!(kinds(b"le"), [false, false, true, false]);
    assert_eq!(kinds(b"de"), [false, false, false, true]);
}

#[test]
fn extremes_of_integers_are_written_and_read() {
    for number in [0, 1, -1, 10, -10, i64::MAX, i64::MIN] {
        let mut writer = Writer::default();
        writer.int(number);
        let written = writer.into_bytes();
        assert_eq!(written, format!("i{number}e").as_bytes());
        assert_eq!(read(&written).unwrap().int(), Some(number));
    }
}

#[test]
fn depth_and_count_are_bounded() {
    let nested = |depth: u32| [vec![b'l'; depth as usize], vec![b'e'; depth as usize]].concat();
    let limits = |depth| Limits { depth, items: 512 };
    for depth in [0, 1, 10, MAX_DEPTH] {
        assert!(depth == 0 || parse(&nested(depth), limits(depth)).is_ok());
        assert_eq!(parse(&nested(depth + 1), limits(depth)), Err(BencodeError::TooDeep));
    }
    assert_eq!(parse(&nested(MAX_DEPTH + 1), limits(u32::MAX)), Err(BencodeError::TooDeep));
    let list = |items: usize| ["l", &"0:".repeat(items), "e"].concat().into_bytes();
    assert!(read(&list(LIMITS.items - 1)).is_ok());
    assert_eq!(read(&list(LIMITS.items)), Err(BencodeError::TooMany));
    assert_eq!(read(&vec![b'd'; 100_000]), Err(BencodeError::Malformed));
    assert_eq!(read(&vec![b'l'; 100_000]), Err(BencodeError::TooDeep));
}

#[test]
fn unchecked_items_end_at_the_first_malformed_one() {
    let read = |inside: &'static [u8]| items(inside).map(Value::raw).collect::<Vec<_>>();
    assert_eq!(read(b"1:ai5e"), [&b"1:a"[..], b"i5e"]);
    assert_eq!(read(b"1:a9:b"), [&b"1:a"[..]]);
    assert_eq!(read(b"1:ae1:b"), [&b"1:a"[..]]);
    assert!(read(b"").is_empty());
}

/// Number of integers and strings.
fn walk(value: Value<'_>) -> usize {
    if let Some(list) = value.list() {
        list.map(walk).sum()
    } else if let Some(dict) = value.dict() {
        dict.map(|(_, value)| walk(value)).sum()
    } else {
        usize::from(value.int().is_some() != value.bytes().is_some())
    }
}

/// Any value within the limits, and how many integers and strings it has.
fn any_value() -> impl Strategy<Value = (Vec<u8>, usize)> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(|number| (format!("i{number}e").into_bytes(), 1)),
        prop::collection::vec(any::<u8>(), 0..12)
            .prop_map(|bytes| ([format!("{}:", bytes.len()).as_bytes(), &bytes].concat(), 1)),
    ];
    leaf.prop_recursive(4, 64, 4, |inner| {
        (any::<bool>(), prop::collection::vec(inner, 0..4)).prop_map(|(dict, values)| {
            let leaves = values.iter().map(|(_, leaves)| leaves).sum();
            let key: &[u8] = if dict { b"3:key" } else { b"" };
            let inside = values.iter().flat_map(|(value, _)| [key, value]).collect::<Vec<_>>().concat();
            ([if dict { b"d" } else { b"l" }, &inside[..], b"e"].concat(), leaves)
        })
    })
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(
        input in prop::collection::vec(
            prop_oneof![prop::sample::select(b"dlei:-0123456789a\xff".to_vec()), any::<u8>()],
            0..200,
        ),
    ) {
        if let Ok((value, rest)) = parse_prefix(&input, LIMITS) {
            prop_assert_eq!([value.raw(), rest].concat(), &input[..]);
            prop_assert_eq!(read(&input).is_ok(), rest.is_empty());
            walk(value);
            if let Some(list) = value.list() {
                let inner: Vec<u8> = list.flat_map(|item| item.raw().to_vec()).collect();
                prop_assert_eq!([b"l".as_slice(), &inner, b"e"].concat(), value.raw());
            }
        }
        items(&input).for_each(|value| { walk(value); });
    }

    #[test]
    fn every_part_of_a_value_is_reached_and_none_may_be_missing((input, leaves) in any_value()) {
        prop_assert_eq!(walk(read(&input).unwrap()), leaves);
        for end in 0..input.len() {
            prop_assert_eq!(read(&input[..end]), Err(BencodeError::Truncated));
        }
    }

    #[test]
    fn written_values_are_read(bytes: Vec<u8>, number: i64) {
        let mut writer = Writer::default();
        writer.dict().bytes("b").bytes(&bytes).bytes("i").int(number).bytes("l").list().bytes(&bytes).end().end();
        let written = writer.into_bytes();
        let entries: Vec<_> = read(&written).unwrap().dict().unwrap().collect();
        prop_assert_eq!(entries.len(), 3);
        prop_assert_eq!(entries[0].1.bytes(), Some(&bytes[..]));
        prop_assert_eq!(entries[1].1.int(), Some(number));
        prop_assert_eq!(entries[2].1.list().unwrap().next().unwrap().bytes(), Some(&bytes[..]));
    }
}
