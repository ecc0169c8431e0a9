//! How the payer pays: the front end the platform's order is made for.

use std::fmt;

/// The merchant chooses it with each attempt; each provider has its platform's word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Inside the platform: a mini-program or a page in its web-view.
    Jsapi,
    /// A QR code that the payer scans.
    Native,
    /// The merchant's own mobile application with the platform's SDK.
    App,
    /// A page in a phone's browser.
    H5,
}

impl Method {
    /// Every method once; a provider may offer fewer.
    pub const ALL: [Method; 4] = [Method::Jsapi, Method::Native, Method::App, Method::H5];

    /// The public word (`method`).
    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Jsapi => "jsapi",
            Method::Native => "native",
            Method::App => "app",
            Method::H5 => "h5",
        }
    }

    /// Reads [`Self::as_str`] back; `None` for any other word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
