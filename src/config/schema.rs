//! Every key there is: what `BSQL_*` variables map to, what near names are offered, and what docs/configuration.md lists.

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Text.
    Text,
    /// A list of texts; in a variable separated by commas.
    Texts,
    /// A port number.
    Port,
    /// A list of port numbers; in a variable separated by commas.
    Ports,
    /// `true` or `false`.
    Flag,
    /// A whole number of seconds.
    Seconds,
}

/// A key, as a dotted path.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Below a profile's table, or at the top of the file.
    pub path: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// What it is for, for the documentation.
    pub meaning: &'static str,
}

const fn key(path: &'static str, shape: Shape, meaning: &'static str) -> Key {
    Key {
        path,
        shape,
        meaning,
    }
}

/// Keys of `[profiles.NAME]`. The variable for `identity.issuer` is `BSQL_IDENTITY_ISSUER`.
pub const PROFILE_KEYS: [Key; 38] = [
    key(
        "identity.issuer",
        Shape::Text,
        "the OpenID provider's issuer URL",
    ),
    key(
        "identity.client_id",
        Shape::Text,
        "bsql's client id there, a public client; default `bsql`",
    ),
    key(
        "identity.public_client_secret",
        Shape::Text,
        "what Google issues to desktop clients beside the id, which is no secret",
    ),
    key(
        "identity.authorize_params",
        Shape::Texts,
        "more parameters for the authorization endpoint, as name=value",
    ),
    key(
        "identity.scopes",
        Shape::Texts,
        "what to ask for; default openid, email, profile, offline_access",
    ),
    key(
        "identity.flow",
        Shape::Text,
        "how to sign in: auto, browser, device or paste",
    ),
    key(
        "identity.redirect_host",
        Shape::Text,
        "how the redirect names this machine: 127.0.0.1, [::1] or localhost; default 127.0.0.1",
    ),
    key(
        "identity.redirect_ports",
        Shape::Ports,
        "ports for the redirect on 127.0.0.1; empty is any free one",
    ),
    key(
        "identity.token_store",
        Shape::Text,
        "where sessions are kept: auto, keyring, file or memory",
    ),
    key(
        "backstage.url",
        Shape::Text,
        "the Backstage backend's base URL",
    ),
    key(
        "backstage.web_url",
        Shape::Text,
        "where people look at Backstage, if not at the backend's URL",
    ),
    key(
        "backstage.auth",
        Shape::Text,
        "how to sign in there: auto, backstage, id-token, token-command, iap or none",
    ),
    key(
        "backstage.token_command",
        Shape::Texts,
        "a program and its arguments that print the token",
    ),
    key(
        "backstage.iap_audience",
        Shape::Text,
        "the OAuth client id of the Identity-Aware Proxy in front of it",
    ),
    key(
        "catalog.environments",
        Shape::Texts,
        "the environments' names; default development, staging, production",
    ),
    key(
        "catalog.instance_annotations",
        Shape::Texts,
        "annotations that hold an instance connection name, first hit wins",
    ),
    key(
        "catalog.database_types",
        Shape::Texts,
        "values of `spec.type` that make a Resource a database; default database, cloudsql, postgresql and the like",
    ),
    key(
        "catalog.environment_keys",
        Shape::Texts,
        "labels and annotations that hold the environment, first hit wins; default environment, env, bsql.dev/environment",
    ),
    key(
        "catalog.importer_suffix",
        Shape::Text,
        "what the importer puts behind an instance's name; default -cloudsql",
    ),
    key(
        "catalog.include_parent_groups",
        Shape::Flag,
        "whether you own what the groups above yours own; default false",
    ),
    key(
        "catalog.cache_ttl",
        Shape::Text,
        "for how long Backstage's answers are good without asking again; default 10m",
    ),
    key(
        "google.credentials",
        Shape::Text,
        "where Google credentials come from: workforce, adc, gcloud or oauth",
    ),
    key(
        "google.workforce_provider",
        Shape::Text,
        "locations/global/workforcePools/POOL/providers/PROVIDER",
    ),
    key(
        "google.user_project",
        Shape::Text,
        "the project that API calls are counted against",
    ),
    key(
        "google.impersonate",
        Shape::Texts,
        "a chain of service accounts to become, the last one is who you are",
    ),
    key(
        "google.impersonate_lifetime",
        Shape::Seconds,
        "how long each token of the last of them lives; at most and by default 3600",
    ),
    key(
        "google.allow_key_files",
        Shape::Flag,
        "whether a service account's key file may be used; default false",
    ),
    key(
        "google.universe_domain",
        Shape::Text,
        "default googleapis.com",
    ),
    key(
        "google.ca_file",
        Shape::Text,
        "more CA certificates to trust for HTTPS, in a PEM file",
    ),
    key(
        "google.endpoints.sts",
        Shape::Text,
        "base URL of the Security Token Service",
    ),
    key(
        "google.endpoints.sql_admin",
        Shape::Text,
        "base URL of the SQL Admin API",
    ),
    key(
        "google.endpoints.sql_data",
        Shape::Text,
        "base URL of the SQL Data service; default the SQL Admin API's",
    ),
    key(
        "google.endpoints.iam_credentials",
        Shape::Text,
        "base URL of the IAM Credentials API",
    ),
    key(
        "google.endpoints.oauth2",
        Shape::Text,
        "base URL of Google's OAuth server",
    ),
    key(
        "google.endpoints.instance_port",
        Shape::Port,
        "the port of the instances' TLS door; default 3307",
    ),
    key(
        "google.endpoints.dns",
        Shape::Text,
        "IP:PORT of the DNS server for instances' domain names; default the system's",
    ),
    key(
        "google.ip_type",
        Shape::Text,
        "which address of an instance to dial: public, private, psc or auto",
    ),
    key(
        "google.via",
        Shape::Text,
        "the way to the instances: direct, data-api, socks5://HOST:PORT, http://HOST:PORT, or HOST:PORT of a forwarded port 3307",
    ),
];

