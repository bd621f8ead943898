//! The description of the routes, as `OpenAPI` 3.1.

use crate::form::{
    Form, JobList, JobSummary, McpTask, McpTaskList, Operation, OperationError, OperationList,
    OperationMetadata, PlainJob, StatusCounts,
};
use crate::registry::Registry;
use crate::routes::JobRoutes;
use crate::time::Time;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem,
    PathItemBuilder,
};
use utoipa::openapi::response::{Response, ResponseBuilder, ResponsesBuilder};
use utoipa::openapi::schema::{
    AdditionalProperties, Object, ObjectBuilder, Ref, Schema, SchemaType, Type,
};
use utoipa::openapi::{
    Components, ComponentsBuilder, Header, InfoBuilder, OpenApi, OpenApiBuilder, Paths, RefOr,
    Required,
};
use utoipa::{PartialSchema, ToSchema};

/// Name of the schema of a [`Problem`](crate::Problem).
const PROBLEM: &str = "Problem";
const JSON: &str = "application/json";

impl<R: Registry> JobRoutes<R> {
    /// Returns a description of the routes, to be merged into the service's by
    /// [`OpenApi::merge`]. `payload` is the schema of what [`show`](Self::show) returns.
    ///
    /// Each refusal is of the schema `Problem`, which the service can refer to.
    ///
    /// ```
    /// use job_registry::JobRegistry;
    /// use job_registry_axum::JobRoutes;
    ///
    /// let routes = JobRoutes::new(JobRegistry::<String>::new(), "/jobs");
    /// let description = routes.openapi(None);
    /// assert!(description.paths.paths.contains_key("/jobs/{id}/events"));
    /// ```
    #[must_use]
    pub fn openapi(&self, payload: Option<RefOr<Schema>>) -> OpenApi {
        let base = &*self.base;
        let (job, list) = match self.form {
            Form::Operation => (Operation::name(), OperationList::name()),
            Form::McpTask => (McpTask::name(), McpTaskList::name()),
            Form::Plain => (PlainJob::name(), JobList::name()),
        };
        let mut paths = Paths::new();
        let mut add = |path: String, item: PathItem| paths.paths.insert(path, item);
        add(base.to_owned(), list_of(&list));
        add(format!("{base}/{{id}}"), one_job(&job));
        add(format!("{base}/{{id}}/events"), events());
        if self.retry.is_some() {
            add(format!("{base}/{{id}}/retry"), retry(&job));
        }
        OpenApiBuilder::new()
            .info(InfoBuilder::new().title("Jobs").version("1").build())
            .paths(paths)
            .components(Some(schemas(self.form, payload)))
            .build()
    }
}

fn schemas(form: Form, payload: Option<RefOr<Schema>>) -> Components {
    let mut found = vec![(PROBLEM.to_owned(), problem()), named::<Time>()];
    match form {
        Form::Plain => {
            found.push(named::<PlainJob>());
            found.extend([
                named::<JobList>(),
                named::<JobSummary>(),
                named::<StatusCounts>(),
            ]);
        }
        Form::Operation => {
            found.extend([named::<Operation>(), named::<OperationList>()]);
            found.extend([named::<OperationMetadata>(), named::<OperationError>()]);
        }
        Form::McpTask => {
            found.extend([named::<McpTask>(), named::<McpTaskList>()]);
        }
    }
    if let Some(payload) = payload {
        for (name, schema) in &mut found {
            let field = if name == &*PlainJob::name() {
                "payload"
            } else {
                "response"
            };
            if let RefOr::T(Schema::Object(job)) = schema {
                if let Some(shown) = job.properties.get_mut(field) {
                    *shown = payload.clone();
                }
            }
        }
    }
    ComponentsBuilder::new().schemas_from_iter(found).build()
}

fn named<T: ToSchema>() -> (String, RefOr<Schema>) {
    (T::name().into_owned(), <T as PartialSchema>::schema())
}

fn problem() -> RefOr<Schema> {
    let text = || Object::with_type(Type::String);
    let object = ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("A refusal (RFC 9457)."))
        .property("type", text())
        .property("title", text())
        .property("status", Object::with_type(Type::Integer))
        .property("detail", text())
        .required("type")
        .required("title")
        .required("status")
        .required("detail")
        .additional_properties(Some(AdditionalProperties::FreeForm(true)));
    RefOr::T(object.into())
}

fn id() -> Parameter {
    ParameterBuilder::new()
        .name("id")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("The job's id."))
        .schema(Some(Object::with_type(Type::String)))
        .build()
}

fn parameter(place: ParameterIn, name: &str, about: &str, schema: Object) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(place)
        .required(Required::False)
        .description(Some(about))
        .schema(Some(schema))
        .build()
}

fn text() -> Object {
    Object::with_type(Type::String)
}

