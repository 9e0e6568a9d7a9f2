//! nginx's configuration: a pure function of the pipeline. `process` is what concerns nginx as a
//! whole, `http` what all requests have in common, `limits` what each client may do, `routing` who
//! gets a request, `upstreams` where those are, `servers` the ports, `locations` what differs from
//! path to path, `problems` what the edge answers itself, `tls` the certificate and `stream` MQTT.

mod http;
mod limits;
mod locations;
mod paths;
mod places;
mod problems;
mod process;
mod routing;
mod servers;
mod stream;
mod text;
mod tls;
mod upstreams;

#[cfg(test)]
mod real;

use self::places::Places;
use self::text::Text;
use crate::pipeline::Pipeline;

/// The file that nginx reads.
pub(crate) fn configuration(pipeline: &Pipeline) -> String {
    written(pipeline, &Places::of_pod())
}

fn written(pipeline: &Pipeline, places: &Places) -> String {
    let mut text = Text::default();
    process::write(&mut text, pipeline, places);
    http::write(&mut text, pipeline, places);
    stream::write(&mut text, pipeline, places);
    text.finish()
}
