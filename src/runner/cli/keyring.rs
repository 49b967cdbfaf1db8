//! Reads the keys that a pipeline file names. Errors point at the place in the file.

use std::path::Path;

use super::Refusal;
use crate::pipeline::{Pipeline, Problem, Problems, Trusted};
use crate::shell;
use crate::signing::{self, KeyFileError, Keyring, PrivateKey};

/// The keys of `[cache]`.
pub(super) fn read(pipeline: &Pipeline) -> Result<Keyring, Refusal> {
    let mut problems = Vec::new();
    let mut keyring = Keyring::default();
    if let Some((file, span)) = &pipeline.signing.sign {
        let path = pipeline.root.join(file);
        match signing::read_private(&path) {
            Ok(own) => keyring.own = Some(own),
            Err(error) => {
                let title = format!("results can't be signed with the key `{}`: {error}", file.display());
                problems.push(Problem::error(title).at(*span, "").help(advice(&path, &error)));
            }
        }
    }
    if let Some(trust) = &pipeline.signing.trust {
        let trusted = keyring.trusted.get_or_insert_default();
        trusted.extend(keyring.own.as_ref().map(PrivateKey::public));
        for (one, span) in trust {
            match one {
                Trusted::Key(key) => trusted.extend([*key]),
                Trusted::File(file) => match signing::read_public(&pipeline.root.join(file)) {
                    Ok(keys) => trusted.extend(keys),
                    Err(error) => {
                        let title = format!("no public key can be read from `{}`: {error}", file.display());
                        let help = match error {
                            KeyFileError::Private => {
                                "put its public key here: `intrada-run cache key show FILE` prints it"
                            }
                            _ => {
                                "a public key is written as `ed25519:` and 64 hexadecimal digits, here or alone on a line of a file"
                            }
                        };
                        problems.push(Problem::error(title).at(*span, "").help(help));
                    }
                },
            }
        }
    }
    if problems.is_empty() { Ok(keyring) } else { Err(Problems::new(problems, pipeline.sources.clone()).into()) }
}

/// The private key that the command line names.
pub(super) fn read_private(file: &Path) -> Result<PrivateKey, Refusal> {
    signing::read_private(file)
        .map_err(|error| Refusal::Usage(format!("`{}`: {error}; {}", file.display(), advice(file, &error))))
}

/// What to do about a private key that can't be used.
fn advice(file: &Path, error: &KeyFileError) -> String {
    let file = file.to_string_lossy();
    let file = shell::word(&file);
    match error {
        KeyFileError::Missing => format!("create it with `intrada-run cache key new {file}`"),
        KeyFileError::Open(_) => format!("if nobody has read it, make it yours alone with `chmod 600 {file}`"),
        _ => "name the file of a private key, as `intrada-run cache key new` creates it".to_owned(),
    }
}
