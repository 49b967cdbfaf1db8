//! What a bucket's answers mean, in plain words.

use std::io::{self, ErrorKind};

use object_store::Error;

/// An error of the client as one of this program: its cause, without the request and the number of retries.
pub(super) fn failed(error: Error) -> io::Error {
    let kind = match &error {
        Error::NotFound { .. } => ErrorKind::NotFound,
        Error::AlreadyExists { .. } => ErrorKind::AlreadyExists,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => ErrorKind::PermissionDenied,
        // The client says only this of a list that is denied.
        error if cause(error).contains("403 Forbidden") => ErrorKind::PermissionDenied,
        _ => ErrorKind::Other,
    };
    let text = match kind {
        ErrorKind::NotFound => "there is no such bucket or object".to_owned(),
        ErrorKind::PermissionDenied => {
            format!(
                "access is denied: {}; check the credentials in the environment and the bucket's policy",
                cause(&error)
            )
        }
        _ => cause(&error),
    };
    io::Error::new(kind, text)
}

/// `None` if there is no such object.
pub(super) fn if_there<T>(found: object_store::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(Error::NotFound { .. }) => Ok(None),
        found => found.map(Some).map_err(failed),
    }
}

/// The innermost cause.
fn cause(error: &Error) -> String {
    /// Servers answer with pages of XML or HTML.
    const LONGEST: usize = 200;
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    let text = tagged(&text, "Message").or_else(|| tagged(&text, "Code")).unwrap_or(text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What an S3 server's XML says in this element.
fn tagged(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    let (inside, _) = rest.split_once(&format!("</{name}>"))?;
    (!inside.trim().is_empty()).then(|| inside.to_owned())
}
