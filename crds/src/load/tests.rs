//! Rules of loading, each seen from outside.

use super::*;
use crate::crd_yaml;

#[test]
fn probe() {
    let y = std::fs::read_to_string("/tmp/p.yaml").unwrap();
    match load(&y, "p.yaml") {
        Ok(p) => println!("{:#?}", p[0].spec),
        Err(e) => {
            for e in e {
                println!("{e}")
            }
        }
    }
    std::fs::write("/tmp/crd.yaml", crd_yaml()).unwrap();
}
