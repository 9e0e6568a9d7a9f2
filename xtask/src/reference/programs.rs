//! The page of programs: what they see and what they may call, from the planner's own tables.

use std::fmt::Write as _;

use millrace_plan::program::Place;
use millrace_plan::program::context_fields;
use millrace_plan::program::function_rules;

/// Places of programs, and what each is called.
const PLACES: [(Place, &str, &str); 6] = [
    (Place::Ingest, "`map` of an ingest by MQTT", "the body"),
    (Place::Http, "`map` of an ingest by HTTP or WebSocket", "the body, or `{}` without one"),
    (Place::Kafka, "`map` of an ingest from Kafka", "the record's value"),
    (Place::Response, "`respond` of an ingest by HTTP", "the accepted event"),
    (
        Place::Query,
        "`respond` and `otherwise` of a query route",
        "the row, `{\"rows\": […]}` or `{}`",
    ),
    (Place::Pipeline, "processors and sinks", "the event"),
];

/// What the fields of `%` are.
const FIELDS: [(&str, &str); 11] = [
    ("clientId", "client id of the publisher, or null"),
    ("eventTime", "when the event happened, in milliseconds since 1970"),
    ("headers", "headers of the request, by name in lower case, or of the record: texts"),
    ("id", "id of the event: a UUID as text"),
    (
        "ingestTime",
        "when it arrived (from Kafka: the record's timestamp), in milliseconds since 1970",
    ),
    ("key", "key of the event, as text; from Kafka that of the record, or null"),
    ("method", "method of the request"),
    ("path", "parameters of the path: texts by name"),
    ("query", "parameters of the query: a text each, or an array of texts"),
    ("stream", "stream or processor that the event comes from"),
    ("topic", "topic of the message or record"),
];

/// The page.
pub(super) fn page() -> String {
    let mut text = String::from(
        "# Programs\n\nPrograms are written in [VRL](https://vrl.dev): `.` is the event, `%` what is \
         known beside it. They are compiled when the resource is validated; one that may fail \
         without handling the failure is refused. A run ends after a million steps, and the time zone \
         is UTC. `assert!(condition, \"message\")` refuses an event with a message of your own.\n\n\
         ## What they see\n\n| where | `.` | `%` |\n|---|---|---|\n",
    );
    for (place, name, event) in PLACES {
        let fields = context_fields(place).iter().map(|field| format!("`%{field}`"));
        let fields = fields.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "| {name} | {event} | {fields} |");
    }
    text.push_str("\n| field | what it is |\n|---|---|\n");
    for (name, about) in FIELDS {
        let _ = writeln!(text, "| `%{name}` | {about} |");
    }
    text.push_str("| `%user` | who the client has authenticated as, or null |\n");
    text.push_str(
        "\n## What they may call\n\nAll functions of the language whose result depends on their \
         arguments alone. Refused are:\n\n",
    );
    for (title, names) in function_rules() {
        let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "- {title}: {names}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_every_place_is_explained() {
        for (place, name, _) in PLACES {
            for field in context_fields(place) {
                let known = *field == "user" || FIELDS.iter().any(|(known, _)| known == field);
                assert!(known, "{name}: {field}");
            }
        }
    }
}
