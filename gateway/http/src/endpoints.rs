//! The routing table: every address, its method, its handler and the errors it can answer. The
//! server and the OpenAPI document are both built from it.

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Route};
use dukou_spi::plugin::{CallSpec, PageSpec, PluginInfo};

use crate::errors::ErrorCode;
use crate::head;
use crate::openapi;
use crate::plugin_endpoints;
use crate::problem::Problem;
use crate::routes::{
    access_tokens, admin, deliveries, events, notify, payments, plugins, refund_requests, refunds, sessions,
};

/// One operation.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub method: &'static str,
    pub path: &'static str,
    pub access: Access,
    /// Honours `Idempotency-Key`.
    pub idempotent: bool,
    /// What it can answer besides success, to a caller who was let in; [`EVERYWHERE`] aside.
    pub errors: &'static [ErrorCode],
    pub(crate) handler: Handler,
}

/// Who answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Handler {
    Own(fn() -> Route),
    Call(&'static str, &'static CallSpec),
    Page(&'static str, &'static PageSpec),
}

/// Who may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Anyone,
    /// Anyone, so often.
    Limited,
    /// The merchant's backend, with an API key.
    Key,
    /// An operator, with the token of the admin API.
    Admin,
    /// A user of the mini-program, with a session token.
    Session,
    KeyOrSession,
}

impl Access {
    pub const fn key(self) -> bool {
        matches!(self, Access::Key | Access::KeyOrSession)
    }

    pub const fn session(self) -> bool {
        matches!(self, Access::Session | Access::KeyOrSession)
    }

    /// How a caller can be turned away.
    const fn errors(self) -> &'static [ErrorCode] {
        match self {
            Access::Anyone => &[],
            Access::Admin => &[ErrorCode::Unauthorized, ErrorCode::Forbidden, ErrorCode::RateLimited],
            Access::Limited => &[ErrorCode::Unauthorized, ErrorCode::RateLimited],
            Access::Key | Access::Session | Access::KeyOrSession => {
                // A session token is limited also where it opens nothing.
                &[ErrorCode::Unauthorized, ErrorCode::Forbidden, ErrorCode::RateLimited]
            }
        }
    }
}

impl Endpoint {
    /// Everything it can answer besides success.
    pub fn all_errors(&self) -> Vec<ErrorCode> {
        let mut codes: Vec<ErrorCode> = Vec::new();
        for code in self.errors.iter().chain(self.access.errors()).chain(EVERYWHERE) {
            if !codes.contains(code) {
                codes.push(*code);
            }
        }
        codes
    }
}

/// What any address can answer.
pub const EVERYWHERE: &[ErrorCode] = &[ErrorCode::InternalError];