fn answer(about: &str, schema: &str, media: &str) -> ResponseBuilder {
    let schema = Ref::from_schema_name(schema);
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new()
        .description(about)
        .content(media, content)
}

/// An answer that is a job, with its version.
fn job_of(about: &str, job: &str) -> ResponseBuilder {
    answer(about, job, JSON).header("ETag", Header::default())
}

fn accepted(about: &str, job: &str) -> Response {
    job_of(about, job)
        .header("Location", Header::default())
        .header("Retry-After", Header::default())
        .build()
}

fn refusal(about: &str) -> Response {
    answer(about, PROBLEM, "application/problem+json").build()
}

/// The refusals of every route that names a job.
fn of_an_id(responses: ResponsesBuilder) -> ResponsesBuilder {
    responses
        .response("404", refusal("No job has this id, or it is not visible."))
        .response("410", refusal("The job was removed."))
        .response("503", refusal("The service cannot do this now."))
}

fn list_of(list: &str) -> PathItem {
    let number = ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::Integer))
        .minimum(Some(1))
        .build();
    let responses = ResponsesBuilder::new()
        .response("200", answer("A part of the list.", list, JSON).build())
        .response("400", refusal("The cursor or the limit is not valid."));
    let operation = OperationBuilder::new()
        .summary(Some("Lists the jobs"))
        .operation_id(Some("list_jobs"))
        .parameter(parameter(
            ParameterIn::Query,
            "cursor",
            "Start of the part, from the part before it.",
            text(),
        ))
        .parameter(parameter(
            ParameterIn::Query,
            "limit",
            "Largest number of jobs in the part; at most 1,000 are sent.",
            number,
        ))
        .responses(responses.build());
    PathItem::new(HttpMethod::Get, operation)
}

fn one_job(job: &str) -> PathItem {
    let unchanged = ResponseBuilder::new()
        .description("The client has this version.")
        .header("ETag", Header::default());
    let responses = ResponsesBuilder::new()
        .response("200", job_of("The job.", job).build())
        .response("304", unchanged.build());
    let header = |name, about| parameter(ParameterIn::Header, name, about, text());
    let get = OperationBuilder::new()
        .summary(Some("Shows a job"))
        .operation_id(Some("show_job"))
        .parameter(id())
        .parameter(header("If-None-Match", "The version that the client has."))
        .parameter(header(
            "Prefer",
            "`wait=n` waits up to n seconds for the end, or for another version.",
        ))
        .responses(of_an_id(responses).build());
    let responses = ResponsesBuilder::new()
        .response("200", job_of("The job has ended.", job).build())
        .response("202", accepted("The job is stopping.", job))
        .response("400", refusal("`force` is neither true nor false."))
        .response("409", refusal("The job had ended before."))
        .response(
            "412",
            refusal("The condition of the request does not hold."),
        );
    let force = Object::with_type(Type::Boolean);
    let delete = OperationBuilder::new()
        .summary(Some("Stops a job"))
        .operation_id(Some("stop_job"))
        .parameter(id())
        .parameter(parameter(
            ParameterIn::Query,
            "force",
            "Cancels the job at once.",
            force,
        ))
        .responses(of_an_id(responses).build());
    PathItemBuilder::new()
        .operation(HttpMethod::Get, get)
        .operation(HttpMethod::Delete, delete)
        .build()
}

fn events() -> PathItem {
    // There is no schema, because OpenAPI 3.1 cannot describe single events.
    let content = ContentBuilder::new().build();
    let stream = ResponseBuilder::new()
        .description("Events `state`, `heartbeat`, `removed` and `shutdown`.")
        .content("text/event-stream", content);
    let end = ResponseBuilder::new().description("The client has seen the end.");
    let responses = ResponsesBuilder::new()
        .response("200", stream.build())
        .response("204", end.build());
    let operation = OperationBuilder::new()
        .summary(Some("Follows a job by server-sent events"))
        .operation_id(Some("follow_job"))
        .parameter(id())
        .parameter(parameter(
            ParameterIn::Header,
            "Last-Event-ID",
            "The last version that the client has seen.",
            text(),
        ))
        .responses(of_an_id(responses).build());
    PathItem::new(HttpMethod::Get, operation)
}

fn retry(job: &str) -> PathItem {
    let responses = ResponsesBuilder::new()
        .response("202", accepted("The next attempt has begun.", job))
        .response(
            "409",
            refusal("The job has neither failed nor been cancelled, or no attempts are left."),
        )
        .response(
            "412",
            refusal("The condition of the request does not hold."),
        );
    let operation = OperationBuilder::new()
        .summary(Some("Retries a job"))
        .operation_id(Some("retry_job"))
        .parameter(id())
        .responses(of_an_id(responses).build());
    PathItem::new(HttpMethod::Post, operation)
}
