//! The OpenAPI document: what the routes say of themselves, and what the policy says of them.

use gateway::policy::{Access, POLICY, Role};
use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

const TOKEN: &str = "token";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Colophon",
        description = "Event-sourced backend of a bookstore. Every refusal is a problem (RFC 9457) whose `type` names \
                       the broken rule; `/problems` lists them. Every write answers with `Colophon-Position`; a read \
                       that sends it as `Colophon-Min-Position` shows that write. `Colophon-Parked` on a read says that \
                       an event, at that position, could not be taken into the view: the answer is as of before it.",
    ),
    tags(
        (name = "books", description = "The catalogue"),
        (name = "search", description = "Finding books"),
        (name = "stock", description = "The inventory"),
        (name = "orders", description = "Orders and their payments"),
        (name = "operations", description = "For whoever runs the server"),
    )
)]
struct Document;

/// A router without routes, to which those of the roles are added.
pub fn routes() -> OpenApiRouter {
    OpenApiRouter::with_openapi(Document::openapi())
}

/// The document as it is served.
pub fn render(mut document: OpenApi) -> String {
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    document.components.get_or_insert_default().add_security_scheme(TOKEN, SecurityScheme::Http(bearer));
    for entry in POLICY {
        let roles = match entry.access {
            Access::Roles(roles) => roles,
            Access::Own => &[],
            Access::Operational | Access::Read | Access::Signed => continue,
        };
        let operation =
            document.paths.paths.get_mut(entry.path).and_then(|item| operation(item, entry.method.as_str()));
        if let Some(operation) = operation {
            let names: Vec<_> = roles.iter().copied().map(Role::name).collect();
            operation.security = Some(vec![SecurityRequirement::new(TOKEN, names)]);
        }
    }
    document.to_pretty_json().expect("the document can be written as JSON")
}

fn operation<'a>(item: &'a mut PathItem, method: &str) -> Option<&'a mut Operation> {
    match method {
        "GET" => item.get.as_mut(),
        "POST" => item.post.as_mut(),
        "PUT" => item.put.as_mut(),
        "PATCH" => item.patch.as_mut(),
        _ => None,
    }
}
