//! What the lines look like at three widths, and what is left out where there is no room.

use super::*;
use crate::digest::{Digest, Key};
use crate::event::{Advice, Event};

const PLAIN: Style = Style { colour: false, unicode: true };

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn finished(stage: &str, outcome: Outcome, summary: &str, seconds: f64) -> Finished {
    Finished {
        stage: stage.into(),
        outcome,
        key: None,
        seconds,
        reason: String::new(),
        notes: [("summary".to_owned(), summary.to_owned())].into(),
        advice: Advice::default(),
    }
}

fn progress(stage: &str, done: u64, total: u64, unit: &str, values: &[(&str, f64)]) -> Event {
    let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
    Event::Progress { stage: stage.into(), done, total, unit: unit.into(), values }
}

fn started(stage: &str, reason: &str) -> Event {
    Event::Started { stage: stage.into(), key: Key(Digest::of(b"key")), reason: reason.into() }
}

/// Two of seven stages are settled, four are under way in four ways, one waits; the run is 300 s old.
fn board() -> Board {
    let names = ["source-only", "inter", "intra[lambda=0.67,seed=1234]", "entropy", "prepare", "wait", "evaluate"];
    let stage = |(place, name): (usize, &&str)| Expected {
        name: (*name).to_owned(),
        needs: if place == 6 { vec![2] } else { Vec::new() },
        seconds: [None, None, None, None, Some(400.0), Some(90.0), Some(60.0)][place],
    };
    let mut board = Board::new(names.iter().enumerate().map(stage).collect());
    board.hear(&Event::Finished(finished("source-only", Outcome::UpToDate, "", 1.0)), at(0));
    board.hear(&Event::Finished(finished("inter", Outcome::Hit, "", 1.0)), at(0));
    board.hear(&started(names[2], "lambda 0.6 → 0.67"), at(0));
    board.hear(&started("entropy", "1 image changed"), at(0));
    board.hear(&started("prepare", "tools/split.py changed"), at(0));
    board.hear(&started("wait", ""), at(0));
    board.hear(&Event::Waiting { stage: "wait".into(), holder: "process 4711 on a3".into() }, at(240));
    for second in 240..=300 {
        let losses = [("seg_main", 0.312), ("d_main_t", 0.661)];
        board.hear(&progress(names[2], 73_000 + 2 * (second - 100), 120_000, "iterations", &losses), at(second));
        board.hear(&progress("entropy", 10 * (second - 240), 2_976, "images", &[]), at(second));
    }
    board
}

fn drawn(board: &Board, columns: usize, rows: usize, style: Style) -> String {
    let lines = under_way(board, None, at(300), (columns, rows), style);
    assert!(lines.len() < rows, "a foot of {} lines on {rows} rows", lines.len());
    for line in &lines {
        assert!(line.width < columns, "{line:?} is as wide as the screen");
        assert!(style.colour || line.text.width() == line.width, "{line:?} isn't as wide as it says");
    }
    lines.into_iter().map(|line| line.text + "\n").collect()
}

#[test]
fn at_120_columns_all_is_shown() {
    insta::assert_snapshot!(drawn(&board(), 120, 24, PLAIN));
}

#[test]
fn at_80_columns_losses_make_room_for_the_rest() {
    insta::assert_snapshot!(drawn(&board(), 80, 24, PLAIN));
}

#[test]
fn at_40_columns_name_percent_and_time_left_stay() {
    insta::assert_snapshot!(drawn(&board(), 40, 20, PLAIN));
}

#[test]
fn at_80_columns_in_ascii_nothing_else_is_shown() {
    let mut board = board();
    board.hear(&started("wait", "forced"), at(1));
    let text = drawn(&board, 80, 24, Style { colour: false, unicode: false });
    assert!(text.replace("λ", "").replace('→', "").is_ascii(), "{text}");
    assert!(
        text.contains(" ##########------ ") && text.contains(" ...ambda=0.67,seed=1234]") || text.contains("..."),
        "{text}"
    );
}

#[test]
fn a_training_alone_has_room_for_its_losses_at_80_columns() {
    let mut board = Board::new(vec![Expected { name: "intra".into(), needs: Vec::new(), seconds: Some(50_000.0) }]);
    board.hear(&started("intra", ""), at(0));
    board.hear(&Event::Resumed { stage: "intra".into(), at: 73_000 }, at(1));
    board.hear(&progress("intra", 73_200, 120_000, "iterations", &[("seg_main", 0.312), ("d_main_t", 0.661)]), at(299));
    assert_eq!(
        drawn(&board, 80, 24, PLAIN),
        " intra  ━━━━━━━━━╸──────  61 %  73,200/120,000  seg_main 0.312  5 h 25 min left\n \
         0 of 1 done · 1 running · about 5 h 25 min left\n"
    );
}

