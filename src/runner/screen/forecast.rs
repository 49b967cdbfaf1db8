//! Estimates the remaining time of a run from earlier durations of its stages.
//!
//! Knows durations and dependencies; decides nothing. Simulates the rest of the run on as many lanes as jobs have run in parallel
//! so far. At first that may be too few, never too many, so the estimate shrinks rather than grows.

/// A stage that may have work left.
#[derive(Clone, Debug, PartialEq)]
pub struct Rest {
    /// Indices of the stages that it waits for, all smaller than its own.
    pub needs: Vec<usize>,
    /// Remaining seconds of work; `None` if unknown.
    pub seconds: Option<f64>,
    /// Whether it is running, so that it occupies a lane from now on.
    pub running: bool,
}

/// Seconds until all `stages`, in dependency order, are done on this number of lanes. `None` if a duration is unknown.
pub fn seconds_left(stages: &[Rest], lanes: usize) -> Option<f64> {
    let mut free_at = vec![0.0; lanes.max(1)];
    let mut done_at = vec![0.0; stages.len()];
    for (place, stage) in stages.iter().enumerate().filter(|(_, stage)| stage.running) {
        done_at[place] = occupy(&mut free_at, 0.0, stage.seconds?);
    }
    for (place, stage) in stages.iter().enumerate().filter(|(_, stage)| !stage.running) {
        let ready_at = stage.needs.iter().map(|need| done_at[*need]).fold(0.0, f64::max);
        done_at[place] = match stage.seconds? {
            0.0 => ready_at,
            seconds => occupy(&mut free_at, ready_at, seconds),
        };
    }
    Some(done_at.into_iter().fold(0.0, f64::max))
}

/// Assigns work to the lane that is free first, and returns when it is done.
fn occupy(free_at: &mut [f64], ready_at: f64, seconds: f64) -> f64 {
    let lane = free_at.iter_mut().min_by(|a, b| a.total_cmp(b)).expect("there is a lane");
    *lane = lane.max(ready_at) + seconds;
    *lane
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rest(seconds: f64, needs: &[usize]) -> Rest {
        Rest { needs: needs.to_vec(), seconds: Some(seconds), running: false }
    }

    #[test]
    fn the_longest_path_decides_where_there_are_lanes_enough() {
        let diamond = [rest(1.0, &[]), rest(5.0, &[0]), rest(2.0, &[0]), rest(1.0, &[1, 2])];
        assert_eq!(seconds_left(&diamond, 2), Some(7.0));
        assert_eq!(seconds_left(&diamond, 1), Some(9.0));
    }

    #[test]
    fn one_unknown_duration_makes_the_whole_unknown() {
        let unknown = Rest { seconds: None, ..rest(0.0, &[0]) };
        assert_eq!(seconds_left(&[rest(1.0, &[]), unknown], 2), None);
    }

    #[test]
    fn a_running_stage_keeps_its_lane_from_those_before_it_in_the_order() {
        let stages = [rest(3.0, &[]), Rest { running: true, ..rest(4.0, &[]) }];
        assert_eq!(seconds_left(&stages, 1), Some(7.0));
    }

    proptest! {
        #[test]
        fn the_estimate_lies_between_the_longest_path_and_all_work_in_a_row(
            seconds in prop::collection::vec(0.0..100.0f64, 1..12), links in prop::collection::vec(any::<u16>(), 12), lanes in 1usize..5,
        ) {
            let needs = |place: usize| (0..place).filter(|need| links[place] >> need & 1 == 1).collect::<Vec<_>>();
            let stages: Vec<Rest> = seconds.iter().enumerate().map(|(place, s)| rest(*s, &needs(place))).collect();
            let mut path = vec![0.0f64; stages.len()];
            for place in 0..stages.len() {
                path[place] = seconds[place] + stages[place].needs.iter().map(|need| path[*need]).fold(0.0, f64::max);
            }
            let (longest, sum) = (path.iter().copied().fold(0.0, f64::max), seconds.iter().sum::<f64>());
            let left = seconds_left(&stages, lanes).unwrap();
            prop_assert!(left >= longest.max(sum / lanes as f64) - 1e-9 && left <= sum + 1e-9);
        }
    }
}
