//! Signatures of records, and where records came from: one small file a key, `signatures/<key>.json`, a value a line.
//!
//! Knows keys and bytes. A signature lies beside its record, never in it: a record has the same bytes whoever vouches for it, and
//! programs that know no signatures read it as before. Each line names the digest of the record that it is about, so a line about a
//! record that has been replaced means nothing.
//!
//! Only what was computed here is signed ([`Store::publish`]). A record that came from elsewhere gets a line that says so, and
//! is never signed later ([`Store::sign_computed`]).

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Store;
use super::error::{At, Error};
use super::strange;
use crate::digest::{Digest, Key};
use crate::signing::{PrivateKey, PublicKey, Signature};

/// Somebody's signature of a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Signed {
    /// The digest of the record's bytes.
    pub record: Digest,
    /// Whose it is.
    pub signer: PublicKey,
    signature: Signature,
}

impl Signed {
    pub(super) fn new(own: &PrivateKey, key: Key, record: Digest) -> Signed {
        Signed { record, signer: own.public(), signature: own.sign(&signed_text(key, record)) }
    }

    /// Whether the signer has signed this record under this key.
    pub(super) fn is_valid(&self, key: Key, record: Digest) -> bool {
        self.record == record && self.signer.has_signed(&signed_text(key, record), &self.signature)
    }

    /// It as a line of text.
    pub(super) fn line(&self) -> Vec<u8> {
        line(&Line::Signed(self.clone()))
    }
}

/// What is signed: the record's bytes by their digest, and the key, so that a record can't be filed under another one. The first
/// line keeps it apart from everything else that the same private key may sign.
fn signed_text(key: Key, record: Digest) -> Vec<u8> {
    format!("intrada record 1\n{key}\n{record}\n").into_bytes()
}

/// A line of a key's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Signed(Signed),
    /// The record came from this upstream.
    Pulled {
        record: Digest,
        from: String,
    },
}

fn line(line: &Line) -> Vec<u8> {
    let mut text = serde_json::to_vec(line).expect("this is plain data");
    text.push(b'\n');
    text
}

/// The lines of a file; what isn't one is passed over.
fn lines(bytes: &[u8]) -> impl Iterator<Item = Line> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

/// What signatures say about a record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Vouched {
    /// The valid signatures of the signers that were asked for.
    pub by: Vec<Signed>,
    /// Whether one of these signers has a signature of it that doesn't fit.
    pub is_wrong: bool,
}

/// The signatures of a record by these signers, in the text that an upstream has of them.
pub(super) fn vouched(text: &[u8], key: Key, record: Digest, signers: &BTreeSet<PublicKey>) -> Vouched {
    let mut vouched = Vouched::default();
    for line in lines(text) {
        let Line::Signed(signed) = line else { continue };
        if signed.record != record || !signers.contains(&signed.signer) || vouched.by.contains(&signed) {
            continue;
        }
        if signed.is_valid(key, record) {
            vouched.by.push(signed);
        } else {
            vouched.is_wrong = true;
        }
    }
    vouched
}

impl Store {
    /// The valid signatures of a record of this store.
    pub(super) fn signatures(&self, key: Key, record: Digest) -> Result<Vec<Signed>, Error> {
        let file = self.signature_file(key)?;
        let signed = lines(&file).filter_map(|line| match line {
            Line::Signed(signed) => signed.is_valid(key, record).then_some(signed),
            Line::Pulled { .. } => None,
        });
        Ok(signed.collect())
    }

    /// Signs a record that was computed here and is about to be published, if this store has a key to sign with.
    pub(super) fn sign(&self, key: Key, record: Digest) -> Result<(), Error> {
        let Some(own) = &self.keyring.own else { return Ok(()) };
        self.write_signature_file(key, &Signed::new(own, key, record).line())
    }

