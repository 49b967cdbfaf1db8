//! The protocol on a model: a file system in memory, a clock that a test moves, and processes of which one at a time makes one
//! step, in an order drawn by chance. They are paused for longer than an expiry, killed between any two steps, and what they
//! read may be old. Every operation lands some time after it was begun, and its answer comes some time after that.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use super::super::kernel::Mode;
use super::files::Files;
use super::name::{Entry, Name};
use super::take::take;
use super::tenure::Tenure;
use super::watch::Watch;

const EXPIRY: u64 = 1000;
/// What is read may be older than the question by this.
const STALE: u64 = EXPIRY / 2 - 20;
const ACTORS: usize = 4;
/// How often each of them takes the lock.
const TURNS: usize = 4;
/// More steps than any run needs, by far.
const MOST: usize = 400_000;

/// xorshift64*
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % end
    }
}

/// The lock's folder.
#[derive(Clone, Default)]
struct Folder {
    exists: bool,
    alone: BTreeMap<String, (Entry, Vec<u8>)>,
    shared: Option<BTreeMap<String, (Entry, Vec<u8>)>>,
}

impl Folder {
    fn is_empty(&self) -> bool {
        self.alone.is_empty() && self.shared.is_none()
    }

    fn side(&mut self, mode: Mode) -> Option<&mut BTreeMap<String, (Entry, Vec<u8>)>> {
        match mode {
            Mode::Alone => self.exists.then_some(&mut self.alone),
            Mode::Shared => self.shared.as_mut(),
        }
    }
}

/// For how long a process had the lock, by its own belief.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Had {
    actor: usize,
    mode: Mode,
    from: u64,
    until: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Runs,
    Waits,
    Ended,
    Killed,
}

struct World {
    now: u64,
    chance: Chance,
    /// What was there since when.
    past: Vec<(u64, Folder)>,
    states: [State; ACTORS],
    /// Paused until then.
    asleep: [u64; ACTORS],
    /// When a process last asked the server for what it reads; until it asks again, it reads what there was then.
    asked: [u64; ACTORS],
    turn: Option<usize>,
    had: Vec<Had>,
    /// How often a process was done with the lock.
    turns: usize,
    names: u64,
}

struct Stage {
    world: Mutex<World>,
    moved: Condvar,
    /// A holder's clock runs slower by this factor.
    slow: u64,
}

/// A process on the stage.
struct Actor {
    stage: Arc<Stage>,
    number: usize,
}

impl Stage {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
}

impl World {
    fn folder(&self) -> &Folder {
        &self.past.last().unwrap().1
    }

    fn change<R>(&mut self, act: impl FnOnce(&mut Folder) -> R) -> R {
        let mut folder = self.folder().clone();
        let result = act(&mut folder);
        let now = self.now;
        self.past.push((now, folder));
        result
    }

    /// What a reader sees: what was there when it last asked the server.
    fn seen(&mut self, reader: usize) -> Folder {
        if self.now - self.asked[reader] > STALE || self.chance.below(6) == 0 {
            self.asked[reader] = self.now;
        }
        let then = self.asked[reader];
        let at = self.past.partition_point(|(since, _)| *since <= then).max(1);
        self.past[at - 1].1.clone()
    }
}

impl Actor {
    /// Waits for its turn. A killed one never gets further.
    fn step(&self) {
        let mut world = self.stage.world();
        world.states[self.number] = State::Waits;
        self.stage.moved.notify_all();
        loop {
            if world.states[self.number] == State::Killed {
                drop(world);
                // Without a message, unlike a panic.
                std::panic::resume_unwind(Box::new("killed"));
            }
            if world.turn == Some(self.number) {
                world.turn = None;
                world.states[self.number] = State::Runs;
                return;
            }
            world = self.stage.moved.wait(world).unwrap();
        }
    }

    /// An operation, which lands and answers later.
    fn act<R>(&self, act: impl FnOnce(&mut World) -> R) -> io::Result<R> {
        self.step();
        let result = act(&mut self.stage.world());
        self.step();
        Ok(result)
    }

    fn machine(number: usize) -> u64 {
        1 + number as u64 % 2
    }
}

