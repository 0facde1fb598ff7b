//! The Wi-Fi network, in the words of wpa_supplicant.conf(5).

use std::fmt::Write;

use sha1::Sha1;

/// Rounds of PBKDF2 from passphrase to key (IEEE 802.11, J.4).
const ROUNDS: u32 = 4096;

/// The network to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wifi {
    pub ssid: String,
    pub country: String,
    pub access: Access,
}

/// How the network lets somebody in.
#[derive(Clone, PartialEq, Eq)]
pub enum Access {
    /// With a passphrase, or a key as 64 hexadecimal digits.
    Password(String),
    /// With what was taken over before.
    AsBefore,
    Open,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(…)",
            Self::AsBefore => "AsBefore",
            Self::Open => "Open",
        })
    }
}

/// The file; `before` is what it was. `None` if the access is to be as before and was not to this network.
pub fn supplicant_conf(wifi: &Wifi, before: Option<&str>) -> Option<String> {
    let ssid = format!("ssid={}", hex(wifi.ssid.as_bytes()));
    let (access, management) = match &wifi.access {
        Access::Open => (String::new(), "NONE"),
        Access::Password(password) => (format!("\tpsk={}\n", key(password, &wifi.ssid)), "WPA-PSK"),
        Access::AsBefore => {
            let lines: Vec<&str> = before?.lines().map(str::trim).collect();
            let psk = lines.iter().find(|line| line.starts_with("psk=")).filter(|_| lines.contains(&ssid.as_str()))?;
            (format!("\t{psk}\n"), "WPA-PSK")
        }
    };
    // scan_ssid: also networks that hide their name.
    Some(format!(
        "# Made from silverstream.toml on the boot partition; changes belong there.\n\
         ctrl_interface=/run/wpa_supplicant\ncountry={}\n\
         network={{\n\t{ssid}\n\tscan_ssid=1\n{access}\tkey_mgmt={management}\n}}\n",
        wifi.country
    ))
}

/// The key of a passphrase, in hexadecimal digits; a key stays as it is.
fn key(password: &str, ssid: &str) -> String {
    if password.len() == 64 {
        return password.to_ascii_lowercase();
    }
    hex(&pbkdf2::pbkdf2_hmac_array::<Sha1, 32>(password.as_bytes(), ssid.as_bytes(), ROUNDS))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_the_standard() {
        // IEEE 802.11, J.4.3: test vectors of the mapping from passphrase to key.
        assert_eq!(key("password", "IEEE"), "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e");
        assert_eq!(
            key("ThisIsAPassword", "ThisIsASSID"),
            "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af"
        );
        assert_eq!(key(&"AB".repeat(32), "any"), "ab".repeat(32));
    }

    fn wifi(ssid: &str, access: Access) -> Wifi {
        Wifi { ssid: ssid.to_owned(), country: "DE".to_owned(), access }
    }

    #[test]
    fn the_password_is_not_in_the_file_and_its_key_outlasts_it() {
        let first = supplicant_conf(&wifi("IEEE", Access::Password("password".to_owned())), None).unwrap();
        assert!(first.contains("\tpsk=f42c6fc5") && !first.contains("password"), "{first}");
        assert_eq!(supplicant_conf(&wifi("IEEE", Access::AsBefore), Some(&first)), Some(first.clone()));
        assert_eq!(supplicant_conf(&wifi("other", Access::AsBefore), Some(&first)), None);
        assert_eq!(supplicant_conf(&wifi("IEEE", Access::AsBefore), None), None);
    }

    #[test]
    fn a_name_cannot_write_lines_of_its_own() {
        let open = supplicant_conf(&wifi("x\"\n}\nnetwork={\n\tkey_mgmt=NONE", Access::Open), None).unwrap();
        assert_eq!(open.matches("network=").count(), 1, "{open}");
        assert!(open.contains("ssid=78220a7d"), "{open}");
    }
}
