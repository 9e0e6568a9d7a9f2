//! Texts with a form of their own: names, paths, durations, programs and the like. Their patterns
//! and lengths are part of the schema, so that they are checked before anything reads them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::json_schema;
use serde::Deserialize;
use serde::Serialize;

/// Defines a text type with a pattern and a greatest length in characters.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $pattern:expr, $min:expr, $max:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let mut schema = json_schema!({
                    "type": "string",
                    "minLength": $min,
                    "maxLength": $max,
                });
                if let Some(pattern) = Self::PATTERN {
                    schema.insert("pattern".to_owned(), pattern.into());
                }
                schema
            }
        }

        impl $name {
            /// The pattern of the schema, where there is one.
            pub(crate) const PATTERN: Option<&'static str> = $pattern;

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text! {
    /// A name: 1 to 63 letters, digits and `-`, a letter first.
    Name, Some("^[A-Za-z][A-Za-z0-9-]*$"), 1, 63
}

text! {
    /// A path to a field of an event, such as `.location.lat` or `.wheels[0]`.
    Path, Some(r#"^(\.|(\.[\p{L}\p{N}_@-]+|\."[^"]+"|\[[0-9]{1,6}\])+)$"#), 1, 256
}

text! {
    /// A duration: numbers with units (ms, s, m, h, d), such as `500ms` or `1m30s`.
    Duration, Some("^([0-9]{1,9}(ms|s|m|h|d)){1,5}$"), 2, 60
}

text! {
    /// A length with its unit (m, km, mi), such as `5119.77m`.
    Length, Some(r"^[0-9]{1,9}(\.[0-9]{1,20})?(m|km|mi)$"), 2, 34
}

text! {
    /// A program in VRL, at most 16384 characters.
    Vrl, None, 1, 16384
}

text! {
    /// An SQL identifier: 1 to 63 lower-case letters, digits and `_`, a letter or `_` first.
    Identifier, Some("^[a-z_][a-z0-9_]*$"), 1, 63
}

text! {
    /// An MQTT topic filter, with `+` for one level and `#` for all that follow.
    TopicFilter, None, 1, 256
}

text! {
    /// An MQTT topic, without `+` and `#`.
    Topic, Some("^[^+#]+$"), 1, 256
}

text! {
    /// Text for people on one line.
    Title, Some(r"^[^\n\r\t]*$"), 1, 64
}

text! {
    /// A unit shown beside a number, such as `mph`.
    Unit, Some(r"^[^\n\r\t]*$"), 0, 16
}

text! {
    /// Name of a record's header.
    HeaderName, Some("^[A-Za-z0-9_.-]+$"), 1, 128
}

text! {
    /// A path to a file or folder.
    FilePath, Some(r"^[^\n\r]+$"), 1, 1024
}

text! {
    /// Address of an MQTT broker: `mqtt://host:1883`, or `mqtts://host:8883` with TLS.
    BrokerUrl, Some(r"^mqtts?://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$"), 1, 512
}

text! {
    /// Name of a topic in Kafka.
    KafkaTopic, Some("^[A-Za-z0-9._-]+$"), 1, 249
}

text! {
    /// Name of a field.
    FieldName, Some(r"^[\p{L}_][\p{L}\p{N}_@-]*$"), 1, 128
}

text! {
    /// Path of an address, with parameters in braces, such as `/devices/{id}`.
    HttpPath, Some(r"^/([A-Za-z0-9._~!$&'()*+,;=:@-]+|\{[A-Za-z_][A-Za-z0-9_]*\})?(/([A-Za-z0-9._~!$&'()*+,;=:@-]+|\{[A-Za-z_][A-Za-z0-9_]*\}))*/?$"), 1, 512
}

text! {
    /// Name of a parameter of a request.
    ParameterName, Some(r"^[A-Za-z_][A-Za-z0-9_]*$"), 1, 64
}

text! {
    /// Address of an HTTP server.
    HttpUrl, Some(r"^https?://[^\s/?#]+([/?][^\s#]*)?$"), 8, 2048
}

text! {
    /// Address of an object store or folder: `s3://bucket/prefix`, `gs://…`, `az://…` or a path.
    StoreUrl, Some(r"^((s3|gs|az)://[a-z0-9][a-z0-9._-]+(/[^\s?#]*)?|[^\s:]+)$"), 1, 1024
}

text! {
    /// Address of an object store: `s3://bucket/prefix`, `gs://…` or `az://…`.
    BucketUrl, Some(r"^(s3|gs|az)://[a-z0-9][a-z0-9._-]+(/[^\s?#]*)?$"), 1, 1024
}

text! {
    /// Origin of a page: scheme, host and port.
    Origin, Some(r"^https?://[A-Za-z0-9.\[\]:-]+$"), 8, 512
}

text! {
    /// A media type, such as `application/json`.
    MediaType, Some(r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(; *[A-Za-z0-9_.-]+=[A-Za-z0-9_.-]+)*$"), 3, 128
}

text! {
    /// Name of a Kubernetes object.
    ResourceName, Some(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"), 1, 253
}

text! {
    /// Key of a Secret or ConfigMap.
    SecretKey, Some(r"^[A-Za-z0-9_-][A-Za-z0-9._-]*$"), 1, 253
}

text! {
    /// Host name or address.
    Host, Some(r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])$"), 1, 253
}

text! {
    /// Host and port, such as `kafka.example.com:9093`.
    HostPort, Some(r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"), 3, 260
}

text! {
    /// Name under which a pipeline is reached, such as `race.example.com` or `*.example.com`.
    HostName, Some(r"^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$"), 1, 253
}

text! {
    /// Range of addresses, such as `10.0.0.0/8`.
    AddressRange, Some(r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$"), 3, 50
}

text! {
    /// Times as cron writes them: minute, hour, day of the month, month, day of the week.
    CronSchedule, Some(r"^[0-9*,/A-Za-z-]+( [0-9*,/A-Za-z-]+){4}$"), 9, 64
}

text! {
    /// Name of an image with its tag or digest.
    ImageName, Some(r"^[a-z0-9][A-Za-z0-9._:/@-]*$"), 1, 512
}

text! {
    /// Key of a label, an annotation or a taint, such as `team` or `example.com/team`.
    QualifiedName, Some(r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"), 1, 317
}

text! {
    /// Value of a label.
    LabelValue, Some(r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$"), 0, 63
}

text! {
    /// Value of an annotation.
    AnnotationValue, None, 0, 1024
}

/// Form of a [`Quantity`](crate::Quantity) that is a text.
pub(crate) const QUANTITY: &str = r"^[0-9]{1,12}(\.[0-9]{1,9})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$";

/// What to write where a text does not match a pattern.
const FORMS: [(Option<&str>, &str); 30] = [
    (Name::PATTERN, "1 to 63 letters, digits and `-`, a letter first"),
    (Path::PATTERN, "a path with a dot before each field, such as `.location.lat` or `.wheels[0]`"),
    (Duration::PATTERN, "a number and a unit (ms, s, m, h, d), such as `500ms` or `1m30s`"),
    (Length::PATTERN, "a number and a unit (m, km, mi), such as `5119.77m`"),
    (Identifier::PATTERN, "lower-case letters, digits and `_`, a letter or `_` first"),
    (Topic::PATTERN, "a topic without `+` and `#`; several topics need a topicProgram"),
    (Title::PATTERN, "text on one line"),
    (HeaderName::PATTERN, "letters, digits, `_`, `.` and `-`"),
    (FilePath::PATTERN, "a path on one line"),
    (BrokerUrl::PATTERN, "`mqtt://host:1883`, or `mqtts://host:8883` for TLS"),
    (KafkaTopic::PATTERN, "the topic's whole name: letters, digits, `.`, `_` and `-`"),
    (FieldName::PATTERN, "letters, digits, `_`, `@` and `-`, a letter or `_` first"),
    (HttpPath::PATTERN, "a path such as `/telemetry/cpu` or `/devices/{id}`"),
    (ParameterName::PATTERN, "letters, digits and `_`, a letter or `_` first"),
    (HttpUrl::PATTERN, "`https://host/path`"),
    (StoreUrl::PATTERN, "`s3://bucket/prefix`, `gs://…`, `az://…`, or a path to a folder"),
    (BucketUrl::PATTERN, "`s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`"),
    (Origin::PATTERN, "a scheme and a host, such as `https://example.com`"),
    (MediaType::PATTERN, "a media type such as `application/json`"),
    (ResourceName::PATTERN, "lower-case letters, digits, `-` and `.`"),
    (SecretKey::PATTERN, "letters, digits, `_`, `-` and `.`"),
    (Host::PATTERN, "a host name or address, without a port"),
    (HostPort::PATTERN, "a host and a port, such as `kafka.example.com:9093`"),
    (HostName::PATTERN, "a name in lower case, such as `race.example.com` or `*.example.com`"),
    (AddressRange::PATTERN, "a range of addresses, such as `10.0.0.0/8`"),
    (Some(QUANTITY), "an amount such as `500m`, `2` or `10Gi`"),
    (CronSchedule::PATTERN, "five fields as cron writes them, such as `0 3 * * *`"),
    (ImageName::PATTERN, "an image with its tag or digest, such as `postgres:15`"),
    (QualifiedName::PATTERN, "a key such as `team` or `example.com/team`"),
    (LabelValue::PATTERN, "letters, digits, `-`, `_` and `.`, a letter or digit first and last"),
];

/// What to write where a text does not match `pattern`.
pub(crate) fn form_of(pattern: &str) -> Option<&'static str> {
    FORMS.iter().find(|(known, _)| *known == Some(pattern)).map(|(_, words)| *words)
}
