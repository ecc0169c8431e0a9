//! What the demonstration's shop is called, here and at the platforms.

pub const TENANT: &str = "bookshop";
pub const PROVIDER: &str = "wechat";
pub const MERCHANT: &str = "1900000109";
pub const APP: &str = "wx8888888888888888";
/// The shop's application at Douyin.
pub const DOUYIN: &str = "awbookshop000001";
