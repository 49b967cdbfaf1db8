//! Taking a renewed lock.
//!
//! Knows the operations of `Files` and nothing else, so that a test can run it on a model, in any order of steps.

use std::io;
use std::path::Path;

use super::super::holder::Holder;
use super::super::kernel::Mode;
use super::files::Files;
use super::name::{Entry, Name};
use super::tenure::{Tenure, text};
use super::watch::{Sight, Watch};

/// How often to begin again when others come and go, before the lock counts as taken.
const ROUNDS: usize = 20;

/// Takes the lock, or returns its holder.
pub(super) fn take<F: Files>(
    files: &F,
    watch: &Watch,
    lock: &Path,
    mode: Mode,
    signature: &str,
) -> io::Result<Result<Tenure, Option<Holder>>> {
    let content = text(signature, 0);
    let mut left = None;
    for _ in 0..ROUNDS {
        let entry = Entry { mode, name: files.fresh() };
        let start = files.elapsed();
        let mut is_in = mode == Mode::Shared && files.join(lock, &entry, &content)?;
        if !is_in {
            match clear(files, watch, lock, &entry, &mut left)? {
                Way::Closed(holder) => return Ok(Err(Some(holder))),
                Way::Taken => {
                    // Until then others see the previous holder's text.
                    let _ = files.rewrite(lock, &entry, &content);
                    is_in = true;
                }
                Way::Open => is_in = files.begin(lock, &entry, &content)?,
            }
        }
        if is_in {
            let mut tenure = Tenure::new(lock, entry, signature, start, left.clone());
            // It may have taken longer than others wait.
            if tenure.holds(files) {
                return Ok(Ok(tenure));
            }
            tenure.release(files);
        } else {
            // For instance an empty folder of those who shared it.
            files.prune(lock)?;
        }
    }
    Ok(Err(None))
}

/// What stands in the way.
enum Way {
    /// Nothing any more, as far as it is seen.
    Open,
    /// The entry of a dead holder is now ours.
    Taken,
    /// Somebody has the lock.
    Closed(Holder),
}

/// Clears the way of the entries of dead holders. `left`: one of those.
fn clear<F: Files>(
    files: &F,
    watch: &Watch,
    lock: &Path,
    own: &Entry,
    left: &mut Option<(Name, Holder)>,
) -> io::Result<Way> {
    let entries = files.entries(lock)?;
    watch.keep_only(lock, &entries);
    for entry in entries {
        match watch.look(files, lock, &entry)? {
            Sight::Absent => {}
            // It can be joined.
            Sight::Lives(_) if own.mode == Mode::Shared && entry.mode == Mode::Shared => {}
            Sight::Lives(holder) => return Ok(Way::Closed(holder)),
            Sight::Over(holder) if own.mode == Mode::Alone && entry.mode == Mode::Alone => {
                if files.rename(lock, &entry, own)? {
                    *left = Some((entry.name, holder));
                    return Ok(Way::Taken);
                }
            }
            Sight::Over(holder) => {
                files.remove(lock, &entry)?;
                left.get_or_insert((entry.name, holder));
            }
        }
    }
    Ok(Way::Open)
}
