//! Where a bucket is and who asks: the address on the command line, and the variables that other programs have, too.
//!
//! What makes no sense is found here, before the first question. Not here: asking (`store`).

use std::time::Duration;

use http::Uri;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey as Setting};
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ClientConfigKey, RetryConfig};

use crate::connector::Connector;

/// How often what failed is asked for again, and for how long after the first time.
const RETRIES: usize = 3;
const RETRYING: Duration = Duration::from_secs(5);

/// Why a bucket can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// Its address is none.
    #[error(
        "s3://{0}: an address like s3://bucket/prefix is wanted; keys with empty parts, `.`, `..` or control characters are not read: copy \
         such an object to another key"
    )]
    NoAddress(String),
    /// The variables that describe it make no sense, or some are missing.
    #[error(
        "s3://{address}: cannot be used: {what}; see docs/object-storage.md for the variables that are asked"
    )]
    Settings {
        /// The bucket and the prefix.
        address: String,
        /// What is wrong with which.
        what: String,
    },
}

impl BucketError {
    pub(crate) fn settings(address: &Address, what: String) -> Self {
        Self::Settings { address: address.to_string(), what }
    }
}

/// Where something is: a bucket, and a key or a prefix in it, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The bucket's name: letters, figures, `.`, `-` and `_`.
    pub bucket: String,
    /// The key or the prefix; nothing for all of the bucket.
    pub key: String,
}

impl Address {
    /// The address without `s3://`.
    ///
    /// # Errors
    /// If it names no bucket, or its key has empty parts, `.` or `..` among them, or control characters.
    pub fn parse(address: &str) -> Result<Self, BucketError> {
        let no_address = || BucketError::NoAddress(address.to_owned());
        let (bucket, key) = address.split_once('/').unwrap_or((address, ""));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if !bucket.starts_with(|c: char| c.is_ascii_alphanumeric()) || !bucket.chars().all(is_plain) {
            return Err(no_address());
        }
        let key = key.strip_suffix('/').unwrap_or(key);
        if !key.is_empty() && exact(key).is_none() {
            return Err(no_address());
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

/// What the library asks for by this very key, if it does: it leaves out slashes around, and another object may be there.
pub(crate) fn exact(key: &str) -> Option<Key> {
    Key::parse(key).ok().filter(|parsed| parsed.as_ref() == key)
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.bucket, self.key)
    }
}

/// The client of a bucket, as the variables of this process describe it.
pub(crate) fn client(address: &Address) -> Result<AmazonS3, BucketError> {
    let settings = |what: String| BucketError::settings(address, what);
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(50),
            max_backoff: Duration::from_secs(1),
            base: 2.,
        },
        max_retries: RETRIES,
        retry_timeout: RETRYING,
    };
    let builder = AmazonS3Builder::from_env()
        .with_bucket_name(&address.bucket)
        .with_retry(retry)
        .with_http_connector(Connector);
    let builder = checked(builder, &address.bucket).map_err(settings)?;
    builder.build().map_err(|error| settings(error.to_string()))
}

/// The same with what the library takes as it is and fails on later looked at, or what is wrong with it.
fn checked(builder: AmazonS3Builder, name: &str) -> Result<AmazonS3Builder, String> {
    let region = builder.get_config_value(&Setting::Region).unwrap_or_default();
    if !region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
        return Err(format!("AWS_REGION is {region:?}; regions are like eu-central-1"));
    }
    let switch = |setting: Setting, variable: &str| match builder.get_config_value(&setting) {
        Some(value) => is_on(&value).ok_or_else(|| format!("{variable} is {value:?}; it is true or false")),
        None => Ok(false),
    };
    let allows_plain = switch(Setting::Client(ClientConfigKey::AllowHttp), "AWS_ALLOW_HTTP")?;
    let by_host = switch(Setting::VirtualHostedStyleRequest, "AWS_VIRTUAL_HOSTED_STYLE_REQUEST")?;
    for (setting, variable) in [
        (Setting::AccessKeyId, "AWS_ACCESS_KEY_ID"),
        (Setting::SecretAccessKey, "AWS_SECRET_ACCESS_KEY"),
        (Setting::Token, "AWS_SESSION_TOKEN"),
    ] {
        let value = builder.get_config_value(&setting).unwrap_or_default();
        if !value.chars().all(|c| c.is_ascii_graphic()) {
            return Err(format!(
                "{variable} has a space, the end of a line, or another character that no key has"
            ));
        }
    }
    let mut builder = builder.with_allow_http(allows_plain);
    // The library takes the second, where it is there, before the first.
    for setting in [Setting::Endpoint, Setting::S3Endpoint] {
        if let Some(endpoint) = builder.get_config_value(&setting) {
            let endpoint = checked_endpoint(&endpoint, allows_plain, by_host.then_some(name))?;
            builder = builder.with_config(setting, endpoint);
        }
    }
    Ok(builder)
}

/// What the library takes for yes and no.
fn is_on(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "on" | "yes" | "y" => Some(true),
        "0" | "false" | "off" | "no" | "n" => Some(false),
        _ => None,
    }
}

