//! Rows times matrix.

use std::path::Path;

use serde_json::Value;

use crate::error::{CampaignError, Place};
use crate::file::CampaignFile;
use crate::rows::{Row, read_rows};
use crate::template::{RESERVED, Variables};

/// Most combinations of rows and matrix: more would take years to draw, and are a mistake.
const MAX_CELLS: usize = 1_000_000;

/// A row with one combination of the matrix.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    /// Whose variables they are, in words.
    pub(super) of: String,
    pub(super) variables: Variables,
}

/// All combinations, rows first.
pub(super) fn cells(file: &CampaignFile) -> Result<Vec<Cell>, CampaignError> {
    let rows = match &file.campaign.rows {
        Some(rows) => checked_rows(file, &file.resolve(rows))?,
        None => vec![Cell {
            of: "the campaign".into(),
            variables: Variables::new(),
        }],
    };
    let matrix = &file.campaign.matrix;
    let combinations = matrix.values().try_fold(rows.len(), |count, values| {
        count
            .checked_mul(values.len())
            .filter(|count| *count <= MAX_CELLS)
    });
    if combinations.is_none() {
        let problem = format!("rows and matrix have more than {MAX_CELLS} combinations");
        return Err(file.source.invalid(&["matrix"], problem));
    }
    Ok(matrix.iter().fold(rows, |cells, (key, values)| {
        let combined = cells
            .iter()
            .flat_map(|cell| values.iter().map(|value| cell.with(key, value)));
        combined.collect()
    }))
}

impl Cell {
    fn with(&self, key: &str, value: &Value) -> Self {
        let mut cell = self.clone();
        let text = match value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        cell.of = format!("{}, {key} {text}", self.of);
        cell.variables.insert(key.to_string(), value.clone());
        cell
    }
}

fn checked_rows(file: &CampaignFile, path: &Path) -> Result<Vec<Cell>, CampaignError> {
    let rows = read_rows(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let cell = |row: Row| -> Result<Cell, CampaignError> {
        for key in row.values.keys() {
            check_name(file, path, row.line, key)?;
        }
        Ok(Cell {
            of: format!("line {} of {name}", row.line),
            variables: row.values,
        })
    };
    rows.into_iter().map(cell).collect()
}

fn check_name(
    file: &CampaignFile,
    path: &Path,
    line: usize,
    key: &str,
) -> Result<(), CampaignError> {
    let problem = if RESERVED.contains(&key) {
        "this name is taken by a variable of the picture"
    } else if file.campaign.matrix.contains_key(key) {
        "the matrix has a key of this name too"
    } else {
        return Ok(());
    };
    // In a CSV the name stands in the first line.
    let line = if path
        .extension()
        .is_some_and(|kind| kind == "csv" || kind == "tsv")
    {
        1
    } else {
        line
    };
    Err(CampaignError::invalid(
        Place::file(path).line(line).key(key),
        problem,
    ))
}