    /// Notes the origin of a record that is about to be kept here, with the signatures that made it count.
    pub(super) fn note_origin(&self, key: Key, record: Digest, from: &str, signed: &[Signed]) -> Result<(), Error> {
        let mut text = line(&Line::Pulled { record, from: from.to_owned() });
        signed.iter().for_each(|signed| text.extend(signed.line()));
        self.write_signature_file(key, &text)
    }

    /// Signs the record of a result that was computed here before there was a key to sign with.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sign_computed(&self, key: Key) -> Result<Signing, Error> {
        let (Some(own), Some((_, bytes))) = (&self.keyring.own, self.own_record(key)?) else {
            return Ok(Signing::NoRecord);
        };
        let record = Digest::of(&bytes);
        let mut text = Vec::new();
        for known in lines(&self.signature_file(key)?) {
            match &known {
                Line::Pulled { record: pulled, .. } if *pulled == record => return Ok(Signing::FromElsewhere),
                Line::Signed(signed) if signed.signer == own.public() && signed.is_valid(key, record) => {
                    return Ok(Signing::Already);
                }
                Line::Signed(signed) if signed.is_valid(key, record) => text.extend(line(&known)),
                Line::Signed(_) | Line::Pulled { .. } => {}
            }
        }
        text.extend(Signed::new(own, key, record).line());
        self.write_signature_file(key, &text)?;
        Ok(Signing::Done)
    }

    fn signature_file(&self, key: Key) -> Result<Vec<u8>, Error> {
        let path = self.signature_path(key);
        Ok(strange::read(&path).at("read", &path)?.bytes().unwrap_or_default())
    }

    fn write_signature_file(&self, key: Key, text: &[u8]) -> Result<(), Error> {
        self.publish_file(self.stage_bytes(text)?, &self.signature_path(key))
    }

    pub(super) fn signature_path(&self, key: Key) -> PathBuf {
        self.fanned("signatures", key.0, ".json")
    }
}

/// What came of [`Store::sign_computed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// It is signed now.
    Done,
    /// It was signed by this key.
    Already,
    /// It wasn't computed here, so it isn't signed here.
    FromElsewhere,
    /// There is no record.
    NoRecord,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sample;

    #[test]
    fn what_is_signed_is_this_text() {
        let digest = Digest::of(b"");
        assert_eq!(signed_text(Key(digest), digest), format!("intrada record 1\n{digest}\n{digest}\n").as_bytes());
        let signed = Signed::new(&PrivateKey::of_seed(&[1; 32]), Key(digest), digest);
        let text = String::from_utf8(signed.line()).unwrap();
        let start = format!("{{\"record\":\"{digest}\",\"signer\":\"ed25519:");
        assert!(text.starts_with(&start) && text.ends_with("\"}\n"), "{text}");
        assert_eq!(lines(text.as_bytes()).collect::<Vec<_>>(), [Line::Signed(signed)]);
    }

    #[test]
    fn a_result_from_elsewhere_is_never_signed_and_one_from_here_once() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let (_, trace) = sample::publish(&store, dir.path());
        assert_eq!(store.sign_computed(trace.key).unwrap(), Signing::NoRecord, "there is no key to sign with");
        let store =
            store.with_keyring(crate::signing::Keyring { own: Some(PrivateKey::of_seed(&[1; 32])), trusted: None });
        assert_eq!(store.sign_computed(Key(Digest::of(b"other"))).unwrap(), Signing::NoRecord);
        let record = Digest::of(&store.own_record(trace.key).unwrap().unwrap().1);
        store.note_origin(trace.key, record, "elsewhere", &[]).unwrap();
        assert_eq!(store.sign_computed(trace.key).unwrap(), Signing::FromElsewhere);
        assert_eq!(store.signatures(trace.key, record).unwrap(), []);
        store.note_origin(trace.key, Digest::of(b"a record that was replaced"), "elsewhere", &[]).unwrap();
        assert_eq!(store.sign_computed(trace.key).unwrap(), Signing::Done);
        assert_eq!(store.sign_computed(trace.key).unwrap(), Signing::Already);
        assert_eq!(store.signatures(trace.key, record).unwrap().len(), 1);
    }
}
