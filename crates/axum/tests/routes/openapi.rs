//! The description of the routes agrees with what they answer.

use crate::common::{Service, json};
use job_registry_axum::Form;
use serde_json::Value;

fn names(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

/// Every field of an answer is in its schema, and the other way round.
#[tokio::test]
async fn a_schema_has_the_fields_of_the_answer() {
    for (form, one, list) in [
        (Form::Plain, "Job", "JobList"),
        (Form::Operation, "Operation", "OperationList"),
        (Form::McpTask, "McpTask", "McpTaskList"),
    ] {
        let service = Service::with(
            |builder| builder,
            |routes| {
                routes
                    .form(form)
                    .show(|record| record.payload.clone())
                    .retry(drop)
            },
        );
        let schema = utoipa::openapi::schema::Object::with_type(utoipa::openapi::Type::String);
        let description = service.routes.openapi(Some(schema.into()));
        let description = serde_json::to_value(description).unwrap();
        let schemas = &description["components"]["schemas"];
        let job = service.register("deck");
        job.start().unwrap();
        job.note("slide 1").unwrap();
        job.complete().unwrap();
        let failed = service.register("deck");
        failed.fail("no fonts").unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for job in [&job, &failed] {
            let answer = json(service.get(&service.routes.path(job.id())).await).await;
            seen.extend(names(&answer).into_iter().map(str::to_owned));
        }
        let seen: Vec<_> = seen.iter().map(String::as_str).collect();
        assert_eq!(seen, names(&schemas[one]["properties"]));
        let answer = json(service.get("/jobs?limit=1").await).await;
        assert_eq!(names(&answer), names(&schemas[list]["properties"]));

        // The payload's schema stands where the payload is, and nowhere else.
        let text = serde_json::json!({"type": "string"});
        let properties = schemas[one]["properties"].as_object().unwrap();
        let replaced: Vec<_> = ["payload", "response", "metadata"]
            .into_iter()
            .filter(|name| properties.get(*name) == Some(&text))
            .collect();
        let expected: &[&str] = match form {
            Form::Plain => &["payload"],
            Form::Operation => &["response"],
            _ => &[],
        };
        assert_eq!(replaced, expected);

        let paths = names(&description["paths"]);
        assert_eq!(
            paths,
            [
                "/jobs",
                "/jobs/{id}",
                "/jobs/{id}/events",
                "/jobs/{id}/retry"
            ]
        );
        // Every reference leads somewhere.
        let text = description.to_string();
        for reference in text.split("\"#/components/schemas/").skip(1) {
            let name = reference.split('"').next().unwrap();
            assert!(schemas.get(name).is_some(), "{name}");
        }
    }
}
