//! The HTTP interface: routes, DTOs, the error table, OpenAPI
