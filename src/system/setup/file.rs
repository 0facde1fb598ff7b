//! `silverstream.toml` of the boot partition: the jukebox's configuration with two parts for the system around it.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::checks;
use super::legible::{Legible, legible};
use super::wifi::{Access, Wifi};
use crate::config::Config;

/// Tables of the configuration, for those who mistype one. The test holds it against the configuration.
const TABLES: [&str; 9] = ["audio", "control", "dht", "index", "network", "panel", "storage", "system", "wifi"];

/// Sections of keys that a person is likely to write into another one, above all where the header is still a comment.
const HOMES: [(&str, &str); 12] = [
    ("ssid", "wifi"),
    ("password", "wifi"),
    ("country", "wifi"),
    ("open", "wifi"),
    ("hostname", "system"),
    ("timezone", "system"),
    ("ssh_keys", "system"),
    ("output", "audio"),
    ("display", "panel"),
    ("knob", "panel"),
    ("upload", "network"),
    ("listen", "dht"),
];

/// Keys of `[system]` that are not the jukebox's.
const SYSTEM_KEYS: [&str; 3] = ["hostname", "timezone", "ssh_keys"];

/// Keys that may be entered at most.
const MAX_SSH_KEYS: usize = 32;

/// Mistakes that are told at most; who mends those finds the rest.
const MAX_SLIPS: usize = 32;

/// A mistake, and the byte at which it begins if it is at one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slip {
    pub at: Option<usize>,
    pub text: String,
}

impl Slip {
    /// What the parser says.
    pub fn of(error: &toml::de::Error) -> Self {
        // It adds what it expected on lines of their own.
        let text = error.message().lines().collect::<Vec<_>>().join(", ");
        Self { at: error.span().map(|span| span.start), text }
    }
}

/// What the rest of the jukebox has against a configuration: the key, and a sentence.
pub type Objection = (&'static [&'static str], String);

/// What the file says of one thing.
#[derive(Debug, Clone, PartialEq)]
pub enum Said<T> {
    /// It is to be so; also that it is not to be.
    This(T),
    /// With a mistake: it is to be as before.
    Unclear,
}

impl<T> Said<T> {
    fn and_then<U>(self, f: impl FnOnce(T) -> Said<U>) -> Said<U> {
        match self {
            Self::This(value) => f(value),
            Self::Unclear => Said::Unclear,
        }
    }
}

/// Where a key and its value are, in bytes.
pub type Place = (Range<usize>, Range<usize>);

