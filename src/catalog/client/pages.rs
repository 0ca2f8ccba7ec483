//! `entities/by-query`, a page at a time.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use url::Url;

use super::super::entity::{Entity, EntityRef};
use super::super::refusal::Problem;
use super::query::{Condition, Query};
use super::{BearerSource, CatalogClient, answered};
use crate::error::Result;
use crate::http::Answer;

const OWNED_BY: &str = "relations.ownedBy";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<Box<RawValue>>,
    #[serde(default)]
    page_info: PageInfo,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    next_cursor: Option<String>,
}

/// The entities that were asked for, a page at a time: memory does not grow with the catalog.
///
/// An entity may come twice: more owners than one request has room for are asked for in parts, and two may own the same
/// database. They come in no order.
#[derive(Debug)]
pub struct Pages<'a, B> {
    client: &'a CatalogClient<B>,
    /// Without the owners.
    query: Query,
    /// Those that were not asked for yet.
    owners: Option<Vec<String>>,
    running: Option<Running>,
    page: usize,
    at_end: bool,
}

/// A query of which not all pages were read.
#[derive(Debug)]
struct Running {
    query: Query,
    in_body: bool,
    cursor: Option<String>,
    /// How many of the owners it is about.
    owners: usize,
}

impl<B: BearerSource> Pages<'_, B> {
    /// The next page; `None` after the last one. A page may be empty.
    pub async fn next(&mut self) -> Result<Option<Vec<Entity>>> {
        while !self.at_end {
            let Some(running) = self.running.take().or_else(|| self.start()) else {
                break;
            };
            let answer = self.client.ask_page(&running).await?;
            if running.in_body && running.cursor.is_none() && takes_no_posts(&answer) {
                tracing::info!(status = answer.status.as_u16(), "asks in URLs from now on");
                self.client.takes_posts.store(false, Ordering::Relaxed);
                continue;
            }
            return self.read(running, &answer).map(Some);
        }
        self.at_end = true;
        Ok(None)
    }

    /// All pages, sorted by reference and without repeats.
    pub async fn all(mut self) -> Result<Vec<Entity>> {
        let mut by_ref: BTreeMap<EntityRef, Entity> = BTreeMap::new();
        while let Some(page) = self.next().await? {
            by_ref.extend(page.into_iter().map(|entity| (entity.entity_ref(), entity)));
        }
        Ok(by_ref.into_values().collect())
    }

    /// What to ask next: as many owners as one request has room for. `None` when the catalog cannot be asked this.
    fn start(&self) -> Option<Running> {
        let takes_posts = self.client.takes_posts.load(Ordering::Relaxed);
        let Some(owners) = &self.owners else {
            let in_body = !self.query.fits_filters() || !self.query.is_short();
            let can_be_asked = takes_posts || self.query.fits_filters();
            return can_be_asked.then(|| Running {
                query: self.query.clone(),
                in_body: in_body && takes_posts,
                cursor: None,
                owners: 0,
            });
        };
        if owners.is_empty() {
            return None;
        }
        let in_url = self.query.room_for(OWNED_BY, owners, false);
        let in_body = takes_posts && (in_url < owners.len() || !self.query.fits_filters());
        let taken = if in_body {
            self.query.room_for(OWNED_BY, owners, true)
        } else {
            in_url
        };
        let owned = Condition::any_of(OWNED_BY, &owners[..taken]);
        Some(Running {
            query: self.query.clone().and(owned),
            in_body,
            cursor: None,
            owners: taken,
        })
    }

    fn read(&mut self, mut running: Running, answer: &Answer) -> Result<Vec<Entity>> {
        self.page += 1;
        let place = format!("page {} of the entities", self.page);
        let found: Page = self.client.read(answer, || place.clone())?;
        let next = found
            .page_info
            .next_cursor
            .filter(|_| !running.query.one_page);
        // Otherwise a confused server would keep this going for ever.
        if next.is_some() && next == running.cursor {
            return Err(self.client.unreadable(
                || place,
                anyhow::anyhow!("it names itself as the next page"),
            ));
        }
        if next.is_some() {
            running.cursor = next;
            self.running = Some(running);
        } else if let Some(owners) = &mut self.owners {
            owners.drain(..running.owners);
        } else {
            self.at_end = true;
        }
        let items = found.items.iter();
        Ok(items
            .filter_map(|raw| answered::entity(raw, &place))
            .collect())
    }
}

/// Whether the server is too old for queries in a body, or something in front of it lets none pass. If it is the query
/// itself that is wrong, asking in URLs tells.
fn takes_no_posts(answer: &Answer) -> bool {
    matches!(
        answer.status,
        StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
    )
}

impl<B: BearerSource> CatalogClient<B> {
    pub(super) fn pages(&self, query: Query, owners: Option<Vec<String>>) -> Pages<'_, B> {
        Pages {
            client: self,
            query,
            owners,
            running: None,
            page: 0,
            at_end: false,
        }
    }

    /// Everything that fulfils the query.
    pub(in crate::catalog) async fn by_query(&self, query: Query) -> Result<Vec<Entity>> {
        self.pages(query, None).all().await
    }

    async fn ask_page(&self, running: &Running) -> Result<Answer> {
        let url = self.url(&["entities", "by-query"])?;
        if self.skips_totals.load(Ordering::Relaxed) {
            let answer = self.ask(self.page_request(&url, running, true)).await?;
            let unknown = answer.status == StatusCode::BAD_REQUEST
                && answer
                    .json::<Problem>()
                    .is_ok_and(|problem| problem.is_about_unknown("totalItems"));
            if !unknown {
                return Ok(answer);
            }
            self.skips_totals.store(false, Ordering::Relaxed);
        }
        self.ask(self.page_request(&url, running, false)).await
    }

    /// The cursor holds conditions and order, but neither limit nor fields: without them pages 2 and on would be of 20
    /// whole entities.
    fn page_request(&self, url: &Url, running: &Running, skip_totals: bool) -> RequestBuilder {
        let query = &running.query;
        if running.in_body {
            let mut body = json!({ "limit": query.limit, "fields": query.fields });
            if let Some(cursor) = &running.cursor {
                body["cursor"] = json!(cursor);
            } else {
                body["query"] = query.predicate();
                if let Some((term, fields)) = query.text() {
                    body["fullTextFilter"] = json!({ "term": term, "fields": fields });
                }
            }
            if skip_totals {
                body["totalItems"] = json!("exclude");
            }
            return self.http.post(url.clone()).json(&body);
        }
        let mut parameters = vec![
            ("limit", query.limit.to_string()),
            ("fields", query.fields.join(",")),
        ];
        if let Some(cursor) = &running.cursor {
            parameters.push(("cursor", cursor.clone()));
        } else {
            let filters = query.filters().into_iter();
            parameters.extend(filters.map(|filter| ("filter", filter)));
            if let Some((term, fields)) = query.text() {
                parameters.push(("fullTextFilterTerm", term.to_owned()));
                parameters.push(("fullTextFilterFields", fields.join(",")));
            }
        }
        if skip_totals {
            parameters.push(("totalItems", "exclude".to_owned()));
        }
        self.http.get(url.clone()).query(&parameters)
    }
}
