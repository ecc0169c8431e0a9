//! A call as it came in, and how its fields are read.

use actix_web::{HttpRequest, web};
use serde_json::{Map, Value};

use super::{Failure, token};
use crate::world::World;

/// A call as it came in.
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub access_token: Option<String>,
    content_type: String,
    pub body: web::Bytes,
}

impl Request {
    pub fn new(request: &HttpRequest, body: web::Bytes) -> Self {
        let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let query = url::form_urlencoded::parse(request.query_string().as_bytes());
        Self {
            method: request.method().to_string(),
            path: request.path().to_owned(),
            query: query.into_owned().collect(),
            access_token: header("access-token").map(str::to_owned),
            content_type: header("content-type").unwrap_or_default().to_owned(),
            body,
        }
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn is(&self, content_type: &str) -> bool {
        self.content_type.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(content_type))
    }

    /// The fields of a JSON body; anything else has none.
    pub fn json(&self) -> Map<String, Value> {
        let parsed = self.is("application/json").then(|| serde_json::from_slice(&self.body).ok());
        parsed.flatten().unwrap_or_default()
    }

    /// The fields of a form; anything else has none.
    pub fn form(&self) -> Map<String, Value> {
        if !self.is("application/x-www-form-urlencoded") {
            return Map::new();
        }
        url::form_urlencoded::parse(&self.body).map(|(name, value)| (name.into_owned(), value.into())).collect()
    }

    /// The app a call names, for faults and the journal.
    pub fn client_key(&self, world: &World) -> Option<String> {
        let named = |fields: Map<String, Value>| Some(fields.get("client_key")?.as_str()?.to_owned());
        let given = self.access_token.as_deref();
        named(self.json()).or_else(|| named(self.form())).or_else(|| token::owner(world, given?))
    }
}

/// A text field that must be there and not be empty.
pub fn wanted<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a str, Failure> {
    let text = fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or_else(|| Failure::parameter(name))
}
