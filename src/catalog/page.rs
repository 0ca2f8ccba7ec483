//! Where an entity can be looked at.

use url::Url;

use super::entity::EntityRef;

/// The entity's page in the web interface at `web_url`, which is not always where the backend is.
pub fn entity_page(web_url: &Url, entity_ref: &EntityRef) -> Option<Url> {
    let mut page = web_url.clone();
    page.set_query(None);
    page.set_fragment(None);
    let EntityRef {
        kind,
        namespace,
        name,
    } = entity_ref;
    page.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend(["catalog", namespace, kind, name]);
    Some(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_below_the_web_interface() {
        let entity_ref = EntityRef::new("Resource", "default", "payments-staging");
        for web_url in ["https://b.example", "https://b.example/?x=y#z"] {
            let page = entity_page(&web_url.parse().unwrap(), &entity_ref).unwrap();
            assert_eq!(
                page.as_str(),
                "https://b.example/catalog/default/resource/payments-staging"
            );
        }
        let odd = EntityRef::new("resource", "team", "a/../b?c\u{1b}");
        let page = entity_page(&"https://b.example/portal/".parse().unwrap(), &odd).unwrap();
        assert_eq!(
            page.as_str(),
            "https://b.example/portal/catalog/team/resource/a%2F..%2Fb%3Fc%1B"
        );
    }
}
