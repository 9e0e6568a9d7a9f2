//! Images of one pipeline.

use millrace_api::ImageName;
use millrace_api::ImagesSpec;

use crate::pipeline::Images;

/// Images of one pipeline: those that its resource names, else those of the installation.
pub(crate) fn images(
    installed: &Images,
    own: &ImagesSpec,
    postgres_version: Option<i32>,
) -> Images {
    let choose = |own: &Option<ImageName>, installed: &str| {
        own.as_ref().map_or_else(|| installed.to_owned(), ToString::to_string)
    };
    let version = postgres_version.unwrap_or_default().to_string();
    let mut pull_secrets: Vec<String> = own.pull_secrets.iter().map(ToString::to_string).collect();
    for secret in &installed.pull_secrets {
        if !pull_secrets.contains(secret) {
            pull_secrets.push(secret.clone());
        }
    }
    Images {
        millrace: choose(&own.millrace, &installed.millrace),
        nginx: choose(&own.nginx, &installed.nginx),
        kafka: choose(&own.kafka, &installed.kafka),
        postgres: choose(&own.postgres, &installed.postgres).replace("{version}", &version),
        pull_secrets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_postgres_image_is_of_the_version_that_the_resource_asks_for() {
        let installed = Images {
            millrace: "millrace:dev".to_owned(),
            nginx: "nginx".to_owned(),
            kafka: "kafka".to_owned(),
            postgres: "docker.io/library/postgres:{version}".to_owned(),
            pull_secrets: vec!["theirs".to_owned()],
        };
        let chosen = images(&installed, &ImagesSpec::default(), Some(16));
        assert_eq!(chosen.postgres, "docker.io/library/postgres:16");
        let own = ImagesSpec {
            postgres: Some("example.com/postgres:15.4".into()),
            pull_secrets: vec!["mine".into()],
            ..ImagesSpec::default()
        };
        let chosen = images(&installed, &own, Some(16));
        assert_eq!(chosen.postgres, "example.com/postgres:15.4");
        assert_eq!(chosen.pull_secrets, ["mine", "theirs"]);
    }
}
