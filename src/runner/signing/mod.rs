//! Keys that sign, and signatures: who vouches for a text.
//!
//! Knows no records. Ed25519, so a signature is a function of key and text: two machines with one key write the same bytes. The
//! only room that names ed25519_dalek.

mod key_file;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::str::FromStr;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

pub use self::key_file::{KeyFileError, create, read_private, read_public};

use crate::digest::Digest;

/// What a public key's text begins with.
pub const PUBLIC: &str = "ed25519:";
/// What a private key's text begins with.
pub const PRIVATE: &str = "ed25519-private:";

/// The key that a signature is checked with. Written as `ed25519:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

/// The text is no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key is `ed25519:` and 64 hexadecimal digits, as `intrada-run cache key` prints it")]
pub struct NotAPublicKey;

impl PublicKey {
    /// Whether the owner of this key has signed this text.
    pub fn has_signed(&self, text: &[u8], signature: &Signature) -> bool {
        // The strict check refuses keys and signatures of which several fit one text.
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| key.verify_strict(text, &signature).is_ok())
    }
}

impl FromStr for PublicKey {
    type Err = NotAPublicKey;

    fn from_str(text: &str) -> Result<PublicKey, NotAPublicKey> {
        let digits = text.strip_prefix(PUBLIC).ok_or(NotAPublicKey)?;
        let bytes = *digits.parse::<Digest>().map_err(|_| NotAPublicKey)?.as_bytes();
        // About half of all typing errors give no key of the curve.
        match VerifyingKey::from_bytes(&bytes) {
            Ok(key) if !key.is_weak() => Ok(PublicKey(bytes)),
            _ => Err(NotAPublicKey),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", Digest::from(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = NotAPublicKey;

    fn try_from(text: String) -> Result<PublicKey, NotAPublicKey> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.to_string()
    }
}

/// The key that signs. Never printed; wiped from memory when it is dropped.
#[derive(Clone)]
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// A new one, from the system's random numbers.
    ///
    /// # Errors
    /// The system gives none.
    pub fn random() -> io::Result<PrivateKey> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(PrivateKey::of_seed(&seed))
    }

    /// The one that belongs to these 32 bytes.
    pub fn of_seed(seed: &[u8; 32]) -> PrivateKey {
        PrivateKey(SigningKey::from_bytes(seed))
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a text.
    pub fn sign(&self, text: &[u8]) -> Signature {
        Signature(self.0.sign(text).to_bytes())
    }

    /// `ed25519-private:` and 64 hexadecimal digits, for its file alone.
    fn secret_text(&self) -> String {
        format!("{PRIVATE}{}", Digest::from(self.0.to_bytes()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the private key of {}", self.public())
    }
}

/// A signature. Written as 128 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature([u8; 64]);

/// The text is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a signature is 128 hexadecimal digits")]
pub struct NotASignature;

impl FromStr for Signature {
    type Err = NotASignature;

    fn from_str(text: &str) -> Result<Signature, NotASignature> {
        let (one, two) = text.split_at_checked(64).ok_or(NotASignature)?;
        let mut bytes = [0; 64];
        for (half, text) in bytes.chunks_exact_mut(32).zip([one, two]) {
            half.copy_from_slice(text.parse::<Digest>().map_err(|_| NotASignature)?.as_bytes());
        }
        Ok(Signature(bytes))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for half in self.0.chunks_exact(32) {
            let half: [u8; 32] = half.try_into().expect("half of 64 bytes");
            write!(f, "{}", Digest::from(half))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Signature {
    type Error = NotASignature;

    fn try_from(text: String) -> Result<Signature, NotASignature> {
        text.parse()
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> String {
        signature.to_string()
    }
}

/// The keys that a program works with.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    /// Signs what is computed here, if set.
    pub own: Option<PrivateKey>,
    /// Whose signatures count, the own key's among them; `None`: none is asked for.
    pub trusted: Option<BTreeSet<PublicKey>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::of_seed(&[seed; 32])
    }

    #[test]
    fn a_signature_fits_one_key_and_one_text() {
        let signature = key(1).sign(b"text");
        assert!(key(1).public().has_signed(b"text", &signature));
        assert!(!key(2).public().has_signed(b"text", &signature) && !key(1).public().has_signed(b"Text", &signature));
        for at in 0..64 {
            let mut altered = signature;
            altered.0[at] ^= 1;
            assert!(!key(1).public().has_signed(b"text", &altered), "{at}");
        }
        assert_eq!(key(1).sign(b"text"), signature, "the same bytes again");
    }

    /// RFC 8032, section 7.1, test 2.
    #[test]
    fn signatures_are_those_of_the_standard() {
        let seed: Digest = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb".parse().unwrap();
        let key = PrivateKey::of_seed(seed.as_bytes());
        let public = "ed25519:3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
        assert_eq!(key.public().to_string(), public);
        let signature = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
        assert_eq!(key.sign(&[0x72]).to_string(), signature);
    }

    #[test]
    fn texts_are_read_back_and_others_refused() {
        let (public, signature) = (key(1).public(), key(1).sign(b""));
        assert_eq!(public.to_string().parse(), Ok(public));
        assert_eq!(signature.to_string().parse(), Ok(signature));
        let weak = format!("{PUBLIC}{}", "0".repeat(64));
        for text in [
            "",
            "ed25519:",
            &key(1).secret_text(),
            &weak,
            &public.to_string()[..71],
            &public.to_string().to_uppercase(),
        ] {
            assert_eq!(text.parse::<PublicKey>(), Err(NotAPublicKey), "{text}");
        }
        for text in ["", &"0".repeat(127), &"0".repeat(192), &"é".repeat(64)] {
            assert_eq!(text.parse::<Signature>(), Err(NotASignature), "{text}");
        }
        assert!(!format!("{:?}", key(1)).contains(&Digest::from([1; 32]).to_string()), "a private key is never shown");
    }
}
