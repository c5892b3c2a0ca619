//! Addresses: where a request goes, and where an answer may send it.

use ureq::http::Uri;

/// Scheme, host and port: what must be the same for a token to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    secure: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an address of the web; others have none.
    pub(crate) fn of(address: &Uri) -> Option<Self> {
        let secure = match address.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = address.host().filter(|host| !host.is_empty())?;
        let named = address
            .authority()
            .is_some_and(|a| a.as_str().contains('@'));
        (!named).then(|| Self {
            secure,
            host: host.to_ascii_lowercase(),
            port: address.port_u16().unwrap_or(if secure { 443 } else { 80 }),
        })
    }

    /// The host, and the port where it is not the usual one.
    pub(crate) fn host(&self) -> String {
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => self.host.clone(),
            (_, port) => format!("{}:{port}", self.host),
        }
    }

    /// Whether it is this machine itself, to which no proxy leads.
    pub(crate) fn is_this_machine(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
    }
}

/// The address that `location`, in an answer from `from`, leads to; or what is wrong with it.
pub(crate) fn follow(from: &Uri, location: &str) -> Result<Uri, String> {
    let scheme = from.scheme_str().unwrap_or("https");
    let authority = from.authority().map_or("", |a| a.as_str());
    let absolute = if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        location.to_string()
    };
    let to: Uri = absolute
        .parse()
        .map_err(|_| "it has no valid address".to_string())?;
    let origin = Origin::of(&to).ok_or("only http and https are followed")?;
    if scheme == "https" && !origin.secure {
        return Err(format!("from https to http, at {}", origin.host()));
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        text.parse().unwrap()
    }

    fn followed(from: &str, location: &str) -> Result<String, String> {
        follow(&uri(from), location).map(|to| to.to_string())
    }

    #[test]
    fn locations_are_resolved() {
        let from = "https://hub.example/a/resolve/main/x";
        let to = |location: &str| followed(from, location).unwrap();
        assert_eq!(
            to("/b/resolve/main/x?y=1"),
            "https://hub.example/b/resolve/main/x?y=1"
        );
        assert_eq!(to("//cdn.example/x"), "https://cdn.example/x");
        assert_eq!(
            to("https://cdn.example/x?s=%2F"),
            "https://cdn.example/x?s=%2F"
        );
        assert_eq!(followed("http://a/x", "http://b/y").unwrap(), "http://b/y");
        assert_eq!(
            followed("http://a/x", "https://b/y").unwrap(),
            "https://b/y"
        );
    }

    #[test]
    fn only_the_web_is_followed_and_never_to_less_safety() {
        for location in [
            "file:///etc/passwd",
            "ftp://a/b",
            "x/y",
            "",
            "http://hub.example/x",
            "https://",
            "https://u:p@a/",
        ] {
            assert!(
                followed("https://hub.example/x", location).is_err(),
                "{location}"
            );
        }
    }

    #[test]
    fn origins_compare_by_scheme_host_and_port() {
        let origin = |text: &str| Origin::of(&uri(text)).unwrap();
        assert_eq!(
            origin("https://Hub.example/a"),
            origin("https://hub.example:443/b")
        );
        for other in [
            "http://hub.example",
            "https://hub.example:444",
            "https://hub.example.evil",
            "https://cdn.hub.example",
        ] {
            assert_ne!(origin("https://hub.example"), origin(other), "{other}");
        }
        assert_eq!(origin("http://a:8080/x").host(), "a:8080");
        assert!(
            origin("http://127.0.0.1:1/").is_this_machine()
                && origin("http://[::1]/").is_this_machine()
        );
        assert!(!origin("http://127.0.0.1.example/").is_this_machine());
    }
}
