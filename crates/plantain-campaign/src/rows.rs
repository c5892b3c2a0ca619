//! Tables of variables: CSV with a header line, or one JSON object a line.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use crate::error::{CampaignError, Place};

/// The variables of one line of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Line of the file, from 1.
    pub line: usize,
    /// Values by column; text where the table is CSV.
    pub values: BTreeMap<String, Value>,
}

/// Reads the table at `path`; its extension says which kind it is: `csv`, `tsv`, `jsonl` or `ndjson`.
///
/// # Errors
/// When the file cannot be read, is empty, or a line does not fit the header or is no JSON object.
pub fn read_rows(path: &Path) -> Result<Vec<Row>, CampaignError> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let extension = extension.map(str::to_ascii_lowercase);
    let text = read_text(path)?;
    let rows = match extension.as_deref() {
        Some("csv") => read_csv(path, &text, delimiter(&text))?,
        Some("tsv") => read_csv(path, &text, b'\t')?,
        Some("jsonl" | "ndjson") => read_json_lines(path, &text)?,
        _ => {
            let problem = "the extension is none of .csv, .tsv, .jsonl and .ndjson";
            return Err(CampaignError::invalid(Place::file(path), problem));
        }
    };
    if rows.is_empty() {
        return Err(CampaignError::invalid(
            Place::file(path),
            "the table has no rows",
        ));
    }
    Ok(rows)
}

/// The text of a file, without the mark that spreadsheets put before it.
pub(crate) fn read_text(path: &Path) -> Result<String, CampaignError> {
    let bytes = fs::read(path).map_err(CampaignError::read(path))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        let problem = "this is not UTF-8; save the file with that encoding";
        CampaignError::invalid(Place::file(path).line(line), problem)
    })?;
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_string(),
        None => text,
    })
}

/// Spreadsheets write semicolons where the comma separates decimals.
fn delimiter(text: &str) -> u8 {
    let header = text.lines().next().unwrap_or_default();
    if header.contains(';') && !header.contains(',') {
        b';'
    } else {
        b','
    }
}

fn read_csv(path: &Path, text: &str, delimiter: u8) -> Result<Vec<Row>, CampaignError> {
    // Of a carriage return with a line feed the reader would count neither before the next line.
    let text = text.replace("\r\n", "\n");
    let text = without_spaces_before_quotes(&text, char::from(delimiter)).map_err(|line| {
        let problem = "a quotation mark that is opened here is never closed";
        CampaignError::invalid(Place::file(path).line(line), problem)
    })?;
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let header = reader.headers().map_err(|e| csv_error(path, &e))?.clone();
    check_header(path, &header)?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| csv_error(path, &e))?;
        let line = record.position().map_or(1, csv::Position::line);
        let values = header.iter().zip(record.iter());
        rows.push(Row {
            line: line as usize,
            values: values
                .map(|(column, value)| (column.to_string(), value.into()))
                .collect(),
        });
    }
    Ok(rows)
}

/// The table without spaces between a delimiter and a quoted cell, which the reader would take for part of it; or the line of a cell whose
/// quotation mark is never closed, which it would let swallow the rows that follow.
fn without_spaces_before_quotes(text: &str, delimiter: char) -> Result<String, usize> {
    let (mut tidy, mut rest, mut line) = (String::with_capacity(text.len()), text, 1);
    while !rest.is_empty() {
        let cell = rest.trim_start_matches(' ');
        let quoted = cell.strip_prefix('"');
        let end = match quoted {
            Some(inner) => 1 + closing_quote(inner).ok_or(line)?,
            None => 0,
        };
        let cell = if quoted.is_some() { cell } else { rest };
        let end = cell[end..]
            .find([delimiter, '\n'])
            .map_or(cell.len(), |at| end + at + 1);
        line += cell[..end].matches('\n').count();
        tidy.push_str(&cell[..end]);
        rest = &cell[end..];
    }
    Ok(tidy)
}

/// Where a quoted text ends that goes on in `text`, behind its mark; two marks stand for one in it.
fn closing_quote(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('"')? + 1;
        if !text[at..].starts_with('"') {
            return Some(at);
        }
        from = at + 1;
    }
}

fn check_header(path: &Path, header: &csv::StringRecord) -> Result<(), CampaignError> {
    for (i, column) in header.iter().enumerate() {
        let place = Place::file(path).line(1);
        if column.is_empty() {
            let problem = format!("column {} has no name", i + 1);
            return Err(CampaignError::invalid(place, problem));
        }
        if header.iter().take(i).any(|before| before == column) {
            let problem = "two columns have this name";
            return Err(CampaignError::invalid(place.key(column), problem));
        }
    }
    Ok(())
}

