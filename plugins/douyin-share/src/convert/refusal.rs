//! Why a share cannot be taken.

use dukou_spi::plugin::WrongField;

/// The rule that was broken, by the protocol's own code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    AppId,
    NoMedia,
    TooManyImages,
    MediaNotPublic(Medium),
    MediaUrl(Medium),
    MediaNotHttps(Medium),
    MediaType(Medium),
    MediaTooLarge(Medium),
    DouyinAppId,
    Path,
    PathTooLong,
}

/// Which of the media it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    Video,
    /// `image_url`.
    Image,
    /// One of `image_urls`, the first being 0.
    ImageOf(usize),
    /// The only one of `image_urls`.
    OnlyImage,
}

impl Medium {
    const fn field(self) -> &'static str {
        match self {
            Medium::Video => "video_url",
            Medium::Image => "image_url",
            Medium::ImageOf(_) | Medium::OnlyImage => "image_urls",
        }
    }

    fn words(self) -> String {
        match self {
            Medium::Video => "the video".to_owned(),
            Medium::Image | Medium::OnlyImage => "the image".to_owned(),
            Medium::ImageOf(at) => format!("image {}", at + 1),
        }
    }

    fn types(self) -> &'static str {
        match self {
            Medium::Video => "video/mp4, video/quicktime or video/3gpp",
            Medium::Image | Medium::OnlyImage => "image/png, image/jpeg or image/gif",
            Medium::ImageOf(_) => "image/png or image/jpeg",
        }
    }
}

impl Refusal {
    pub const fn code(self) -> &'static str {
        match self {
            Refusal::AppId => "E_APP_ID",
            Refusal::NoMedia => "E_NO_MEDIA",
            Refusal::TooManyImages => "E_TOO_MANY_IMAGES",
            Refusal::MediaNotPublic(_) => "E_MEDIA_NOT_PUBLIC",
            Refusal::MediaUrl(_) => "E_MEDIA_URL",
            Refusal::MediaNotHttps(_) => "E_MEDIA_NOT_HTTPS",
            Refusal::MediaType(_) => "E_MEDIA_TYPE",
            Refusal::MediaTooLarge(_) => "E_MEDIA_TOO_LARGE",
            Refusal::DouyinAppId => "E_DY_APPID",
            Refusal::Path => "E_PATH",
            Refusal::PathTooLong => "E_PATH_TOO_LONG",
        }
    }

    /// The field, what is wrong with it, and what is expected.
    pub fn problem(self) -> WrongField {
        let (field, message) = match self {
            Refusal::AppId => ("app_id", "expected the WeChat mini-program's id: wx and 16 of 0-9 a-f".to_owned()),
            Refusal::NoMedia => (
                "image_url",
                "missing; expected an image_url, image_urls or a video_url, one of them at least".to_owned(),
            ),
            Refusal::TooManyImages => ("image_urls", "more than 12 images, expected at most 12".to_owned()),
            Refusal::MediaNotPublic(medium) => (
                medium.field(),
                format!(
                    "{} is at no public address; Douyin fetches it itself: expected https:// and a host on the public \
                     Internet",
                    medium.words()
                ),
            ),
            Refusal::MediaUrl(medium) => {
                (medium.field(), format!("the address of {} holds a user or a password, expected none", medium.words()))
            }
            Refusal::MediaNotHttps(medium) => {
                (medium.field(), format!("{} is not at an https address; expected https://", medium.words()))
            }
            Refusal::MediaType(medium) => (
                medium.field(),
                format!("{} is of another type, by its Content-Type; expected {}", medium.words(), medium.types()),
            ),
            Refusal::MediaTooLarge(Medium::Video) => {
                ("video_url", "the video is larger than 128 MiB, expected at most 134217728 bytes".to_owned())
            }
            Refusal::MediaTooLarge(medium) => {
                (medium.field(), format!("{} is larger than 20 MiB, expected at most 20971520 bytes", medium.words()))
            }
            Refusal::DouyinAppId => (
                "app_id",
                "the Douyin mini-program that stands for it is not one; expected tt and 16 to 20 of 0-9 a-f in the \
                 gateway's configuration"
                    .to_owned(),
            ),
            Refusal::Path => (
                "path",
                "expected a page of the mini-program: letters, digits, _ - and /, then ? and a query".to_owned(),
            ),
            Refusal::PathTooLong => ("path", "page and query are longer than 1024 bytes together".to_owned()),
        };
        WrongField::new(field, format!("{message} ({})", self.code()))
    }
}
