//! Where a server is: the part of RFC 3986 that a request by HTTP has.

use hyper::Uri;

/// An URL, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// `https`, else `http`.
    pub secure: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port; without one, that of the scheme.
    pub port: u16,
    /// At least `/`.
    pub path: String,
    /// What is behind `?`.
    pub query: Option<String>,
}

impl Url {
    /// Reads one.
    ///
    /// # Errors
    /// Why it is none that can be asked, and the mend.
    pub fn read(text: &str) -> Result<Self, (&'static str, &'static str)> {
        const MEND: &str = "write it like `http://prometheus.monitoring:9090`";
        if text.contains('#') {
            return Err(("has a fragment, which no server gets", "remove `#` and what is behind it"));
        }
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        let uri = text.parse::<Uri>().ok().filter(|_| printable).ok_or(("is no URL", MEND))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(("is no URL of `http` or `https`", MEND)),
        };
        let authority = uri.authority().ok_or(("names no server", MEND))?;
        if authority.as_str().contains('@') {
            let mend =
                "remove what stands before `@`; ask a server that needs no password, as on this machine";
            return Err(("has a user or a password, which would be in the clear in this file", mend));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // A port that is none is left out by the library.
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => Some(if secure { 443 } else { 80 }),
            _ => authority.port_u16().filter(|port| *port > 0),
        };
        let port = port.ok_or(("has no port from 1 to 65535 behind its `:`", MEND))?;
        if host.is_empty() {
            return Err(("names no server", MEND));
        }
        let query = uri.query().map(str::to_owned);
        Ok(Self { secure, host: host.to_owned(), port, path: uri.path().to_owned(), query })
    }

    /// Path and query, as a request has them.
    pub fn target(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }
}