#[test]
fn the_device_that_was_asked_for_stands_in_the_last_line_where_there_is_room() {
    let board = board().on(Some("gpu 1".into()));
    let last = |columns| drawn(&board, columns, 24, PLAIN).lines().last().unwrap().to_owned();
    assert!(last(120).contains(" · gpu 1 · about "), "{}", last(120));
    assert!(!last(40).contains("gpu"), "{}", last(40));
}

#[test]
fn more_than_eight_under_way_are_counted_and_a_low_screen_shows_fewer() {
    let name = |place: usize| format!("s{place}");
    let expected = (0..20).map(|place| Expected { name: name(place), needs: Vec::new(), seconds: None });
    let mut board = Board::new(expected.collect());
    (0..12).for_each(|place| board.hear(&started(&name(place), ""), at(0)));
    let text = drawn(&board, 80, 24, PLAIN);
    assert_eq!(text.lines().count(), 9);
    assert_eq!(text.lines().nth(7), Some(" 5 more running"));
    assert_eq!(text.lines().last(), Some(" 0 of 20 done · 12 running · 8 waiting · time left unknown"));
    assert_eq!(drawn(&board, 80, 5, PLAIN).lines().count(), 4);
}

#[test]
fn settled_stages_read_as_a_table() {
    let said = |finished: &Finished, resumed| settled(finished, resumed, 7, 80, PLAIN).join("\n") + "\n";
    let failed = Finished {
        reason: "seg_main became NaN\nat iteration 73,212".into(),
        advice: Advice {
            help: vec!["try a lower `learning_rate`".into()],
            log: vec!["last words".into()],
            more: Some("intrada-run log p.toml intra".into()),
        },
        ..finished("intra", Outcome::Failed, "", 9.0)
    };
    let skipped = Finished { reason: "needs intra".into(), ..finished("eval", Outcome::Skipped, "", 0.0) };
    let text = [
        said(&finished("source-only", Outcome::UpToDate, "", 1.0), None),
        said(&finished("inter", Outcome::Hit, "120,000 iterations", 50_520.0), None),
        said(&finished("entropy", Outcome::Ran, "2,976 images", 251.0), None),
        said(
            &finished("rank", Outcome::Ran, "1,993 easy, 983 hard, cut at 0.0712 and what else there is to say", 0.1),
            None,
        ),
        said(&finished("pseudo", Outcome::Ran, "120,000 iterations", 0.1), Some(73_000)),
        said(&failed, None),
        said(&skipped, None),
    ];
    insta::assert_snapshot!(text.concat());
}

#[test]
fn on_a_narrow_screen_a_settled_stage_goes_on_below_and_no_word_is_broken() {
    let failed = Finished {
        reason: "iteration 1: loss seg_aux is NaN, after seg_aux 2.0747, seg_main 2.1022 in iteration 0".into(),
        advice: Advice {
            help: vec!["running it again gives the same error; try a lower `learning_rate`".into()],
            log: Vec::new(),
            more: Some("intrada-run log pipelines/quickstart.toml inter".into()),
        },
        ..finished("inter", Outcome::Failed, "", 9.0)
    };
    let stages = [
        finished("source-only", Outcome::Ran, "120,000 iterations", 50_520.0),
        finished("rank", Outcome::Hit, "1,993 easy, 983 hard, cut at 0.0712", 0.1),
        failed,
    ];
    let said = |columns| stages.iter().flat_map(|stage| settled(stage, None, 11, columns, PLAIN)).collect::<Vec<_>>();
    assert!(said(40).iter().all(|line| line.width() < 40 || line.contains("log      ")), "{:#?}", said(40));
    insta::assert_snapshot!(said(40).join("\n"));
    insta::assert_snapshot!(said(80).join("\n"));
}

#[test]
fn wide_letters_count_twice_and_names_lose_their_beginning() {
    assert_eq!(end_of("街並み[seed=3]", 12, PLAIN), "…み[seed=3]");
    assert_eq!(end_of("short", 12, PLAIN), "short");
    assert_eq!(cut("街並み街並み", 7, PLAIN).text, "街並み…");
    let ascii = Style { unicode: false, ..PLAIN };
    assert_eq!(end_of("intra[lambda=0.6]", 10, ascii), "...da=0.6]");
}

#[test]
fn colours_change_no_width() {
    let widths =
        |style| under_way(&board(), None, at(300), (80, 24), style).iter().map(|l| l.width).collect::<Vec<_>>();
    assert_eq!(widths(Style { colour: true, unicode: true }), widths(PLAIN));
}
