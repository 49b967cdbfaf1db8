//! The URL of a bucket, and the client that belongs to it.
//!
//! Credentials and endpoints come from the environment alone, as for other programs of the provider. Sends nothing.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

/// A run waits for a retried request, so all retries together take seconds.
const RETRIES: usize = 3;
const RETRIES_WITHIN: Duration = Duration::from_secs(20);
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// A server that is silent for this long doesn't answer. In this time one part has to be sent, too.
const SILENCE: Duration = Duration::from_secs(30);

/// A bucket and the folder in it.
pub(super) struct Address {
    pub(super) client: Arc<dyn ObjectStore>,
    /// The folder of the cache.
    pub(super) prefix: Path,
    /// The URL without a slash at its end.
    pub(super) url: String,
}

impl Address {
    /// Reads a URL. `environment` has the credentials.
    ///
    /// # Errors
    /// It isn't the URL of a bucket, or the environment is contradictory.
    pub(super) fn read(url: &str, environment: impl Iterator<Item = (OsString, OsString)>) -> io::Result<Address> {
        let url = url.trim_end_matches('/');
        let (scheme, rest) = url.split_once("://").unwrap_or_default();
        let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(invalid("the URL names no bucket: it is written `s3://bucket/folder`".to_owned()));
        }
        if rest.contains(['?', '#']) {
            return Err(invalid("the URL of a bucket has no `?` and no `#`".to_owned()));
        }
        let prefix = Path::parse(folder).map_err(|error| invalid(format!("the folder in the bucket: {error}")))?;
        use_ring();
        let environment =
            environment.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let client = client(scheme, url, environment)?;
        Ok(Address { client, prefix: prefix.join("v1"), url: url.to_owned() })
    }
}

/// The TLS library, for the whole process. It fails if there is one already, which is as good.
fn use_ring() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn client(
    scheme: &str,
    url: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> io::Result<Arc<dyn ObjectStore>> {
    let built = match scheme {
        "s3" | "s3a" => s3(url, environment),
        "gs" => environment
            .filter(|(name, _)| name.starts_with("GOOGLE_"))
            .filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)))
            .fold(GoogleCloudStorageBuilder::new(), |builder, (key, value)| builder.with_config(key, value))
            .with_url(url)
            .with_client_options(options(false))
            .with_retry(retries())
            .build()
            .map(|client| Arc::new(client) as _),
        "az" | "abfs" | "abfss" => environment
            .filter(|(name, _)| name.starts_with("AZURE_"))
            .filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value)))
            .fold(MicrosoftAzureBuilder::new(), |builder, (key, value)| builder.with_config(key, value))
            .with_url(url)
            .with_client_options(options(false))
            .with_retry(retries())
            .build()
            .map(|client| Arc::new(client) as _),
        _ => return Err(invalid(format!("`{scheme}://` is none of s3://, gs:// and az://"))),
    };
    built.map_err(|error| invalid(error.to_string()))
}

fn s3(url: &str, environment: impl Iterator<Item = (String, String)>) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut is_plain = false;
    let mut builder = AmazonS3Builder::new();
    for (name, value) in environment.filter(|(name, value)| name.starts_with("AWS_") && !value.is_empty()) {
        // Only who writes `http://` wants to send without encryption.
        is_plain |= name.starts_with("AWS_ENDPOINT") && value.starts_with("http://");
        if let Ok(key) = name.to_ascii_lowercase().parse() {
            builder = builder.with_config(key, value);
        }
    }
    let builder = builder.with_url(url).with_client_options(options(is_plain)).with_retry(retries());
    Ok(Arc::new(builder.build()?))
}

fn options(is_plain: bool) -> ClientOptions {
    // No limit for a whole request: a large object may take minutes.
    ClientOptions::new()
        .with_allow_http(is_plain)
        .with_connect_timeout(CONNECT_WITHIN)
        .with_timeout_disabled()
        .with_read_timeout(SILENCE)
}

fn retries() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: Duration::from_secs(5), ..BackoffConfig::default() };
    RetryConfig { backoff, max_retries: RETRIES, retry_timeout: RETRIES_WITHIN }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, text)
}
