//! `silverstream.toml` of the boot partition: the jukebox's configuration with two parts for the system around it.

use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::checks;
use super::wifi::{Access, Wifi};
use crate::config::Config;

/// Tables of the configuration, for those who mistype one. The test holds it against the configuration.
const TABLES: [&str; 9] = ["audio", "control", "dht", "index", "network", "panel", "storage", "system", "wifi"];

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

/// What the rest of the jukebox has against a configuration: the key, and a sentence.
pub type Objection = (&'static [&'static str], String);

/// All that the file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    pub hostname: Option<String>,
    pub timezone: Option<String>,
    pub ssh_keys: Vec<String>,
    pub wifi: Option<Wifi>,
    /// The jukebox's part, as TOML.
    pub jukebox: String,
    /// Where key and value of the Wi-Fi password are.
    pub password: Option<(Range<usize>, Range<usize>)>,
    /// Where the network is named.
    pub ssid_at: Option<usize>,
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

/// Reads the whole file. `root` is where the system lies that it is for; `object` looks at what the configuration means.
///
/// # Errors
/// All mistakes that are found, in the order of the file.
pub fn read(text: &str, root: &Path, object: &dyn Fn(&Config) -> Vec<Objection>) -> Result<Setup, Vec<Slip>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(finish(errors.iter().map(slip).collect()));
    }
    let mut table = document.into_inner();
    let whole = table.clone();
    let mut slips = Vec::new();
    let (wifi, password, ssid_at) = match table.remove("wifi") {
        None => (None, None, None),
        Some(value) => {
            let password = entry(&value, "password");
            let at = value.span().start;
            let wifi = section::<WifiText>(value, "wifi", &mut slips);
            let ssid_at = wifi.as_ref().map_or(at, |wifi| wifi.ssid.span().start);
            (wifi.and_then(|wifi| check_wifi(wifi, at, &mut slips)), password, Some(ssid_at))
        }
    };
    let system = take_system(&mut table, &mut slips);
    check_system(&system, root, &mut slips);
    check_jukebox(table, &whole, object, &mut slips);
    if !slips.is_empty() {
        return Err(finish(slips));
    }
    let jukebox = jukebox_part(text).map_err(|error| vec![Slip { at: None, text: error }])?;
    let SystemText { hostname, timezone, ssh_keys } = system;
    Ok(Setup {
        hostname: hostname.map(Spanned::into_inner),
        timezone: timezone.map(Spanned::into_inner),
        ssh_keys: ssh_keys.into_iter().map(Spanned::into_inner).collect(),
        wifi,
        jukebox,
        password,
        ssid_at,
    })
}

fn finish(mut slips: Vec<Slip>) -> Vec<Slip> {
    slips.sort_by_key(|slip| slip.at);
    slips.truncate(MAX_SLIPS);
    slips
}

fn slip(error: &toml::de::Error) -> Slip {
    // The parser adds what it expected on lines of their own.
    let text = error.message().lines().collect::<Vec<_>>().join(", ");
    Slip { at: error.span().map(|span| span.start), text }
}

/// Where key and value of an entry are.
fn entry(value: &Spanned<DeValue<'_>>, key: &str) -> Option<(Range<usize>, Range<usize>)> {
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
            let Slip { at, text } = slip(&error);
            slips.push(Slip { at: at.or(Some(span.start)), text: format!("[{name}] {text}") });
            None
        }
    }
}

