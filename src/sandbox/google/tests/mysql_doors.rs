//! Whom MySQL's door lets in, asked by MariaDB's own client.

use mysql_common::auth::plugins::mysql_native_password::scramble_native;
use tokio::io::{AsyncRead, AsyncWrite, copy_bidirectional};
use tokio::net::UnixListener;
use tokio::process::Command;

use super::*;
use crate::sandbox::company::Engine::MySql as EngineMySql;
use crate::sandbox::company::{BUILT_IN_USER, Engine};

const ADA: &str = "ada@acme.example";
const MDX_REQUEST: &[u8] = b"CSQLMDEX\0\0\0\x02\x10\x03";

fn instance(engine: Engine) -> &'static Instance {
    let mut instances = INSTANCES.iter();
    instances.find(|one| one.engine() == engine).unwrap()
}

async fn world() -> Option<World> {
    if !Command::new("mariadb")
        .arg("--version")
        .output()
        .await
        .is_ok_and(|out| out.status.success())
    {
        println!("skipped: needs the client `mariadb`");
        return None;
    }
    World::start(EngineChoice::System).await
}

/// What the client prints, or what it says is wrong. `exchange`: the way to the door sends metadata, as connectors do.
async fn ask(
    ticket: &Ticket,
    (user, password): (&str, &str),
    exchange: bool,
    sql: &str,
) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let way = async {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut door = ticket.dial().await.unwrap();
        if exchange {
            let mut bytes = vec![0; 16 * 1024];
            let greeting = door.read(&mut bytes).await.unwrap();
            client.write_all(&bytes[..greeting]).await.unwrap();
            let first = client.read(&mut bytes).await.unwrap();
            door.write_all(MDX_REQUEST).await.unwrap();
            door.write_all(&bytes[..first]).await.unwrap();
            // A response would now be the client's, which knows nothing of it.
        }
        let _ = copy_bidirectional(&mut client, &mut door).await;
    };
    let asking = Command::new("mariadb")
        .args([
            "--no-defaults",
            "--skip-ssl",
            "--batch",
            "-N",
            "--default-auth=mysql_native_password",
        ])
        .args(["--protocol=socket", "--database=storefront", "-e", sql])
        .arg(format!("--socket={}", socket.display()))
        .arg(format!("--user={user}"))
        .env("MYSQL_PWD", password)
        .output();
    let ((), output) = tokio::join!(way, asking);
    let output = output.unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(said(&output.stdout))
    } else {
        Err(said(&output.stderr))
    }
}

#[tokio::test]
async fn a_certificate_a_token_or_a_password_lets_in() {
    let Some(world) = world().await else {
        return;
    };
    let storefront = instance(EngineMySql);
    let sql = "SELECT current_user(), count(*) FROM products";
    let ticket = world.ticket(storefront, ADA, true).await;
    for exchange in [false, true] {
        let said = ask(&ticket, ("ada", ""), exchange, sql).await;
        assert_eq!(said.unwrap(), "ada@%\t5");
    }
    for user in ["app", "chloe", "ada@acme.example"] {
        let said = ask(&ticket, (user, BUILT_IN_PASSWORD), false, sql).await;
        let said = said.unwrap_err();
        assert!(
            said.contains("1045") && said.contains("IAM-authenticated user"),
            "{said}"
        );
    }
    let ticket = world.ticket(storefront, ADA, false).await;
    let token = world.token(ADA, SQL_LOGIN).await;
    let admin = world.token(ADA, SQL_ADMIN).await;
    let said = ask(&ticket, ("ada", &token), true, sql).await;
    assert_eq!(said.unwrap(), "ada@%\t5");
    let said = ask(&ticket, (BUILT_IN_USER, BUILT_IN_PASSWORD), false, sql).await;
    assert_eq!(said.unwrap(), "app@%\t5");
    for (user, password) in [
        ("ada", &*admin),
        ("chloe", &token),
        ("app", "guess"),
        ("root", ""),
    ] {
        let said = ask(&ticket, (user, password), false, sql)
            .await
            .unwrap_err();
        assert!(said.contains("Access denied for user"), "{user}: {said}");
    }
    world.google.stop().await;
}

