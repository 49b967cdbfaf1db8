//! Artifacts, the inputs and outputs of stages: files or folders, named by their content.
//!
//! Knows neither an artifact's location nor its origin. Artifacts with equal content are the same artifact, so a stage that
//! reproduces its output leaves its dependents' keys unchanged.

use serde::{Deserialize, Serialize};

use crate::digest::{ArtifactDigest, Encoder, FileDigest};

/// The type of an artifact. The executable bit is the owner's; no other permission is part of an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A regular file; its object is its content.
    File {
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A folder; its object is its [`Listing`](super::listing::Listing).
    Folder,
}

/// A file or folder, with what is needed to fetch it from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// File or folder.
    pub kind: Kind,
    /// The object that holds its content.
    pub object: FileDigest,
    /// Total size of its files in bytes. Follows from the object, so it is not part of the digest.
    pub size: u64,
    /// Number of files; symbolic links count, folders don't.
    pub files: u64,
}

/// How an artifact will be used where it is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Only read: read-only files that share the store's disk space, by shared blocks or else by hard links.
    View,
    /// Written to by programs: separate files that share at most blocks.
    Writable,
}

impl Artifact {
    /// The artifact's name: a hash over its kind, executable bit and object.
    pub fn digest(&self) -> ArtifactDigest {
        let mut encoder = Encoder::new("intrada/artifact/1");
        match self.kind {
            Kind::File { executable } => {
                encoder.field("kind", b"file").field("executable", &[u8::from(executable)]);
            }
            Kind::Folder => {
                encoder.field("kind", b"folder");
            }
        }
        ArtifactDigest(encoder.field("object", self.object.0.as_bytes()).finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_file_an_executable_and_a_folder_of_one_object_are_three_artifacts() {
        let of = |kind| Artifact { kind, object: FileDigest(Digest::of(b"")), size: 0, files: 1 }.digest();
        let digests = [of(Kind::File { executable: false }), of(Kind::File { executable: true }), of(Kind::Folder)];
        assert!(digests[0] != digests[1] && digests[1] != digests[2] && digests[0] != digests[2]);
    }

    #[test]
    fn the_digest_of_an_artifact_is_frozen() {
        let artifact = Artifact {
            kind: Kind::File { executable: false },
            object: FileDigest(Digest::of(b"a")),
            size: 1,
            files: 1,
        };
        assert_eq!(artifact.digest().to_string(), "1a9bfe25526003f4247bff310575c72e6d5a0044a4f606220c052b1adab27d18");
    }
}
