//! Tables of variables: CSV with a header line, or one JSON object a line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

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
    let text = read_text(path)?;
    let rows = match extension {
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
            let values = serde_json::from_str(line).map_err(|error| {
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
            ("t.jsonl", "\n{\"a\": \"1\", \"b\": \"x, y\"}\n\n"),
        ] {
            let rows = read(name, text).unwrap();
            assert_eq!(rows.len(), 1, "{text}");
            assert_eq!(rows[0].line, 2, "{text}");
            assert_eq!(rows[0].values, expected, "{text}");
        }
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
            ("t.xlsx", b"PK", "t.xlsx: the extension is none of"),
        ] {
            let error = read(name, bytes).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
