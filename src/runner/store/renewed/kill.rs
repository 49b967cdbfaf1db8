//! Renewed locks under kill: processes that take one lock again and again, while they are stopped and killed at random.
//!
//! Each writes what it does into one journal, a line at a time. After a line it asks whether it still has the lock, and says so
//! in the next: `ok` vouches for all lines of this turn before it. The law: between the first line of a turn and the last that
//! is vouched for, no other turn has such a line, unless both share the lock. Nothing is expected of time, except that all come
//! to their end. `INTRADA_LOCK_KILLS=50` is the long form.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::super::kernel::Mode;
use super::{Disk, take};

/// How often each process has the lock.
const TURNS: usize = 6;
const PROCESSES: u64 = 5;
/// Seconds of silence after which a lock is taken over.
const EXPIRY: &str = "1.5";

struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn pause(&mut self, milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(self.below(milliseconds + 1)));
    }
}

/// Does nothing unless the test below started it in a child process.
#[test]
fn child() {
    let Some(dir) = std::env::var_os("INTRADA_LOCK_DIR") else { return };
    let dir = Path::new(&dir);
    let seed: u64 = std::env::var("INTRADA_LOCK_SEED").unwrap().parse().unwrap();
    let mut chance = Chance(seed);
    let mut journal = OpenOptions::new().append(true).open(dir.join("journal")).unwrap();
    let mut done = 0;
    for turn in 0.. {
        let mode = if chance.below(3) == 0 { Mode::Shared } else { Mode::Alone };
        let held = loop {
            if let Ok(held) = take(Disk::new(dir.to_owned()), &dir.join("lock"), mode).unwrap() {
                break held;
            }
            chance.pause(15);
        };
        let mut say = |what: &str| journal.write_all(format!("{seed}.{turn} {mode:?} {what}\n").as_bytes()).unwrap();
        say("begin");
        let mut holds = true;
        for _ in 0..2 + chance.below(12) {
            chance.pause(12);
            holds = held.holds();
            if !holds {
                break;
            }
            say("ok");
        }
        done += usize::from(holds);
        drop(held);
        if done == TURNS {
            fs::write(dir.join(format!("done-{seed}")), "").unwrap();
            return;
        }
        chance.pause(10);
    }
}

fn start(dir: &Path, seed: u64) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "store::renewed::kill::child", "--test-threads=1"]);
    child.env("INTRADA_LOCK_DIR", dir).env("INTRADA_LOCK_SEED", seed.to_string()).env("INTRADA_LOCK_EXPIRY", EXPIRY);
    // Some take the others for processes of another machine, of which only time tells.
    if seed.is_multiple_of(2) {
        child.env("INTRADA_LOCK_MACHINE", seed.to_string());
    }
    child.stdout(Stdio::null()).stdin(Stdio::null()).spawn().unwrap()
}

/// Starts the processes and disturbs them until all have ended. Returns the journal and the number of those killed.
fn play(dir: &Path, chance: &mut Chance) -> (String, usize) {
    fs::write(dir.join("journal"), "").unwrap();
    let first = chance.below(1 << 40) * 64;
    let mut children: Vec<(u64, Child)> = (1..=PROCESSES).map(|n| (first + n, start(dir, first + n))).collect();
    let (mut killed, began) = (0, Instant::now());
    let signal = |child: &Child, signal: Signal| {
        let _ = kill_process(Pid::from_raw(child.id() as i32).unwrap(), signal);
    };
    while !children.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(480), "nobody gets further: {children:?}");
        chance.pause(120);
        let at = chance.below(children.len() as u64) as usize;
        let victim = &mut children[at].1;
        match chance.below(8) {
            // Some remain, and must come to their end.
            0 if killed < 2 => {
                victim.kill().unwrap();
                killed += 1;
            }
            1 => {
                signal(victim, Signal::STOP);
                // Shorter and longer than an expiry.
                chance.pause(2500);
                if chance.below(4) == 0 && killed < 2 {
                    victim.kill().unwrap();
                    killed += 1;
                }
                signal(victim, Signal::CONT);
            }
            _ => {}
        }
        children.retain_mut(|(seed, child)| match child.try_wait().unwrap() {
            Some(status) => {
                let is_done = dir.join(format!("done-{seed}")).exists();
                assert!(is_done || !status.success(), "{seed} ended in the middle: {status}");
                // One that ends in another way has failed by itself.
                assert!(is_done || status.code().is_none(), "{seed}: {status}");
                false
            }
            None => true,
        });
    }
    (fs::read_to_string(dir.join("journal")).unwrap(), killed)
}

/// A turn: whether it shared the lock, its first line and the last that is vouched for.
type Turn = (bool, usize, usize);

fn turns(journal: &str) -> BTreeMap<&str, Turn> {
    let mut turns: BTreeMap<&str, (Turn, usize)> = BTreeMap::new();
    for (number, line) in journal.lines().enumerate() {
        let words: Vec<&str> = line.split(' ').collect();
        let [turn, mode, what] = words[..] else { panic!("{line}") };
        match what {
            "begin" => drop(turns.insert(turn, ((mode == "Shared", number, number), number))),
            _ => {
                let ((_, _, last), latest) = turns.get_mut(turn).unwrap();
                // What was asked before this line was written vouches for the line before.
                *last = *latest;
                *latest = number;
            }
        }
    }
    turns.into_iter().map(|(turn, (lines, _))| (turn, lines)).collect()
}

/// Two turns that had the lock at one time.
fn conflict(journal: &str) -> Option<String> {
    let turns = Vec::from_iter(turns(journal));
    for (i, (a, (a_shares, a_first, a_last))) in turns.iter().enumerate() {
        for (b, (b_shares, b_first, b_last)) in &turns[i + 1..] {
            if !(*a_shares && *b_shares) && a_first < b_last && b_first < a_last {
                return Some(format!("{a} ({a_first} to {a_last}) and {b} ({b_first} to {b_last})"));
            }
        }
    }
    None
}

#[test]
fn a_journal_of_two_that_have_the_lock_at_once_is_no_right_one() {
    let wrong = "1.0 Alone begin\n2.0 Alone begin\n1.0 Alone ok\n2.0 Alone ok\n1.0 Alone ok\n2.0 Alone ok\n";
    assert!(conflict(wrong).is_some());
    assert_eq!(conflict(&wrong.replace("Alone", "Shared")), None);
    let late = "1.0 Alone begin\n1.0 Alone ok\n2.0 Alone begin\n1.0 Alone ok\n2.0 Alone ok\n2.0 Alone ok\n";
    assert_eq!(conflict(late), None, "nothing vouches for the last line of the first");
}

#[test]
fn processes_that_are_stopped_and_killed_never_have_a_lock_at_once_and_all_others_get_it() {
    let number = |name: &str, usual| std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap());
    let (mut all, mut killed, mut lost) = (0, 0, 0);
    for round in 0..number("INTRADA_LOCK_KILLS", 1) {
        let dir = tempfile::tempdir().unwrap();
        let (journal, dead) = play(dir.path(), &mut Chance(number("INTRADA_SEED", 1) * 1000 + round + 1));
        assert_eq!(conflict(&journal), None, "round {round}:\n{journal}");
        let begun = turns(&journal).len();
        killed += dead;
        lost += begun.saturating_sub((PROCESSES as usize - dead) * TURNS);
        all += begun;
    }
    println!("{all} turns, {killed} processes killed, {lost} turns not finished by their process");
}
