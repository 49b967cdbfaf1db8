//! Describes the closest match in a file that doesn't contain the network.
//!
//! Reads no file.

use std::fmt::{self, Display, Formatter};

use intrada_weights::shown::Shown;

/// The closest match to a network in a file that doesn't contain it.
#[derive(Debug, PartialEq, Eq)]
pub struct Nearest {
    /// Its prefix.
    pub(super) below: String,
    /// How many of the network's tensors it has.
    pub(super) found: usize,
    /// How many the network has.
    pub(super) wanted: usize,
    /// Some of the missing ones.
    pub(super) missing: String,
    /// The file's tensors.
    pub(super) tensors: usize,
    /// Some of the file's names that the network doesn't have.
    pub(super) others: String,
    /// What the file has instead of a tensor, and what to do.
    pub(super) odd: Option<String>,
    /// Whether the file's names are a discriminator's.
    pub(super) are_discriminators: bool,
    /// Whether the expected names are.
    pub(super) wants_discriminators: bool,
    /// Whether the file has tensors of a segmentation network that discriminators don't have.
    pub(super) is_network: bool,
}

impl Nearest {
    /// What to do.
    pub(super) fn cure(&self) -> &'static str {
        match (self.wants_discriminators, self.are_discriminators) {
            (true, true) => {
                "its names are those of one discriminator, which `discriminator_init_main` or `discriminator_init_aux` takes; \
                 `discriminator_init` takes a file of all levels, as a training writes it"
            }
            (true, false) if self.is_network => {
                "its names are those of a segmentation network, which `weights` of a training or `init` of a model takes; name \
                 the file of the discriminator"
            }
            (true, false) => {
                "name a file of a discriminator: `discriminator.safetensors` of a training, or one of AdvEnt or AdaptSegNet"
            }
            (false, true) => {
                "its names are those of a discriminator, which `discriminator_init` of a training takes; name the file of the \
                 network"
            }
            (false, false) => {
                "name a file of such a network, or give the stage the model of the file: `arch`, `multi_level` and `head` decide \
                 which tensors it has"
            }
        }
    }
}

impl Display for Nearest {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let Nearest { below, found, wanted, missing, tensors, others, odd, .. } = self;
        if let (0, Some(odd)) = (tensors, odd) {
            return write!(f, "it holds no tensor that can be read: {odd}");
        }
        match (found, below.is_empty()) {
            (0, _) => write!(f, "none of the {wanted} tensors of this network is in the file; wanted are {missing}")?,
            (_, true) => write!(
                f,
                "only {found} of the {wanted} tensors of this network are in the file; missing are {missing}"
            )?,
            (_, false) => {
                let below = Shown(below);
                write!(
                    f,
                    "only {found} of the {wanted} tensors of this network are in the file, below `{below}`; missing are {missing}"
                )?;
            }
        }
        if others.is_empty() {
            write!(f, ". The file's {tensors} tensors have no other names")?
        } else {
            write!(f, ". Of the file's {tensors} tensors the network doesn't know {others}")?
        }
        odd.as_ref().map_or(Ok(()), |odd| write!(f, ". In the file {odd}"))
    }
}
