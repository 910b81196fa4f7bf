//! One line of the result: a piece of work, ours, theirs, the goal.

use std::collections::BTreeMap;

use serde_json::json;

/// What a figure of ours is held to.
pub enum Goal {
    /// At most so many times a peer's figure.
    Of(&'static str, f64),
    /// At most so many times the best peer's figure.
    OfBest(f64),
    /// At most this.
    AtMost(f64),
}

/// A piece of work, measured.
pub struct Figure {
    /// What was done.
    pub work: &'static str,
    /// `ms` or `kB`
    pub unit: &'static str,
    /// Our median.
    pub ours: f64,
    /// Each peer's median.
    pub peers: BTreeMap<&'static str, f64>,
    /// The goal.
    pub goal: Goal,
}

impl Figure {
    /// From every runtime's samples; the one called `ours` is ours.
    pub fn new(
        work: &'static str,
        unit: &'static str,
        goal: Goal,
        samples: BTreeMap<&'static str, Vec<f64>>,
    ) -> Self {
        let mut peers: BTreeMap<_, _> = samples.into_iter().map(|(name, values)| (name, median(values))).collect();
        let ours = peers.remove(super::ours::NAME).unwrap_or(f64::NAN);
        Self { work, unit, ours, peers, goal }
    }

    /// Ours over the best peer.
    fn ratio(&self) -> Option<f64> {
        self.peers.values().copied().reduce(f64::min).map(|best| self.ours / best)
    }

    /// Whether the goal is met; unknown when the peer that it names is not installed.
    pub fn met(&self) -> Option<bool> {
        let most = match self.goal {
            Goal::AtMost(most) => most,
            Goal::OfBest(factor) => self.peers.values().copied().reduce(f64::min)? * factor,
            Goal::Of(peer, factor) => self.peers.get(peer)? * factor,
        };
        Some(self.ours <= most)
    }

    fn goal_text(&self) -> String {
        match self.goal {
            Goal::OfBest(factor) => format!("<= {factor:.2} x best"),
            Goal::AtMost(most) => format!("<= {most} {}", self.unit),
            Goal::Of(peer, factor) => format!("<= {factor} x {peer}"),
        }
    }

    /// One JSON object.
    pub fn json(&self, set: &str) -> String {
        let peers: BTreeMap<_, _> = self.peers.iter().map(|(name, value)| (name, rounded(*value))).collect();
        let ratio = self.ratio().map(rounded);
        json!({"set": set, "work": self.work, "unit": self.unit, "ours": rounded(self.ours), "peers": peers,
               "ratio": ratio, "goal": self.goal_text(), "met": self.met()})
        .to_string()
    }

    /// One line of the table.
    pub fn line(&self) -> String {
        let peers: Vec<String> = self.peers.iter().map(|(name, value)| format!("{name} {value:.1}")).collect();
        let verdict = self.met().map_or("peer missing", |met| if met { "met" } else { "NOT MET" });
        let ratio = self.ratio().map_or_else(|| "-".into(), |ratio| format!("{ratio:.2}"));
        let (work, ours, unit, goal) = (self.work, self.ours, self.unit, self.goal_text());
        format!("{work:<42} {ours:>8.1} {unit:<3} | {:<46} | {ratio:>5} | {goal:<14} {verdict}", peers.join(", "))
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The middle one, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_know_their_ratio_and_goal() {
        let samples = BTreeMap::from([("ours", vec![9.0, 1.0, 2.0]), ("lxc", vec![4.0, 6.0]), ("runc", vec![10.0])]);
        let figure = Figure::new("w", "ms", Goal::Of("lxc", 0.5), samples);
        assert_eq!((figure.ours, figure.ratio(), figure.met()), (2.0, Some(0.4), Some(true)));
        let value: serde_json::Value = serde_json::from_str(&figure.json("life")).unwrap();
        assert_eq!(value["goal"], "<= 0.5 x lxc");
        assert_eq!(value["peers"]["runc"], 10.0);
    }
}
