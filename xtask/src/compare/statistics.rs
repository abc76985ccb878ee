//! The arithmetic of the comparison: medians, quartiles, and which samples saw the same machine.

/// States whose ping-pongs differ by more than this factor are different ones. Within one, measurements differ by some percent; the
/// states that are known differ by a factor of five.
const SAME_STATE: f64 = 1.6;

/// The quantile `q` of 0 to 1, between its neighbours where it falls between them. None of nothing.
pub(super) fn quantile(values: &[f64], q: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = q * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(below + (above - below) * place.fract())
}

/// The value in the middle.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The middle of some values, and the quartiles around it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
}

impl Spread {
    /// None of nothing.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let [low, median, high] = [0.25, 0.5, 0.75].map(|q| quantile(values, q));
        Some(Self { low: low?, median: median?, high: high? })
    }
}

/// Whether the machine was in the same state at these two times.
pub(super) fn same_state(one: f64, other: f64) -> bool {
    one.max(other) <= one.min(other) * SAME_STATE
}

/// The state that was seen most often, as its least and its greatest measurement. Sorted measurements belong to one state as long
/// as each is close to the one before. Of two that are equally common it is the faster one.
pub(super) fn most_common_state(measurements: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = measurements.to_vec();
    sorted.sort_by(f64::total_cmp);
    let states = sorted.chunk_by(|one, next| same_state(*one, *next));
    let common = states.reduce(|best, state| if state.len() > best.len() { state } else { best })?;
    Some((common[0], common[common.len() - 1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_lies_between_its_neighbours() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[7.0], 0.25), Some(7.0));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        let values = [50.0, 10.0, 30.0, 20.0, 40.0];
        assert_eq!(Spread::of(&values), Some(Spread { low: 20.0, median: 30.0, high: 40.0 }));
        assert_eq!(Spread::of(&[]), None);
        assert_eq!([0.0, 0.25, 0.6, 1.0].map(|q| quantile(&values, q)), [10.0, 20.0, 34.0, 50.0].map(Some));
    }

    #[test]
    fn the_most_common_state_is_found() {
        assert_eq!(most_common_state(&[]), None);
        assert_eq!(most_common_state(&[390.0, 77.0, 80.0, 385.0, 75.0]), Some((75.0, 80.0)));
        assert_eq!(most_common_state(&[390.0, 77.0, 385.0]), Some((385.0, 390.0)));
        assert_eq!(most_common_state(&[390.0, 77.0]), Some((77.0, 77.0)));
        assert!(same_state(77.0, 110.0) && !same_state(390.0, 77.0) && !same_state(77.0, 390.0));
    }
}
