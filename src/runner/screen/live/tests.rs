//! What a terminal shows while a run goes on and after it has ended, however it ended.

use std::sync::mpsc::{Sender, channel};

use super::*;
use crate::digest::{Digest, Key};
use crate::event::{Advice, Outcome, Totals};

/// Passes on what is written.
struct Pipe(Sender<Vec<u8>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = self.0.send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What a terminal of 80 by 24 shows after `run` had its way with a screen of the stages `a` and `b`.
fn shown(run: impl FnOnce(Live)) -> String {
    let (send, receive) = channel();
    let stage = |name: &str| Expected { name: name.into(), needs: Vec::new(), seconds: None };
    let setting = Setting {
        style: Style { colour: true, unicode: true },
        has_tab: false,
        device: None,
        size: Box::new(|| (80, 24)),
        meter: Arc::default(),
    };
    run(Live::new(Box::new(Pipe(send)), vec![stage("a"), stage("b")], setting));
    let bytes: Vec<u8> = receive.iter().flatten().collect();
    let mut parser = vt100::Parser::new(24, 80, 0);
    parser.process(String::from_utf8(bytes).unwrap().replace('\n', "\r\n").as_bytes());
    assert!(!parser.screen().hide_cursor());
    parser.screen().contents()
}

fn finished(stage: &str, outcome: Outcome) -> Event {
    Event::Finished(Finished {
        stage: stage.into(),
        outcome,
        key: None,
        seconds: 2.0,
        reason: String::new(),
        notes: Default::default(),
        advice: Advice::default(),
    })
}

fn started(stage: &str) -> Event {
    Event::Started { stage: stage.into(), key: Key(Digest::of(b"key")), reason: "forced".into() }
}

#[test]
fn after_a_run_only_what_lasts_is_on_the_screen() {
    let text = shown(|mut live| {
        live.tell(&started("a"));
        live.shared.lock().paint();
        live.tell(&Event::Warning("the disk is almost full".into()));
        live.shared.lock().paint();
        live.tell(&finished("a", Outcome::Ran));
        live.tell(&finished("b", Outcome::UpToDate));
        live.tell(&Event::Closed(Totals { ran: 1, up_to_date: 1, seconds: 2.1, ..Totals::default() }));
    });
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(lines[0], "warning: the disk is almost full");
    assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["ran", "a", "2.0", "s"]);
    assert_eq!(lines[2..], [" up to date  b", "Finished 2 stages in 2.1 s: 1 ran, 1 up to date"]);
}

#[test]
fn a_run_that_ends_without_its_last_word_leaves_nothing_behind() {
    let text = shown(|mut live| {
        live.tell(&started("a"));
        live.shared.lock().paint();
    });
    assert_eq!(text, "");
}

#[test]
fn nothing_is_drawn_after_the_curtain_fell() {
    let text = shown(|mut live| {
        live.tell(&started("a"));
        live.shared.lock().paint();
        live.redraw().fall();
        live.tell(&finished("a", Outcome::Ran));
    });
    assert_eq!(text, "");
}

#[test]
fn between_the_rounds_of_a_watch_nothing_is_drawn() {
    let text = shown(|mut live| {
        live.tell(&started("a"));
        live.shared.lock().paint();
        live.tell(&finished("a", Outcome::Ran));
        live.tell(&Event::Closed(Totals { ran: 1, ..Totals::default() }));
        assert_eq!(live.shared.lock().phase, Phase::Resting);
        live.tell(&Event::Changed { paths: vec!["in.txt".into()] });
        live.tell(&started("a"));
        live.shared.lock().paint();
        live.redraw().rest();
        assert!(!live.redraw().has_fallen());
    });
    let words: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(words, ["ran", "Finished", "changed:"]);
}

#[test]
fn a_screen_that_was_written_to_by_others_is_not_drawn_over() {
    let text = shown(|mut live| {
        live.tell(&started("a"));
        live.shared.lock().paint();
        live.redraw().reopen();
        live.shared.lock().paint();
    });
    assert_eq!(text.lines().count(), 2, "{text}");
}