impl Files for Actor {
    fn begin(&self, _lock: &Path, entry: &Entry, text: &[u8]) -> io::Result<bool> {
        self.act(|world| {
            if world.folder().exists && !world.folder().is_empty() {
                return false;
            }
            let all = BTreeMap::from([(entry.name.text(), (entry.clone(), text.to_vec()))]);
            world.change(|folder| {
                *folder = match entry.mode {
                    Mode::Alone => Folder { exists: true, alone: all, shared: None },
                    Mode::Shared => Folder { exists: true, alone: BTreeMap::new(), shared: Some(all) },
                }
            });
            true
        })
    }

    fn join(&self, _lock: &Path, entry: &Entry, text: &[u8]) -> io::Result<bool> {
        self.act(|world| {
            world.change(|folder| match folder.side(Mode::Shared) {
                Some(shared) => {
                    shared.insert(entry.name.text(), (entry.clone(), text.to_vec()));
                    true
                }
                None => false,
            })
        })
    }

    fn rename(&self, _lock: &Path, from: &Entry, to: &Entry) -> io::Result<bool> {
        self.act(|world| {
            world.change(|folder| {
                let Some(side) = folder.side(from.mode) else { return false };
                let Some((_, text)) = side.remove(&from.name.text()) else { return false };
                side.insert(to.name.text(), (to.clone(), text));
                true
            })
        })
    }

    fn rewrite(&self, _lock: &Path, entry: &Entry, text: &[u8]) -> io::Result<bool> {
        self.act(|world| {
            world.change(|folder| match folder.side(entry.mode).and_then(|side| side.get_mut(&entry.name.text())) {
                Some((_, old)) => {
                    *old = text.to_vec();
                    true
                }
                None => false,
            })
        })
    }

    fn read(&self, _lock: &Path, entry: &Entry) -> io::Result<Option<Vec<u8>>> {
        self.act(|world| {
            let mut folder = world.seen(self.number);
            let found = folder.side(entry.mode).and_then(|side| side.get(&entry.name.text()).cloned());
            found.map(|(_, text)| text)
        })
    }

    fn entries(&self, _lock: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for mode in [Mode::Alone, Mode::Shared] {
            entries.extend(self.act(|world| {
                let mut folder = world.seen(self.number);
                folder.side(mode).map(|side| side.values().map(|(entry, _)| entry.clone()).collect::<Vec<_>>())
            })?);
        }
        Ok(entries.into_iter().flatten().collect())
    }

    fn remove(&self, _lock: &Path, entry: &Entry) -> io::Result<()> {
        self.act(|world| {
            world.change(|folder| folder.side(entry.mode).map(|side| drop(side.remove(&entry.name.text()))));
        })
    }

    fn prune(&self, _lock: &Path) -> io::Result<()> {
        self.act(|world| {
            world.change(|folder| {
                if folder.shared.as_ref().is_some_and(BTreeMap::is_empty) {
                    folder.shared = None;
                }
            });
        })?;
        self.act(|world| world.change(|folder| folder.exists &= !folder.is_empty()))
    }

    fn has_ended(&self, name: &Name) -> bool {
        let world = self.stage.world();
        name.machine == Actor::machine(self.number)
            && matches!(world.states[name.pid as usize], State::Killed | State::Ended)
    }

    fn fresh(&self) -> Name {
        let mut world = self.stage.world();
        world.names += 1;
        Name {
            expiry: Duration::from_millis(EXPIRY),
            machine: Actor::machine(self.number),
            pid: self.number as u32,
            start: 1,
            number: world.names,
        }
    }

    fn awake(&self) -> Duration {
        Duration::from_millis(self.stage.world().now)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.stage.world().now / self.stage.slow)
    }
}

/// Takes the lock a few times. Whenever it knows that it still has it, that is recorded.
fn perform(actor: &Actor, seed: u64) {
    let mut chance = Chance(seed);
    let (watch, lock) = (Watch::default(), Path::new("lock"));
    let signature = format!("{}", actor.number);
    for _ in 0..TURNS {
        let mode = if chance.below(3) == 0 { Mode::Shared } else { Mode::Alone };
        let tenure = loop {
            actor.step();
            if let Ok(tenure) = take(actor, &watch, lock, mode, &signature).unwrap() {
                break tenure;
            }
        };
        let now = actor.stage.world().now;
        let had = {
            let mut world = actor.stage.world();
            world.had.push(Had { actor: actor.number, mode, from: now, until: now });
            world.had.len() - 1
        };
        let mut tenure: Tenure = tenure;
        for _ in 0..chance.below(120) {
            actor.step();
            if chance.below(4) == 0 {
                tenure.renew(actor);
            }
            if !tenure.holds(actor) {
                break;
            }
            let mut world = actor.stage.world();
            world.had[had].until = world.now;
        }
        actor.stage.world().turns += 1;
        match chance.below(8) {
            // It forgets its lock: as if it could not remove its entry.
            0 => {}
            _ => tenure.release(actor),
        }
    }
}

