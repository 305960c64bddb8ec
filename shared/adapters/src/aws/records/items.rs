//! Records as items of the table: see [`super::DynamoRecords`].

use std::{collections::HashMap, fmt::Display};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use engine::ports::LedgerError;
use jiff::Timestamp;

use crate::{
    deflate::{WORTH_DEFLATING, deflated, inflated},
    ledger::{Key, Record},
};

/// Attributes by name: an item of the table, its key, or the values of an expression.
pub type Item = HashMap<String, AttributeValue>;

/// An item's partition key and sort key.
pub type Name = (String, String);

/// Due records, and the records of a list that holds them, are spread over this many partitions, to spread the writes.
pub const SHARDS: u8 = 16;

/// An item has at most 400 KB with its names and keys. Longer bodies continue in further items.
const PART: usize = 380_000;
/// What the bodies of most records repeat.
const DICTIONARY: &[u8] = include_bytes!("dictionary.txt");
/// More would not fit into one transaction.
const MOST_PARTS: usize = 10;
/// The number of the last possible part, counted from 0.
pub const LAST_PART: usize = MOST_PARTS - 1;

pub fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub fn number(number: &impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A time in microseconds since 1970.
pub fn micros(time: Timestamp) -> AttributeValue {
    number(&time.as_microsecond())
}

pub fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.map(|(name, value)| (name.to_owned(), value)).into()
}

/// An item's primary key.
pub fn key(pk: &str, sk: &str) -> Item {
    item([("pk", text(pk)), ("sk", text(sk))])
}

/// The name of an item, or of an index's entry.
pub fn name(item: &Item) -> Result<Name, LedgerError> {
    Ok((string(item, "pk")?.to_owned(), string(item, "sk")?.to_owned()))
}

/// What the partitions of due records begin with.
const OPEN: &str = "OPEN";
/// Earlier versions put unclaimed jobs into the index `waiting_jobs`, under partitions with this prefix. Such a record has
/// no name.
const WAITS: &str = "WAITS#";

/// A partition of the index of due records. Each kind has its own, so that many of one do not hide another.
pub fn open(kind: &str, shard: u8) -> String {
    if kind == "JOB" { within(OPEN, shard) } else { within(&within(OPEN, kind), shard) }
}

/// A part of something: a list's records of one status, or one of the partitions of an index.
pub fn within(whole: &str, part: impl Display) -> String {
    format!("{whole}#{part}")
}