/// Keys at the top of the file.
pub const TOP_KEYS: [Key; 5] = [
    key(
        "default_profile",
        Shape::Text,
        "the profile when `--profile` and BSQL_PROFILE say nothing",
    ),
    key(
        "clients.postgres",
        Shape::Texts,
        "the programs to try for PostgreSQL, in order; default psql",
    ),
    key(
        "clients.mysql",
        Shape::Texts,
        "the programs to try for MySQL, in order; default mysql, mariadb",
    ),
    key(
        "clients.sqlserver",
        Shape::Texts,
        "the programs to try for SQL Server, in order; default sqlcmd",
    ),
    key(
        "tunnel.ports",
        Shape::Text,
        "the ports that tunnels are given, as FIRST-LAST; default 15432-16431",
    ),
];

/// The variable that stands for a profile's key.
pub fn variable(path: &str) -> String {
    format!("BSQL_{}", path.replace('.', "_").to_uppercase())
}

/// Whether a key's name promises a secret, which a configuration file must not hold.
pub(super) fn names_a_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let known = PROFILE_KEYS
        .iter()
        .chain(&TOP_KEYS)
        .any(|known| known.path.rsplit('.').next() == Some(&key));
    !known
        && [
            "password",
            "passwd",
            "secret",
            "token",
            "passphrase",
            "private_key",
            "api_key",
        ]
        .iter()
        .any(|word| key.contains(word))
}

/// The known key most like `path`, if any is.
pub fn nearest<'a>(path: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(path, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in [
            "password",
            "client_secret",
            "db_password",
            "API_KEY",
            "refresh_token",
        ] {
            assert!(names_a_secret(name), "{name}");
        }
        // The provider calls it a secret, and it is none.
        for name in ["issuer", "client_id", "scopes", "public_client_secret"] {
            assert!(!names_a_secret(name), "{name}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_key() {
        let known = || PROFILE_KEYS.iter().map(|key| key.path);
        assert_eq!(nearest("identity.isuer", known()), Some("identity.issuer"));
        assert_eq!(nearest("colour", known()), None);
    }
}
