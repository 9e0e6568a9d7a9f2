//! What all examples show on the process's own port, without credentials.

use crate::Example;
use crate::support::http::curl;

const EXAMPLES: [&str; 4] = ["race", "timestamps", "hoverboards", "cpu"];

#[test]
fn health_metrics_and_the_description_of_the_interface_are_open() {
    for name in EXAMPLES {
        let example = Example::start(name);
        assert_eq!(curl(&[&example.at("/livez")]).status, 200, "{name}");
        assert_eq!(curl(&[&example.at("/readyz")]).status, 200, "{name}");
        let metrics = curl(&[&example.at("/metrics")]);
        assert_eq!(metrics.status, 200, "{name}");
        assert!(metrics.body.ends_with("# EOF\n"), "{name}");
        let openapi = curl(&[&example.at("/openapi.json")]);
        assert_eq!(openapi.status, 200, "{name}");
        assert_eq!(openapi.json()["openapi"], "3.1.0", "{name}");
        let page = curl(&[&example.at("/openapi")]);
        assert_eq!(page.status, 200, "{name}");
        assert!(page.header("content-type").unwrap().starts_with("text/html"), "{name}");
    }
}

#[test]
fn the_dashboard_is_at_an_address_of_its_own_too() {
    for name in EXAMPLES {
        let example = Example::start(name);
        let page = curl(&["--location", &example.at("/dashboard")]);
        assert_eq!(page.status, 200, "{name}");
        assert!(page.header("content-type").unwrap().starts_with("text/html"), "{name}");
    }
}
