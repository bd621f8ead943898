//! Chart of the ratios of `advance` by id on one thread.

use crate::maps::SIZES;
use crate::report::Report;
use plotters::prelude::*;

const COLOURS: [RGBColor; 3] = [
    RGBColor(94, 129, 172),
    RGBColor(163, 190, 140),
    RGBColor(208, 135, 112),
];

/// Writes the chart, if its rows were measured.
pub fn draw(report: &Report, path: &str) {
    if let Err(error) = try_draw(report, path) {
        eprintln!("{path}: {error}");
    }
}

fn try_draw(report: &Report, path: &str) -> Result<(), Box<dyn std::error::Error>> {
    let rows: Vec<_> = SIZES
        .iter()
        .filter_map(|&jobs| report.row("advance_by_id", jobs, 1))
        .collect();
    let Some(first) = rows.first() else {
        return Ok(());
    };
    let names: Vec<_> = first.ratios().map(|(name, _)| name).collect();
    let most = rows
        .iter()
        .flat_map(|row| row.ratios())
        .fold(1.0, |most: f64, (_, ratio)| most.max(ratio));
    let height = 90 + 42 * names.len() as u32;
    let root = SVGBackend::new(path, (820, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let text = |size: i32| ("sans-serif", size).into_font();
    let title = "Time of one advance, by id, one thread: ours = 1 (logarithmic)";
    root.draw(&Text::new(title, (20, 16), text(17)))?;
    let (left, width) = (150, 600.0);
    // The axis begins at 0.25, because the ratio of the limit is below 1.
    let x = |ratio: f64| {
        left + ((ratio.max(0.25) / 0.25).ln() / (most / 0.25).ln() * width).round() as i32
    };
    for (at, name) in names.iter().enumerate() {
        let top = 56 + 42 * at as i32;
        root.draw(&Text::new(*name, (20, top + 9), text(14)))?;
        for (size, row) in rows.iter().enumerate() {
            let ratio = row.ratios().nth(at).map_or(1.0, |(_, ratio)| ratio);
            let y = top + 12 * size as i32;
            root.draw(&Rectangle::new(
                [(x(0.25), y), (x(ratio), y + 10)],
                COLOURS[size].filled(),
            ))?;
            let shown = format!("{ratio:.1}");
            root.draw(&Text::new(shown, (x(ratio) + 5, y - 1), text(11)))?;
        }
    }
    let bottom = 56 + 42 * names.len() as i32;
    root.draw(&PathElement::new(
        [(x(1.0), 48), (x(1.0), bottom)],
        BLACK.stroke_width(1),
    ))?;
    for (size, jobs) in SIZES.iter().enumerate() {
        let at = left + 150 * size as i32;
        root.draw(&Rectangle::new(
            [(at, bottom + 8), (at + 12, bottom + 20)],
            COLOURS[size].filled(),
        ))?;
        root.draw(&Text::new(
            format!("{jobs} jobs"),
            (at + 18, bottom + 8),
            text(13),
        ))?;
    }
    root.present()?;
    Ok(())
}