/// The public listener. The router tries one address after another: what is asked for most stands
/// first.
pub const PUBLIC: &[Endpoint] = &[
    Endpoint {
        method: "POST",
        path: "/notify/{tenant}/{provider}/payment",
        access: Access::Anyone,
        idempotent: false,
        errors: NOTIFY,
        handler: Handler::Own(|| web::post().to(notify::payment)),
    },
    Endpoint {
        method: "POST",
        path: "/notify/{tenant}/{provider}/refund",
        access: Access::Anyone,
        idempotent: false,
        errors: NOTIFY,
        handler: Handler::Own(|| web::post().to(notify::refund)),
    },
    Endpoint {
        method: "POST",
        path: "/v1/{tenant}/payments",
        access: Access::Key,
        idempotent: true,
        errors: &[
            ErrorCode::InvalidRequest,
            ErrorCode::ProviderRefused,
            ErrorCode::RequestTimeout,
            ErrorCode::OutTradeNoConflict,
            ErrorCode::IdempotencyKeyConflict,
            ErrorCode::IdempotencyInProgress,
            ErrorCode::InvalidState,
            ErrorCode::BodyTooLarge,
            ErrorCode::UnsupportedMediaType,
            ErrorCode::ProviderUnavailable,
            ErrorCode::Unavailable,
            ErrorCode::ProviderTimeout,
        ],
        handler: Handler::Own(|| web::post().to(payments::create)),
    },
    Endpoint {
        method: "GET",
        path: "/v1/{tenant}/payments",
        access: Access::Key,
        idempotent: false,
        errors: &[ErrorCode::InvalidRequest, ErrorCode::Unavailable],
        handler: Handler::Own(|| web::get().to(payments::list)),
    },
    Endpoint {
        method: "GET",
        path: "/v1/{tenant}/payments/{out_trade_no}",
        access: Access::KeyOrSession,
        idempotent: false,
        errors: READ,
        handler: Handler::Own(|| web::get().to(payments::read)),
    },
    Endpoint {
        method: "POST",
        path: "/v1/{tenant}/payments/{out_trade_no}/invoke",
        access: Access::KeyOrSession,
        idempotent: true,
        errors: &[
            ErrorCode::InvalidRequest,
            ErrorCode::ProviderRefused,
            ErrorCode::NotFound,
            ErrorCode::RequestTimeout,
            ErrorCode::IdempotencyKeyConflict,
            ErrorCode::IdempotencyInProgress,
            ErrorCode::InvalidState,
            ErrorCode::BodyTooLarge,
            ErrorCode::UnsupportedMediaType,
            ErrorCode::ProviderUnavailable,
            ErrorCode::Unavailable,
            ErrorCode::ProviderTimeout,
        ],
        handler: Handler::Own(|| web::post().to(payments::invoke)),
    },
    Endpoint {
        method: "POST",
        path: "/v1/{tenant}/payments/{out_trade_no}/close",
        access: Access::Key,
        idempotent: true,
        errors: &[
            ErrorCode::InvalidRequest,
            ErrorCode::ProviderRefused,
            ErrorCode::NotFound,
            ErrorCode::RequestTimeout,
            ErrorCode::IdempotencyKeyConflict,
            ErrorCode::IdempotencyInProgress,
            ErrorCode::InvalidState,
            ErrorCode::BodyTooLarge,
            ErrorCode::UnsupportedMediaType,
            ErrorCode::ProviderUnavailable,
            ErrorCode::Unavailable,
            ErrorCode::ProviderTimeout,
        ],
        handler: Handler::Own(|| web::post().to(payments::close)),
    },
    Endpoint {
        method: "POST",
        path: "/v1/{tenant}/payments/{out_trade_no}/refunds",
        access: Access::Key,
        idempotent: true,
        errors: &[
            ErrorCode::InvalidRequest,
            ErrorCode::ProviderRefused,
            ErrorCode::NotFound,
            ErrorCode::RequestTimeout,
            ErrorCode::OutRefundNoConflict,
            ErrorCode::IdempotencyKeyConflict,
            ErrorCode::IdempotencyInProgress,
            ErrorCode::InvalidState,
            ErrorCode::BodyTooLarge,
            ErrorCode::UnsupportedMediaType,
            ErrorCode::RefundExceedsPayment,
            ErrorCode::Unavailable,
        ],
        handler: Handler::Own(|| web::post().to(refunds::create)),
    },
    Endpoint {
        method: "GET",
        path: "/v1/{tenant}/payments/{out_trade_no}/refunds",
        access: Access::Key,
        idempotent: false,
        errors: READ,
        handler: Handler::Own(|| web::get().to(refunds::list)),
    },
    Endpoint {
        method: "GET",
        path: "/v1/{tenant}/refunds/{out_refund_no}",
        access: Access::Key,
        idempotent: false,
        errors: READ,
        handler: Handler::Own(|| web::get().to(refunds::read)),
    },
    Endpoint {
        method: "POST",
        path: "/v1/{tenant}/sessions",
        access: Access::Limited,
        idempotent: true,
        errors: LEND,
        handler: Handler::Own(|| web::post().to(sessions::create)),
    },
    Endpoint {
        method: "POST",
        path: "/v1/{tenant}/access-tokens",
        access: Access::Key,
        idempotent: true,
        errors: LEND,
        handler: Handler::Own(|| web::post().to(access_tokens::create)),
    },
    Endpoint {
        method: "POST",
        path: "/v1/{tenant}/payments/{out_trade_no}/refund-requests",
        access: Access::Session,
        idempotent: true,
        errors: &[
            ErrorCode::InvalidRequest,
            ErrorCode::NotFound,
            ErrorCode::RequestTimeout,
            ErrorCode::IdempotencyKeyConflict,
            ErrorCode::IdempotencyInProgress,
            ErrorCode::InvalidState,
            ErrorCode::BodyTooLarge,
            ErrorCode::UnsupportedMediaType,
            ErrorCode::RefundExceedsPayment,
            ErrorCode::Unavailable,
        ],
        handler: Handler::Own(|| web::post().to(refund_requests::create)),
    },
    Endpoint {
        method: "GET",
        path: "/v1/{tenant}/refund-requests",
        access: Access::Key,
        idempotent: false,
        errors: &[ErrorCode::InvalidRequest, ErrorCode::Unavailable],
        handler: Handler::Own(|| web::get().to(refund_requests::list)),
    },
    Endpoint {
        method: "POST",
        path: "/v1/{tenant}/refund-requests/{id}/approve",
        access: Access::Key,
        idempotent: true,
        errors: DECIDE,
        handler: Handler::Own(|| web::post().to(refund_requests::approve)),
    },
    Endpoint {
        method: "POST",
        path: "/v1/{tenant}/refund-requests/{id}/reject",
        access: Access::Key,
        idempotent: true,
        errors: DECIDE,
        handler: Handler::Own(|| web::post().to(refund_requests::reject)),
    },
    Endpoint {
        method: "GET",
        path: "/v1/{tenant}/deliveries",
        access: Access::Key,
        idempotent: false,
        errors: &[ErrorCode::InvalidRequest, ErrorCode::Unavailable],
        handler: Handler::Own(|| web::get().to(deliveries::list)),
    },
    Endpoint {
        method: "POST",
        path: "/v1/{tenant}/deliveries/{id}/retry",
        access: Access::Key,
        idempotent: true,
        errors: DELIVER,
        handler: Handler::Own(|| web::post().to(deliveries::retry)),
    },
    Endpoint {
        method: "POST",
        path: "/v1/{tenant}/webhook/enable",
        access: Access::Key,
        idempotent: true,
        errors: DELIVER,
        handler: Handler::Own(|| web::post().to(deliveries::enable)),
    },
    Endpoint {
        method: "GET",
        path: "/v1/{tenant}/events",
        access: Access::Key,
        idempotent: false,
        errors: &[ErrorCode::InvalidRequest, ErrorCode::Unavailable],
        handler: Handler::Own(|| web::get().to(events::list)),
    },
    Endpoint {
        method: "GET",
        path: "/callback/{tenant}/{plugin}",
        access: Access::Anyone,
        idempotent: false,
        errors: CALLBACK,
        handler: Handler::Own(|| web::get().to(plugins::get_callback)),
    },
    Endpoint {
        method: "POST",
        path: "/callback/{tenant}/{plugin}",
        access: Access::Anyone,
        idempotent: false,
        errors: CALLBACK,
        handler: Handler::Own(|| web::post().to(plugins::post_callback)),
    },
    Endpoint {
        method: "GET",
        path: "/callback/{tenant}/{plugin}/{rest}",
        access: Access::Anyone,
        idempotent: false,
        errors: CALLBACK,
        handler: Handler::Own(|| web::get().to(plugins::get_callback_rest)),
    },
    Endpoint {
        method: "POST",
        path: "/callback/{tenant}/{plugin}/{rest}",
        access: Access::Anyone,
        idempotent: false,
        errors: CALLBACK,
        handler: Handler::Own(|| web::post().to(plugins::post_callback_rest)),
    },
    OPENAPI,
];

