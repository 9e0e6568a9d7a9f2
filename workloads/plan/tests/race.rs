//! `examples/race.yaml`.
#[test]
fn probe() {
    let y = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/race.yaml")).unwrap();
    match millrace_api::load(&y, "race.yaml") {
        Err(e) => for e in e { println!("{e}") },
        Ok(p) => match millrace_plan::plan(&p[0]) { Ok(p) => println!("{p:#?}"), Err(e) => for e in e { println!("{e}") } }
    }
}