/// All that the file says. Each part is by itself: a mistake in one is no reason to leave out another.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    pub hostname: Said<Option<String>>,
    pub timezone: Said<Option<String>>,
    /// Those of them that are keys.
    pub ssh_keys: Said<Vec<String>>,
    pub wifi: Said<Option<Wifi>>,
    /// The jukebox's part, as TOML; sections with a mistake are as before.
    pub jukebox: String,
    /// Where key and value of the Wi-Fi password are.
    pub password: Option<Place>,
    /// Where the network is named.
    pub ssid_at: Option<usize>,
    /// The text with blanks where it is no TOML.
    pub legible: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SystemText {
    hostname: Option<Spanned<String>>,
    timezone: Option<Spanned<String>>,
    ssh_keys: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WifiText {
    ssid: Spanned<String>,
    country: Spanned<String>,
    password: Option<Spanned<String>>,
    #[serde(default)]
    open: bool,
}

/// Reads the whole file. `before`: the jukebox's part that is in force; `root`: where the system lies that it is for;
/// `object` looks at what the configuration means. All mistakes that are found come with it, in the order of the file.
pub fn read(text: &str, before: &str, root: &Path, object: &dyn Fn(&Config) -> Vec<Objection>) -> (Setup, Vec<Slip>) {
    let Legible { text: legible, lost: mut wrong, mut slips } = legible(text);
    let mut table = DeTable::parse_recoverable(&legible).0.into_inner();
    let whole = table.clone();
    let (mut wifi, password, ssid_at) = read_wifi(table.remove("wifi"), &mut slips);
    let mut system = System::take(&mut table, root, &mut slips);
    let good = check_tables(table.clone(), &mut slips);
    wrong.extend(table.keys().filter(|name| !good.contains_key(*name)).map(|name| name.get_ref().to_string()));
    // A name that nobody knows may be meant for one that is missing.
    let stray = wrong.iter().any(|name| name != "board" && !TABLES.contains(&name.as_str()));
    let stays = |name: &str| wrong.iter().any(|wrong| wrong == name) || stray && !whole.contains_key(name);
    if stays("wifi") {
        wifi = Said::Unclear;
    }
    if stays("system") {
        system.doubt_what_is_missing();
    }
    let (jukebox, objections) = jukebox_part(&legible, before, &stays, object);
    slips.extend(objections.into_iter().map(|(path, text)| Slip { at: place(&whole, path), text }));
    let System { hostname, timezone, ssh_keys } = system;
    (Setup { hostname, timezone, ssh_keys, wifi, jukebox, password, ssid_at, legible }, finish(slips))
}

pub(super) fn finish(mut slips: Vec<Slip>) -> Vec<Slip> {
    slips.sort_by_key(|slip| slip.at);
    slips.dedup();
    slips.truncate(MAX_SLIPS);
    slips
}

/// Where key and value of an entry are.
fn entry(value: &Spanned<DeValue<'_>>, key: &str) -> Option<Place> {
    let DeValue::Table(table) = value.get_ref() else { return None };
    table.get_key_value(key).map(|(key, value)| (key.span(), value.span()))
}

fn section<T: DeserializeOwned>(value: Spanned<DeValue<'_>>, name: &str, slips: &mut Vec<Slip>) -> Option<T> {
    let span = value.span();
    let DeValue::Table(table) = value.into_inner() else {
        slips.push(Slip {
            at: Some(span.start),
            text: format!("{name} is a table: write [{name}], and its keys below"),
        });
        return None;
    };
    match T::deserialize(Deserializer::from(Spanned::new(span.clone(), table))) {
        Ok(value) => Some(value),
        Err(error) => {
            slips.push(of_section(&error, name, span.start));
            None
        }
    }
}

/// What the parser has against a section that begins at `start`.
fn of_section(error: &toml::de::Error, name: &str, start: usize) -> Slip {
    let Slip { at, text } = Slip::of(error);
    let unknown = text.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    let elsewhere = unknown.and_then(|key| home(key).map(|home| (key, home))).filter(|(_, home)| *home != name);
    let text = match elsewhere {
        Some((key, home)) => format!("{key} stands below [{name}] and belongs below [{home}]"),
        None => format!("[{name}] {text}"),
    };
    Slip { at: at.or(Some(start)), text }
}

/// The section that a key belongs to.
fn home(key: &str) -> Option<&'static str> {
    HOMES.into_iter().find(|(known, _)| *known == key).map(|(_, section)| section)
}

/// Whether it is right.
fn check(slips: &mut Vec<Slip>, value: &Spanned<String>, check: impl Fn(&str) -> Result<(), String>) -> bool {
    let result = check(value.get_ref());
    slips.extend(result.as_ref().err().map(|text| Slip { at: Some(value.span().start), text: text.clone() }));
    result.is_ok()
}

/// The network, where its password is, and where it is named.
fn read_wifi(
    value: Option<Spanned<DeValue<'_>>>,
    slips: &mut Vec<Slip>,
) -> (Said<Option<Wifi>>, Option<Place>, Option<usize>) {
    // The header stands in the template whether there is a network or not.
    let is_empty = |value: &DeValue<'_>| matches!(value, DeValue::Table(table) if table.is_empty());
    let Some(value) = value.filter(|value| !is_empty(value.get_ref())) else { return (Said::This(None), None, None) };
    let (password, at) = (entry(&value, "password"), value.span().start);
    let unquoted = checks::unquoted(value.get_ref());
    if !unquoted.is_empty() {
        slips.extend(unquoted.into_iter().map(|name| Slip {
            at: entry(&value, name).map(|(key, _)| key.start),
            text: format!("the {name} must stand in quotes: {name} = \"…\""),
        }));
        return (Said::Unclear, password, Some(at));
    }
    let wifi = section::<WifiText>(value, "wifi", slips);
    let ssid_at = wifi.as_ref().map_or(at, |wifi| wifi.ssid.span().start);
    let wifi = wifi.and_then(|wifi| check_wifi(wifi, at, slips));
    (wifi.map_or(Said::Unclear, |wifi| Said::This(Some(wifi))), password, Some(ssid_at))
}