#[tokio::test]
async fn the_api_tells_them_apart() {
    let Some(world) = World::start(EngineChoice::System).await else {
        return;
    };
    let token = world.token(ADA, SQL_ADMIN).await;
    for (engine, version, mdx) in [
        (EngineMySql, "MYSQL_8_0", true),
        (Engine::SqlServer, "SQLSERVER_2022_STANDARD", false),
    ] {
        let (_, settings) = world
            .get(instance(engine), "/connectSettings", &token)
            .await;
        assert_eq!(settings["databaseVersion"], version);
        assert_eq!(settings["mdxProtocolSupport"].is_array(), mdx);
    }
    let (_, users) = world.get(instance(EngineMySql), "/users", &token).await;
    let users: Vec<_> = users["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| {
            format!(
                "{}@{}",
                user["name"].as_str().unwrap(),
                user["host"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(users[..4], ["root@%", "app@%", "ada@%", "chloe@%"]);
    assert!(users.contains(&"bsql@%".to_owned()));
    let (_, users) = world
        .get(instance(Engine::SqlServer), "/users", &token)
        .await;
    assert_eq!(users["items"].as_array().unwrap().len(), 2);
}

/// A log-in and what comes after it, packet by packet: no client becomes somebody else by hand.
struct ByHand<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> ByHand<S> {
    /// Logs in as `user` with a certificate that says so.
    async fn sign_in(stream: S, user: &str) -> Self {
        let mut me = Self(stream);
        me.hear().await;
        // PROTOCOL_41, SECURE_CONNECTION, PLUGIN_AUTH.
        let capabilities: u32 = 1 << 9 | 1 << 15 | 1 << 19;
        let body = [
            &capabilities.to_le_bytes()[..],
            &[0, 0, 0, 1, 45],
            &[0; 23],
            user.as_bytes(),
            b"\0\0mysql_native_password\0",
        ];
        me.say(1, &body.concat()).await;
        let verdict = me.hear().await;
        assert_eq!(verdict[0], 0, "{}", String::from_utf8_lossy(&verdict));
        me
    }

    /// `COM_CHANGE_USER`, and the log-in that follows. What the server says in the end.
    async fn become_user(&mut self, user: &str, password: &str) -> Vec<u8> {
        let command = [
            b"\x11",
            user.as_bytes(),
            b"\0\0\0\x2d\0mysql_native_password\0",
        ];
        self.say(0, &command.concat()).await;
        let answer = self.hear().await;
        let Some(nonce) = answer.strip_prefix(b"\xfemysql_native_password\0") else {
            return answer;
        };
        let proof = scramble_native(&nonce[..20], password.as_bytes());
        self.say(2, &proof.map(Vec::from).unwrap_or_default()).await;
        self.hear().await
    }

    async fn say(&mut self, number: u8, body: &[u8]) {
        let length = u32::try_from(body.len()).unwrap().to_le_bytes();
        let packet = [&length[..3], &[number], body].concat();
        self.0.write_all(&packet).await.unwrap();
        self.0.flush().await.unwrap();
    }

    async fn hear(&mut self) -> Vec<u8> {
        let header = self.0.read_u32_le().await.unwrap();
        let mut body = vec![0; (header & 0x00ff_ffff) as usize];
        self.0.read_exact(&mut body).await.unwrap();
        body
    }
}

#[tokio::test]
async fn who_is_in_becomes_nobody_else() {
    let Some(world) = world().await else {
        return;
    };
    let ticket = world.ticket(instance(EngineMySql), ADA, true).await;
    for (user, password) in [
        ("root", ""),
        ("chloe", ""),
        ("bsql", ""),
        ("break-glass", ""),
        ("mariadb.sys", ""),
        ("", ""),
        (BUILT_IN_USER, BUILT_IN_PASSWORD),
    ] {
        let stream = ticket.dial().await.unwrap();
        let mut ada = ByHand::sign_in(stream, "ada").await;
        let answer = ada.become_user(user, password).await;
        let said = String::from_utf8_lossy(&answer);
        assert!(
            answer[0] == 0xff && said.contains("Access denied"),
            "{user:?}: {said}"
        );
    }
    world.google.stop().await;
}
