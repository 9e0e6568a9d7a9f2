//! Ways in from topics that others write, as planned.

// Helpers of tests may fail as tests do.
#![allow(clippy::unwrap_used)]

use millrace_plan::model::IngestSource;
use millrace_plan::model::KafkaIngest;
use millrace_plan::model::KafkaStart;

const PIPELINE: &str = "\
apiVersion: millrace.dev/v1alpha1
kind: TelemetryPipeline
metadata: {name: plant}
spec:
  streams:
    - {name: readings, key: [.meter], partitions: 3}
  ingest:
    - name: meters
      kafka: {topic: plant.meters.v1}
      map: .meter = %key
      to: readings
    - name: valves
      kafka: {topic: Valves_2, from: latest}
      to: readings
";

#[test]
fn a_topic_is_read_from_its_start_unless_told_otherwise() {
    let pipelines = millrace_api::load(PIPELINE, "a.yaml").unwrap();
    let plan = millrace_plan::plan(&pipelines[0]).unwrap();
    let sources = plan.ingest.iter().map(|ingest| match &ingest.source {
        IngestSource::Kafka(kafka) => kafka.clone(),
        other => panic!("{other:?}"),
    });
    let expected = |topic: &str, source: &str, from| KafkaIngest {
        topic: topic.to_owned(),
        source: source.parse().unwrap(),
        from,
    };
    assert_eq!(
        sources.collect::<Vec<_>>(),
        [
            expected("plant.meters.v1", "ingest.meters", KafkaStart::Earliest),
            expected("Valves_2", "ingest.valves", KafkaStart::Latest),
        ]
    );
}

#[test]
fn a_topic_of_others_is_no_stream_of_the_plan() {
    let pipelines = millrace_api::load(PIPELINE, "a.yaml").unwrap();
    let plan = millrace_plan::plan(&pipelines[0]).unwrap();
    assert_eq!(
        plan.to_string(),
        "pipeline plant

streams
  readings: 3 partitions, key [.meter]
  dead-letters: 1 partition, what could not be processed

ingest
  meters: Kafka topic plant.meters.v1 → readings
  valves: Kafka topic Valves_2 → readings
"
    );
    let json = plan.to_json();
    assert_eq!(json["ingest"][0]["topics"], serde_json::json!(["plant.meters.v1"]));
    assert_eq!(json["ingest"][0]["path"], serde_json::Value::Null);
}
