//! What the project has set itself, and whether a measurement meets it.

use super::timing::geometric_mean;

/// A value to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Goal {
    must: f64,
    aim: f64,
}

/// Exact mode, every level bit-exact: container over JPEG pyramid.
pub(super) const EXACT: Goal = Goal { must: 0.60, aim: 0.53 };
/// The same with level 1, 3, 5, ... derived.
pub(super) const DERIVED: Goal = Goal { must: 0.575, aim: 0.50 };
/// Quality mode at equal SSIMULACRA2.
pub(super) const EQUAL_SSIMULACRA2: Goal = Goal { must: 0.52, aim: 0.44 };
/// Quality mode at equal PSNR-Y.
pub(super) const EQUAL_PSNR_Y: Goal = Goal { must: 0.56, aim: 0.49 };
/// A detail tile to JPEG, over decoding and encoding it with libjpeg-turbo.
pub(super) const DETAIL_TILE: Goal = Goal { must: 1.0, aim: 0.5 };
/// A family of 20 tiles, in milliseconds.
pub(super) const FAMILY: Goal = Goal { must: 8.0, aim: 4.0 };
/// Exact ingest on one core, in MP/s.
pub(super) const EXACT_INGEST: Goal = Goal { must: 25.0, aim: 60.0 };
/// Quality ingest on one core, in MP/s.
pub(super) const QUALITY_INGEST: Goal = Goal { must: 15.0, aim: 30.0 };

/// A measured value beside its goal.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(super) struct Target {
    /// What is measured, with its unit.
    pub(super) name: String,
    /// The value; `None` where it could not be measured.
    pub(super) value: Option<f64>,
    /// To be met.
    pub(super) must: f64,
    /// To be wished for.
    pub(super) aim: f64,
    /// `aim` or `ok` (the must) where met, `short` where not, `-` without a value.
    pub(super) mark: &'static str,
}

impl Target {
    pub(super) fn new(name: impl Into<String>, goal: Goal, value: Option<f64>) -> Self {
        let Goal { must, aim } = goal;
        // More is better where the aim is above the must.
        let met = |value: f64, bound: f64| if aim > must { value >= bound } else { value <= bound };
        let mark = match value {
            None => "-",
            Some(value) if met(value, aim) => "aim",
            Some(value) if met(value, must) => "ok",
            Some(_) => "short",
        };
        Self { name: name.into(), value, must, aim, mark }
    }

    /// The line of a table, under [`Self::HEADS`].
    pub(super) fn row(&self) -> Vec<String> {
        let value = self.value.map_or("-".to_owned(), |value| format!("{value:.3}"));
        vec![
            self.name.clone(),
            value,
            format!("{:.3}", self.must),
            format!("{:.3}", self.aim),
            self.mark.to_owned(),
        ]
    }

    /// The heads of such lines.
    pub(super) fn heads(what: &str) -> Vec<String> {
        [what, "value", "must", "aim", ""].map(str::to_owned).to_vec()
    }
}

/// A target over several sources.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(super) struct Mean {
    /// The target, with the geometric mean.
    #[serde(flatten)]
    pub(super) target: Target,
    /// Sources that have a value: the mean is over these.
    pub(super) sources: usize,
}

impl Mean {
    /// The line of a table, under [`Self::heads`].
    pub(super) fn row(&self) -> Vec<String> {
        [self.target.row(), vec![self.sources.to_string()]].concat()
    }

    /// The heads of such lines.
    pub(super) fn heads(what: &str) -> Vec<String> {
        [Target::heads(what), vec!["sources".to_owned()]].concat()
    }
}

/// The mean of each target over several reports, which need not list the same ones. Targets are told by their names.
pub(super) fn means(reports: &[Vec<Target>]) -> Vec<Mean> {
    let mut names: Vec<&Target> = vec![];
    for target in reports.iter().flatten() {
        if names.iter().all(|known| known.name != target.name) {
            names.push(target);
        }
    }
    let mean = |target: &&Target| {
        let same = reports.iter().flatten().filter(|other| other.name == target.name);
        let values: Vec<f64> = same.filter_map(|other| other.value).collect();
        let goal = Goal { must: target.must, aim: target.aim };
        let sources = values.len();
        Mean { target: Target::new(target.name.clone(), goal, geometric_mean(values)), sources }
    };
    names.iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_how_far_a_value_gets() {
        let mark = |goal, value| Target::new("a", goal, value).mark;
        assert_eq!([0.53, 0.6, 0.61].map(|value| mark(EXACT, Some(value))), ["aim", "ok", "short"]);
        assert_eq!([60.0, 25.0, 24.0].map(|value| mark(EXACT_INGEST, Some(value))), ["aim", "ok", "short"]);
        assert_eq!(mark(EXACT, None), "-");
    }

    #[test]
    fn a_mean_leaves_out_what_was_not_measured() {
        let report = |exact, family| {
            vec![Target::new("exact", EXACT, Some(exact)), Target::new("family", FAMILY, family)]
        };
        let means =
            means(&[report(0.25, None), report(1.0, Some(3.0)), vec![Target::new("new", EXACT, None)]]);
        assert_eq!(means[0], Mean { target: Target::new("exact", EXACT, Some(0.5)), sources: 2 });
        assert!(
            means[1].target.value.is_some_and(|value| (value - 3.0).abs() < 1e-12) && means[1].sources == 1
        );
        assert_eq!((means[2].target.value, means[2].sources), (None, 0));
    }
}