/// One run: the periods in which processes had the lock, and the number of those that were killed.
fn play(seed: u64, slow: u64) -> (Vec<Had>, usize) {
    let world = World {
        now: 1,
        chance: Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
        past: vec![(0, Folder::default())],
        states: [State::Runs; ACTORS],
        asleep: [0; ACTORS],
        asked: [0; ACTORS],
        turn: None,
        had: Vec::new(),
        turns: 0,
        names: 0,
    };
    let stage = Arc::new(Stage { world: Mutex::new(world), moved: Condvar::new(), slow });
    let threads: Vec<_> = (0..ACTORS)
        .map(|number| {
            let actor = Actor { stage: Arc::clone(&stage), number };
            thread::spawn(move || {
                perform(&actor, seed * 31 + number as u64 + 1);
                actor.stage.world().states[number] = State::Ended;
                actor.stage.moved.notify_all();
            })
        })
        .collect();
    let mut killed = 0;
    for round in 0.. {
        let mut world = stage.world();
        while world.turn.is_some() || world.states.contains(&State::Runs) {
            world = stage.moved.wait(world).unwrap();
        }
        assert!(round < MOST, "seed {seed}: nobody gets further");
        world.now += 1 + world.chance.below(4);
        let waiting: Vec<usize> = (0..ACTORS).filter(|actor| world.states[*actor] == State::Waits).collect();
        if waiting.is_empty() {
            break;
        }
        let ready: Vec<usize> = waiting.iter().copied().filter(|actor| world.asleep[*actor] <= world.now).collect();
        if ready.is_empty() {
            world.now = waiting.iter().map(|actor| world.asleep[*actor]).min().unwrap();
            continue;
        }
        let actor = ready[world.chance.below(ready.len() as u64) as usize];
        match world.chance.below(600) {
            0..4 => world.asleep[actor] = world.now + world.chance.below(3 * EXPIRY),
            // One always remains.
            4 if killed + 1 < ACTORS => {
                killed += 1;
                world.states[actor] = State::Killed;
            }
            _ => world.turn = Some(actor),
        }
        drop(world);
        stage.moved.notify_all();
    }
    for thread in threads {
        let _ = thread.join();
    }
    let world = stage.world();
    assert!(world.turns >= (ACTORS - killed) * TURNS, "seed {seed}: the living got it {} times", world.turns);
    (world.had.clone(), killed)
}

/// Two that had the lock at one time and didn't share it.
fn conflict(all: &[Had]) -> Option<(Had, Had)> {
    let excludes =
        |a: &Had, b: &Had| (a.mode == Mode::Alone || b.mode == Mode::Alone) && a.from <= b.until && b.from <= a.until;
    let pairs = all.iter().enumerate().flat_map(|(i, a)| all[i + 1..].iter().map(move |b| (*a, *b)));
    pairs.into_iter().find(|(a, b)| excludes(a, b))
}

/// More runs than in every test: `INTRADA_MODEL_RUNS`.
fn runs(usual: u64) -> u64 {
    std::env::var("INTRADA_MODEL_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(usual)
}

#[test]
fn whatever_is_paused_killed_or_read_late_no_two_have_the_lock_and_all_others_get_it() {
    let (mut all, mut killed) = (0, 0);
    for seed in 1..=runs(60) {
        let (had, dead) = play(seed, 1);
        assert_eq!(conflict(&had), None, "seed {seed}");
        (all, killed) = (all + had.len(), killed + dead);
    }
    assert!(all > 0 && killed > 0);
}

#[test]
fn the_model_would_notice_holders_that_believe_too_long() {
    assert!((1..=400).any(|seed| conflict(&play(seed, 3).0).is_some()));
}
