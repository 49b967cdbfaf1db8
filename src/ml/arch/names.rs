//! Reads files in which other programs saved networks of ours, by the tables of their names in [`intrada_weights::names`].
//!
//! Knows no network.
use std::collections::{HashMap, HashSet};

use intrada_data::input_file::InputFile;
use intrada_weights::names::{BACKBONE, Convention, Extent, Stored};
use tch::Tensor;

use crate::checkpoint::{self, Checkpoint, CheckpointError, Member, Restored, Rule, Wrapping};

/// Our tensor. One that can't be cut or joined stays as it is; its shape tells what is wrong.
fn tensor(stored: Stored<&Tensor>, shape: &[i64]) -> Tensor {
    match stored {
        Stored::As(tensor) => {
            let size = tensor.size();
            let is_pointwise = size.len() == shape.len() + 2 && size[shape.len()..] == [1, 1];
            if is_pointwise { tensor.reshape(&size[..shape.len()]) } else { tensor.shallow_clone() }
        }
        Stored::Both(first, second) => stacked(&[first, second]),
        Stored::Three(first, second, third) => stacked(&[first, second, third]),
        Stored::FirstThird(tensor) => match tensor.size().first() {
            Some(rows) => tensor.narrow(0, 0, rows / 3),
            None => tensor.shallow_clone(),
        },
        Stored::LastThirds(tensor) => match tensor.size().first() {
            Some(rows) => tensor.narrow(0, rows / 3, rows - rows / 3),
            None => tensor.shallow_clone(),
        },
        Stored::Reversed(tensor) => match tensor.size()[..] {
            [_, inputs, ..] if inputs % 4 == 0 => {
                let mut parts = tensor.split(inputs / 4, 1);
                parts.reverse();
                Tensor::cat(&parts, 1)
            }
            _ => tensor.shallow_clone(),
        },
    }
}

/// Rows after rows; the first alone if they don't fit.
fn stacked(parts: &[&Tensor]) -> Tensor {
    let [first, others @ ..] = parts else { panic!("nothing to stack") };
    let fits =
        |other: &&Tensor| other.dim() > 0 && other.size()[1..] == first.size()[1..] && other.kind() == first.kind();
    if first.dim() > 0 && others.iter().all(fits) { Tensor::cat(parts, 0) } else { first.shallow_clone() }
}

/// The names of these tensors of ours in a file, each once; `None` if the program's networks lack one.
fn names(program: &Convention, own: &[String], extent: Extent) -> Option<Vec<String>> {
    let is_meant = |key: &&String| extent == Extent::Whole || key.starts_with(BACKBONE);
    let (mut names, mut seen) = (Vec::new(), HashSet::new());
    for key in own.iter().filter(is_meant) {
        let of_one = program.stored(key, extent)?.names();
        names.extend(of_one.into_iter().filter(|name| seen.insert(name.clone())));
    }
    Some(names)
}

/// A file's tensors under our names; those that aren't ours keep theirs. `own`: our tensors with their shapes.
fn translated(
    program: &Convention,
    mut file: HashMap<String, Tensor>,
    own: &[(String, Tensor)],
    extent: Extent,
) -> HashMap<String, Tensor> {
    let (mut ours, mut used) = (HashMap::new(), HashSet::new());
    for (key, live) in own {
        let Some(stored) = program.stored(key, extent) else { continue };
        let names = stored.clone().names();
        if names.iter().all(|name| file.contains_key(name)) {
            ours.insert(key.clone(), tensor(stored.map(|name| &file[&name]), &live.size()));
            used.extend(names);
        }
    }
    file.retain(|name, _| !used.contains(name));
    ours.extend(file);
    ours
}

/// Reads a network, or its encoder alone, under the names of one of these programs. Its tensors get our names, others keep
/// theirs. `live`: our tensors.
///
/// # Errors
/// Those of [`checkpoint::read_member`].
pub(super) fn read(
    file: &InputFile,
    member: Member,
    programs: &[Convention],
    live: &[(String, Tensor)],
    rule: Rule,
    extent: Extent,
) -> Result<Checkpoint, CheckpointError> {
    let own = checkpoint::required(live, rule);
    let forms = programs.iter().filter_map(|program| Some((program, names(program, &own, extent)?)));
    let (programs, wanted): (Vec<_>, Vec<_>) = forms.unzip();
    let mut stored = checkpoint::read_member(file, &wanted, member)?;
    let is_it = |names: &&Vec<String>| names.iter().all(|name| stored.tensors.contains_key(name));
    let at = wanted.iter().position(|names| is_it(&names)).expect("one of the forms was found");
    stored.tensors = translated(programs[at], stored.tensors, live, extent);
    Ok(stored)
}

/// What `take` takes of a file: the whole network, or its encoder where that is all that the file has.
///
/// # Errors
/// Those of `take`. Of a file with neither, what is said of a whole network is as good.
pub(super) fn whole_or_encoder(
    take: impl Fn(Extent) -> Result<Restored, CheckpointError>,
) -> Result<Restored, CheckpointError> {
    match take(Extent::Whole) {
        Err(whole @ CheckpointError::Unfitting { .. }) => match take(Extent::Encoder) {
            Err(CheckpointError::Unfitting { .. }) => Err(whole),
            taken => taken,
        },
        taken => taken,
    }
}

/// Whether a network's head lies beside an encoder.
pub(super) fn has_head(wrapping: &Wrapping) -> bool {
    wrapping.beside.iter().any(|beside| beside.name.split('.').next_back() == Some("decode_head"))
}