/// A storage's address, with the bucket in the host's name if one is given; or what is wrong with it, without the password that it
/// may hold.
fn checked_endpoint(endpoint: &str, allows_plain: bool, bucket: Option<&str>) -> Result<String, String> {
    const WANTED: &str = "https://minio.example.org:9000 is one";
    let uri = endpoint.parse::<Uri>();
    let uri = uri.map_err(|error| format!("AWS_ENDPOINT_URL is no address ({error}); {WANTED}"))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(format!("AWS_ENDPOINT_URL has no scheme or no host; {WANTED}"));
    };
    if authority.as_str().contains('@') {
        return Err(
            "AWS_ENDPOINT_URL has a name or a password in it; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are for that".to_owned()
        );
    }
    if uri.query().is_some() {
        return Err(format!("AWS_ENDPOINT_URL has a query; {WANTED}"));
    }
    match scheme {
        "https" => {}
        "http" if allows_plain => {}
        "http" => return Err(format!("{endpoint} is not encrypted; AWS_ALLOW_HTTP=true allows that")),
        _ => return Err(format!("AWS_ENDPOINT_URL begins with {scheme}://; {WANTED}")),
    }
    let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    if !port.is_empty() && authority.port_u16().is_none() {
        return Err(format!("AWS_ENDPOINT_URL has {port} for a port; {WANTED}"));
    }
    let host = authority.host();
    if bucket.is_some() && (host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok()) {
        return Err("AWS_VIRTUAL_HOSTED_STYLE_REQUEST puts the bucket before a host's name, and AWS_ENDPOINT_URL has a number in place of one".to_owned());
    }
    let path = uri.path().trim_end_matches('/');
    let host = match bucket {
        Some(bucket) if !authority.host().starts_with(&format!("{bucket}.")) => {
            format!("{bucket}.{authority}")
        }
        _ => authority.to_string(),
    };
    Ok(format!("{scheme}://{host}{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let parts = |address| Address::parse(address).map(|address| (address.bucket, address.key)).ok();
        let parts_of = |bucket: &str, key: &str| Some((bucket.to_owned(), key.to_owned()));
        assert_eq!(parts("slides"), parts_of("slides", ""));
        assert_eq!(parts("slides/lab/2026/"), parts_of("slides", "lab/2026"));
        for none in ["", "..", ".", "/lab", "a b/c", "a/../b", "a/b//c", "a//b", "a/b//"] {
            assert_eq!(parts(none), None, "{none}");
        }
    }

    #[test]
    fn a_storage_is_where_its_address_says() {
        let plain = |endpoint| checked_endpoint(endpoint, true, None);
        assert_eq!(plain("https://a.example/").as_deref(), Ok("https://a.example"));
        assert_eq!(plain("http://[::1]:9000/s3").as_deref(), Ok("http://[::1]:9000/s3"));
        let by_host = |endpoint| checked_endpoint(endpoint, false, Some("slides"));
        assert_eq!(by_host("https://a.example:9000").as_deref(), Ok("https://slides.a.example:9000"));
        assert_eq!(by_host("https://slides.a.example").as_deref(), Ok("https://slides.a.example"));
    }

    #[test]
    fn an_address_that_leads_nowhere_is_refused_and_no_password_told() {
        for (endpoint, why) in [
            ("minio:9000", "no scheme"),
            ("minio", "no scheme"),
            ("/minio", "no scheme"),
            ("ftp://minio", "ftp"),
            ("https://", "no address"),
            ("https://a b", "no address"),
            ("http://minio", "AWS_ALLOW_HTTP"),
            ("https://minio/?a=b", "query"),
            ("https://me:secret@minio", "password"),
            ("https://minio:99999", "port"),
        ] {
            let refusal = checked_endpoint(endpoint, false, None).expect_err(endpoint);
            assert!(refusal.contains(why), "{endpoint}: {refusal}");
            assert!(!refusal.contains("secret"), "{refusal}");
        }
    }

    #[test]
    fn what_the_library_would_fail_on_later_is_told() {
        let with = |setting, value: &str| {
            let builder = AmazonS3Builder::new().with_endpoint("https://a").with_config(setting, value);
            checked(builder, "slides").map(|_| ())
        };
        let allow = Setting::Client(ClientConfigKey::AllowHttp);
        assert_eq!(with(allow, "YES"), Ok(()));
        assert!(with(allow, "maybe").expect_err("no switch").contains("AWS_ALLOW_HTTP"));
        assert!(with(Setting::Token, "a\n").expect_err("no token").contains("AWS_SESSION_TOKEN"));
        assert!(with(Setting::S3Endpoint, "minio").expect_err("no address").contains("scheme"));
        let by_number = checked_endpoint("https://[::1]:9000", false, Some("slides"));
        assert!(by_number.expect_err("no name").contains("VIRTUAL_HOSTED"));
        assert!(with(Setting::Region, "eu west").expect_err("no region").contains("AWS_REGION"));
    }
}
