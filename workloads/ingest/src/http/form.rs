//! Forms: fields as texts, in either of the two encodings of browsers. Files are refused.

use std::convert::Infallible;

use bytes::Bytes;
use multer::Multipart;

use crate::acceptor::Body;
use crate::acceptor::Fields;
use crate::acceptor::Given;
use crate::acceptor::Refusal;
use crate::acceptor::fields_value;

/// How a form is encoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FormKind {
    /// `application/x-www-form-urlencoded`.
    UrlEncoded,
    /// `multipart/form-data`, with its boundary.
    Multipart(String),
}

impl FormKind {
    /// The form of a content type, if it is one.
    pub(crate) fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Some(Self::UrlEncoded);
        }
        multer::parse_boundary(content_type).ok().map(Self::Multipart)
    }
}

/// Reads a form.
pub(crate) async fn read(kind: &FormKind, body: &Bytes) -> Result<Given, Refusal> {
    let value = match kind {
        FormKind::UrlEncoded => {
            let wrong = || Refusal::Form("a field is not UTF-8".to_owned());
            let text = std::str::from_utf8(body).map_err(|_| wrong())?;
            fields_value(text).ok_or_else(wrong)?
        }
        FormKind::Multipart(boundary) => {
            let all = futures::stream::iter([Ok::<_, Infallible>(body.clone())]);
            let mut parts = Multipart::new(all, boundary);
            let wrong = |error: multer::Error| Refusal::Form(error.to_string());
            let mut fields = Fields::default();
            while let Some(part) = parts.next_field().await.map_err(wrong)? {
                let name = part.name().unwrap_or_default().to_owned();
                if part.file_name().is_some() {
                    return Err(Refusal::File(name));
                }
                let bytes = part.bytes().await.map_err(wrong)?;
                let text = std::str::from_utf8(&bytes)
                    .map_err(|_| Refusal::Form(format!("the field `{name}` is not UTF-8")))?;
                fields.push(name, text.to_owned());
            }
            fields.into_value()
        }
    };
    Ok(Given { body: Body::Read(value), json: None })
}
