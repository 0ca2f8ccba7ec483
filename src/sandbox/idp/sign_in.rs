//! The pages that people answer: sign in for a program on this machine, or for one elsewhere that shows a code.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};

use super::authorize::{AuthorizationRequest, Refusal};
use super::device;
use super::grants::Approval;
use super::pages;
use super::params::{Params, no_store};
use super::provider::{Client, Provider};
use crate::sandbox::company::{Person, person};
use crate::sandbox::http::opaque_secret;

/// The authorization endpoint by GET.
pub(super) async fn by_get(
    State(provider): State<Arc<Provider>>,
    RawQuery(query): RawQuery,
) -> Response {
    authorize(&provider, &Params::parse(&query.unwrap_or_default()))
}

/// The authorization endpoint by POST, which OpenID Connect Core section 3.1.2.1 wants too.
pub(super) async fn by_post(State(provider): State<Arc<Provider>>, body: String) -> Response {
    authorize(&provider, &Params::parse(&body))
}

fn authorize(provider: &Provider, params: &Params) -> Response {
    let issuer = &provider.settings.issuer;
    let request = match AuthorizationRequest::read(params) {
        Ok(request) => request,
        Err(Refusal::Here(why)) => {
            return (StatusCode::BAD_REQUEST, pages::refused(why)).into_response();
        }
        Err(Refusal::There(to, error)) => {
            let answer = [
                ("error", error.code),
                ("error_description", &*error.description),
            ];
            return redirect(to.with(issuer, &answer).as_str());
        }
    };
    if let Some(person) = provider.settings.auto_approve {
        return approved(provider, request, person);
    }
    let id = opaque_secret();
    let page = pages::sign_in(&request, &id);
    provider.state().keep(id, request, provider.clock.now());
    page.into_response()
}

/// What the person answered on the sign-in page.
pub(super) async fn answer(State(provider): State<Arc<Provider>>, body: String) -> Response {
    let params = Params::parse(&body);
    let choice = Choice::read(&params);
    let id = params.optional("request").unwrap_or_default();
    let request = match choice {
        Some(_) => provider.state().take(id, provider.clock.now()),
        None => None,
    };
    match (request, choice) {
        (Some(request), Some(Choice::Person(person))) => approved(&provider, request, person),
        (Some(request), Some(Choice::Deny)) => {
            let answer = [
                ("error", "access_denied"),
                ("error_description", "the person said no"),
            ];
            let issuer = &provider.settings.issuer;
            redirect(request.answer_to.with(issuer, &answer).as_str())
        }
        _ => {
            let why = "This sign-in was answered before or has waited too long. Start again from the application.";
            (StatusCode::BAD_REQUEST, pages::refused(why)).into_response()
        }
    }
}

fn approved(
    provider: &Provider,
    request: AuthorizationRequest,
    person: &'static Person,
) -> Response {
    let now = provider.clock.now();
    let to = request.answer_to;
    let approval = Approval {
        person,
        client_id: request.client.id.to_owned(),
        scope: request.scope,
        nonce: request.nonce,
        auth_time: now,
    };
    let redirect_uri = to.redirect_uri.clone();
    let code = provider
        .state()
        .grants
        .code(approval, redirect_uri, request.challenge, now);
    redirect(
        to.with(&provider.settings.issuer, &[("code", &code)])
            .as_str(),
    )
}

/// A redirect that a POST may answer with as well: 303 turns it into a GET (RFC 9700 section 4.12).
fn redirect(to: &str) -> Response {
    (no_store(), Redirect::to(to)).into_response()
}

/// The page for a user code: asks for it, or who to be if it came along.
pub(super) async fn device(
    State(provider): State<Arc<Provider>>,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::parse(&query.unwrap_or_default());
    let Some(typed) = params.optional("user_code") else {
        return pages::enter_code(None).into_response();
    };
    let asking = provider.state().devices.asking(typed, provider.clock.now());
    let client = asking
        .as_ref()
        .and_then(|asking| Client::find(&asking.client_id));
    match (&asking, client) {
        (Some(asking), Some(client)) => pages::confirm_code(asking, client).into_response(),
        _ => (StatusCode::NOT_FOUND, pages::enter_code(Some(typed))).into_response(),
    }
}

/// What the person answered for a device.
pub(super) async fn device_answer(State(provider): State<Arc<Provider>>, body: String) -> Response {
    let params = Params::parse(&body);
    let now = provider.clock.now();
    let typed = params.optional("user_code").unwrap_or_default();
    let answer = match Choice::read(&params) {
        Some(Choice::Person(person)) => device::Answer::Approved(person, now),
        Some(Choice::Deny) => device::Answer::Denied,
        None => {
            let why = "Nobody was chosen.";
            return (StatusCode::BAD_REQUEST, pages::refused(why)).into_response();
        }
    };
    if !provider.state().devices.answer(typed, answer, now) {
        return (StatusCode::NOT_FOUND, pages::enter_code(Some(typed))).into_response();
    }
    match answer {
        device::Answer::Approved(person, _) => pages::device_approved(person).into_response(),
        device::Answer::Denied => pages::device_denied().into_response(),
    }
}

/// The button that was pressed.
#[derive(Debug, Clone, Copy)]
enum Choice {
    Person(&'static Person),
    Deny,
}

impl Choice {
    fn read(params: &Params) -> Option<Self> {
        if params.optional("deny").is_some() {
            return Some(Self::Deny);
        }
        params.optional("person").and_then(person).map(Self::Person)
    }
}