/// The admin listener.
pub const ADMIN: &[Endpoint] = &[
    Endpoint {
        method: "GET",
        path: "/metrics",
        access: Access::Anyone,
        idempotent: false,
        errors: &[],
        handler: Handler::Own(|| web::get().to(admin::metrics)),
    },
    Endpoint {
        method: "GET",
        path: "/healthz",
        access: Access::Anyone,
        idempotent: false,
        errors: &[],
        handler: Handler::Own(|| web::get().to(admin::health)),
    },
    Endpoint {
        method: "GET",
        path: "/readyz",
        access: Access::Anyone,
        idempotent: false,
        errors: &[],
        handler: Handler::Own(|| web::get().to(admin::ready)),
    },
    Endpoint {
        method: "GET",
        path: "/timeline/{tenant}/{out_trade_no}",
        access: Access::Admin,
        idempotent: false,
        errors: &[ErrorCode::NotFound, ErrorCode::Unavailable],
        handler: Handler::Own(|| web::get().to(admin::timeline)),
    },
    Endpoint {
        method: "GET",
        path: "/access-tokens",
        access: Access::Admin,
        idempotent: false,
        errors: &[ErrorCode::Unavailable],
        handler: Handler::Own(|| web::get().to(admin::access_tokens)),
    },
    OPENAPI,
];

/// What lends something of a provider: a session, a token.
const LEND: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::ProviderRefused,
    ErrorCode::RequestTimeout,
    ErrorCode::IdempotencyKeyConflict,
    ErrorCode::IdempotencyInProgress,
    ErrorCode::BodyTooLarge,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::ProviderUnavailable,
    ErrorCode::Unavailable,
    ErrorCode::ProviderTimeout,
];

/// Reads that may ask a provider first.
const READ: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::ProviderRefused,
    ErrorCode::NotFound,
    ErrorCode::ProviderUnavailable,
    ErrorCode::Unavailable,
    ErrorCode::ProviderTimeout,
];

const DECIDE: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::NotFound,
    ErrorCode::RequestTimeout,
    ErrorCode::IdempotencyKeyConflict,
    ErrorCode::IdempotencyInProgress,
    ErrorCode::InvalidState,
    ErrorCode::BodyTooLarge,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::RefundExceedsPayment,
    ErrorCode::Unavailable,
];

