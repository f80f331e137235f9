//! HTTP: catalogue of slides, tile cache, protocols, viewer page, metrics.
//!
//! [`run`] serves every `.mtm` container below a folder, or below a prefix of a bucket (`root`), until the process is told to stop. Coding lives in
//! `microtome-slide` and below: this crate finds slides, decides what runs where and when, and speaks HTTP. It never
//! writes to the slides root, and its async code never decodes: tiles are decoded on a rayon pool of its own, which reads what the
//! system has in memory; for the rest files are read on tokio's blocking pool.
//!
//! Not here: users and passwords (`access` takes tokens, signed addresses, and the word of an identity provider or another
//! service), writing containers.

mod accept;
mod access;
mod activity;
mod app;
mod assets;
mod base_url;
mod body;
mod catalog;
mod config;
mod connection;
#[cfg(test)]
mod connection_tests;
mod date;
mod error;
mod error_lines;
mod flights;
#[cfg(test)]
mod http_tests;
mod latest;
mod limits;
mod listing;
mod logging;
mod machine;
mod metrics;
mod openapi;
mod pages;
#[cfg(test)]
mod picture_tests;
mod pictures;
mod pipeline;
#[cfg(test)]
mod pipeline_tests;
mod prefetch;
mod protocols;
mod pseudonym;
#[cfg(test)]
mod pseudonym_tests;
mod query;
mod queue;
mod readers;
mod request_body;
mod request_id;
mod response;
mod rest;
mod rewound;
mod root;
mod routes;
mod scheduling;
mod serve;
mod slide_api;
mod slide_id;
mod source_folder;
mod stalled;
mod storage;
mod survey;
mod tile_cache;
mod tls;
mod viewers;
#[cfg(test)]
mod viewers_tests;

pub use access::{
    AccessConfig, AccessError, ClientError, JwtConfig, KeySetError, Scope, ScopeError, Secret, SecretError,
    SigningKey, signed_url,
};
pub use config::ServerConfig;
pub use logging::{LogFilter, LogFormat, LogSettingError, init_logging};
pub use prefetch::Prefetch;
pub use serve::{ServerError, run};
pub use tls::{TlsError, TlsFiles};

/// What `flights` is built on. Its model test has others of the same names.
mod primitives {
    pub(crate) use std::sync::{Mutex, MutexGuard};
}