fn check(slips: &mut Vec<Slip>, value: &Spanned<String>, check: impl Fn(&str) -> Result<(), String>) {
    if let Err(text) = check(value.get_ref()) {
        slips.push(Slip { at: Some(value.span().start), text });
    }
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

/// Takes what is not the jukebox's out of `[system]`.
fn take_system(table: &mut DeTable<'_>, slips: &mut Vec<Slip>) -> SystemText {
    let Some(Spanned { .. }) = table.get("system") else { return SystemText::default() };
    let Some((key, value)) = table.remove_entry("system") else { return SystemText::default() };
    let span = value.span();
    let DeValue::Table(mut theirs) = value.into_inner() else {
        let text = "system is a table: write [system], and its keys below".to_owned();
        slips.push(Slip { at: Some(span.start), text });
        return SystemText::default();
    };
    let mut ours = DeTable::new();
    for name in SYSTEM_KEYS {
        if let Some((key, value)) = theirs.remove_entry(name) {
            ours.insert(key, value);
        }
    }
    if !theirs.is_empty() {
        table.insert(key, Spanned::new(span.clone(), DeValue::Table(theirs)));
    }
    section(Spanned::new(span, DeValue::Table(ours)), "system", slips).unwrap_or_default()
}

fn check_system(system: &SystemText, root: &Path, slips: &mut Vec<Slip>) {
    if let Some(hostname) = &system.hostname {
        check(slips, hostname, checks::hostname);
    }
    if let Some(timezone) = &system.timezone {
        check(slips, timezone, |zone| checks::timezone(zone, root));
    }
    for key in &system.ssh_keys {
        check(slips, key, checks::ssh_key);
    }
    if let Some(beyond) = system.ssh_keys.get(MAX_SSH_KEYS) {
        let text = format!("more than {MAX_SSH_KEYS} SSH keys; take some away");
        slips.push(Slip { at: Some(beyond.span().start), text });
    }
}

/// The jukebox's part: each table by itself, so that a mistake in one does not hide those in others, then what they mean.
fn check_jukebox(
    table: DeTable<'_>,
    whole: &DeTable<'_>,
    object: &dyn Fn(&Config) -> Vec<Objection>,
    slips: &mut Vec<Slip>,
) {
    let before = slips.len();
    let table = check_tables(table, slips);
    if slips.len() > before {
        return;
    }
    if let Ok(config) = Config::deserialize(Deserializer::from(Spanned::new(0..0, table))) {
        let found = object(&config);
        slips.extend(found.into_iter().map(|(path, text)| Slip { at: place(whole, path), text }));
    }
}

/// Those of the tables that have no mistake.
fn check_tables<'t>(table: DeTable<'t>, slips: &mut Vec<Slip>) -> DeTable<'t> {
    let mut good = DeTable::new();
    for (key, value) in table {
        let (name, at) = (key.get_ref().to_string(), key.span().start);
        if name != "board" && !TABLES.contains(&name.as_str()) {
            let text = format!("there is no [{name}]; known are board, {}", TABLES.join(", "));
            slips.push(Slip { at: Some(at), text });
            continue;
        }
        let span = value.span();
        let one = DeTable::from_iter([(key.clone(), value.clone())]);
        match Config::deserialize(Deserializer::from(Spanned::new(span, one))) {
            Ok(_) => drop(good.insert(key, value)),
            Err(error) => {
                let Slip { at: found, text } = slip(&error);
                slips.push(Slip { at: found.or(Some(at)), text: format!("[{name}] {text}") });
            }
        }
    }
    good
}

/// The configuration that a text makes as far as it goes, and what is wrong with the rest: a table with a mistake is left
/// out, and so is a value that `object` has something against.
pub fn forgiving(text: &str, object: &dyn Fn(&Config) -> Vec<Objection>) -> (Config, Vec<Slip>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // Where one assignment ends is not known any more, so none is believed.
        return (Config::default(), finish(errors.iter().map(slip).collect()));
    }
    let whole = document.into_inner();
    let mut slips = Vec::new();
    let mut good = check_tables(whole.clone(), &mut slips);
    let read = |table: &DeTable<'_>| {
        // Each table was read by itself before.
        Config::deserialize(Deserializer::from(Spanned::new(0..0, table.clone()))).unwrap_or_default()
    };
    for (path, text) in object(&read(&good)) {
        slips.push(Slip { at: place(&whole, path), text });
        remove(&mut good, path);
    }
    (read(&good), finish(slips))
}

fn remove(table: &mut DeTable<'_>, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else { return };
    match table.get_mut(*first).map(Spanned::get_mut) {
        Some(DeValue::Table(inner)) if !rest.is_empty() => remove(inner, rest),
        _ => drop(table.remove(*first)),
    }
}

/// Where the value of a key is.
fn place(table: &DeTable<'_>, path: &[&str]) -> Option<usize> {
    let (first, rest) = path.split_first()?;
    let value = table.get(*first)?;
    match value.get_ref() {
        DeValue::Table(inner) if !rest.is_empty() => place(inner, rest).or(Some(value.span().start)),
        _ => Some(value.span().start),
    }
}

/// The text without what is the system's.
fn jukebox_part(text: &str) -> Result<String, String> {
    let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    table.remove("wifi");
    if let Some(system) = table.get_mut("system").and_then(toml::Value::as_table_mut) {
        SYSTEM_KEYS.iter().for_each(|key| drop(system.remove(*key)));
        if system.is_empty() {
            table.remove("system");
        }
    }
    let settings = toml::to_string(&table).map_err(|error| error.to_string())?;
    Ok(format!("# Taken over from silverstream.toml on the boot partition; changes belong there.\n{settings}"))
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