/// Wishes about the webhook; no provider is asked.
const DELIVER: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::NotFound,
    ErrorCode::RequestTimeout,
    ErrorCode::IdempotencyKeyConflict,
    ErrorCode::IdempotencyInProgress,
    ErrorCode::InvalidState,
    ErrorCode::BodyTooLarge,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::Unavailable,
];

const NOTIFY: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::NotFound,
    ErrorCode::RequestTimeout,
    ErrorCode::BodyTooLarge,
    ErrorCode::UnsupportedMediaType,
];

const CALLBACK: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::NotFound,
    ErrorCode::RequestTimeout,
    ErrorCode::BodyTooLarge,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::Unavailable,
];

/// The public listener's own table and what the plugins add to it.
pub fn public(plugins: &[&'static PluginInfo]) -> Vec<Endpoint> {
    let mut table = PUBLIC.to_vec();
    table.extend(plugins.iter().flat_map(|info| plugin_endpoints::of(info)));
    table
}

const OPENAPI: Endpoint = Endpoint {
    method: "GET",
    path: "/openapi.json",
    access: Access::Anyone,
    idempotent: false,
    errors: &[],
    handler: Handler::Own(|| web::get().to(openapi::serve)),
};

/// The pattern of the table that an address fits, segment by segment: for every request, and so
/// without the router's regular expressions.
pub fn pattern(table: &[Endpoint], path: &str) -> Option<&'static str> {
    let fits = |pattern: &str| {
        let mut given = path.split('/');
        let each = pattern.split('/').all(|wanted| {
            given.next().is_some_and(|part| if wanted.starts_with('{') { !part.is_empty() } else { part == wanted })
        });
        each && given.next().is_none()
    };
    table.iter().map(|endpoint| endpoint.path).find(|pattern| fits(pattern))
}

/// Puts a table into an application, with problem documents for every other address and method.
pub fn configure(config: &mut ServiceConfig, table: &[Endpoint]) {
    for (at, endpoint) in table.iter().enumerate() {
        let path = endpoint.path;
        if table[..at].iter().any(|earlier| earlier.path == path) {
            continue;
        }
        let methods: Vec<&Endpoint> = table[at..].iter().filter(|other| other.path == path).collect();
        let mut words: Vec<&str> = methods.iter().map(|endpoint| endpoint.method).collect();
        if words.contains(&"GET") && head::is_answered(path) {
            words.push("HEAD");
        }
        let allow = words.join(", ");
        let resource =
            methods.iter().fold(web::resource(path), |resource, endpoint| resource.route(endpoint.handler.route()));
        config.service(resource.default_service(web::to(move || {
            let problem = wrong_method(&allow);
            async move { Err::<HttpResponse, Problem>(problem) }
        })));
    }
    config.default_service(web::to(|| async {
        Err::<HttpResponse, Problem>(Problem::new(ErrorCode::NotFound, "there is nothing at this address"))
    }));
}

impl Handler {
    fn route(self) -> Route {
        match self {
            Handler::Own(route) => route(),
            Handler::Call(plugin, spec) => plugin_endpoints::call_route(plugin, spec),
            Handler::Page(plugin, spec) => plugin_endpoints::page_route(plugin, spec),
        }
    }
}

fn wrong_method(allow: &str) -> Problem {
    let problem = Problem::new(ErrorCode::MethodNotAllowed, format!("this address takes {allow}"));
    Problem { allow: Some(allow.to_owned()), ..problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_counted_by_their_patterns() {
        let cases = [
            ("/v1/bookshop/payments", Some("/v1/{tenant}/payments")),
            ("/v1/bookshop/payments/B-1", Some("/v1/{tenant}/payments/{out_trade_no}")),
            ("/v1/bookshop/payments/B-1/close", Some("/v1/{tenant}/payments/{out_trade_no}/close")),
            ("/notify/bookshop/wechat/payment", Some("/notify/{tenant}/{provider}/payment")),
            ("/notify/bookshop/wechat/refund", Some("/notify/{tenant}/{provider}/refund")),
            ("/notify/bookshop/wechat/other", None),
            ("/v1/bookshop/payments/", None),
            ("/v1//payments", None),
            ("/v1/bookshop/payments/B-1/close/more", None),
            ("/metrics", None),
            ("/", None),
            ("", None),
        ];
        for (path, expected) in cases {
            assert_eq!(pattern(PUBLIC, path), expected, "{path}");
        }
        for endpoint in PUBLIC {
            let path = endpoint.path.replace(['{', '}'], "");
            assert_eq!(pattern(PUBLIC, &path), Some(endpoint.path), "{path}");
        }
    }
}
