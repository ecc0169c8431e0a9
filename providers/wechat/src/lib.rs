//! WeChat Pay: kind wechat-v2
