//! How the payer pays: the front end the platform's order is made for.

use std::fmt;

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
    pub const ALL: [Method; 4] = [Method::Jsapi, Method::Native, Method::App, Method::H5];

    pub const fn as_str(self) -> &'static str {
        match self {
            Method::Jsapi => "jsapi",
            Method::Native => "native",
            Method::App => "app",
            Method::H5 => "h5",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
