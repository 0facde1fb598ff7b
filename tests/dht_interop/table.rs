//! The table of `README.md` is what is expected.

use silverstream::dht::Family;

const README: &str = include_str!("README.md");

/// The row that conversations over IPv6 fill.
const IPV6: &str = "the same over IPv6 (BEP 32)";

/// Answers by row.
pub type Found = Vec<(&'static str, String)>;

/// What one conversation found.
pub struct Column {
    pub client: &'static str,
    pub version: String,
    pub family: Family,
    pub found: Found,
}

fn rows() -> impl Iterator<Item = Vec<&'static str>> {
    let cells = |line: &'static str| line.trim().trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    README.lines().filter(|line| line.starts_with('|') && !line.starts_with("|--")).map(cells)
}

/// Place of a client in the rows, and the version that the table is about.
fn column(client: &str) -> (usize, &'static str) {
    let head = rows().next().expect("the table has a head");
    let at = head.iter().position(|cell| cell.split(' ').next() == Some(client)).expect("the client has a column");
    (at, head[at].split_once(' ').expect("the head has the version").1)
}

fn expected(client: &str, what: &str) -> &'static str {
    let (column, _) = column(client);
    rows().find(|row| row[0] == what).unwrap_or_else(|| panic!("the table has no row {what:?}"))[column]
}

/// Whether the client can be asked for its own address, and learns it.
pub fn expects_belief(client: &str) -> bool {
    expected(client, crate::conversation::EXTERNAL).ends_with("believed")
}

/// Prints what was found as the table would have it.
pub fn print(columns: &[Column]) {
    let over_v4 = || columns.iter().filter(|column| column.family == Family::V4);
    let cells = |cells: Vec<String>| println!("| {} |", cells.join(" | "));
    let head = over_v4().map(|column| format!("{} {}", column.client, column.version));
    cells(std::iter::once(String::new()).chain(head).collect());
    let Some(first) = over_v4().next() else { return };
    for (row, (what, _)) in first.found.iter().enumerate() {
        let answers = over_v4().map(|column| column.found[row].1.clone());
        cells(std::iter::once((*what).to_owned()).chain(answers).collect());
    }
    let over_v6 = |client: &str| columns.iter().any(|column| column.family == Family::V6 && column.client == client);
    let answers = over_v4().map(|column| if over_v6(column.client) { "yes" } else { "no" }.to_owned());
    cells(std::iter::once(IPV6.to_owned()).chain(answers).collect());
}

/// Holds what was found against the table, as far as that is about these versions of the clients. Another version may
/// answer otherwise; what every client must have was found to be there, or there were no answers.
pub fn compare(columns: &[Column]) {
    let mut wrong = Vec::new();
    for Column { client, version, family, found } in columns {
        let (_, known) = column(client);
        let differing: Vec<_> = found.iter().filter(|(what, answer)| expected(client, what) != answer).collect();
        if *family == Family::V6 && expected(client, IPV6) != "yes" {
            wrong.push(format!("{client} speaks IPv6"));
        }
        if version == known {
            wrong.extend(differing.iter().map(|(what, answer)| format!("{client} over {family:?}: {what}: {answer}")));
            wrong.extend(
                (found.len() + 2 != rows().count()).then(|| format!("{client}: rows are not what was looked for")),
            );
        } else {
            println!("README.md is about {client} {known}, and {version} differs in {differing:?}");
        }
    }
    assert!(wrong.is_empty(), "README.md says otherwise: {wrong:#?}");
}
