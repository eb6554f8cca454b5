use std::io::{self, Write};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Failure;
use crate::observe::view::HeldView;
use crate::policy::slices::KeptOut;

/// How an answer looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs: keys in camelCase, times in RFC 3339, ages in seconds, shares from 0 to 1.
    Json,
}

/// The option of every verb that answers.
#[derive(Debug, Args)]
pub(super) struct Output {
    /// How the answer looks.
    #[arg(long = "output", value_name = "FORMAT", value_enum, default_value_t)]
    pub(super) format: Format,
}

impl Output {
    /// Prints a view as it is asked for.
    pub(super) fn print<V: Serialize>(
        &self,
        view: &V,
        text: impl FnOnce(&V) -> String,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Table => lines(text(view).lines()),
            Format::Json => json(view),
        }
    }
}

/// Prints lines, one after another, however many there are.
pub(super) fn lines(lines: impl IntoIterator<Item = impl AsRef<str>>) -> Result<(), Failure> {
    write(|out| lines.into_iter().try_for_each(|line| writeln!(out, "{}", line.as_ref())))
}

/// Prints JSON.
pub(super) fn json(view: &impl Serialize) -> Result<(), Failure> {
    write(|out| {
        serde_json::to_writer_pretty(&mut *out, view)?;
        writeln!(out)
    })
}

/// A reader who has seen enough, as `head` has, is no failure.
fn write(print: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match print(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => Ok(printed.context("standard output")?),
    }
}

/// A column's heading, and to which side its cells lean.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    Text(&'static str),
    Number(&'static str),
}

/// A table without lines: columns two spaces apart.
#[derive(Debug)]
pub(super) struct Sheet(Table);

impl Sheet {
    pub(super) fn new(columns: &[Column]) -> Self {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(columns.iter().map(|column| match column {
            Column::Text(heading) | Column::Number(heading) => *heading,
        }));
        for (column, kind) in table.column_iter_mut().zip(columns) {
            column.set_padding((0, 2));
            if let Column::Number(_) = kind {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        Self(table)
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.add_row(cells);
    }

    pub(super) fn text(&self) -> String {
        self.0.trim_fmt()
    }
}

/// Names and values below each other.
pub(super) fn listing(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:width$}  {value}").trim_end().to_owned();
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What there is, or a dash.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A time to the second.
pub(super) fn moment(time: OffsetDateTime) -> String {
    time.truncate_to_second().format(&Rfc3339).unwrap_or_default()
}

/// A part of a whole in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// A time span in its largest unit.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// What is held back of a pool's health, behind other words: `, held at 40% for 23 s`.
pub(super) fn held(held: HeldView) -> String {
    let until = held.next_step.map_or_else(|| "until told".to_owned(), |left| format!("for {}", span(left)));
    format!(", held at {}% {until}", held.perceived)
}

/// What a pool is kept out of, behind other words: `, kept out of 99%`.
pub(super) fn kept_out(kept_out: &KeptOut) -> String {
    format!(", kept out of {}%", kept_out.percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lean_right_and_no_line_has_an_end_of_spaces() {
        let mut sheet = Sheet::new(&[Column::Text("NAME"), Column::Number("ROWS"), Column::Text("WHY")]);
        sheet.row(["a".into(), "7".into(), String::new()]);
        sheet.row(["longer".into(), "65536".into(), "x".into()]);
        assert_eq!(sheet.text(), "NAME     ROWS  WHY\na           7\nlonger  65536  x");
    }

    #[test]
    fn moments_have_no_fractions() {
        let time = OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(1_999);
        assert_eq!(moment(time), "1970-01-01T00:00:01Z");
    }

    #[test]
    fn spans_have_a_fitting_unit() {
        let spans = [0, 119, 120, 7199, 7200, 172_800].map(span);
        assert_eq!(spans, ["0 s", "119 s", "2 min", "119 min", "2 h", "2 d"]);
    }
}
