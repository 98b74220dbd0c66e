//! One request for the rest of a file, and what can come of it.

use super::FetchEvent;
use super::partial::Partial;
use crate::catalog::Remote;
use kiln_tensor::Error;
use std::io::Read;
use std::time::Duration;
use ureq::Agent;
use ureq::http::{Response, header};

/// How long a name's lookup and a connection may take, each: without a network, failure is to be quick.
const CONNECT: Duration = Duration::from_secs(2);

/// How long nothing may come before the connection is given up.
const SILENCE: Duration = Duration::from_secs(15);

/// Why an attempt did not bring the file.
pub(crate) enum Failure {
    /// This mirror does not have it.
    Gone(String),
    /// It may go better the next time.
    Again(String),
    /// This machine's fault: no mirror can help.
    Here(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Here(error)
    }
}

pub(crate) fn agent() -> Agent {
    let config = Agent::config_builder()
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE))
        .http_status_as_error(false)
        // Some mirrors refuse agents that they have never heard of.
        .user_agent(concat!("Mozilla/5.0 (compatible; kiln-datasets/", env!("CARGO_PKG_VERSION"), ")"))
        .build();
    Agent::new_with_config(config)
}

/// Appends what `url` has and `partial` has not; afterwards the file is whole and its digest is right.
pub(crate) fn attempt(
    agent: &Agent,
    url: &str,
    remote: &Remote<'_>,
    partial: &mut Partial,
    report: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<(), Failure> {
    // Bytes that did not come from this request: where the sum is wrong, it may be their fault.
    let mut earlier = partial.length();
    // Without a known size, the sum alone says that an earlier call had received all.
    let is_whole = remote.size.map_or_else(|| partial.sha256() == remote.sha256, |size| earlier >= size);
    if !is_whole {
        let mut request = agent.get(url).header(header::ACCEPT_ENCODING, "identity");
        if earlier > 0 {
            request = request.header(header::RANGE, format!("bytes={earlier}-"));
        }
        let mut response = request.call().map_err(|error| Failure::Again(error.to_string()))?;
        let length = response.body().content_length();
        match response.status().as_u16() {
            200 => {
                // First its length: a page that says what went wrong must not cost what is there already.
                if let (Some(length), Some(size)) = (length, remote.size)
                    && length != size
                {
                    return Err(Failure::Gone(format!("it has {length} bytes, {size} are expected")));
                }
                partial.restart()?;
                earlier = 0;
            }
            206 if range_start(&response) == Some(earlier) => {}
            206 | 416 => {
                partial.restart()?;
                return Err(Failure::Again("it does not resume where it was asked to".into()));
            }
            status @ (408 | 429 | 500..=599) => return Err(Failure::Again(format!("status {status}"))),
            status => return Err(Failure::Gone(format!("status {status}"))),
        }
        let size = remote.size.or(length.map(|length| earlier + length));
        receive(&mut response.body_mut().as_reader(), remote.name, size, partial, report)?;
    }
    let found = partial.sha256();
    if found != remote.sha256 {
        partial.restart()?;
        let reason = format!("its SHA-256 is {found}, {} is expected", remote.sha256);
        return Err(if earlier > 0 { Failure::Again(reason) } else { Failure::Gone(reason) });
    }
    Ok(())
}

/// Takes the body of `file` as it comes; without a size it ends where the server says.
fn receive(
    body: &mut dyn Read,
    file: &str,
    size: Option<u64>,
    partial: &mut Partial,
    report: &mut dyn FnMut(FetchEvent<'_>),
) -> Result<(), Failure> {
    let of = size.map_or(String::new(), |size| format!(" of {size}"));
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::Again(format!("after {}{of} bytes: {error}", partial.length()))),
        };
        if let Some(size) = size.filter(|&size| partial.length() + read as u64 > size) {
            partial.restart()?;
            return Err(Failure::Gone(format!("it has more than the expected {size} bytes")));
        }
        partial.append(&buffer[..read])?;
        report(FetchEvent::Received { file, done: partial.length(), total: size.unwrap_or(0) });
    }
    let done = partial.length();
    if size.is_some_and(|size| done < size) {
        return Err(Failure::Again(format!("it ended after {done}{of} bytes")));
    }
    Ok(())
}

/// The first byte of a partial response: `bytes START-END/SIZE`.
fn range_start<B>(response: &Response<B>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}
