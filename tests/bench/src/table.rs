//! Figures of several runs as one row each.

use std::collections::BTreeMap;

/// What was measured, and beside it what it is compared with, run by run.
#[derive(Default)]
pub struct Table {
    order: Vec<String>,
    rows: BTreeMap<String, Row>,
}

#[derive(Default)]
struct Row {
    unit: &'static str,
    figures: Vec<f64>,
    yardstick: String,
    yardsticks: Vec<f64>,
}

impl Table {
    /// One run's figure and its yardstick's.
    pub fn add(&mut self, what: &str, unit: &'static str, figure: f64, yardstick: &str, measured: f64) {
        let name = format!("{what} / {yardstick}");
        if !self.rows.contains_key(&name) {
            self.order.push(name.clone());
        }
        let row = self.rows.entry(name).or_default();
        row.unit = unit;
        row.figures.push(figure);
        yardstick.clone_into(&mut row.yardstick);
        row.yardsticks.push(measured);
    }

    /// Prints all rows as Markdown: the median of the runs, and the least and the most of them.
    pub fn print(&self) {
        println!(
            "| what | unit | median (least to most) | yardstick | median (least to most) | ratio (least to most) |"
        );
        println!("| --- | --- | --- | --- | --- | --- |");
        for name in &self.order {
            let row = &self.rows[name];
            let ratios: Vec<f64> = row.figures.iter().zip(&row.yardsticks).map(|(a, b)| a / b).collect();
            println!(
                "| {} | {} | {} | {} | {} | **{}** |",
                name.split(" / ").next().unwrap_or_default(),
                row.unit,
                spread(&row.figures),
                row.yardstick,
                spread(&row.yardsticks),
                spread(&ratios)
            );
        }
    }
}

fn spread(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
    format!("{} ({} to {})", figure(sorted[sorted.len() / 2]), figure(least), figure(most))
}

/// Three digits that say something.
fn figure(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
