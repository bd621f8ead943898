//! [`Pairs`]: what two sides took in turn.

/// Measurements of two sides, taken in turn so that both meet the same load of the machine.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    pub(crate) first: Vec<f64>,
    pub(crate) second: Vec<f64>,
}

impl Pairs {
    pub(crate) fn push(&mut self, first: f64, second: f64) {
        self.first.push(first);
        self.second.push(second);
    }

    /// Returns the median of the ratios, with their quartiles.
    pub(crate) fn ratio(&self) -> String {
        let pairs = self.first.iter().zip(&self.second);
        let ratios: Vec<f64> = pairs.map(|(first, second)| first / second).collect();
        let [low, middle, high] = [0.25, 0.5, 0.75].map(|part| quantile(&ratios, part));
        format!("{middle:.2} ({low:.2} to {high:.2})")
    }
}

pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// Returns the value below which this part of the values is.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)] // a few values, and a part of at most 1
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() - 1) as f64 * part;
    sorted[at.round() as usize]
}

/// Returns a whole number with separators of thousands.
pub(crate) fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
