//! Where a page is opened (protocol section 1.8).

/// What the browser is, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visitor {
    /// WeChat, QQ, WeCom: their web-views open no other app.
    Walled,
    /// Douyin's own web-view.
    Douyin,
    Phone,
    Desktop,
}

impl Visitor {
    /// By the user agent. WeChat's own mark counts before all others: it stands beside a phone's.
    pub fn of(user_agent: &str) -> Self {
        let has = |marks: &[&str]| marks.iter().any(|mark| user_agent.contains(mark));
        if has(&["MicroMessenger", "QQ/", "wxwork"]) {
            Visitor::Walled
        } else if has(&["aweme", "ToutiaoMicroApp", "BytedanceWebview"]) {
            Visitor::Douyin
        } else if has(&["Android", "iPhone", "iPad", "HarmonyOS", "OpenHarmony"]) {
            Visitor::Phone
        } else {
            Visitor::Desktop
        }
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Visitor::Walled => "walled",
            Visitor::Douyin => "douyin",
            Visitor::Phone => "phone",
            Visitor::Desktop => "desktop",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_recognised() {
        for (agent, visitor) in [
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 MicroMessenger/8.0.49(0x18003137) NetType/WIFI Language/zh_CN",
                Visitor::Walled,
            ),
            (
                "Mozilla/5.0 (Linux; Android 14; PJZ110) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/126.0 Mobile Safari/537.36 V1_AND_SQ_9.0.70 QQ/9.0.70.17120",
                Visitor::Walled,
            ),
            (
                "Mozilla/5.0 (Linux; Android 13) AppleWebKit/537.36 Chrome/107 Mobile Safari/537.36 wxwork/4.1.22 MicroMessenger/7.0.1",
                Visitor::Walled,
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/116 Safari/537.36 MicroMessenger/7.0.20 WindowsWechat",
                Visitor::Walled,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 aweme_30.5.0 JsSdk/2.0 NetType/WIFI BytedanceWebview/d8a21c6",
                Visitor::Douyin,
            ),
            ("Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Mobile ToutiaoMicroApp/3.0", Visitor::Douyin),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile/15E148 Safari/604.1",
                Visitor::Phone,
            ),
            (
                "Mozilla/5.0 (Linux; U; Android 14; zh-cn) AppleWebKit/537.36 Version/4.0 Chrome/109 MQQBrowser/14.9 Mobile Safari/537.36",
                Visitor::Phone,
            ),
            (
                "Mozilla/5.0 (Phone; OpenHarmony 5.0) AppleWebKit/537.36 Chrome/114 Safari/537.36 ArkWeb/4.1 Mobile HuaweiBrowser/5",
                Visitor::Phone,
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.5 Safari/605.1.15",
                Visitor::Desktop,
            ),
            ("curl/8.5", Visitor::Desktop),
            ("", Visitor::Desktop),
        ] {
            assert_eq!(Visitor::of(agent), visitor, "{agent}");
        }
    }
}