/// A record as items: more than one if its body is too long. Only the first has the other attributes.
pub fn of(record: &Record) -> Result<Vec<Item>, LedgerError> {
    let Record { key: Key { partition, kind }, body, version, expires_at, list, due_at, due_from, waits_since, name } =
        record;
    let parts = bodies(body)?;
    let held_by = list.as_ref().filter(|_| record.is_part_of_list());
    let (pk, sk) = match held_by {
        Some((list, place)) => (&within(&list.name, shard(place)), place.as_str()),
        None => (partition, *kind),
    };
    let count = parts.len();
    let mut items = Vec::with_capacity(count);
    for (place, body) in parts.into_iter().enumerate() {
        let mut item = key(pk, &part_sk(sk, place));
        item.insert("body".to_owned(), body);
        if let Some(time) = expires_at {
            expire(&mut item, *time);
        }
        items.push(item);
    }
    let (list, place) = list.as_ref().filter(|_| held_by.is_none()).map(|(list, place)| (list, place)).unzip();
    let status_pk = list.and_then(|list| Some(within(&list.name, list.status?)));
    let of_first = [
        ("version", version.as_ref().map(text)),
        ("list_pk", list.map(|list| text(&list.name))),
        ("list_sk", place.map(text)),
        ("status_pk", status_pk.map(text)),
        ("open_pk", due_from.map(|_| text(open(kind, shard(partition))))),
        ("due_at", due_from.map(micros)),
        ("due", due_at.map(micros)),
        ("waits_pk", name.as_ref().map(|(name, _)| text(name))),
        ("waits_since", name.as_ref().map(|(_, time)| *time).or(*waits_since).map(micros)),
        ("parts", (count > 1).then(|| number(&count))),
    ];
    items[0].extend(of_first.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Ok(items)
}

/// One of the partitions over which records are spread. Names that end with a hash or with random digits are spread evenly.
fn shard(name: &str) -> u8 {
    name.bytes().fold(0_u8, u8::wrapping_add) % SHARDS
}

/// When a record is due, which the index says less exactly.
pub fn due_at(item: &Item) -> Option<i64> {
    integer(item, "due").or_else(|| integer(item, "due_at"))
}

/// Since when a record waits to be taken. Records with a name do not.
pub fn waits_since(item: &Item) -> Option<Timestamp> {
    if string(item, "waits_pk").is_ok_and(|pk| !pk.starts_with(WAITS)) {
        return None;
    }
    time(item, "waits_since").ok()
}

/// The bodies of a record's items: the record's own, packed unless it is short, or its parts. What is too long for one item is
/// sealed, and so ASCII, which can be cut anywhere.
pub fn bodies(body: &str) -> Result<Vec<AttributeValue>, LedgerError> {
    if body.len() <= PART {
        let is_short = body.len() < WORTH_DEFLATING;
        return Ok(vec![if is_short { text(body) } else { AttributeValue::B(Blob::new(pack(body))) }]);
    }
    let parts = body.as_bytes().chunks(PART).map(std::str::from_utf8).collect::<Result<Vec<_>, _>>();
    let parts = parts.map_err(|_| LedgerError::permanent("a long record is not ASCII"))?;
    if parts.len() > MOST_PARTS {
        return Err(LedgerError::permanent("a record is too long for one transaction"));
    }
    Ok(parts.into_iter().map(text).collect())
}

/// The body in an item: of the whole record, or a part.
pub fn body(item: &Item) -> Result<String, LedgerError> {
    match item.get("body") {
        Some(AttributeValue::B(packed)) => unpack(packed.as_ref()).ok_or_else(unreadable),
        _ => string(item, "body").map(ToOwned::to_owned),
    }
}

/// A body as a table has it, deflated, since AWS bills by the kilobyte.
pub fn pack(body: &str) -> Vec<u8> {
    deflated(DICTIONARY, body.as_bytes())
}

/// The same the other way; none if it is no packed body.
pub fn unpack(packed: &[u8]) -> Option<String> {
    String::from_utf8(inflated(DICTIONARY, packed)?).ok()
}

/// The sort key of a part. There are at most ten, so they sort in order.
pub fn part_sk(sk: &str, part: usize) -> String {
    if part == 0 { sk.to_owned() } else { within(sk, part) }
}

/// How many items a record has.
pub fn parts(first: &Item) -> usize {
    integer(first, "parts").and_then(|parts| usize::try_from(parts).ok()).unwrap_or(1).max(1)
}

/// Sets an item's expiry: exactly in `expires_micros`, for reads and conditions, and rounded up to
/// seconds in `expires_at`, after which DynamoDB deletes it within days.
fn expire(item: &mut Item, time: Timestamp) {
    item.extend(self::item([("expires_micros", micros(time)), ("expires_at", number(&ttl(time)))]));
}

/// The time in seconds, rounded up.
pub fn ttl(time: Timestamp) -> i64 {
    let micros = time.as_microsecond();
    micros.div_euclid(1_000_000) + i64::from(micros.rem_euclid(1_000_000) > 0)
}

/// Whether an item has not expired.
pub fn is_alive(item: &Item, now: Timestamp) -> bool {
    integer(item, "expires_micros").is_none_or(|end| end > now.as_microsecond())
}

pub fn string<'i>(item: &'i Item, name: &str) -> Result<&'i str, LedgerError> {
    item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str).ok_or_else(unreadable)
}