fn check_wifi(wifi: WifiText, at: usize, slips: &mut Vec<Slip>) -> Option<Wifi> {
    let before = slips.len();
    check(slips, &wifi.ssid, checks::ssid);
    check(slips, &wifi.country, checks::country);
    if let Some(password) = &wifi.password {
        check(slips, password, checks::passphrase);
        if wifi.open {
            let text = "[wifi] has a password and open = true; take one of them away".to_owned();
            slips.push(Slip { at: Some(at), text });
        }
    }
    let access = match wifi.password {
        Some(password) => Access::Password(password.into_inner()),
        None if wifi.open => Access::Open,
        None => Access::AsBefore,
    };
    (slips.len() == before).then(|| Wifi { ssid: wifi.ssid.into_inner(), country: wifi.country.into_inner(), access })
}

/// What `[system]` says that is not the jukebox's. Each key is by itself, for the SSH keys are the way in to mend the others.
struct System {
    hostname: Said<Option<String>>,
    timezone: Said<Option<String>>,
    ssh_keys: Said<Vec<String>>,
}

impl System {
    /// Takes it out of the table.
    fn take(table: &mut DeTable<'_>, root: &Path, slips: &mut Vec<Slip>) -> Self {
        let none = Self { hostname: Said::This(None), timezone: Said::This(None), ssh_keys: Said::This(Vec::new()) };
        let Some((key, value)) = table.remove_entry("system") else { return none };
        let span = value.span();
        let DeValue::Table(mut theirs) = value.into_inner() else {
            let text = "system is a table: write [system], and its keys below".to_owned();
            slips.push(Slip { at: Some(span.start), text });
            return Self { hostname: Said::Unclear, timezone: Said::Unclear, ssh_keys: Said::Unclear };
        };
        let [hostname, timezone, ssh_keys] = SYSTEM_KEYS.map(|name| {
            let Some(entry) = theirs.remove_entry(name) else { return Said::This(SystemText::default()) };
            let one = Spanned::new(span.clone(), DeValue::Table(DeTable::from_iter([entry])));
            section::<SystemText>(one, "system", slips).map_or(Said::Unclear, Said::This)
        });
        if !theirs.is_empty() {
            table.insert(key, Spanned::new(span, DeValue::Table(theirs)));
        }
        Self {
            hostname: hostname.and_then(|text| one(slips, text.hostname, checks::hostname)),
            timezone: timezone.and_then(|text| one(slips, text.timezone, |zone| checks::timezone(zone, root))),
            ssh_keys: ssh_keys.and_then(|text| keys(slips, text.ssh_keys)),
        }
    }

    /// A key that is not there may be one of those that are mistyped.
    fn doubt_what_is_missing(&mut self) {
        for name in [&mut self.hostname, &mut self.timezone] {
            if *name == Said::This(None) {
                *name = Said::Unclear;
            }
        }
        if self.ssh_keys == Said::This(Vec::new()) {
            self.ssh_keys = Said::Unclear;
        }
    }
}

fn one(
    slips: &mut Vec<Slip>,
    value: Option<Spanned<String>>,
    is_right: impl Fn(&str) -> Result<(), String>,
) -> Said<Option<String>> {
    match value {
        Some(value) if !check(slips, &value, is_right) => Said::Unclear,
        value => Said::This(value.map(Spanned::into_inner)),
    }
}