fn csv_error(path: &Path, error: &csv::Error) -> CampaignError {
    let place = Place::file(path);
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => {
            let problem = format!("this line has {len} fields, the header {expected_len}");
            let line = pos.as_ref().map_or(1, csv::Position::line);
            CampaignError::invalid(place.line(line as usize), problem)
        }
        _ => CampaignError::invalid(place, error.to_string()),
    }
}

fn read_json_lines(path: &Path, text: &str) -> Result<Vec<Row>, CampaignError> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| {
            let line_number = i + 1;
            let Columns(values) = serde_json::from_str(line).map_err(|error| {
                let problem = format!("no JSON object ({error}, counted within the line)");
                CampaignError::invalid(Place::file(path).line(line_number), problem)
            })?;
            Ok(Row {
                line: line_number,
                values,
            })
        })
        .collect()
}

/// The values of a JSON object, of which none is missing or there twice.
struct Columns(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ColumnsVisitor)
    }
}

struct ColumnsVisitor;

impl<'de> Visitor<'de> for ColumnsVisitor {
    type Value = Columns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
        let mut columns = BTreeMap::new();
        while let Some((column, value)) = map.next_entry::<String, Value>()? {
            let refuse = |problem| Err(A::Error::custom(format!("`{column}` {problem}")));
            if value.is_null() {
                return refuse("is null; give it a value or leave it out");
            }
            if columns.contains_key(&column) {
                return refuse("is there twice");
            }
            columns.insert(column, value);
        }
        Ok(Columns(columns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, bytes: impl AsRef<[u8]>) -> Result<Vec<Row>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        read_rows(&path).map_err(|error| {
            let folder = format!("{}/", folder.path().display());
            error.to_string().replace(&folder, "")
        })
    }

    #[test]
    fn kinds_of_tables() {
        let expected = BTreeMap::from([("a".into(), "1".into()), ("b".into(), "x, y".into())]);
        for (name, text) in [
            ("t.csv", "a,b\n1,\"x, y\"\n"),
            ("t.csv", "\u{feff}a;b\r\n1;x, y\r\n"),
            ("t.tsv", "a\tb\n1\tx, y"),
            ("T.CSV", "a, b\n1, \"x, y\" \n"),
            ("t.csv", " \"a\", b\n\"1\", \"x, y\""),
            ("t.jsonl", "\n{\"a\": \"1\", \"b\": \"x, y\"}\n\n"),
        ] {
            let rows = read(name, text).unwrap();
            assert_eq!(rows.len(), 1, "{text}");
            assert_eq!(rows[0].line, 2, "{text}");
            assert_eq!(rows[0].values, expected, "{text}");
        }
    }

    #[test]
    fn quotation_marks_stay_where_they_are_text() {
        let text = "a,b\n\"say \"\"hi\"\"\", 5\" wide\n";
        let rows = read("t.csv", text).unwrap();
        assert_eq!(rows[0].values["a"], "say \"hi\"");
        assert_eq!(rows[0].values["b"], "5\" wide");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (name, bytes, expected) in [
            (
                "t.csv",
                &b"a,b\n1\n"[..],
                "t.csv:2: this line has 1 fields, the header 2",
            ),
            ("t.csv", b"a,b\n", "t.csv: the table has no rows"),
            (
                "t.csv",
                b"a,a\n1,2\n",
                "t.csv:1: `a`: two columns have this name",
            ),
            ("t.csv", b"a,\n1,2\n", "t.csv:1: column 2 has no name"),
            ("t.csv", b"a\nok\n\xff\n", "t.csv:3: this is not UTF-8"),
            ("t.jsonl", b"{}\n[1]\n", "t.jsonl:2: no JSON object"),
            (
                "t.jsonl",
                b"{\"a\": 1, \"a\": 2}\n",
                "t.jsonl:1: no JSON object (`a` is there twice",
            ),
            (
                "t.jsonl",
                b"{\"a\": null}\n",
                "t.jsonl:1: no JSON object (`a` is null; give it",
            ),
            (
                "t.csv",
                b"a,b\n\"x\ny\",1\nz,\"2\nw,3\n",
                "t.csv:4: a quotation mark that is opened here",
            ),
            ("t.xlsx", b"PK", "t.xlsx: the extension is none of"),
        ] {
            let error = read(name, bytes).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