pub fn integer(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub fn time(item: &Item, name: &str) -> Result<Timestamp, LedgerError> {
    integer(item, name).and_then(|micros| Timestamp::from_microsecond(micros).ok()).ok_or_else(unreadable)
}

/// The message contains nothing of the record.
fn unreadable() -> LedgerError {
    LedgerError::permanent("an item has an invalid format")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::List;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_microsecond(micros).unwrap()
    }

    fn record(body: String) -> Record {
        Record::new(Key { partition: "p".to_owned(), kind: "CONTENTS" }, body)
    }

    #[test]
    fn a_long_body_is_cut_and_no_item_is_too_large() {
        for length in [0, 1, PART, PART + 1, 1_400_000] {
            let long = Record { expires_at: Some(at(1)), ..record("x".repeat(length)) };
            let items = of(&long).unwrap();
            assert_eq!((items.len(), parts(&items[0])), (length.div_ceil(PART).max(1), items.len()));
            let body: String = items.iter().map(|item| super::body(item).unwrap()).collect();
            assert_eq!(body, long.body);
            let names: Vec<_> = items.iter().map(|item| string(item, "sk").unwrap()).collect();
            assert!(names.is_sorted() && names.iter().all(|name| name.starts_with("CONTENTS")), "{names:?}");
            assert!(items.iter().all(|item| item.contains_key("expires_at")));
        }
        assert!(of(&record("x".repeat(4_000_000))).is_err());
        assert!(of(&record("xé".repeat(PART))).is_err());
    }

    #[test]
    fn a_body_reads_back_and_a_longer_one_takes_less_room() {
        let sealed: String = ('a'..='z').chain('0'..='9').cycle().take(900).collect();
        for body in ["", "{}", r#"{"workspace":"acme","actor":"é"}"#, &"x".repeat(511), &"x".repeat(512), &sealed] {
            let item = &of(&record(body.to_owned())).unwrap()[0];
            assert_eq!(super::body(item).unwrap(), body);
            let is_packed = matches!(item["body"], AttributeValue::B(_));
            assert_eq!(is_packed, body.len() >= WORTH_DEFLATING, "{body}");
        }
        // As earlier versions wrote it.
        assert_eq!(super::body(&item([("body", text(&sealed))])).unwrap(), sealed);
        for damaged in [&[][..], b"x", &pack(&sealed)[..20], &deflated(b"", &[0xff; 600])] {
            let item = item([("body", AttributeValue::B(Blob::new(damaged)))]);
            assert!(super::body(&item).is_err_and(|error| error.to_string().contains("invalid format")));
        }
    }

    #[test]
    fn ttl_never_deletes_an_item_early() {
        assert_eq!([0, 1, 999_999, 1_000_000, 1_000_001].map(|micros| ttl(at(micros))), [0, 1, 1, 1, 2]);
        let mut item = key("p", "PLAN");
        assert!(is_alive(&item, Timestamp::MAX));
        expire(&mut item, at(5));
        assert!(is_alive(&item, at(4)) && !is_alive(&item, at(5)));
    }

    #[test]
    fn only_a_record_that_is_due_is_in_the_index_of_due_records() {
        let list = List { name: "W#local".to_owned(), status: Some("open") };
        let open = Record {
            due_at: Some(at(7)),
            due_from: Some(at(5)),
            list: Some((list, "7".to_owned())),
            ..record("{}".to_owned())
        };
        let item = &of(&open).unwrap()[0];
        assert!(item.contains_key("open_pk") && item.contains_key("status_pk") && !item.contains_key("expires_at"));
        assert_eq!((integer(item, "due_at"), due_at(item)), (Some(5), Some(7)), "the index is less exact");
        let ended = Record { due_at: None, due_from: None, expires_at: Some(at(8)), ..open };
        let item = &of(&ended).unwrap()[0];
        assert!(!item.contains_key("open_pk") && !item.contains_key("due_at") && item.contains_key("expires_at"));
    }
}
