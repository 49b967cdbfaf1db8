//! Comparisons of hand-made results, against hand-made tables.

use super::*;
use crate::results::metrics::Metrics;
use intrada_statistics::evidence::Verdict;

/// An entry of the pipeline `p`: its network, seed and λ, and the mIoU in % of its last and best network.
fn entry(weights: &str, seed: u32, lambda: Option<&str>, last: Option<f64>, best: Option<f64>) -> Entry {
    let member = format!("evaluate[seed={seed}]");
    let mut parameters = vec![("inter.seed".to_owned(), seed.to_string()), ("inter.batch".to_owned(), "4".to_owned())];
    if let Some(lambda) = lambda {
        parameters.push(("rank.lambda".to_owned(), lambda.to_owned()));
        parameters.push(("intra.seed".to_owned(), seed.to_string()));
    }
    let measured = |percent: f64| -> Measured {
        let text =
            format!(r#"{{"a": {{"images": 2, "miou": {}, "iou": {{"sky": 0.5, "pole": null}}}}}}"#, percent / 100.0);
        serde_json::from_str::<Metrics>(&text).unwrap().remove("a").unwrap()
    };
    let measurement = Measurement { last: last.map(measured), best: best.map(measured), ..Measurement::default() };
    let state = if last.is_some() || best.is_some() { State::Measured(measurement.into()) } else { State::NotRun };
    Entry {
        pipeline: "p".into(),
        evaluation: "evaluate".into(),
        member,
        dataset: "val".into(),
        weights: weights.into(),
        parameters,
        state,
        seconds: Some(60.0 * f64::from(seed)),
    }
}

/// Three seeds, two λ; one entry is missing.
fn sweep() -> Vec<Entry> {
    let inter = [40.0, 42.0, 44.0];
    let intra = [("0.5", [Some(41.0), Some(44.0), Some(45.5)]), ("0.6", [Some(40.5), Some(41.0), None])];
    let mut entries = Vec::new();
    for seed in 0..3 {
        for (lambda, last) in intra {
            // Each member of the evaluation measures inter too.
            entries.push(entry("inter", seed + 1, None, Some(inter[seed as usize]), Some(45.0)));
            entries.push(entry("intra", seed + 1, Some(lambda), last[seed as usize], None));
        }
    }
    entries
}

fn compared(entries: Vec<Entry>, wishes: &Wishes) -> Comparison {
    compare(entries, wishes).unwrap()
}

fn shown(entries: Vec<Entry>, wishes: &Wishes) -> String {
    text(&compared(entries, wishes), &["sky".to_owned(), "pole".to_owned()], None)
}

#[test]
fn seeds_are_one_row_and_differences_are_taken_seed_by_seed() {
    // intra, λ = 0.5: 41, 44, 45.5 − 40, 42, 44 = 1, 2, 1.5: mean 1.5, deviation 0.5. λ = 0.6: 0.5, −1: −0.25 ± 1.06.
    let expected = "\
p: mIoU in % on val
  weights  rank.lambda   seeds        last        best             last − inter          training  state
  inter    –                 3  42.0 ± 2.0  45.0 ± 0.0                                 2 min 00 s
  intra    0.5               3  43.5 ± 2.3           –  +1.5 ± 0.5 [+0.3, +2.7]  gain  2 min 00 s
  intra    0.6          2 of 3  40.8 ± 0.4           –               -0.3 ± 1.1        2 min 00 s  1 not run
  best was selected by mIoU on labelled images, which a method without labels can't do
  rows with fewer than 3 seeds: another training may differ by more
  gain, loss: the 95 % interval over seeds, [low, high], doesn't hold 0
  1 parameter is the same in all rows (--all)
";
    assert_eq!(shown(sweep(), &Wishes::default()), expected);
}

#[test]
fn without_grouping_each_run_is_a_row_and_nothing_is_dropped() {
    let wishes = Wishes { each_run: true, sort: Some("since".into()), ..Wishes::default() };
    let comparison = compared(sweep(), &wishes);
    assert_eq!(comparison.parameters, ["inter.seed", "rank.lambda"], "intra.seed says the same as inter.seed");
    assert_eq!(comparison.rows.len(), 9, "inter is one entry a seed, though two members measure it");
    let first = &comparison.rows[0];
    assert_eq!(first.values, [Some("2".to_owned()), Some("0.5".to_owned())]);
    assert!((first.since.unwrap().spread.mean - 0.02).abs() < 1e-12);
    assert_eq!(first.since.unwrap().verdict(), None, "one seed is no gain");
    assert_eq!(comparison.rows.iter().map(|row| row.not_run).sum::<usize>(), 1);
}

#[test]
fn a_difference_whose_interval_holds_zero_is_no_gain() {
    let last = |lasts: [f64; 3]| {
        let entries = (1..).zip(lasts).flat_map(|(seed, last)| {
            [entry("inter", seed, None, Some(40.0), None), entry("intra", seed, Some("0.5"), Some(last), None)]
        });
        compared(entries.collect(), &Wishes::default()).rows[1].since.unwrap()
    };
    assert_eq!(last([41.0, 41.4, 41.8]).verdict(), Some(Verdict::Gain));
    assert_eq!(last([39.0, 41.0, 43.0]).verdict(), Some(Verdict::WithinChance));
    let worse = shown(
        (1..4)
            .flat_map(|s| [entry("inter", s, None, Some(40.0), None), entry("intra", s, Some("0.5"), Some(38.0), None)])
            .collect(),
        &Wishes::default(),
    );
    assert!(worse.contains("-2.0 ± 0.0 [-2.0, -2.0]  loss"), "{worse}");
}

#[test]
fn what_is_out_of_date_is_counted_and_not_shown_as_a_number() {
    let mut entries = sweep();
    entries.retain(|entry| entry.weights == "intra");
    entries[0].state = State::Stale;
    let table = shown(entries, &Wishes::default());
    assert!(table.contains("2 of 3  44.8 ± 1.1  2 min 00 s  1 stale"), "{table}");
    assert!(table.contains("stale: evaluated before a change"), "{table}");
}

#[test]
fn what_failed_is_counted_apart_from_what_was_not_tried() {
    let mut entries = sweep();
    let failed = entries.iter_mut().find(|entry| matches!(entry.state, State::NotRun)).unwrap();
    failed.state = State::Failed;
    let table = shown(entries.clone(), &Wishes::default());
    assert!(
        table.contains("2 of 3  40.8 ± 0.4") && table.contains("1 failed") && !table.contains("not run"),
        "{table}"
    );
    let row = &json(&compared(entries, &Wishes::default()))["rows"][2];
    assert_eq!((row["failed"].clone(), row["not_run"].clone()), (1.into(), 1.into()));
}

#[test]
fn where_only_best_networks_were_measured_these_are_compared() {
    let entries = vec![entry("inter", 1, None, None, Some(40.0)), entry("intra", 1, Some("0.5"), None, Some(43.0))];
    let table = shown(entries, &Wishes::default());
    assert!(table.contains("best − inter") && table.contains("+3.0") && !table.contains("  last"), "{table}");
}

#[test]
fn pipelines_are_repetitions_of_one_experiment_only_if_their_seeds_differ() {
    let pipelines = |seeds: [u32; 2]| {
        let entries = seeds.iter().zip(["a", "b"]).map(|(seed, pipeline)| Entry {
            pipeline: pipeline.to_owned(),
            ..entry("inter", *seed, None, Some(40.0), None)
        });
        compared(entries.collect(), &Wishes::default()).rows.into_iter().map(|row| row.pipelines).collect::<Vec<_>>()
    };
    assert_eq!(pipelines([1, 2]), [["a", "b"]]);
    assert_eq!(pipelines([1, 1]), [["a"], ["b"]]);
}

#[test]
fn any_measured_network_may_be_the_one_to_compare_with() {
    let wishes = Wishes { against: Some("intra".into()), ..Wishes::default() };
    let entries = vec![entry("inter", 1, None, Some(40.0), None), entry("intra", 1, Some("0.5"), Some(43.0), None)];
    assert!((compared(entries, &wishes).rows[0].since.unwrap().spread.mean + 0.03).abs() < 1e-12);
    // Two of that name, and no way to choose.
    let entries = ["0.5", "0.6"].map(|lambda| entry("intra", 1, Some(lambda), Some(43.0), None));
    let entries = entries.into_iter().chain([entry("inter", 1, None, Some(40.0), None)]).collect();
    assert_eq!(compared(entries, &wishes).rows[2].since, None);
}

#[test]
fn a_column_to_sort_by_is_there_or_those_that_are_are_told() {
    let weights = |sort: &str| {
        let wishes = Wishes { sort: Some(sort.to_owned()), ..Wishes::default() };
        let rows = compare(sweep(), &wishes).map(|comparison| comparison.rows);
        rows.map(|rows| rows.iter().map(|row| row.values[0].clone().unwrap_or_default()).collect::<Vec<_>>().join(" "))
    };
    assert_eq!(weights("last").unwrap(), "0.5  0.6");
    assert_eq!(weights("rank.lambda").unwrap(), "0.5 0.6 ");
    assert_eq!(
        weights("lambda").unwrap_err().to_string(),
        "there is no column `lambda` to sort by; there are pipeline, weights, last, best, since, time, rank.lambda"
    );
}

#[test]
fn classes_are_a_table_of_their_own_and_what_is_undefined_is_left_out() {
    let table = shown(sweep(), &Wishes { classes: true, ..Wishes::default() });
    let expected = "\nIoU in %, by the rows above\n            row 1       row 2       row 3\n  sky  50.0 ± 0.0  50.0 ± 0.0  50.0 ± 0.0\n";
    assert!(table.contains(expected) && !table.contains("pole"), "{table}");
}

#[test]
fn programs_and_spreadsheets_get_fractions_in_full() {
    let comparison = compared(sweep(), &Wishes::default());
    let json = json(&comparison);
    assert_eq!(json["against"], "inter");
    assert_eq!(json["rows"][1]["parameters"]["rank.lambda"], "0.5");
    assert_eq!(
        (json["rows"][1]["gain"].clone(), json["rows"][2]["gain"].clone()),
        (true.into(), serde_json::Value::Null)
    );
    assert!((json["rows"][1]["since"]["sd"].as_f64().unwrap() - 0.005).abs() < 1e-12);
    assert_eq!((json["rows"][2]["measured"].clone(), json["rows"][2]["not_run"].clone()), (2.into(), 1.into()));

    let mut odd = sweep();
    odd.iter_mut().for_each(|entry| entry.pipeline = "a, \"b\"".into());
    let csv = csv(&compared(odd, &Wishes::default()), &[]);
    let lines: Vec<&str> = csv.lines().collect();
    assert!(
        lines[0]
            .starts_with("pipeline,evaluation,dataset,weights,rank.lambda,measured,not_run,failed,stale,last,last_sd,")
    );
    assert!(lines[1].starts_with("\"a, \"\"b\"\"\",evaluate,val,inter,,3,0,0,0,0.42"), "{}", lines[1]);
    assert_eq!(lines.len(), 4);
}

#[test]
fn the_parameters_that_are_the_same_are_counted_and_named_where_that_is_wished() {
    let all = shown(sweep(), &Wishes { all: true, ..Wishes::default() });
    assert!(all.ends_with("  the same in all rows:\n    inter.batch 4\n"), "{all}");
}

#[test]
fn where_there_is_no_room_parameters_go_last_to_first_and_measures_stay() {
    let mut entries = sweep();
    for entry in entries.iter_mut().filter(|entry| entry.weights == "intra") {
        let normalize = if entry.parameter("rank.lambda") == Some("0.5") { "none" } else { "rare-classes-code" };
        entry.parameters.push(("rank.normalize".to_owned(), normalize.to_owned()));
    }
    let comparison = compared(entries, &Wishes::default());
    for (room, expected) in [(140, None), (115, Some("rank.normalize")), (40, Some("rank.lambda, rank.normalize"))] {
        let text = text(&comparison, &[], Some(room));
        assert!(text.contains("last − inter") && text.contains("43.5 ± 2.3"), "{text}");
        let said = text.lines().find_map(|line| line.trim().strip_prefix("no room here for "));
        assert_eq!(said.map(|said| said.split(';').next().unwrap()), expected, "{text}");
        let is_shown = |name: &str| text.lines().nth(1).unwrap().contains(name);
        assert_eq!(is_shown("rank.normalize"), expected.is_none());
    }
}

/// Networks of two seeds on three images.
fn by_image() -> Vec<Entry> {
    let measured = |weights: &str, seed: u32, miou: [f64; 3]| {
        let mut entry = entry(weights, seed, None, Some(40.0), None);
        let State::Measured(measurement) = &mut entry.state else { unreachable!("it was given a mIoU") };
        measurement.images = ["a", "b", "c"].map(str::to_owned).into_iter().zip(miou).collect();
        entry
    };
    vec![
        measured("inter", 1, [0.5, 0.5, 0.5]),
        measured("intra", 1, [0.7, 0.5, 0.2]),
        measured("inter", 2, [0.3, 0.5, 0.5]),
        measured("intra", 2, [0.4, 0.5, 0.4]),
    ]
}

#[test]
fn images_that_gained_and_lost_are_told_with_both_their_ious_over_all_seeds() {
    let table = shown(by_image(), &Wishes { by_image: true, ..Wishes::default() });
    // a: 40 → 55, c: 50 → 30; b is unchanged.
    let expected = "
row 2, intra against inter: of 3 images, 1 gained and 1 lost
  image  inter  intra
  a       40.0   55.0   +15.0
  c       50.0   30.0   -20.0
";
    assert!(table.contains(expected), "{table}");
    let json = json(&compared(by_image(), &Wishes { by_image: true, ..Wishes::default() }));
    assert_eq!((json["rows"][1]["images"]["count"].clone(), json["rows"][0].get("images")), (3.into(), None));
    assert!(!shown(by_image(), &Wishes::default()).contains("gained"));
}

#[test]
fn a_readme_and_a_paper_get_the_same_cells_and_no_letter_means_anything_there() {
    let mut entries = sweep();
    entries.iter_mut().for_each(|entry| {
        entry.weights = if entry.weights == "intra" { "in_tra|50%".to_owned() } else { entry.weights.clone() };
        entry.parameters.retain(|(name, _)| name != "inter.batch");
    });
    let comparison = compared(entries, &Wishes::default());
    let markdown = markdown(&comparison, &[]);
    let expected = "\
p: mIoU in % on val

| weights | rank.lambda | seeds | last | best | last − inter |  | training | state |
| --- | --- | ---: | ---: | ---: | ---: | --- | ---: | --- |
| inter | – | 3 | 42.0 ± 2.0 | 45.0 ± 0.0 |  |  | 2 min 00 s |  |
| in\\_tra\\|50% | 0.5 | 3 | 43.5 ± 2.3 | – | +1.5 ± 0.5 \\[+0.3, +2.7\\] | gain | 2 min 00 s |  |
";
    assert!(markdown.starts_with(expected), "{markdown}");
    let latex = latex(&comparison, &[]);
    let expected = "\
% p: mIoU in % on val
\\begin{tabular}{llrrrrlrl}
  \\hline
  weights & rank.lambda & seeds & last & best & last $-$ inter &  & training & state \\\\
  \\hline
  inter & -- & 3 & 42.0 $\\pm$ 2.0 & 45.0 $\\pm$ 0.0 &  &  & 2 min 00 s &  \\\\
  in\\_tra|50\\% & 0.5 & 3 & 43.5 $\\pm$ 2.3 & -- & +1.5 $\\pm$ 0.5 [+0.3, +2.7] & gain & 2 min 00 s &  \\\\
  in\\_tra|50\\% & 0.6 & 2 of 3 & 40.8 $\\pm$ 0.4 & -- & $-$0.3 $\\pm$ 1.1 &  & 2 min 00 s & 1 not run \\\\
  \\hline
\\end{tabular}
";
    assert!(latex.starts_with(expected), "{latex}");
    assert!(latex.lines().skip_while(|line| !line.starts_with("\\end")).skip(1).all(|line| line.starts_with("% ")));
}

#[test]
fn one_seed_gets_no_column_for_a_verdict() {
    let one_seed = || sweep().into_iter().filter(|entry| entry.member.ends_with("=1]")).collect();
    let table = markdown(&compared(one_seed(), &Wishes::default()), &[]);
    assert!(table.contains("last − inter") && !table.contains("|  |\n") && !table.contains("|  | training"), "{table}");
}

#[test]
fn the_long_form_has_a_value_a_line_under_the_number_of_its_row() {
    let long = long(&compared(sweep(), &Wishes::default()), &[]);
    for line in ["1.weights inter\n", "2.rank.lambda 0.5\n", "3.not_run 1\n"] {
        assert!(long.contains(line), "{long}");
    }
    assert!(!long.contains("1.rank.lambda"), "what a row doesn't have is no line");
}