/// Those that are keys; if none of several is, it is unclear who is to get in.
fn keys(slips: &mut Vec<Slip>, lines: Vec<Spanned<String>>) -> Said<Vec<String>> {
    if let Some(beyond) = lines.get(MAX_SSH_KEYS) {
        let text = format!("more than {MAX_SSH_KEYS} SSH keys; take some away");
        slips.push(Slip { at: Some(beyond.span().start), text });
    }
    let is_none_wanted = lines.is_empty();
    let right = lines.into_iter().filter(|key| check(slips, key, checks::ssh_key)).take(MAX_SSH_KEYS);
    let keys: Vec<String> = right.map(Spanned::into_inner).collect();
    if keys.is_empty() && !is_none_wanted { Said::Unclear } else { Said::This(keys) }
}

/// Those of the tables that have no mistake.
pub(super) fn check_tables<'t>(table: DeTable<'t>, slips: &mut Vec<Slip>) -> DeTable<'t> {
    let mut good = DeTable::new();
    for (key, value) in table {
        let (name, at) = (key.get_ref().to_string(), key.span().start);
        if name != "board" && !TABLES.contains(&name.as_str()) {
            let text = match home(&name) {
                Some(section) => format!("{name} belongs below [{section}]; take the # away from that line"),
                None => format!("there is no [{name}]; known are board, {}", TABLES.join(", ")),
            };
            slips.push(Slip { at: Some(at), text });
            continue;
        }
        let span = value.span();
        let one = DeTable::from_iter([(key.clone(), value.clone())]);
        match Config::deserialize(Deserializer::from(Spanned::new(span, one))) {
            Ok(_) => drop(good.insert(key, value)),
            Err(error) => {
                slips.push(of_section(&error, &name, at));
            }
        }
    }
    good
}

/// Where the value of a key is.
pub(super) fn place(table: &DeTable<'_>, path: &[&str]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let value = table.get(*first)?;
    match value.get_ref() {
        DeValue::Table(inner) if !rest.is_empty() => place(inner, rest).or(Some(value.span().start)),
        _ => Some(value.span().start),
    }
}

/// The jukebox's part of the text, with the sections that stay taken from the one before; and what `object` has against it,
/// whose sections stay, too.
fn jukebox_part(
    legible: &str,
    before: &str,
    stays: &dyn Fn(&str) -> bool,
    object: &dyn Fn(&Config) -> Vec<Objection>,
) -> (String, Vec<Objection>) {
    // Both have been read before, but for the first start that has no other.
    let mut table: toml::Table = legible.parse().unwrap_or_default();
    let before: toml::Table = before.parse().unwrap_or_default();
    table.remove("wifi");
    if let Some(system) = table.get_mut("system").and_then(toml::Value::as_table_mut) {
        SYSTEM_KEYS.iter().for_each(|key| drop(system.remove(*key)));
        if system.is_empty() {
            table.remove("system");
        }
    }
    table.retain(|name, _| !stays(name));
    let stay = before.iter().filter(|(name, _)| stays(name));
    table.extend(stay.map(|(name, value)| (name.clone(), value.clone())));
    let objections = object(&table.clone().try_into().unwrap_or_default());
    for section in objections.iter().filter_map(|(path, _)| path.first()) {
        match before.get(*section) {
            Some(value) => drop(table.insert((*section).to_owned(), value.clone())),
            None => drop(table.remove(*section)),
        }
    }
    // Tables of strings and numbers can be written always.
    let settings = toml::to_string(&table).unwrap_or_default();
    (
        format!("# Taken over from silverstream.toml on the boot partition; changes belong there.\n{settings}"),
        objections,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_those_of_the_configuration() {
        let error = Config::from_text(Path::new("x"), "nonsense = 1").unwrap_err().to_string();
        let known: Vec<&str> = error.split('`').skip(3).step_by(2).filter(|name| *name != "board").collect();
        let mut tables: Vec<&str> = TABLES.into_iter().filter(|name| *name != "wifi").collect();
        tables.sort_unstable_by_key(|name| known.iter().position(|known| known == name));
        assert_eq!(tables, known);
    }
}
