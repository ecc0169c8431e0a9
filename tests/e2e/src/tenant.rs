use dukou_sandbox::{DouyinApp, Merchant as SandboxMerchant, TrustMode};
use toml::Value;

/// A website application at Douyin.
#[derive(Clone, Debug)]
pub struct Douyin {
    pub client_key: String,
    pub client_secret: String,
    pub mini_program: String,
}

/// How a tenant of APIv3 believes the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum V3Trust {
    PublicKey,
    Certificates,
}

/// One tenant: what its file says, and what the sandbox knows of it.
#[derive(Clone, Debug)]
pub struct Tenant {
    pub id: String,
    /// The key of the merchant's backend.
    pub api_key: String,
    pub mch_id: String,
    /// The platform's key: 32 characters.
    pub mch_key: String,
    pub app_id: String,
    pub app_secret: String,
    /// `MD5` or `HMAC-SHA256`.
    pub sign_type: String,
    /// The certificate is configured as PKCS#12 instead of two PEM files.
    pub p12: bool,
    /// Stands before `out_trade_no` at the platform.
    pub trade_no_prefix: String,
    /// Its WeChat Pay is APIv3, with the same key as APIv3 key.
    pub v3: Option<V3Trust>,
    /// The merchant that it acts for as a partner (服务商), over APIv3.
    pub acts_for: Option<String>,
    /// Its application at Douyin, where it has one.
    pub douyin: Option<Douyin>,
    /// Further keys of the tenant's file, with dots: they win.
    pub settings: Vec<(String, Value)>,
}

impl Tenant {
    /// Afei Books: MD5 and PEM files.
    pub fn bookshop() -> Self {
        Self::new("bookshop", "1900000109", "wx8888888888888888")
    }

    /// The tea house: HMAC-SHA256 and a PKCS#12 file.
    pub fn teahouse() -> Self {
        let tenant = Self::new("teahouse", "1900000110", "wx7777777777777777");
        Self { sign_type: "HMAC-SHA256".to_owned(), p12: true, ..tenant }
    }

    /// A tenant with a merchant account and an app of its own, and secrets that no other has.
    pub fn new(id: &str, mch_id: &str, app_id: &str) -> Self {
        Self {
            id: id.to_owned(),
            api_key: format!("backend-key-of-{id}-Zq8+w/3K"),
            mch_id: mch_id.to_owned(),
            mch_key: format!("{:k<32}", format!("mchkey{mch_id}")),
            app_id: app_id.to_owned(),
            app_secret: format!("app-secret-of-{app_id}"),
            sign_type: "MD5".to_owned(),
            p12: false,
            trade_no_prefix: String::new(),
            v3: None,
            acts_for: None,
            douyin: None,
            settings: Vec::new(),
        }
    }

    /// With an application at Douyin of its own, and the Douyin mini-program that stands for its WeChat one.
    #[must_use]
    pub fn with_douyin(mut self) -> Self {
        let plain: String = self.id.chars().filter(char::is_ascii_alphanumeric).collect();
        self.douyin = Some(Douyin {
            client_key: format!("aw{plain}00000001"),
            client_secret: format!("douyin-secret-of-{}-7Qp2", self.id),
            mini_program: "tt226e54d3bd581bf8".to_owned(),
        });
        self
    }

    /// Over APIv3 instead of APIv2.
    #[must_use]
    pub fn over_v3(mut self, trust: V3Trust) -> Self {
        self.v3 = Some(trust);
        self
    }

    /// As the partner of a merchant whose payers are users of the partner's app.
    #[must_use]
    pub fn acting_for(mut self, mch_id: &str) -> Self {
        self.acts_for = Some(mch_id.to_owned());
        self.set("providers.wechat.sub_mch_id", mch_id)
    }

    /// Sets a key of the tenant's file: `.set("providers.wechat.timeout", "1s")`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.settings.push((key.to_owned(), value.into()));
        self
    }

    /// A prefix before the numbers at the platform.
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.trade_no_prefix);
        self
    }

    /// The number of a payment's first attempt at the platform.
    pub fn trade_no(&self, out_trade_no: &str) -> String {
        format!("{}{out_trade_no}", self.trade_no_prefix)
    }

    /// An openid of the tenant's app. The same number gives the same person.
    pub fn openid(&self, number: u32) -> String {
        format!("o{}-{number:08}", &self.app_id[2..])
    }

    /// Everything that must never leave the gateway.
    pub fn secrets(&self) -> Vec<String> {
        let mut secrets = vec![self.api_key.clone(), self.mch_key.clone(), self.app_secret.clone()];
        secrets.extend(self.douyin.iter().map(|douyin| douyin.client_secret.clone()));
        secrets
    }

    pub(crate) fn at_douyin(&self) -> Option<DouyinApp> {
        let douyin = self.douyin.as_ref()?;
        Some(DouyinApp::new(&douyin.client_key, &douyin.client_secret).named(&self.id))
    }

    pub(crate) fn at_sandbox(&self) -> SandboxMerchant {
        // Over APIv3 the merchant's APIv2 key is another one, which nobody uses.
        let v2_key = match self.v3 {
            None => self.mch_key.clone(),
            Some(_) => format!("{:k<32}", format!("apiv2key{}", self.mch_id)),
        };
        let mut merchant = SandboxMerchant::new(&self.mch_id, &v2_key).app(&self.app_id, &self.app_secret);
        if let Some(mch_id) = &self.acts_for {
            merchant = merchant.acts_for(mch_id, &[]);
        }
        match self.v3 {
            None => merchant,
            Some(V3Trust::PublicKey) => merchant.v3(&self.mch_key, TrustMode::PublicKey),
            Some(V3Trust::Certificates) => merchant.v3(&self.mch_key, TrustMode::Certificate),
        }
    }
}
