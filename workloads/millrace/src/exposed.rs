//! What a resource leaves open, although it protects something.

use millrace_plan::Plan;
use millrace_plan::model::Access;

/// Where the pipeline's own addresses begin that show streams and tables.
const API: &str = "/api/v1";

/// What to tell of a pipeline that asks for credentials, but not where the same data can be read
/// from the pipeline's own addresses.
pub(crate) fn warning(plan: &Plan) -> Option<String> {
    let rules = &plan.exposure.auth;
    let protects = rules.iter().find(|rule| !matches!(rule.access, Access::Open))?;
    let covers = |path: &str| {
        path == "/"
            || API.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if rules.iter().any(|rule| covers(&rule.path)) {
        return None;
    }
    Some(format!(
        "warning: {}: spec.exposure.auth: `{}` needs credentials, but no rule covers `{API}`, where everyone reads all streams and tables; add a rule for `{API}` (`open: {{}}` if that is meant)",
        plan.pipeline, protects.path
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warned(rules: &str) -> Option<String> {
        let text = format!(
            "apiVersion: millrace.dev/v1alpha1\nkind: TelemetryPipeline\nmetadata: {{name: a}}\nspec:\n  streams: [{{name: s, key: [.k]}}]\n  ingest: [{{name: i, http: {{path: /i}}, to: s}}]\n  exposure: {{auth: [{rules}]}}\n"
        );
        let pipelines = millrace_api::load(&text, "a.yaml").unwrap();
        warning(&millrace_plan::plan(&pipelines[0]).unwrap())
    }

    #[test]
    fn who_protects_something_and_not_the_api_is_told_so() {
        let users = "basic: {users: {file: users}}";
        assert_eq!(
            warned(&format!("{{path: /multivac, {users}}}")).unwrap(),
            "warning: a: spec.exposure.auth: `/multivac` needs credentials, but no rule covers `/api/v1`, where everyone reads all streams and tables; add a rule for `/api/v1` (`open: {}` if that is meant)"
        );
        assert!(warned(&format!("{{path: /api/v1/tables, {users}}}")).is_some());
        for rules in [
            String::new(),
            "{path: /multivac, open: {}}".to_owned(),
            format!("{{path: /, {users}}}"),
            format!("{{path: /api, {users}}}"),
            format!("{{path: /multivac, {users}}}, {{path: /api/v1, open: {{}}}}"),
        ] {
            assert_eq!(warned(&rules), None, "{rules}");
        }
    }
}
