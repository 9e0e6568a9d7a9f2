//! The operator is replaced by one of another version, and back, while its changes are under way.

use std::time::Instant;

use serde_json::json;

use crate::fleet::Fleet;
use crate::operator::Operator;
use crate::say;
use crate::support::kubernetes::over_kubernetes;

/// `MILLRACE_OTHER_IMAGE` names an image of another version that the nodes have; without it there is
/// nothing to replace the operator by.
#[test]
fn an_operator_of_another_version_takes_over_in_the_middle_of_a_rollout() {
    let other = std::env::var("MILLRACE_OTHER_IMAGE");
    let (true, Ok(other)) = (over_kubernetes(), other) else { return };
    let begun = Instant::now();
    let mut fleet = Fleet::start(&json!({}));
    let operator = Operator::find();
    let own = operator.image();
    say(begun, &format!("ready; operator {own}"));
    let load = fleet.load();
    for (number, image) in [&other, &own, &other, &own].into_iter().enumerate() {
        let former = operator.leader();
        let size = json!({"requests": {"cpu": format!("{}m", 30 + number)}});
        let parts = json!({"ingest": size, "workers": size});
        fleet.patch(&json!({"spec": {"resources": parts}})).unwrap();
        operator.set_image(image);
        operator.wait_for_another(&former);
        fleet.wait_seen();
        fleet.wait_ready();
        fleet.until_all_goes_on(&load, image);
        assert_eq!(operator.image(), *image);
        say(begun, &format!("operator {image}; {} requests failed", load.failed()));
    }
    fleet.judge(begun, load);
}
